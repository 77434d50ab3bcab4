// SPDX-License-Identifier: GPL-2.0-only

//! checkpoint(2) and restart(2) called wrongly: each call is refused with its
//! errno and at once, and the caller and the kernel are none the worse for it. After
//! each group of calls the image is restarted well.
//!
//! Arguments: STATUS IMAGE COMM TASKS [SEED]. IMAGE: of a tree of some tasks, the root's pid 1; COMM: their
//! name, TASKS: how many there are.

mod arguments;
mod images;
mod pair;
mod pipes;
mod saving;
mod sharing;

use crate::edit::{file_of, Image};
use crate::knobs;
use crate::procfs;
use crate::puppet;
use crate::restarts::{Mode, Tree};
use crate::stage::{self, Stage};
use crate::sys;
use crate::tree;
use crate::wait;
use nix::errno::Errno;
use nix::sys::signal::{kill, Signal};
use nix::sys::wait::{waitpid, WaitStatus};
use nix::unistd::{setsid, Pid};
use std::fs;
use std::io::{Read, Seek};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Longest that a refusal may take: a second more than the kernel's interval between two looks.
fn at_once() -> Duration {
    wait::scaled(Duration::from_secs(5))
}
/// Longest delay at a point of a restart.
const DELAY_US: u32 = 2_000;

/// Wrong calls of one kind.
type Calls<'a> = &'a dyn Fn() -> Result<(), String>;

/// Checks one refusal, behind which nothing is left in the kernel.
fn refused(what: &str, expected: Errno, call: impl FnOnce() -> nix::Result<i64>) -> Result<(), String> {
    refused_beside(what, expected, call)?;
    knobs::no_context(at_once()).map_err(|why| format!("{what}: {why}"))
}

/// Checks one refusal while others are in restart(2).
fn refused_beside(what: &str, expected: Errno, call: impl FnOnce() -> nix::Result<i64>) -> Result<(), String> {
    let start = Instant::now();
    let found = call();
    if found != Err(expected) {
        return Err(format!("{what}: expected {expected}, found {found:?}"));
    }
    if start.elapsed() > at_once() {
        return Err(format!("{what}: refused after {:?}", start.elapsed()));
    }
    Ok(())
}

/// As [`refused`]; and the log, which the call is given, gives this for the reason.
fn refused_saying(
    what: &str,
    expected: Errno,
    says: &str,
    call: impl FnOnce(BorrowedFd<'_>) -> nix::Result<i64>,
) -> Result<(), String> {
    let mut log = file_of(&[])?;
    refused(what, expected, || call(log.as_fd()))?;
    let mut said = String::new();
    log.rewind()
        .and_then(|()| log.read_to_string(&mut said))
        .map_err(|e| format!("{what}: reading the log: {e}"))?;
    match said.contains(says) {
        true => Ok(()),
        false => Err(format!("{what}: expected the log to say {says:?}, found {said:?}")),
    }
}

fn sleep() -> u8 {
    std::thread::sleep(Duration::from_secs(60));
    0
}

fn end(pid: i32) {
    let pid = Pid::from_raw(pid);
    // It is this program's child, so it is there until it is waited for.
    let _ = kill(pid, Signal::SIGKILL);
    let _ = waitpid(pid, None);
}

/// The saved root leads its session: so does who is to become it.
fn lead_session() -> Result<(), String> {
    setsid().map(drop).map_err(|e| format!("setsid: {e}"))
}

/// Waits until a process sleeps in restart.
fn asleep(what: &str, pid: i32) -> Result<(), String> {
    let otherwise = format!("{what} does not sleep in restart");
    wait::until(at_once(), &otherwise, || procfs::sleeps_in(pid, sys::SYS_RESTART))
}

/// Bytes in a pipe.
fn in_pipe(pipe: &impl AsRawFd) -> Result<usize, String> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the kernel writes one int there.
    let done = unsafe { libc::ioctl(pipe.as_raw_fd(), libc::FIONREAD, &mut bytes) };
    Errno::result(done).map_err(|e| format!("FIONREAD: {e}"))?;
    Ok(bytes as usize)
}

/// Makes a process that takes the lock of a task's memory for writing, and sees it end; it is not reaped.
fn needs_memory_lock(of: i32, otherwise: &str) -> Result<tree::Child, String> {
    let path = format!("/proc/{of}/clear_refs");
    let writer = tree::spawn("writer", || u8::from(fs::write(path, "1").is_err()))?;
    wait::until(at_once(), otherwise, || procfs::is_exiting(writer.pid))?;
    Ok(writer)
}

/// Reaps a child, which has to end with 0. Others that have become the caller's are left alone.
fn has_ended_well(child: &tree::Child) -> Result<(), String> {
    let pid = Pid::from_raw(child.pid);
    let ended = waitpid(pid, None).map_err(|e| format!("waitpid: {e}"))?;
    stage::expect(&format!("the end of pid {pid}"), WaitStatus::Exited(pid, 0), ended)
}

fn run(stage: &Stage) -> Result<(), String> {
    let [path, comm, ..] = stage.args.as_slice() else {
        return Err("arguments: STATUS IMAGE COMM TASKS [SEED]".to_owned());
    };
    let image = &Image::read(path)?;
    let tree = Tree::new(path, comm, stage.number(2, 1)?)?;
    puppet::catch_usr1()?;
    // From the root that waits on the program has memory that it shares with puppets: its children cannot be
    // saved.
    let groups: [(&str, Calls<'_>); 12] = [
        ("arguments", &|| arguments::arguments(image)),
        ("descriptors", &|| arguments::descriptors(image)),
        ("images", &|| images::images(image)),
        ("callers who share", &|| sharing::sharing(image)),
        ("pipes", &|| pipes::pipes(image)),
        ("a stalled reader", &|| pipes::stalled_reader(image)),
        ("a stalled writer", &saving::stalled_writer),
        ("a task that is gone", &saving::vanished),
        ("tasks that have ended", &|| saving::ended(image)),
        ("a root that waits", &|| arguments::beside_a_root_that_waits(image)),
        ("a restart that has begun", &|| pair::begun_already(image)),
        ("stalled memory", &|| pipes::stalled_memory(image)),
    ];
    for (number, (what, calls)) in groups.into_iter().enumerate() {
        calls()?;
        let mode = if number % 2 == 0 { Mode::Coordinator } else { Mode::Root };
        tree.restart_well(mode).map_err(|why| format!("after {what}: {why}"))?;
    }
    Ok(())
}

/// Runs with the arguments of the process.
pub fn main() -> ExitCode {
    stage::run(|stage| knobs::delayed(stage, DELAY_US, 3, || run(stage)))
}
