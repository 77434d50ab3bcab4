// SPDX-License-Identifier: GPL-2.0-only

//! A lot of memory, every second page of it written with zeros.
//!
//! Arguments: STATUS [MEGABYTES]

use crate::pattern::{Memory, Pages};
use crate::stage;
use std::process::ExitCode;

/// Runs with the arguments of the process.
pub fn main() -> ExitCode {
    stage::run(|stage| {
        let bytes = (stage.number(0, 16)? as usize) << 20;
        let memory = Memory::filled(bytes, 0x6d65_6d6f, Pages::Half)?;
        stage.ready()?;
        stage::wait_for_term()?;
        memory.verify()
    })
}
