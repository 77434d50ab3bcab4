// SPDX-License-Identifier: GPL-2.0-only

//! Requests that wait for something, each with its deadline, kept aside so
//! that the next request can be served.

use super::files;
use super::serve::Server;
use crate::procfs;
use crate::protocol::Answer;
use crate::wait;
use std::fs;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

/// A request that cannot be answered yet.
#[derive(Debug)]
pub(super) struct Pending {
    id: u64,
    since: Instant,
    deadline: Instant,
    wanted: Wanted,
}

/// Between two looks at a file that nobody tells of, as [`wait::pause`] has it.
const LOOK_AGAIN: RangeInclusive<Duration> = Duration::from_millis(5)..=Duration::from_millis(50);

impl Pending {
    /// How long it may be left alone if no program ends.
    pub(super) fn rest(&self, now: Instant) -> Duration {
        let left = self.deadline.saturating_duration_since(now);
        match self.wanted {
            Wanted::End { .. } => left,
            Wanted::Text { .. } => {
                let waited = now.saturating_duration_since(self.since);
                left.min(wait::pause(waited, LOOK_AGAIN))
            }
        }
    }
}

/// What such a request waits for.
#[derive(Debug)]
pub(super) enum Wanted {
    /// The end of a program.
    End { name: String },
    /// `text` in a file, `count` times, while any of `writers` runs, if there are such.
    Text {
        path: String,
        text: String,
        count: u64,
        writers: Vec<String>,
        /// Length of the file and how often it was found, at the last look.
        seen: Option<(u64, u64)>,
    },
}

impl Server {
    /// Keeps a request until what it wants is there, or its time is over.
    pub(super) fn defer(&mut self, id: u64, timeout_ms: u64, wanted: Wanted) {
        // Far enough for any deadline, near enough for the clock.
        let timeout = Duration::from_millis(timeout_ms.min(7 * 24 * 3_600_000));
        let since = Instant::now();
        self.pending.push(Pending {
            id,
            since,
            deadline: since + timeout,
            wanted,
        });
    }

    /// Answers those whose wait is over.
    pub(super) fn look_at_pending(&mut self) {
        for mut pending in std::mem::take(&mut self.pending) {
            let answer = self.answer_to(&mut pending.wanted);
            match answer {
                Some(answer) => self.reply(pending.id, answer),
                None if Instant::now() >= pending.deadline => {
                    let why = self.overdue(&pending.wanted);
                    self.reply(pending.id, Answer::Failed { why, timeout: true });
                }
                None => self.pending.push(pending),
            }
        }
    }

    fn answer_to(&self, wanted: &mut Wanted) -> Option<Answer> {
        match wanted {
            Wanted::End { name } => self.programs.get(name)?.end.clone(),
            Wanted::Text {
                path,
                text,
                count,
                writers,
                seen,
            } => {
                // Before the file: what the last of them wrote is in it.
                let over = !writers.is_empty()
                    && (writers.iter()).all(|name| {
                        self.programs
                            .get(name)
                            .is_none_or(|program| program.end.is_some())
                    });
                let len = fs::metadata(&*path).map_or(0, |meta| meta.len());
                // Looked through already; a file without a length, in /proc, may change unseen.
                let found = match *seen {
                    Some((old, found)) if old == len && len != 0 => found,
                    _ => files::occurrences(path, text),
                };
                *seen = Some((len, found));
                match found >= *count {
                    true => Some(Answer::Done),
                    false => over.then_some(Answer::Over),
                }
            }
        }
    }

    fn overdue(&self, wanted: &Wanted) -> String {
        match wanted {
            Wanted::End { name } => {
                let pid = self.programs.get(name).map_or(0, |program| program.pid);
                match procfs::task(pid) {
                    Some(task) => format!(
                        "program {name} (pid {pid}) has not ended, state {}",
                        task.state
                    ),
                    None => format!("program {name} (pid {pid}) has not ended"),
                }
            }
            Wanted::Text {
                path,
                text,
                count,
                seen,
                ..
            } => {
                let found = seen.map_or(0, |(_, found)| found);
                format!("{path}: expected {text:?} {count} times, found {found}")
            }
        }
    }
}
