// SPDX-License-Identifier: GPL-2.0-only

//! The life of a task of the tree up to its restart: born, forks its children,
//! takes its place in session and process group, calls restart(2).

use super::interrupt;
use super::log::Log;
use super::orphans;
use super::plan::{Group, Plan};
use super::report::Reporter;
use super::{faults, Mode, Options, Pids, NOT_MADE, REFUSED};
use crate::cli::Failure;
use crate::shared::Words;
use crate::sys::{self, Birth, Forked};
use nix::errno::Errno;
use nix::sys::prctl::{set_child_subreaper, set_pdeathsig};
use nix::sys::signal::{kill, Signal};
use nix::sys::wait::waitpid;
use nix::unistd::{getpid, getppid, setpgid, setsid, Pid};
use std::fs::File;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long a task waits for the others to be made.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Shared words: how many tasks exist.
const CREATED: usize = 0;
/// How many are in their process groups.
const JOINED: usize = 1;
/// How many ghosts are gone again.
const GONE: usize = 2;
/// Not 0 once the stranger's call has ended: its errno, or [`faults::ACCEPTED`].
pub const STRANGER: usize = 3;
/// The pid of task 0, then of the others, then of the ghosts.
const FIRST_PID: usize = 4;

/// What every process that takes part knows.
#[derive(Debug)]
pub struct Site {
    /// Who is to be made.
    pub plan: Plan,
    /// Which of the tasks are made.
    pub made: Vec<bool>,
    /// Barriers and pids.
    pub words: Words,
    /// The image, at its start.
    pub image: File,
    /// What the kernel logs.
    pub log: Log,
    /// How to restart.
    pub options: Options,
}

impl Site {
    /// Words that a plan needs.
    pub fn words_needed(plan: &Plan) -> usize {
        FIRST_PID + plan.tasks.len() + plan.ghosts.len()
    }

    /// Pid of a task as it is in the pid namespace of the tree; 0: not made yet.
    pub fn pid(&self, index: usize) -> i32 {
        self.words.word(FIRST_PID + index).load(Ordering::SeqCst) as i32
    }

    fn ghost_word(&self, number: usize) -> usize {
        FIRST_PID + self.plan.tasks.len() + number
    }

    fn count(&self) -> u32 {
        self.made.iter().filter(|made| **made).count() as u32
    }

    /// Adds 1 to a barrier; the last of `count` wakes who waits there.
    fn arrive(&self, at: usize, count: u32) {
        let word = self.words.word(at);
        if word.fetch_add(1, Ordering::SeqCst) + 1 >= count {
            // Each wake-up before that would switch to the waiters for nothing.
            let _ = sys::futex_wake(word, sys::Scope::Shared, i32::MAX);
        }
    }

    fn wait(&self, at: usize, count: u32) -> Result<(), String> {
        if self.words.wait_at_least(at, count, PATIENCE) {
            return Ok(());
        }
        let found = self.words.word(at).load(Ordering::SeqCst);
        Err(format!(
            "waited {PATIENCE:?} for {count} tasks, {found} came"
        ))
    }

    /// The flags of restart(2) for the task with this saved pid.
    pub fn flags(&self, saved: i32) -> u64 {
        match self.options.pids {
            Pids::Saved => 0,
            Pids::New => sys::restart_as(saved),
        }
    }
}

/// What [`fork`] gives to the new process and its maker to know.
pub fn fork(site: &Site, index: usize, namespaces: u64) -> nix::Result<Forked> {
    fork_as(site, site.plan.tasks[index].pid, namespaces)
}

/// Forks a process under this pid, if pids are the saved ones.
pub fn fork_as(site: &Site, pid: i32, namespaces: u64) -> nix::Result<Forked> {
    let pid = [pid];
    let pids: &[i32] = match site.options.pids {
        Pids::Saved => &pid,
        Pids::New => &[],
    };
    // SAFETY: mktree has one thread.
    unsafe {
        sys::fork(Birth {
            namespaces,
            pids,
            ..Birth::default()
        })
    }
}

/// Runs a task from its birth on. `parent`: who forked it, 0 if in another
/// pid namespace.
pub fn live(site: &Site, index: usize, parent: i32, reporter: &Reporter) -> ! {
    interrupt::forget();
    let pid = site.plan.tasks[index].pid;
    let failure = match take_place(site, index, parent, reporter) {
        Ok(()) => enter(site, index, reporter),
        Err(why) => Failure::new(NOT_MADE, format_args!("task {pid}: {why}")),
    };
    reporter.failed(&failure);
    exit_at_once(failure.status)
}

/// Ends without running anything of the process that this one was forked from.
pub fn exit_at_once(status: u8) -> ! {
    // SAFETY: _exit has no preconditions.
    unsafe { libc::_exit(status.into()) }
}

/// Dies with the parent from now on.
pub fn die_with_parent(parent: i32) -> Result<(), String> {
    set_pdeathsig(Signal::SIGKILL).map_err(|e| format!("prctl PR_SET_PDEATHSIG: {e}"))?;
    if parent != 0 && getppid().as_raw() != parent {
        return Err("its parent died".to_owned());
    }
    Ok(())
}

