// SPDX-License-Identifier: GPL-2.0-only

//! A `lab run` that a test has started: how far it is, how it ends, what it leaves behind.

use std::cell::Cell;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::processes::{children, inside};
use crate::error::{Error, Result};
use crate::exec::{self, Child};
use crate::layout::remove_dir;
use crate::report::record::EVENTS;

/// What a run may take until its guest does the first step, on a slow machine.
pub(super) const UP: Duration = Duration::from_secs(60);
/// What a run may take to end once it has a reason to.
const DOWN: Duration = Duration::from_secs(15);

/// How far a run is when something happens to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// It has just been started.
    Start,
    /// QEMU runs, `/init` has not answered.
    Boot,
    /// The scenario's first step has been done.
    Step,
}

/// A `lab run` that is under way.
pub(super) struct Running {
    pub(super) child: Child,
    pub(super) log: PathBuf,
    pub(super) runs: PathBuf,
    /// Whether its folder is evidence.
    pub(super) failed: Cell<bool>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let folder = self.made().filter(|_| !self.failed.get());
        if let Some(folder) = folder {
            // What is left of a run that did what was wanted is of no use to anybody.
            let _ = remove_dir(&folder);
        }
    }
}

impl Running {
    /// Its folder, which is called after its process, if it has made one.
    pub(super) fn made(&self) -> Option<PathBuf> {
        let end = format!("-{}", self.child.pid());
        let entries = std::fs::read_dir(&self.runs).ok()?;
        let mut names = entries.flatten().map(|entry| entry.file_name());
        let found = names.find(|name| name.to_string_lossy().ends_with(&end))?;
        Some(self.runs.join(found))
    }

    /// Its folder, which it must have made.
    pub(super) fn folder(&self) -> Result<PathBuf> {
        self.made()
            .ok_or_else(|| self.error("it has no folder".to_string()))
    }

    /// Waits until it has come so far.
    pub(super) fn wait_for(&mut self, moment: Moment) -> Result<()> {
        let deadline = Instant::now() + UP;
        while !self.has_come_to(moment) {
            if let Some(status) = self.child.poll()? {
                let how = exec::describe(status);
                return Err(self.error(format!("it {how} before {moment:?}")));
            }
            if Instant::now() > deadline || exec::interrupted() {
                return Err(self.error(format!("it has not come to {moment:?}")));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    fn has_come_to(&self, moment: Moment) -> bool {
        match moment {
            Moment::Start => true,
            Moment::Boot => !children(self.child.pid()).is_empty(),
            Moment::Step => {
                let events = self.made().map(|folder| folder.join(EVENTS));
                let text = events.and_then(|path| std::fs::read_to_string(path).ok());
                text.is_some_and(|text| text.contains("\"number\":1"))
            }
        }
    }

    /// Waits for its end, to which it has a reason, with this exit code, and for that of all it has started.
    pub(super) fn expect_exit(&mut self, code: i32) -> Result<()> {
        self.expect_exit_within(DOWN, code)
    }

    pub(super) fn expect_exit_within(&mut self, time: Duration, code: i32) -> Result<()> {
        let ended = self.child.wait_timeout(time)?;
        let Some(status) = ended else {
            return Err(self.error(format!("it has not ended within {time:?}")));
        };
        let as_expected = status.code() == Some(code);
        self.expect(as_expected, || {
            format!(
                "expected exit code {code}, but it {}",
                exec::describe(status)
            )
        })?;
        self.expect_end()
    }

    /// Waits until it and all it has started are gone.
    pub(super) fn expect_end(&mut self) -> Result<()> {
        let deadline = Instant::now() + DOWN;
        let mut left = Vec::new();
        while Instant::now() < deadline {
            let gone = self.child.poll()?.is_some();
            // A run that did not come so far has no folder, and nobody in it.
            left = self
                .made()
                .map(|folder| inside(&folder))
                .unwrap_or_default();
            if gone && left.is_empty() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(self.error(format!("left behind: {}", left.join(", "))))
    }

    pub(super) fn expect(&self, holds: bool, why: impl FnOnce() -> String) -> Result<()> {
        match holds {
            true => Ok(()),
            false => Err(self.error(why())),
        }
    }

    pub(super) fn said(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    pub(super) fn error(&self, found: String) -> Error {
        self.failed.set(true);
        Error::lab("testing the lab", found).log(&self.log, exec::tail(&self.log, 10))
    }
}
