// SPDX-License-Identifier: GPL-2.0-only

//! Shared anonymous memory: parent and child see each other's writes, before
//! and after a restart.
//!
//! Arguments: STATUS [PAGES]

use crate::pattern::PAGE;
use crate::shared::Words;
use crate::stage::{self, expect, Stage};
use crate::tree::{self, patience};
use std::process::ExitCode;
use std::sync::atomic::Ordering;

/// Word by which the parent lets the child go, and the child answers.
const TURN: usize = 0;
const FILLED: u32 = 1;
const ASKED: u32 = 2;
const ANSWERED: u32 = 3;

fn value(at: usize, salt: u32) -> u32 {
    (at as u32 + 1).wrapping_mul(2_654_435_761) ^ salt
}

/// The child: fills the memory, then waits to find what the parent wrote.
fn child(stage: &Stage, words: Words) -> Result<(), String> {
    for at in 1..words.count() {
        words.word(at).store(value(at, 0xc0de), Ordering::SeqCst);
    }
    words.set(TURN, FILLED);
    stage.ready()?;
    if !words.wait_at_least(TURN, ASKED, patience()) {
        return Err("the parent's write did not arrive".to_owned());
    }
    for at in 1..words.count() {
        expect(
            &format!("word {at} from the parent"),
            value(at, 0xbeef),
            words.word(at).load(Ordering::SeqCst),
        )?;
    }
    words.set(TURN, ANSWERED);
    Ok(())
}

fn run(stage: &Stage) -> Result<(), String> {
    let words = Words::map(stage.number(0, 16)?.max(1) as usize * PAGE / 4)?;
    let children = [tree::spawn("child", || {
        stage.verdict_of("child", |stage| child(stage, words))
    })?];
    if !words.wait_at_least(TURN, FILLED, patience()) {
        return Err("the child did not fill the memory".to_owned());
    }
    stage.ready()?;
    stage::wait_for_term()?;
    for at in 1..words.count() {
        expect(
            &format!("word {at} from the child"),
            value(at, 0xc0de),
            words.word(at).load(Ordering::SeqCst),
        )?;
        words.word(at).store(value(at, 0xbeef), Ordering::SeqCst);
    }
    words.set(TURN, ASKED);
    if !words.wait_at_least(TURN, ANSWERED, patience()) {
        return Err("the child's answer did not arrive".to_owned());
    }
    tree::reap(&children, false)
}

/// Runs with the arguments of the process.
pub fn main() -> ExitCode {
    stage::run_named("root", run)
}
