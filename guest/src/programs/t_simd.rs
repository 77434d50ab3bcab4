// SPDX-License-Identifier: GPL-2.0-only

//! All vector registers live nearly all of the time.
//!
//! Arguments: STATUS [TURNS]

use crate::{pattern, stage};
use std::process::ExitCode;

/// Runs with the arguments of the process.
pub fn main() -> ExitCode {
    stage::run(|stage| {
        let turns = stage.number(0, 2_000_000)? as u32;
        stage.ready()?;
        stage::unblock_term()?;
        let mut seed = 1;
        while !stage::terminated() {
            pattern::hold_and_verify(seed, turns)?;
            seed += 1;
        }
        pattern::hold_and_verify(seed, turns)
    })
}
