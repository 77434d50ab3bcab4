// SPDX-License-Identifier: GPL-2.0-only

//! A root and its children, each with as much memory, no page of which is zero.
//!
//! Arguments: STATUS [TASKS] [MEGABYTES]. With 0 megabytes each has one page.

use crate::pattern::{Memory, Pages};
use crate::stage::{self, Stage};
use crate::tree::{self, Child};
use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;
use std::process::ExitCode;

/// Has the memory until SIGTERM.
fn hold(megabytes: u64, number: u64, ready: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    let memory = Memory::filled((megabytes as usize) << 20, number, Pages::All)?;
    ready()?;
    stage::wait_for_term()?;
    memory.verify()
}

fn run(stage: &Stage) -> Result<(), String> {
    let (tasks, megabytes) = (stage.number(0, 1)?, stage.number(1, 1)?);
    let fork = |number: u64| {
        let name = format!("child {number}");
        tree::spawn(&name, || match hold(megabytes, number, || Ok(())) {
            Ok(()) => 0,
            Err(why) => stage.verdict(Err(format!("{name}: {why}"))),
        })
    };
    let children: Vec<Child> = (1..tasks).map(fork).collect::<Result<_, _>>()?;
    hold(megabytes, 0, || {
        tree::all_wait_for_term(&children)?;
        stage.ready()
    })?;
    // By their old pids, which they have kept: /proc need not be that of their namespace.
    for child in &children {
        let sent = kill(Pid::from_raw(child.pid), Signal::SIGTERM);
        sent.map_err(|err| format!("SIGTERM to {}: {err}", child.name))?;
    }
    tree::reap(&children, true)
}

/// Runs with the arguments of the process.
pub fn main() -> ExitCode {
    stage::run(run)
}
