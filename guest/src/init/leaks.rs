// SPDX-License-Identifier: GPL-2.0-only

//! What kmemleak finds, in kernels that have it.

use super::files;
use crate::protocol::{Answer, LEAK_AGE};
use std::fs;
use std::thread;
use std::time::Instant;

const FILE: &str = "/sys/kernel/debug/kmemleak";
/// Bytes of a report that are told.
const MAX_REPORT: u64 = 1 << 20;

/// When the kernel has noted what memory it has.
#[derive(Debug, Clone, Copy)]
pub struct Noted(Instant);

/// Whether this kernel looks for leaks.
pub fn are_looked_for() -> bool {
    fs::exists(FILE).unwrap_or(false)
}

fn write(word: &str) -> Result<(), String> {
    fs::write(FILE, word).map_err(|e| format!("leaks: writing {word:?} to {FILE}: {e}"))
}

/// Has the kernel note what every object holds that it finds nothing to refer to: what still holds the same
/// in [`find`] is told of.
pub fn note() -> Result<Noted, String> {
    let noted = Noted(Instant::now());
    write("scan")?;
    Ok(noted)
}

/// Looks for memory that nothing refers to any more; the kernel's report, empty if there is none.
/// What has been told is not told again.
pub fn find(noted: Option<Noted>) -> Result<Answer, String> {
    let noted = noted.map_or_else(note, Ok)?;
    thread::sleep(LEAK_AGE.saturating_sub(noted.0.elapsed()));
    write("scan")?;
    let report = files::read(FILE, MAX_REPORT)?;
    write("clear")?;
    Ok(report)
}
