// SPDX-License-Identifier: GPL-2.0-only

//! A root with many children, each with a page of its own and its number in it.
//!
//! Arguments: STATUS [TASKS]

use crate::pattern::{Memory, Pages, PAGE};
use crate::stage::{self, expect, Stage};
use crate::tree;
use nix::unistd::{getpid, getppid};
use std::process::ExitCode;

/// The life of one child.
fn child(number: u64) -> Result<(), String> {
    let memory = Memory::filled(PAGE, number, Pages::All)?;
    let (pid, parent) = (getpid(), getppid());
    stage::wait_for_term()?;
    memory.verify()?;
    expect("pid", pid, getpid())?;
    expect("parent", parent, getppid())
}

fn run(stage: &Stage) -> Result<(), String> {
    let tasks = stage.number(0, 64)?.max(1);
    let mut children = Vec::new();
    for number in 1..tasks {
        children.push(tree::spawn(&format!("child {number}"), || {
            match child(number) {
                Ok(()) => 0,
                Err(why) => stage.verdict(Err(format!("child {number}: {why}"))),
            }
        })?);
    }
    stage.ready()?;
    stage::wait_for_term()?;
    tree::expect_children(&children, true)?;
    tree::terminate_children()?;
    tree::reap(&children, true)
}

/// Runs with the arguments of the process.
pub fn main() -> ExitCode {
    stage::run(run)
}
