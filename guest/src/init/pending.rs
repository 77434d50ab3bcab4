// SPDX-License-Identifier: GPL-2.0-only

//! Requests that wait for something, each with its deadline, kept aside so
//! that the next request can be served.

use super::files;
use super::serve::Server;
use crate::procfs;
use crate::protocol::Answer;
use std::fs;
use std::time::{Duration, Instant};

/// A request that cannot be answered yet.
#[derive(Debug)]
pub(super) struct Pending {
    id: u64,
    pub(super) deadline: Instant,
    pub(super) wanted: Wanted,
}

/// What such a request waits for.
#[derive(Debug)]
pub(super) enum Wanted {
    /// The end of a program.
    End { name: String },
    /// `text` in a file, `count` times.
    Text {
        path: String,
        text: String,
        count: u64,
        /// Length of the file and how often it was found, at the last look.
        seen: Option<(u64, u64)>,
    },
}

impl Server {
    /// Keeps a request until what it wants is there, or its time is over.
    pub(super) fn defer(&mut self, id: u64, timeout_ms: u64, wanted: Wanted) {
        // Far enough for any deadline, near enough for the clock.
        let timeout = Duration::from_millis(timeout_ms.min(7 * 24 * 3_600_000));
        self.pending.push(Pending {
            id,
            deadline: Instant::now() + timeout,
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
                seen,
            } => {
                let len = fs::metadata(&*path).map_or(0, |meta| meta.len());
                // Looked through already; a file without a length, in /proc, may change unseen.
                let found = match *seen {
                    Some((old, found)) if old == len && len != 0 => found,
                    _ => files::occurrences(path, text),
                };
                *seen = Some((len, found));
                (found >= *count).then_some(Answer::Done)
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
            } => {
                let found = seen.map_or(0, |(_, found)| found);
                format!("{path}: expected {text:?} {count} times, found {found}")
            }
        }
    }
}
