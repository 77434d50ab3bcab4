// SPDX-License-Identifier: GPL-2.0-only

//! Makes itself a daemon, as tests of other checkpoint tools do: the first
//! process waits on a word of shared memory until its child, in a session of its
//! own, is ready, and ends; the child waits for SIGTERM and verifies.
//!
//! Arguments: STATUS [twice|orphan]. To be started under `reap`, which keeps the orphan. With `twice`
//! the leader of the session ends too; with `orphan` it lives, and somebody between it and the daemon
//! ends.

use crate::shared::Words;
use crate::stage::{self, expect, Stage};
use crate::tree::{self, patience};
use nix::unistd::{getpgrp, getppid, getsid, setsid};
use std::process::ExitCode;
use std::sync::atomic::Ordering;

const READY: usize = 0;
const COUNT: usize = 1;

/// The daemon itself: in the session, and the group, of the process that has called setsid.
fn serve(stage: &Stage, words: Words) -> Result<(), String> {
    let place = || -> Result<_, String> {
        let session = getsid(None).map_err(|e| format!("getsid: {e}"))?;
        Ok((session, getpgrp()))
    };
    let before = place()?;
    words.word(COUNT).store(41, Ordering::SeqCst);
    stage.ready()?;
    words.set(READY, 1);
    stage::wait_for_term()?;
    words.add_one(COUNT);
    expect("session and process group", before, place()?)?;
    expect("parent, which is the init", 1, getppid().as_raw())?;
    let count = words.word(COUNT).load(Ordering::SeqCst);
    expect("word of shared memory", 42, count)
}

/// The child of the starter, which is the daemon or has a child or grandchild that is.
fn lead(stage: &Stage, words: Words, how: &str) -> u8 {
    if let Err(err) = setsid() {
        return stage.verdict(Err(format!("setsid: {err}")));
    }
    let serve = || stage.verdict_of("daemon", |stage| serve(stage, words));
    let leave_behind = || match tree::spawn("daemon", serve) {
        Ok(_) => 0,
        Err(why) => stage.verdict(Err(why)),
    };
    match how {
        "twice" => leave_behind(),
        "orphan" => {
            let middle = tree::spawn("middle", leave_behind);
            let lived = middle
                .and_then(|middle| tree::reap(&[middle], true))
                .and_then(|()| stage::wait_for_term());
            u8::from(lived.is_err())
        }
        _ => serve(),
    }
}

/// Runs with the arguments of the process.
pub fn main() -> ExitCode {
    stage::run_named("starter", |stage| {
        let words = Words::map(2)?;
        let how = stage.args.first().map_or("", String::as_str);
        tree::spawn("leader", || lead(stage, words, how))?;
        match words.wait_at_least(READY, 1, patience()) {
            true => Ok(()),
            false => Err("the daemon did not become ready".into()),
        }
    })
}
