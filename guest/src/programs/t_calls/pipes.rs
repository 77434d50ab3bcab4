// SPDX-License-Identifier: GPL-2.0-only

//! Images that come through a pipe, which closes early, has nothing to say or stalls.

use super::images::{beginning_of_one, of_root_alone};
use super::pair::{Pair, JOIN};
use super::{at_once, has_ended_well, in_pipe, needs_memory_lock, refused};
use crate::edit::{pipe_of, word, Image};
use crate::pattern::PAGE;
use crate::procfs;
use crate::stage::expect;
use crate::sys::{self, RESTART_COORDINATOR};
use crate::tree;
use crate::wait;
use checkpoint::image::{Kind, HEADER_SIZE};
use nix::errno::Errno;
use nix::fcntl::{fcntl, FcntlArg, OFlag};
use nix::sys::signal::{kill, Signal};
use nix::sys::wait::{waitpid, WaitStatus};
use nix::unistd::{getpid, setsid, Pid};
use std::os::fd::AsFd;
use std::time::Duration;

/// The image through a pipe whose writer stops half-way.
pub(super) fn pipes(image: &Image) -> Result<(), String> {
    let me = getpid().as_raw();
    let own = sys::restart_as(image.root()?);
    let bytes = image.bytes();
    let pipe = |len: usize| pipe_of(&bytes[..len]);
    let (read, write) = pipe(HEADER_SIZE)?;
    drop(write);
    refused("a pipe that is closed early", Errno::EPIPE, || {
        sys::restart(me, Some(read.as_fd()), own, None)
    })?;
    let (read, _write) = pipe(image.offset(1) + 8)?;
    let flags = OFlag::O_NONBLOCK;
    fcntl(&read, FcntlArg::F_SETFL(flags)).map_err(|e| format!("fcntl: {e}"))?;
    refused("a pipe that has nothing to say now", Errno::EAGAIN, || {
        sys::restart(me, Some(read.as_fd()), own, None)
    })?;
    // A pipe that stalls: a signal ends the wait.
    let (read, _write) = pipe(image.offset(1) + 8)?;
    let alarm = tree::spawn("alarm", || {
        std::thread::sleep(Duration::from_millis(300));
        u8::from(kill(Pid::from_raw(me), Signal::SIGUSR1).is_err())
    })?;
    refused("a pipe that stalls, and a signal", Errno::EINTR, || {
        sys::restart(me, Some(read.as_fd()), own, None)
    })?;
    tree::reap(&[alarm], true)
}

/// A task that sleeps over a pipe in the middle of its restore is released when the restart fails
/// elsewhere: here by a signal to the coordinator.
pub(super) fn stalled_reader(image: &Image) -> Result<(), String> {
    let (read, _write) = pipe_of(&beginning_of_one(image)?)?;
    let flags = sys::restart_as(image.root()?);
    let root = tree::spawn("root", || {
        // The saved root leads its session.
        let found = setsid().and_then(|me| sys::restart(me.as_raw(), None, flags, None));
        eprintln!("root: expected to be killed, found {found:?}");
        1
    })?;
    let me = getpid().as_raw();
    let alarm = tree::spawn("alarm", || {
        std::thread::sleep(Duration::from_millis(500));
        u8::from(kill(Pid::from_raw(me), Signal::SIGUSR1).is_err())
    })?;
    let coordinate = flags | RESTART_COORDINATOR;
    refused("a task that reads from a stalled pipe", Errno::EINTR, || {
        sys::restart(root.pid, Some(read.as_fd()), coordinate, None)
    })?;
    let ended = waitpid(Pid::from_raw(root.pid), None).map_err(|e| format!("waitpid: {e}"))?;
    expect(
        "the end of a half-restored task",
        WaitStatus::Signaled(Pid::from_raw(root.pid), Signal::SIGKILL, false),
        ended,
    )?;
    tree::reap(&[alarm], true)
}

/// An image that stops coming inside the pages of a task: while that sleeps over them, it holds up nobody who
/// needs its memory's lock.
pub(super) fn stalled_memory(image: &Image) -> Result<(), String> {
    let image = of_root_alone(image)?;
    let of_task = image.find(Kind::Pages, |payload| word(payload, 0) == Ok(0))?;
    let behind = image.index(Kind::Pages, of_task)? + 1;
    // What is missing is the checksum behind the pages, and half of the last one.
    let mut bytes = image.beginning(behind).bytes();
    bytes.truncate(bytes.len() - PAGE / 2);
    let (read, write) = pipe_of(&bytes)?;
    let pair = Pair::make(image.root()?, &read, &read)?;
    pair.coordinator.order(JOIN);
    pair.root.order(JOIN);
    let root = pair.root.pid()?;
    let sleeps = || in_pipe(&write) == Ok(0) && procfs::sleeps_in(root, sys::SYS_RESTART);
    wait::until(at_once(), "the root does not sleep over its pages", sleeps)?;
    let writer = needs_memory_lock(root, "who needs the lock of a memory that is being restored waits")?;
    expect("whether the root still sleeps over its pages", true, sleeps())?;
    pair.coordinator.signal(Signal::SIGUSR1)?;
    pair.coordinator.expect(Err(Errno::EINTR))?;
    let otherwise = "a half-restored task lives on";
    wait::until(at_once(), otherwise, || procfs::is_exiting(root))?;
    pair.dismiss()?;
    has_ended_well(&writer)
}
