// SPDX-License-Identifier: GPL-2.0-only

//! Three tasks blocked in a futex wait: on a private word, on a shared one
//! without and with a deadline. After SIGTERM each wakes up as it should.
//!
//! Arguments: STATUS. The children leave SIGTERM blocked; the root wakes them.

use crate::shared::Words;
use crate::stage::{self, expect, Stage};
use crate::sys::{futex_wait, futex_wake, Scope};
use crate::tree;
use nix::errno::Errno;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Longer than any scenario.
const DEADLINE: Duration = Duration::from_secs(3600);

/// A child: waits once on its word, and is woken, not interrupted.
fn wait(stage: &Stage, word: &AtomicU32, timeout: Option<Duration>) -> Result<(), String> {
    stage.ready()?;
    expect(
        "futex wait on a shared word",
        Ok(()),
        futex_wait(word, 0, Scope::Shared, timeout),
    )?;
    expect("the word after the wait", 1, word.load(Ordering::SeqCst))
}

/// Wakes the one waiter of a word, which may be on its way back into the wait.
fn wake(name: &str, word: &AtomicU32) -> Result<(), String> {
    let start = Instant::now();
    while start.elapsed() < tree::patience() {
        word.store(1, Ordering::SeqCst);
        match futex_wake(word, Scope::Shared, 1) {
            Ok(1) => return Ok(()),
            Ok(_) => word.store(0, Ordering::SeqCst),
            Err(err) => return Err(format!("futex wake of {name}: {err}")),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Err(format!("{name}: nobody was found waiting on its word"))
}

fn run(stage: &Stage) -> Result<(), String> {
    let words = Words::map(2)?;
    let names = ["plain", "timed"];
    let mut children = Vec::new();
    for (at, (name, timeout)) in names.into_iter().zip([None, Some(DEADLINE)]).enumerate() {
        children.push(tree::spawn(name, || {
            stage.verdict_of(name, |stage| wait(stage, words.word(at), timeout))
        })?);
    }
    stage.ready()?;
    stage::unblock_term()?;
    // The handler, which restarts system calls, changes the word: the wait is
    // entered again and finds that out.
    while !stage::terminated() {
        match futex_wait(stage::term_word(), 0, Scope::Private, None) {
            Err(Errno::EAGAIN) => (),
            other => {
                return Err(format!(
                    "futex wait on a private word: expected EAGAIN, found {other:?}"
                ))
            }
        }
    }
    for (at, name) in names.into_iter().enumerate() {
        wake(name, words.word(at))?;
    }
    tree::reap(&children, false)
}

/// Runs with the arguments of the process.
pub fn main() -> ExitCode {
    stage::run_named("root", run)
}
