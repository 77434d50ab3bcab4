// SPDX-License-Identifier: GPL-2.0-only

//! Makes itself a daemon, as tests of other checkpoint tools do: the first
//! process waits on a word of shared memory until its child, in a session of its
//! own, is ready, and ends; the child waits for SIGTERM and verifies.
//!
//! Arguments: STATUS. To be started under `reap`, which keeps the orphan.

use crate::shared::Words;
use crate::stage::{self, expect};
use crate::tree::{self, PATIENCE};
use nix::unistd::{getpid, getppid, getsid, setsid};
use std::process::ExitCode;

const READY: usize = 0;
const COUNT: usize = 1;

/// Runs with the arguments of the process.
pub fn main() -> ExitCode {
    stage::run_named("starter", |stage| {
        let words = Words::map(2)?;
        tree::spawn("daemon", || {
            stage.verdict_of("daemon", |stage| {
                setsid().map_err(|e| format!("setsid: {e}"))?;
                words.word(COUNT).store(41, std::sync::atomic::Ordering::SeqCst);
                stage.ready()?;
                words.set(READY, 1);
                stage::wait_for_term()?;
                words.add_one(COUNT);
                let session = getsid(None).map_err(|e| format!("getsid: {e}"))?;
                expect("session", getpid(), session)?;
                expect("parent, which is the init", 1, getppid().as_raw())?;
                expect(
                    "word of shared memory",
                    42,
                    words.word(COUNT).load(std::sync::atomic::Ordering::SeqCst),
                )
            })
        })?;
        match words.wait_at_least(READY, 1, PATIENCE) {
            true => Ok(()),
            false => Err("the daemon did not become ready".into()),
        }
    })
}
