// SPDX-License-Identifier: GPL-2.0-only

//! What kmemleak finds, in kernels that have it.

use super::files;
use crate::protocol::Answer;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

const FILE: &str = "/sys/kernel/debug/kmemleak";
/// Younger objects are not told of: the kernel's MSECS_MIN_AGE, and some more.
const AGE: Duration = Duration::from_millis(5_200);
/// Bytes of a report that are told.
const MAX_REPORT: u64 = 1 << 20;

/// Whether this kernel looks for leaks.
pub fn are_looked_for() -> bool {
    fs::exists(FILE).unwrap_or(false)
}

fn write(word: &str) -> Result<(), String> {
    fs::write(FILE, word).map_err(|e| format!("leaks: writing {word:?} to {FILE}: {e}"))
}

/// Looks for memory that nothing refers to any more; the kernel's report, empty if there is none.
/// What has been told is not told again. Takes as long as objects must be old, and a scan.
pub fn find() -> Result<Answer, String> {
    let start = Instant::now();
    // The first scan notes what every object that it finds holds; the second, for which they have to be
    // old enough, tells of those that have not changed.
    write("scan")?;
    thread::sleep(AGE.saturating_sub(start.elapsed()));
    write("scan")?;
    let report = files::read(FILE, MAX_REPORT)?;
    write("clear")?;
    Ok(report)
}
