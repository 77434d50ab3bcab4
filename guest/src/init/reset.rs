// SPDX-License-Identifier: GPL-2.0-only

//! What a case leaves behind, and getting rid of it.

use super::surroundings::Surroundings;
use super::traced::Traced;
use crate::freezer;
use crate::knobs;
use crate::procfs;
use crate::protocol::{Answer, Task, CASE_DIR};
use nix::sys::signal::{kill, Signal};
use nix::sys::wait::{waitpid, WaitPidFlag, WaitStatus};
use nix::unistd::Pid;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long killed tasks may take to be gone.
const PATIENCE: Duration = Duration::from_secs(20);

/// Every task but `/init` itself.
fn others() -> Result<Vec<Task>, String> {
    let tasks = procfs::tasks().map_err(|e| format!("reset: /proc: {e}"))?;
    Ok(tasks.into_iter().filter(|task| task.pid != 1).collect())
}

/// Kills all tasks, removes all cgroups and empties the case's folder; tells
/// what there was. From the namespaces of the boot: a case may have mounted
/// something over what is looked at here.
pub fn reset(traced: &mut Traced, surroundings: &Surroundings) -> Result<Answer, String> {
    surroundings.leave()?;
    let tasks = others()?;
    kill_all()?;
    // A restart that was still going on belongs to this case, and so does its end.
    let (restarts, restarts_lost) = traced.take()?;
    // A test that was killed may have left them set.
    knobs::release_all()?;
    if knobs::are_there() {
        // All who took part in one are gone.
        knobs::no_context(PATIENCE).map_err(|why| format!("reset: {why}"))?;
    }
    remove_cgroups(Path::new(freezer::MOUNT))?;
    empty(Path::new(CASE_DIR))?;
    surroundings.enter()?;
    Ok(Answer::Leftovers {
        tasks,
        taint: taint(),
        restarts,
        restarts_lost,
    })
}

/// The kernel's taint flags; all bits where they cannot be read.
fn taint() -> u64 {
    let text = fs::read_to_string("/proc/sys/kernel/tainted").unwrap_or_default();
    text.trim().parse().unwrap_or(u64::MAX)
}

fn kill_all() -> Result<(), String> {
    let start = Instant::now();
    loop {
        thaw_and_kill(Path::new(freezer::MOUNT));
        // From pid 1 this is everyone else; there may be nobody.
        let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
        while !matches!(
            waitpid(None, Some(WaitPidFlag::WNOHANG)),
            Ok(WaitStatus::StillAlive) | Err(_)
        ) {}
        let left = others()?;
        if left.is_empty() {
            return Ok(());
        }
        if start.elapsed() > PATIENCE {
            let names: Vec<_> = left
                .iter()
                .map(|t| format!("{} ({}, state {})", t.pid, t.comm, t.state))
                .collect();
            return Err(format!(
                "reset: killed {PATIENCE:?} ago and still there: {}",
                names.join(", ")
            ));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A frozen task does not die of a signal alone.
fn thaw_and_kill(folder: &Path) {
    for child in folders(folder) {
        let _ = fs::write(child.join("cgroup.kill"), "1");
        let _ = fs::write(child.join("cgroup.freeze"), "0");
        thaw_and_kill(&child);
    }
}

fn folders(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|e| e.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|e| e.path())
        .collect()
}

fn remove_cgroups(folder: &Path) -> Result<(), String> {
    for child in folders(folder) {
        remove_cgroups(&child)?;
        let start = Instant::now();
        // Busy for a moment after the last task's end.
        while let Err(err) = fs::remove_dir(&child) {
            if start.elapsed() > PATIENCE {
                return Err(format!("reset: removing {}: {err}", child.display()));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    Ok(())
}

fn empty(folder: &Path) -> Result<(), String> {
    let failure = |e| format!("reset: emptying {}: {e}", folder.display());
    for entry in fs::read_dir(folder).map_err(failure)? {
        let entry = entry.map_err(failure)?;
        match entry.file_type().map_err(failure)?.is_dir() {
            true => fs::remove_dir_all(entry.path()),
            false => fs::remove_file(entry.path()),
        }
        .map_err(failure)?;
    }
    Ok(())
}
