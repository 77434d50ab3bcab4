// SPDX-License-Identifier: GPL-2.0-only

//! The kernel log as it is written: finding what no run may contain. The
//! scanner is pure; [`Console`] feeds it from the log's file.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::error::{AtPath, Result};

/// What a kernel log can hold that ends a run or makes it fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// WARN, lockdep, RCU stall, leak: the kernel goes on.
    Warn,
    /// Oops, BUG, KASAN, UBSAN: the kernel goes on, but cannot be trusted.
    Oops,
    /// The kernel has stopped.
    Panic,
}

/// A line that shows trouble.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad.
    pub trouble: Trouble,
    /// The line, without its time stamp.
    pub line: String,
}

/// Texts of the kernel log and what they mean. Searched in each line, after its time stamp.
const MARKS: &[(&str, Trouble)] = &[
    ("Kernel panic - not syncing", Trouble::Panic),
    ("Attempted to kill init!", Trouble::Panic),
    ("Internal error: ", Trouble::Oops),
    ("Oops: ", Trouble::Oops),
    ("general protection fault", Trouble::Oops),
    ("Unable to handle kernel", Trouble::Oops),
    ("BUG: KASAN:", Trouble::Oops),
    ("BUG: KFENCE:", Trouble::Oops),
    ("UBSAN: ", Trouble::Oops),
    ("kernel BUG at ", Trouble::Oops),
    ("rust_kernel: panicked at", Trouble::Oops),
    ("stack guard page was hit", Trouble::Oops),
    ("BUG: ", Trouble::Oops),
    ("WARNING: ", Trouble::Warn),
    ("INFO: possible ", Trouble::Warn),
    ("INFO: task ", Trouble::Warn),
    ("possible circular locking dependency", Trouble::Warn),
    ("possible recursive locking", Trouble::Warn),
    ("suspicious RCU usage", Trouble::Warn),
    ("inconsistent lock state", Trouble::Warn),
    ("bad unlock balance", Trouble::Warn),
    ("held lock freed", Trouble::Warn),
    (
        "sleeping function called from invalid context",
        Trouble::Warn,
    ),
    ("detected stalls on CPUs", Trouble::Warn),
    ("self-detected stall on CPU", Trouble::Warn),
    ("soft lockup", Trouble::Warn),
    ("ut of memory: Killed process ", Trouble::Warn),
    ("Out of memory and no killable processes", Trouble::Warn),
    ("new suspected memory leaks", Trouble::Warn),
    ("refcount_t: ", Trouble::Warn),
    ("Bad page state", Trouble::Oops),
    ("Bad page map", Trouble::Oops),
    ("Bad rss-counter state", Trouble::Oops),
    ("non-zero pgtables_bytes on freeing mm", Trouble::Oops),
];

/// Looks at a log in pieces of any size.
#[derive(Debug, Default)]
pub struct Scanner {
    partial: Vec<u8>,
    findings: Vec<Finding>,
}

impl Scanner {
    /// Takes the next bytes of the log.
    pub fn feed(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                self.judge();
                self.partial.clear();
            }
        }
    }

    /// Takes what is left as a last line without an end.
    pub fn finish(&mut self) {
        self.judge();
        self.partial.clear();
    }

    /// What was found so far, in order.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    fn judge(&mut self) {
        let text = String::from_utf8_lossy(&self.partial);
        self.findings.extend(trouble_in(&text));
    }
}

/// The trouble that a line of a kernel log shows.
pub fn trouble_in(line: &str) -> Option<Finding> {
    let line = without_stamp(line.trim());
    let (_, trouble) = MARKS.iter().find(|(mark, _)| line.contains(mark))?;
    Some(Finding {
        trouble: *trouble,
        line: line.to_string(),
    })
}

/// A log line without the time stamp in front.
pub fn without_stamp(line: &str) -> &str {
    let stamp = line.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    match stamp {
        Some((stamp, rest)) if stamp.trim().parse::<f64>().is_ok() => rest.trim_start(),
        _ => line,
    }
}

/// A guest's kernel log, followed while it grows.
pub struct Console {
    path: PathBuf,
    file: File,
    offset: u64,
    /// What it may grow by, and from where on.
    limit: u64,
    base: u64,
    scanner: Scanner,
}

impl Console {
    /// Opens the log, which must be there and may grow to `limit` bytes.
    pub fn open(path: &Path, limit: u64) -> Result<Console> {
        let file = File::open(path).at("opening", path)?;
        Ok(Console {
            path: path.to_path_buf(),
            file,
            offset: 0,
            limit,
            base: 0,
            scanner: Scanner::default(),
        })
    }

    /// Reads what is new; the findings so far.
    pub fn advance(&mut self) -> Result<&[Finding]> {
        let mut fresh = Vec::new();
        self.offset += self
            .file
            .read_to_end(&mut fresh)
            .at("reading", &self.path)? as u64;
        self.scanner.feed(&fresh);
        Ok(self.scanner.findings())
    }

    /// Reads what is left after the guest's end; the findings.
    pub fn finish(&mut self) -> Result<&[Finding]> {
        self.advance()?;
        self.scanner.finish();
        Ok(self.scanner.findings())
    }

    /// Whether it has grown by more than its limit, which this is.
    pub fn flooded(&self) -> Option<u64> {
        (self.offset - self.base > self.limit).then_some(self.limit)
    }

    /// What it may grow by counts from here on: what was written before is somebody else's.
    pub fn begin(&mut self) {
        self.base = self.offset;
    }

    /// Bytes read so far.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The log from `start` to where it has been read.
    pub fn since(&self, start: u64) -> Result<Vec<u8>> {
        let mut file = File::open(&self.path).at("opening", &self.path)?;
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(start))
            .and_then(|_| {
                file.take(self.offset.saturating_sub(start))
                    .read_to_end(&mut bytes)
            })
            .at("reading", &self.path)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(text: &str) -> Vec<Finding> {
        let mut scanner = Scanner::default();
        for byte in text.as_bytes().chunks(7) {
            scanner.feed(byte);
        }
        scanner.finish();
        scanner.findings().to_vec()
    }

    #[test]
    fn a_quiet_log_is_quiet() {
        let log =
            "[    0.000000] Linux version 6.12\n[    0.1] debug: unmapping init [mem 0x0-0x1]\n";
        assert_eq!(scan(log), []);
    }

    #[test]
    fn trouble_is_found_across_pieces() {
        let log = "[    1.5] WARNING: CPU: 0 PID: 1 at kernel/fork.c:1 f+0x1/0x2\r\n\
                   [    1.6] BUG: kernel NULL pointer dereference, address: 0000000000000008\n\
                   [    1.7] Kernel panic - not syncing: Fatal exception";
        let found: Vec<Trouble> = scan(log).iter().map(|finding| finding.trouble).collect();
        assert_eq!(found, [Trouble::Warn, Trouble::Oops, Trouble::Panic]);
        assert!(scan(log)[0].line.starts_with("WARNING: CPU: 0"));
    }

    #[test]
    fn a_process_that_was_killed_for_want_of_memory_is_trouble() {
        for line in [
            "[    9.1] Out of memory: Killed process 41 (t_memory) total-vm:411000kB",
            "[    9.1] Memory cgroup out of memory: Killed process 41 (t_memory) total-vm:411000kB",
        ] {
            assert_eq!(scan(line)[0].trouble, Trouble::Warn, "{line}");
        }
    }

    #[test]
    fn a_stamp_is_a_number() {
        assert_eq!(without_stamp("[    0.25] text"), "text");
        assert_eq!(without_stamp("[init] text"), "[init] text");
    }
}
