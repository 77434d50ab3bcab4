// SPDX-License-Identifier: GPL-2.0-only

//! What tasks that are to be saved count in, for a watcher that is none of them:
//! the lengths of files. Memory that they shared with it could not be saved.

use crate::wait;
use std::fs::File;
use std::io::Write;
use std::time::Duration;

/// How far a task has to come to count as going on.
const STEPS: u64 = 3;

/// A counter for each of some tasks; children forked later have the same.
#[derive(Debug)]
pub struct Counts(Vec<File>);

impl Counts {
    /// Counters that begin at 0, in files `name.0`, `name.1`, ... in the working directory.
    pub fn start(name: &str, tasks: usize) -> Result<Counts, String> {
        let file = |at: usize| {
            let path = format!("{name}.{at}");
            let _ = std::fs::remove_file(&path);
            let file = File::options().append(true).create_new(true).open(&path);
            file.map_err(|e| format!("{path}: {e}"))
        };
        (0..tasks).map(file).collect::<Result<_, _>>().map(Counts)
    }

    /// In the task: counts for ever, some thousand a second at most.
    pub fn count(&self, at: usize) -> ! {
        loop {
            self.step(at);
        }
    }

    /// In the task: counts once.
    pub fn step(&self, at: usize) {
        // Whoever watches sees that nothing is written.
        let _ = (&self.0[at]).write_all(b".");
        std::thread::sleep(Duration::from_millis(1));
    }

    /// Whether a task counts on from where it is now.
    pub fn goes_on(&self, at: usize, patience: Duration) -> Result<bool, String> {
        let len = || {
            self.0[at]
                .metadata()
                .map(|meta| meta.len())
                .map_err(|e| format!("counter {at}: {e}"))
        };
        let from = len()?;
        let steps = wait::answer(patience, || Ok((len()? >= from + STEPS).then_some(())))?;
        Ok(steps.is_some())
    }
}
