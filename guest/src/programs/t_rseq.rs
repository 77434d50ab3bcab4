// SPDX-License-Identifier: GPL-2.0-only

//! Processes that are nearly always inside a restartable sequence: one that goes on elsewhere has to
//! begin its sequence again, and may not go on in the middle with the number of a processor that it
//! had before. Every other one has an area of its own, of the kernel's length.
//!
//! Arguments: STATUS [PROCESSES]

use crate::stage::{self, Stage};
use crate::{sys, tree};
use std::process::ExitCode;

/// Bytes of the area that sequences use: up to the end of `rseq_cs`.
const LEAST: u32 = 16;
/// Bytes that the C library registers at the least.
const USUAL_LEN: u32 = 32;

extern "C" {
    /// Where the C library has the thread's area, from the thread pointer on.
    static __rseq_offset: isize;
    /// Bytes of it; 0 if the kernel took none.
    static __rseq_size: u32;
}

/// An area that is larger than the C library's may be, and aligned as any kernel wants it.
#[repr(C, align(256))]
struct Area([u8; 256]);

/// The thread's area as the C library has registered it.
fn usual() -> Result<*mut u8, String> {
    // SAFETY: both are constant once the program runs.
    let (offset, size) = unsafe { (__rseq_offset, __rseq_size) };
    if size < LEAST {
        return Err(format!(
            "the C library's restartable sequences: expected at least {LEAST} bytes, found {size}"
        ));
    }
    Ok(sys::thread_pointer().wrapping_add_signed(offset) as *mut u8)
}

/// An area of the length that the kernel would like, in the place of the C library's: on kernels that
/// have more to say than the first 32 bytes hold, they treat it by other rules.
fn own() -> Result<*mut u8, String> {
    let fail = |what: &str, err: nix::errno::Errno| format!("rseq, {what}: {err}");
    let old = usual()?;
    let wanted = sys::rseq_len().max(USUAL_LEN);
    sys::rseq(old as usize, USUAL_LEN, true)
        .or_else(|_| sys::rseq(old as usize, wanted, true))
        .map_err(|err| fail("giving up the C library's area", err))?;
    let area = Box::leak(Box::new(Area([0; 256]))).0.as_mut_ptr();
    sys::rseq(area as usize, wanted, false).map_err(|err| fail("registering", err))?;
    Ok(area)
}

/// Stays in a sequence until SIGTERM.
fn child(own_area: bool) -> Result<(), String> {
    let area = if own_area { own()? } else { usual()? };
    stage::unblock_term()?;
    let found = sys::stay_in_sequence(area, stage::term_word());
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
        let body = || match child(number % 2 == 0) {
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
