// SPDX-License-Identifier: GPL-2.0-only

//! What is done wrong on purpose, to see how the kernel takes it: a task left
//! out, one that never calls restart, one that dies inside it, a process that does not belong there.

use super::interrupt;
use super::supervise::refusal;
use super::task::{self, Site, PATIENCE, STRANGER};
use crate::sys::{self, Birth, Forked};
use nix::errno::Errno;
use nix::unistd::{getpid, pause};
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How late one task joins restart when another is to die meanwhile.
const HOLD: Duration = Duration::from_millis(400);
/// How long after its call the task that is to die gets its fatal signal.
const DEATH: Duration = Duration::from_millis(100);
/// How long after the tree stands the stranger calls restart.
const STRANGER_DELAY: Duration = Duration::from_millis(100);
/// No errno: restart of the stranger did not fail.
pub const ACCEPTED: u32 = u32::MAX;

/// What is to be done wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// Leave out the task with this saved pid, and its descendants.
    pub without: Option<i32>,
    /// This task lives, and does not call restart.
    pub late: Option<i32>,
    /// This task dies while the others are inside restart.
    pub kill_midway: Option<i32>,
    /// A process outside the tree joins under this saved pid.
    pub stranger: Option<i32>,
}

/// Whether a task is the last to join: the last one made that is not to die.
fn is_last(site: &Site, index: usize) -> bool {
    let victim = site.options.faults.kill_midway;
    let others = site.plan.tasks.iter().zip(&site.made).enumerate();
    let mut others = others.filter(|(_, (task, made))| **made && Some(task.pid) != victim);
    others.next_back().is_some_and(|(last, _)| last == index)
}

/// In a task that is about to call restart: waits, or prepares its death.
pub fn before_restart(site: &Site, index: usize) -> Result<(), String> {
    let faults = &site.options.faults;
    let pid = Some(site.plan.tasks[index].pid);
    if faults.late == pid {
        loop {
            pause();
        }
    }
    if faults.kill_midway == pid {
        return die_soon();
    }
    if !is_last(site, index) {
        return Ok(());
    }
    if faults.kill_midway.is_some() {
        std::thread::sleep(HOLD);
    }
    if faults.stranger.is_some() && !site.words.wait_at_least(STRANGER, 1, PATIENCE) {
        return Err(format!(
            "a stranger has been inside restart for {PATIENCE:?}"
        ));
    }
    Ok(())
}

/// Has a child kill the caller once it waits inside restart. A timer of its own would not do: the
/// kernel refuses to restore into a task that has one.
fn die_soon() -> Result<(), String> {
    let me = getpid();
    let victim = sys::pidfd(me.as_raw()).map_err(|e| format!("pidfd of task {me}: {e}"))?;
    // SAFETY: the process has one thread.
    match unsafe { sys::fork(Birth::default()) } {
        Ok(Forked::Child) => {
            std::thread::sleep(DEATH);
            let killed = sys::signal_by(victim.as_fd(), libc::SIGKILL);
            // SAFETY: ends the process at once, which runs nothing of the program.
            unsafe { libc::_exit(i32::from(killed.is_err())) }
        }
        Ok(Forked::Parent(..)) => Ok(()),
        Err(err) => Err(format!("making the killer of task {me}: {err}")),
    }
}

/// In the parent of the root, once the tree stands: has a process that is not
/// of the tree claim the place of one of its tasks, if that is wanted.
pub fn send_stranger(site: &Site, root: i32) -> Result<(), String> {
    let Some(saved) = site.options.faults.stranger else {
        return Ok(());
    };
    let parent = getpid().as_raw();
    // SAFETY: mktree has one thread.
    match unsafe { sys::fork(Birth::default()) } {
        Ok(Forked::Parent(..)) => Ok(()),
        Err(err) => Err(format!("making a stranger: {err}")),
        Ok(Forked::Child) => {
            interrupt::forget();
            if task::die_with_parent(parent).is_err() {
                task::exit_at_once(1);
            }
            sys::close_all_but(&[]);
            std::thread::sleep(STRANGER_DELAY);
            let said = match sys::restart(root, None, site.flags(saved), None) {
                Ok(_) => ACCEPTED,
                Err(err) => err as i32 as u32,
            };
            site.words.set(STRANGER, said);
            task::exit_at_once(0)
        }
    }
}

/// What the kernel told the stranger, once the restart is through.
pub fn strangers_answer(site: &Site) -> Option<String> {
    let saved = site.options.faults.stranger?;
    match site.words.word(STRANGER).load(Ordering::SeqCst) {
        0 => None,
        ACCEPTED => Some(format!("stranger in the place of {saved}: accepted")),
        errno => Some(format!(
            "stranger in the place of {saved}: {}",
            refusal(Errno::from_raw(errno as i32))
        )),
    }
}
