// SPDX-License-Identifier: GPL-2.0-only

//! What the kernel logs of this restart alone: it gets a memory file of its own,
//! whose text is added to the user's log afterwards. Others may write to that one
//! meanwhile, and their lines tell nothing of this tree.

use super::NOT_MADE;
use crate::cli::{open_log, Failure};
use nix::fcntl::{fcntl, FcntlArg, OFlag};
use std::cell::Cell;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The kernel's lines, and where they go in the end.
#[derive(Debug)]
pub struct Log {
    lines: File,
    to: Option<(File, PathBuf)>,
    /// Bytes of `lines` that have gone there.
    told: Cell<u64>,
}

impl Log {
    /// An empty log, whose lines are to be added to the file `to`.
    pub fn open(to: Option<&Path>) -> Result<Log, Failure> {
        let to = match to {
            Some(path) => Some((open_log(Some(path), NOT_MADE)?, path.to_owned())),
            None => None,
        };
        let lines = open_log(None, NOT_MADE)?;
        // Tasks that log at once put their lines one behind the other.
        fcntl(&lines, FcntlArg::F_SETFL(OFlag::O_APPEND))
            .map_err(|e| Failure::new(NOT_MADE, format_args!("memfd for the log: {e}")))?;
        Ok(Log {
            lines,
            to,
            told: Cell::new(0),
        })
    }

    /// What the kernel writes to.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.lines.as_fd()
    }

    /// The first line of the kernel.
    pub fn line(&self) -> Option<String> {
        logged(&self.lines, 0)
    }

    /// Adds the lines that are new to the user's log.
    pub fn tell(&self) -> Result<(), String> {
        let Some((file, path)) = &self.to else {
            return Ok(());
        };
        let failed = |e: std::io::Error| format!("log {}: {e}", path.display());
        let told = self.told.get();
        let len = self.lines.metadata().map_err(failed)?.len();
        let mut text = vec![0; len.saturating_sub(told) as usize];
        self.lines.read_exact_at(&mut text, told).map_err(failed)?;
        // One write, so that lines of several restarts do not mix.
        (&*file).write_all(&text).map_err(failed)?;
        self.told.set(len);
        Ok(())
    }
}

/// The first line that the kernel put into the log behind `start`.
pub fn logged(log: &File, start: u64) -> Option<String> {
    let mut bytes = vec![0; 4096];
    let len = log.read_at(&mut bytes, start).ok()?;
    let text = String::from_utf8_lossy(&bytes[..len]).into_owned();
    text.lines()
        .find(|line| !line.trim().is_empty())
        .map(|line| line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_others_are_not_taken_for_the_kernels() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let log = Log::open(Some(&path)).unwrap();
        std::fs::write(&path, "of another\n").unwrap();
        assert_eq!(log.line(), None);
        (&log.lines).write_all(b"first\nsecond\n").unwrap();
        assert_eq!(log.line().as_deref(), Some("first"));
        log.tell().unwrap();
        (&log.lines).write_all(b"third\n").unwrap();
        log.tell().unwrap();
        log.tell().unwrap();
        let found = std::fs::read_to_string(&path).unwrap();
        assert_eq!(found, "of another\nfirst\nsecond\nthird\n");
    }
}
