// SPDX-License-Identifier: GPL-2.0-only

//! How long a tree has been there and running, apart from one long time in which
//! it was not: a child of the test looks at the clock all the time and tells what
//! went by, in shared memory. By that a wait that was continued can be told from
//! one that was started over, however long it took to save and to restart it.

use crate::shared::Words;
use crate::tree;
use nix::time::{clock_gettime, ClockId};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Words of [`Lived`], in microseconds.
const LIVED: usize = 0;
const GAP: usize = 1;
const BEFORE: usize = 2;
/// Time between two looks.
const TICK: Duration = Duration::from_millis(1);
/// The least that can be told from what a busy machine does to a wait.
const TELLING: Duration = Duration::from_millis(500);

/// The time that a tree has lived.
#[derive(Debug, Clone, Copy)]
pub struct Lived {
    words: Words,
}

/// The time of this boot.
fn now() -> Result<Duration, String> {
    clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map(Duration::from)
        .map_err(|e| format!("clock_gettime: {e}"))
}

impl Lived {
    /// Forks a child that keeps the account and is killed in the end.
    pub fn keep() -> Result<(Lived, tree::Child), String> {
        let lived = Lived {
            words: Words::map(3)?,
        };
        let child = tree::spawn("clock", || {
            let Err(why) = lived.tick();
            eprintln!("clock: {why}");
            1
        })?;
        Ok((lived, child))
    }

    fn tick(self) -> Result<std::convert::Infallible, String> {
        let (mut lived, mut gap) = (Duration::ZERO, Duration::ZERO);
        let mut last = now()?;
        loop {
            std::thread::sleep(TICK);
            let this = now()?;
            // The clock of another boot does not tell how long it took.
            let step = this.checked_sub(last).unwrap_or(Duration::MAX);
            last = this;
            if step <= gap {
                lived += step;
            } else {
                // What was the longest until now is a part of life.
                lived += gap;
                gap = step;
                self.set(BEFORE, lived);
                self.set(GAP, gap);
            }
            self.set(LIVED, lived);
        }
    }

    fn set(self, at: usize, time: Duration) {
        let us = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
        self.words.word(at).store(us, Ordering::SeqCst);
    }

    fn get(self, at: usize) -> Duration {
        Duration::from_micros(self.words.word(at).load(Ordering::SeqCst).into())
    }

    /// Does something that takes `time` while the tree lives; fails if it took less, or as much more
    /// as if it had been started over after the gap.
    pub fn expect(
        self,
        time: Duration,
        wait: impl FnOnce() -> Result<(), String>,
    ) -> Result<(), String> {
        let start = self.get(LIVED);
        wait()?;
        let took = self.get(LIVED).saturating_sub(start);
        let (before, gap) = (self.get(BEFORE).saturating_sub(start), self.get(GAP));
        let facts = format!("{took:?} of its life, {before:?} of them before a gap of {gap:?}");
        if before.min(gap) < TELLING {
            return Err(format!(
                "it took {facts}: expected at least {TELLING:?} of each, to tell by"
            ));
        }
        let bounds = time.saturating_sub(before.min(gap) / 2)..=time + before / 2;
        if !bounds.contains(&took) {
            return Err(format!("expected it to take {time:?}, found {facts}"));
        }
        Ok(())
    }
}
