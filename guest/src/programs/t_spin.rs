// SPDX-License-Identifier: GPL-2.0-only

//! Counts in general registers without a system call until SIGTERM: always
//! caught in user code.
//!
//! Arguments: STATUS

use crate::{stage, sys};
use std::process::ExitCode;

const STARTS: [u64; 8] = [
    1,
    1 << 20,
    1 << 32,
    1 << 40,
    1 << 48,
    1 << 56,
    1 << 62,
    u64::MAX / 2,
];

/// Runs with the arguments of the process.
pub fn main() -> ExitCode {
    stage::run(|stage| {
        stage.ready()?;
        stage::unblock_term()?;
        let ends = sys::spin(STARTS, stage::term_word());
        let turns: Vec<u64> = ends
            .iter()
            .zip(STARTS)
            .map(|(end, start)| end.wrapping_sub(start))
            .collect();
        if turns[0] == 0 || turns.iter().any(|count| *count != turns[0]) {
            return Err(format!(
                "turns counted by eight registers: expected the same, found {turns:?}"
            ));
        }
        Ok(())
    })
}