fn take_place(site: &Site, index: usize, parent: i32, reporter: &Reporter) -> Result<(), String> {
    let task = &site.plan.tasks[index];
    die_with_parent(parent)?;
    if orphans::adopts_anybody(site, index) {
        // For now: its restart makes it what it was.
        set_child_subreaper(true).map_err(|e| format!("PR_SET_CHILD_SUBREAPER: {e}"))?;
    }
    fork_all(site, &task.children_before, reporter)?;
    if task.leads_session {
        setsid().map_err(|e| format!("setsid: {e}"))?;
    }
    fork_all(site, &task.children, reporter)?;
    for orphans in &task.adopts {
        orphans::adopt(site, orphans, reporter)?;
    }
    for lent in task.lends.iter().filter(|lent| site.made[lent.child]) {
        orphans::lend(site, lent, reporter)?;
    }
    if task.group == Group::Lead {
        setpgid(Pid::from_raw(0), Pid::from_raw(0)).map_err(|e| format!("setpgid: {e}"))?;
    }
    site.words
        .word(FIRST_PID + index)
        .store(getpid().as_raw() as u32, Ordering::SeqCst);
    for number in &task.ghosts {
        make_ghost(site, *number)?;
    }
    site.arrive(CREATED, site.count());
    site.wait(CREATED, site.count())?;
    join_group(site, task.group)?;
    site.arrive(JOINED, site.count());
    let ghosts = made_ghosts(site);
    if ghosts > 0 || index == 0 {
        // Ghosts are the leaders of groups until everybody has joined.
        site.wait(JOINED, site.count())?;
        lay_ghosts(site, &task.ghosts)?;
        site.wait(GONE, ghosts)?;
    }
    if index == 0 {
        reporter.done();
    }
    Ok(())
}

fn fork_all(site: &Site, children: &[usize], reporter: &Reporter) -> Result<(), String> {
    let me = getpid().as_raw();
    for &child in children.iter().filter(|child| site.made[**child]) {
        match fork(site, child, 0) {
            Ok(Forked::Child) => live(site, child, me, reporter),
            Ok(Forked::Parent(..)) => (),
            Err(err) => {
                return Err(fork_error(
                    site.plan.tasks[child].pid,
                    site.options.pids,
                    err,
                ))
            }
        }
    }
    Ok(())
}

/// Says why a task could not be forked.
pub fn fork_error(pid: i32, pids: Pids, err: Errno) -> String {
    let hint = match (pids, err) {
        (Pids::Saved, Errno::EPERM) => {
            " (choosing pids takes CAP_CHECKPOINT_RESTORE; --no-pids does not)"
        }
        (Pids::Saved, Errno::EEXIST) => " (the pid is taken)",
        (_, Errno::EAGAIN) => " (limit on the number of processes)",
        _ => "",
    };
    format!("making task {pid}: clone3: {err}{hint}")
}

fn join_group(site: &Site, group: Group) -> Result<(), String> {
    let leader = match group {
        Group::Keep | Group::Lead => return Ok(()),
        Group::Join(leader) => site.pid(leader),
        Group::JoinGhost(number) => site
            .words
            .word(site.ghost_word(number))
            .load(Ordering::SeqCst) as i32,
    };
    if leader == 0 {
        return Ok(());
    }
    setpgid(Pid::from_raw(0), Pid::from_raw(leader))
        .map_err(|e| format!("joining process group {leader}: setpgid: {e}"))
}

/// Forks a stand-in for a group leader that is gone.
fn make_ghost(site: &Site, number: usize) -> Result<(), String> {
    let pgid = site.plan.ghosts[number];
    let me = getpid().as_raw();
    match fork_as(site, pgid, 0) {
        Ok(Forked::Child) => {
            let _ = die_with_parent(me);
            loop {
                nix::unistd::pause();
            }
        }
        Ok(Forked::Parent(pid, _)) => {
            let ghost = Pid::from_raw(pid);
            setpgid(ghost, ghost).map_err(|e| format!("setpgid of a stand-in: {e}"))?;
            site.words
                .word(site.ghost_word(number))
                .store(pid as u32, Ordering::SeqCst);
            Ok(())
        }
        Err(err) => Err(format!(
            "making a stand-in for the leader of process group {pgid}: {err}"
        )),
    }
}

/// Ends the caller's ghosts once everybody has joined their groups.
fn lay_ghosts(site: &Site, ghosts: &[usize]) -> Result<(), String> {
    for number in ghosts {
        let pid = site
            .words
            .word(site.ghost_word(*number))
            .load(Ordering::SeqCst);
        let ghost = Pid::from_raw(pid as i32);
        kill(ghost, Signal::SIGKILL).map_err(|e| format!("ending a stand-in: {e}"))?;
        waitpid(ghost, None).map_err(|e| format!("reaping a stand-in: {e}"))?;
        site.words.add_one(GONE);
    }
    Ok(())
}

fn made_ghosts(site: &Site) -> u32 {
    let tasks = site.plan.tasks.iter().zip(&site.made);
    tasks
        .filter(|(_, made)| **made)
        .map(|(task, _)| task.ghosts.len() as u32)
        .sum()
}

/// Calls restart(2); comes back only when that fails.
fn enter(site: &Site, index: usize, reporter: &Reporter) -> Failure {
    let saved = site.plan.tasks[index].pid;
    let root = site.pid(0);
    if let Err(why) = faults::before_restart(site, index) {
        return Failure::new(NOT_MADE, format_args!("task {saved}: {why}"));
    }
    let feeds = index == 0 && site.options.mode == Mode::Root;
    let image = feeds.then(|| site.image.as_fd());
    let log = Some(site.log.fd());
    sys::close_all_but(&[image, log, Some(reporter.fd())]);
    match sys::restart(root, image, site.flags(saved), log) {
        Err(err) => Failure::new(REFUSED, format_args!("task {saved}: restart: {err}")),
        Ok(value) => Failure::new(
            REFUSED,
            format_args!("task {saved}: restart returned {value} without restoring the task"),
        ),
    }
}
