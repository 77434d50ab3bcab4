// SPDX-License-Identifier: GPL-2.0-only

//! A root with many children, each with a page of its own and its number in it.
//!
//! Arguments: STATUS [TASKS] [--deep] [--new-pids]. With --deep the last one is not the root's child but that
//! of the one before it, which says `grown` when it has it. With --new-pids all may have other pids in the end.

use crate::pattern::{Memory, Pages, PAGE};
use crate::stage::{self, expect, Stage};
use crate::tree::{self, Child};
use nix::unistd::{getpid, getppid};
use std::ops::Range;
use std::process::ExitCode;

/// The life of one child, which has those of `numbers` itself.
fn child(stage: &Stage, number: u64, numbers: Range<u64>) -> Result<(), String> {
    let children = have(stage, numbers, 0..0)?;
    if !children.is_empty() {
        stage.say("grown\n")?;
    }
    let memory = Memory::filled(PAGE, number, Pages::All)?;
    let (pid, parent) = (getpid(), getppid());
    stage::wait_for_term()?;
    memory.verify()?;
    if same_pids(stage) {
        expect("pid", pid, getpid())?;
        expect("parent", parent, getppid())?;
    }
    end(&children, same_pids(stage))
}

/// Whether all have to keep the pids that they have.
fn same_pids(stage: &Stage) -> bool {
    !stage.args.iter().any(|arg| arg == "--new-pids")
}

/// Forks children with these numbers, of whom the last one has those of `below` itself, and waits until all have
/// what they are to have: they wait for their end.
fn have(stage: &Stage, numbers: Range<u64>, below: Range<u64>) -> Result<Vec<Child>, String> {
    let last = numbers.end.saturating_sub(1);
    let fork = |number: u64| {
        let own = if number == last { below.clone() } else { 0..0 };
        tree::spawn(&format!("child {number}"), || match child(stage, number, own) {
            Ok(()) => 0,
            Err(why) => stage.verdict(Err(format!("child {number}: {why}"))),
        })
    };
    let children: Vec<Child> = numbers.map(fork).collect::<Result<_, _>>()?;
    tree::all_wait_for_term(&children)?;
    Ok(children)
}

fn end(children: &[Child], same_pids: bool) -> Result<(), String> {
    if children.is_empty() {
        return Ok(());
    }
    tree::expect_children(children, same_pids)?;
    tree::terminate_children()?;
    tree::reap(children, same_pids)
}

fn run(stage: &Stage) -> Result<(), String> {
    let tasks = stage.number(0, 64)?.max(1);
    let deep = tasks > 2 && stage.args.iter().any(|arg| arg == "--deep");
    let below = if deep { tasks - 1 } else { tasks };
    let children = have(stage, 1..below, below..tasks)?;
    stage.ready()?;
    stage::wait_for_term()?;
    end(&children, same_pids(stage))
}

/// Runs with the arguments of the process.
pub fn main() -> ExitCode {
    stage::run(run)
}
