// SPDX-License-Identifier: GPL-2.0-only

//! Logs of children: followed while they grow, their last lines for errors.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use crate::error::{AtPath, Result};

/// Follows a growing log file.
pub(super) struct Follower {
    file: std::fs::File,
    pub(super) lines: u64,
    pub(super) last: String,
    partial: Vec<u8>,
}

impl Follower {
    pub(super) fn new(log: &Path) -> Result<Self> {
        let file = std::fs::File::open(log).at("opening", log)?;
        Ok(Follower {
            file,
            lines: 0,
            last: String::new(),
            partial: Vec::new(),
        })
    }

    /// Reads what is new; whether any line was.
    pub(super) fn advance(&mut self) -> bool {
        let mut fresh = Vec::new();
        if self.file.read_to_end(&mut fresh).unwrap_or(0) == 0 {
            return false;
        }
        self.partial.extend(fresh);
        let Some(end) = self.partial.iter().rposition(|byte| *byte == b'\n') else {
            return false;
        };
        let rest = self.partial.split_off(end + 1);
        let text = String::from_utf8_lossy(&self.partial);
        self.lines += text.lines().count() as u64;
        self.last = text.lines().last().unwrap_or("").trim().to_string();
        self.partial = rest;
        true
    }
}

/// The last `count` lines of a file; fewer if it is short or cannot be read.
pub fn tail(path: &Path, count: usize) -> Vec<String> {
    const WINDOW: u64 = 64 * 1024;
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path).and_then(|mut file| {
        let len = file.metadata()?.len();
        file.seek(SeekFrom::Start(len.saturating_sub(WINDOW)))?;
        file.read_to_end(&mut bytes)
    });
    if read.is_err() {
        return Vec::new();
    }
    last_lines(&String::from_utf8_lossy(&bytes), count)
}

/// The last `count` lines of a text that are not empty.
pub(super) fn last_lines(text: &str, count: usize) -> Vec<String> {
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    lines[lines.len().saturating_sub(count)..]
        .iter()
        .map(|line| line.to_string())
        .collect()
}

/// The lines of a log that tell what went wrong: from the first error on, or else the last ones.
/// With several jobs at once the last lines of a build are seldom about its failure.
pub(super) fn telling(path: &Path, count: usize) -> Vec<String> {
    let bytes = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let is_error = |line: &&str| {
        line.starts_with("error")
            || line.contains(": error: ")
            || line.contains("] Error ")
            || line.starts_with("E: ")
    };
    let first = lines
        .iter()
        .position(is_error)
        .unwrap_or(lines.len().saturating_sub(count));
    lines
        .iter()
        .skip(first)
        .take(count)
        .map(|line| line.to_string())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_error_is_shown_whatever_came_after() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        std::fs::write(
            &log,
            "  CC a.o\nb.c:1:2: error: no\n  CC c.o\n  CC d.o\nmake: *** [b.o] Error 1\n",
        )
        .unwrap();
        assert_eq!(telling(&log, 2), ["b.c:1:2: error: no", "  CC c.o"]);
        assert_eq!(tail(&log, 1), ["make: *** [b.o] Error 1"]);
        std::fs::write(&log, "one\ntwo\n").unwrap();
        assert_eq!(telling(&log, 1), ["two"]);
    }
}
