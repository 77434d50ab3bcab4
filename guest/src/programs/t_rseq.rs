// SPDX-License-Identifier: GPL-2.0-only

//! Processes that are nearly always inside a restartable sequence: one that goes on elsewhere has to
//! begin its sequence again, and may not go on in the middle with the number of a processor that it
//! had before.
//!
//! Arguments: STATUS [PROCESSES]

use crate::stage::{self, Stage};
use crate::{sys, tree};
use std::process::ExitCode;

/// Bytes of the area that sequences use: up to the end of `rseq_cs`.
const LEAST: u32 = 16;

extern "C" {
    /// Where the C library has the thread's area, from the thread pointer on.
    static __rseq_offset: isize;
    /// Bytes of it; 0 if the kernel took none.
    static __rseq_size: u32;
}

/// Stays in a sequence until SIGTERM.
fn child() -> Result<(), String> {
    // SAFETY: both are constant once the program runs.
    let (offset, size) = unsafe { (__rseq_offset, __rseq_size) };
    if size < LEAST {
        return Err(format!(
            "the C library's restartable sequences: expected at least {LEAST} bytes, found {size}"
        ));
    }
    let area = sys::thread_pointer().wrapping_add_signed(offset);
    stage::unblock_term()?;
    let found = sys::stay_in_sequence(area as *mut u8, stage::term_word());
    match found {
        sys::Sequence { strayed: 0, aborts } if aborts > 0 => Ok(()),
        sys::Sequence { strayed, aborts } => Err(format!(
            "sequences: expected some aborted and none on another processor, found {aborts} and {strayed}"
        )),
    }
}

fn run(stage: &Stage) -> Result<(), String> {
    let mut children = Vec::new();
    for number in 1..=stage.number(0, 8)? {
        let body = || match child() {
            Ok(()) => 0,
            Err(why) => stage.verdict(Err(format!("child {number}: {why}"))),
        };
        children.push(tree::spawn(&format!("child {number}"), body)?);
    }
    stage.ready()?;
    stage::wait_for_term()?;
    tree::terminate_children()?;
    tree::reap(&children, true)
}

/// Runs with the arguments of the process.
pub fn main() -> ExitCode {
    stage::run(run)
}
