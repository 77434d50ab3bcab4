// SPDX-License-Identifier: GPL-2.0-only

//! Processes as /proc shows them: whose child one is, and where it works.

use std::path::Path;

use procfs::process::{all_processes, Process};
use rustix::process::{kill_process, Pid, Signal};

/// The processes that run now; those that end meanwhile are left out.
fn running() -> impl Iterator<Item = Process> {
    all_processes().into_iter().flatten().flatten()
}

/// The children of a process.
pub fn children(parent: i32) -> Vec<i32> {
    let is_child = |process: &Process| process.stat().is_ok_and(|stat| stat.ppid == parent);
    running().filter(is_child).map(|child| child.pid).collect()
}

/// Those that work in a folder, or below it, with their names.
pub fn inside(folder: &Path) -> Vec<String> {
    let works_there = |process: &Process| process.cwd().is_ok_and(|cwd| cwd.starts_with(folder));
    let name = |process: Process| {
        let name = process.stat().map(|stat| stat.comm).unwrap_or_default();
        format!("{} ({name})", process.pid)
    };
    running().filter(works_there).map(name).collect()
}

/// Sends a signal to a process; one that is gone is what was wanted.
pub fn send(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = kill_process(pid, signal);
    }
}
