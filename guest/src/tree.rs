// SPDX-License-Identifier: GPL-2.0-only

//! Trees of test tasks: forking children, waiting for them, passing SIGTERM on.

use crate::procfs;
use crate::sys::{self, Birth, Forked};
use crate::wait;
use nix::errno::Errno;
use nix::sys::signal::{kill, Signal};
use nix::sys::wait::{waitpid, WaitPidFlag, WaitStatus};
use nix::unistd::{getpid, Pid};
use std::time::{Duration, Instant};

/// How long a parent waits for a child that should be ending.
pub fn patience() -> Duration {
    wait::scaled(Duration::from_secs(60))
}

/// A child of the calling task.
#[derive(Debug)]
pub struct Child {
    /// Its name in messages.
    pub name: String,
    /// Its pid when it was made.
    pub pid: i32,
}

/// Forks a child which runs `body` and exits with what it returns.
pub fn spawn(name: &str, body: impl FnOnce() -> u8) -> Result<Child, String> {
    // SAFETY: test programs have one thread.
    match unsafe { sys::fork(Birth::default()) } {
        Err(err) => Err(format!("forking {name}: {err}")),
        Ok(Forked::Child) => std::process::exit(body().into()),
        Ok(Forked::Parent(pid, _pidfd)) => Ok(Child {
            name: name.to_owned(),
            pid,
        }),
    }
}

/// Waits until each of them waits for SIGTERM ([`crate::stage::wait_for_term`]).
pub fn all_wait_for_term(children: &[Child]) -> Result<(), String> {
    for child in children {
        let otherwise = format!("{} does not wait for its end", child.name);
        let waits = || procfs::sleeps_in(child.pid, libc::SYS_rt_sigsuspend);
        wait::until(patience(), &otherwise, waits)?;
    }
    Ok(())
}

/// Fails unless /proc shows exactly these children: as many, and with
/// `same_pids` by the pids they had at birth. They may have ended already, if
/// nobody reaped them.
pub fn expect_children(children: &[Child], same_pids: bool) -> Result<(), String> {
    let me = getpid().as_raw();
    let tasks = procfs::stats().map_err(|e| format!("/proc: {e}"))?;
    let mut found: Vec<i32> = tasks
        .iter()
        .filter(|task| task.ppid == me)
        .map(|task| task.pid)
        .collect();
    let mut expected: Vec<i32> = children.iter().map(|child| child.pid).collect();
    found.sort_unstable();
    expected.sort_unstable();
    let same = if same_pids {
        found == expected
    } else {
        found.len() == expected.len()
    };
    if same {
        Ok(())
    } else {
        Err(format!(
            "children: expected pids {expected:?}, found {found:?}"
        ))
    }
}

/// Sends SIGTERM to the children that /proc shows, whatever their pids.
pub fn terminate_children() -> Result<(), String> {
    let me = getpid().as_raw();
    let tasks = procfs::stats().map_err(|e| format!("/proc: {e}"))?;
    for task in tasks.iter().filter(|task| task.ppid == me) {
        // One that has ended already is judged when it is reaped.
        let _ = kill(Pid::from_raw(task.pid), Signal::SIGTERM);
    }
    Ok(())
}

/// Reaps as many children as there should be, each with exit status 0.
/// `same_pids`: they must be the ones that were made, by pid.
pub fn reap(children: &[Child], same_pids: bool) -> Result<(), String> {
    let (start, limit) = (Instant::now(), patience());
    let mut left: Vec<&Child> = children.iter().collect();
    while !left.is_empty() {
        let status = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) if start.elapsed() < limit => {
                std::thread::sleep(Duration::from_millis(2));
                continue;
            }
            Err(Errno::EINTR) => continue,
            Ok(WaitStatus::StillAlive) => {
                return Err(format!(
                    "child {} has not ended after {limit:?}",
                    left[0].name
                ))
            }
            Ok(status) => status,
            Err(err) => return Err(format!("waiting for {}: {err}", left[0].name)),
        };
        let pid = status.pid().map_or(0, Pid::as_raw);
        let at = left.iter().position(|c| c.pid == pid);
        let child = match at {
            Some(at) => left.swap_remove(at),
            None if same_pids => {
                return Err(format!("reaped pid {pid}, which is no child of this task"))
            }
            None => left.remove(0),
        };
        if !matches!(status, WaitStatus::Exited(_, 0)) {
            return Err(format!(
                "child {}: expected exit status 0, found {status:?}",
                child.name
            ));
        }
    }
    match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
        Err(Errno::ECHILD) => Ok(()),
        other => Err(format!("expected no more children, found {other:?}")),
    }
}
