// SPDX-License-Identifier: GPL-2.0-only

//! Children that another task than their parent forks, so that they are born
//! into its session: a stand-in forks them and ends, and the parent, the nearest
//! above that adopts orphans, has them then.

use super::plan::{Lent, Orphans, Planned};
use super::report::Reporter;
use super::task::{die_with_parent, exit_at_once, fork, fork_as, fork_error, live, Site, PATIENCE};
use super::NOT_MADE;
use crate::cli::Failure;
use crate::sys::Forked;
use nix::sys::wait::{waitpid, WaitStatus};
use nix::unistd::{getpid, getppid, setsid, Pid};
use std::time::{Duration, Instant};

/// Whether children of the task are forked by others.
pub fn adopts_anybody(site: &Site, index: usize) -> bool {
    let tasks = &site.plan.tasks;
    let lent = |task: &Planned| task.lends.iter().any(|lent| lent.to == index);
    !tasks[index].adopts.is_empty() || tasks.iter().any(lent)
}

/// Forks a stand-in for a child that has ended, which forks a child of another task and ends too:
/// the nearest above that adopts orphans is that other one.
pub fn lend(site: &Site, lent: &Lent, reporter: &Reporter) -> Result<(), String> {
    let me = getpid().as_raw();
    match fork_as(site, lent.stand_in, 0) {
        Err(err) => Err(format!("making a stand-in: {err}")),
        Ok(Forked::Child) => {
            let done = die_with_parent(me).and_then(|()| match fork(site, lent.child, 0) {
                Ok(Forked::Parent(..)) => Ok(()),
                Ok(Forked::Child) => {
                    await_parent(|| site.pid(lent.to));
                    live(site, lent.child, site.pid(lent.to), reporter)
                }
                Err(err) => {
                    let pid = site.plan.tasks[lent.child].pid;
                    Err(fork_error(pid, site.options.pids, err))
                }
            });
            end_stand_in("a stand-in", done, reporter)
        }
        Ok(Forked::Parent(pid, _)) => reap_stand_in("a stand-in", pid),
    }
}

fn end_stand_in(what: &str, done: Result<(), String>, reporter: &Reporter) -> ! {
    if let Err(why) = &done {
        reporter.failed(&Failure::new(NOT_MADE, format_args!("{what}: {why}")));
    }
    exit_at_once(if done.is_ok() { 0 } else { NOT_MADE })
}

fn reap_stand_in(what: &str, pid: i32) -> Result<(), String> {
    match waitpid(Pid::from_raw(pid), None) {
        Ok(WaitStatus::Exited(_, 0)) => Ok(()),
        other => Err(format!("{what}: {other:?}")),
    }
}

/// Forks a stand-in for the leader of a session, which forks the children that are born into it and
/// ends. They are the caller's then, which is the nearest to adopt orphans.
pub fn adopt(site: &Site, orphans: &Orphans, reporter: &Reporter) -> Result<(), String> {
    let me = getpid().as_raw();
    let what = format!("a stand-in for the leader of session {}", orphans.sid);
    match fork_as(site, orphans.sid, 0) {
        Err(err) => Err(format!("making {what}: {err}")),
        Ok(Forked::Child) => {
            let done = die_with_parent(me)
                .and_then(|()| setsid().map_err(|e| format!("setsid: {e}")))
                .and_then(|_| fork_orphans(site, orphans, me, reporter));
            end_stand_in(&what, done, reporter)
        }
        Ok(Forked::Parent(pid, _)) => reap_stand_in(&what, pid),
    }
}

/// In the stand-in: forks the children of `parent`.
fn fork_orphans(
    site: &Site,
    orphans: &Orphans,
    parent: i32,
    reporter: &Reporter,
) -> Result<(), String> {
    for &child in orphans.children.iter().filter(|child| site.made[**child]) {
        match fork(site, child, 0) {
            Ok(Forked::Parent(..)) => (),
            Ok(Forked::Child) => {
                await_parent(|| parent);
                live(site, child, parent, reporter)
            }
            Err(err) => {
                let pid = site.plan.tasks[child].pid;
                return Err(fork_error(pid, site.options.pids, err));
            }
        }
    }
    Ok(())
}

/// Waits until `parent` is the caller's, or until that takes too long: then [`die_with_parent`] says
/// so.
fn await_parent(parent: impl Fn() -> i32) {
    let start = Instant::now();
    while getppid().as_raw() != parent() && start.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(1));
    }
}
