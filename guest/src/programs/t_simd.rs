// SPDX-License-Identifier: GPL-2.0-only

//! All vector registers live nearly all of the time, and rights by protection key that are not the usual
//! ones.
//!
//! Arguments: STATUS [TURNS]

use crate::stage::expect;
use crate::{pattern, stage, sys};
use std::process::ExitCode;

/// Runs with the arguments of the process.
pub fn main() -> ExitCode {
    stage::run(|stage| {
        let turns = stage.number(0, 2_000_000)? as u32;
        // Nobody has this key: what a thread may do with it is a register all the same.
        let rights = sys::protection_keys(Some(9));
        stage.ready()?;
        stage::unblock_term()?;
        let mut seed = 1;
        while !stage::terminated() {
            pattern::hold_and_verify(seed, turns)?;
            seed += 1;
        }
        pattern::hold_and_verify(seed, turns)?;
        expect("rights by protection key", rights, sys::protection_keys(None))
    })
}
