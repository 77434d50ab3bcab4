// SPDX-License-Identifier: GPL-2.0-only

//! Checkpoints that stall, and of tasks that have ended.

use super::{at_once, end, has_ended_well, in_pipe, needs_memory_lock, refused_saying, sleep};
use crate::edit::{file_of, Image};
use crate::freezer;
use crate::pattern::PAGE;
use crate::procfs;
use crate::stage::expect;
use crate::sys::{self, RESTART_COORDINATOR};
use crate::tree;
use crate::wait;
use nix::errno::Errno;
use nix::fcntl::{fcntl, FcntlArg, OFlag};
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::signal::{kill, Signal};
use nix::sys::wait::{waitpid, WaitStatus};
use nix::unistd::{pipe2, Pid};
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

/// Whether a pipe takes no more.
fn is_full(write: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(write.as_fd(), PollFlags::POLLOUT)];
    poll(&mut fds, PollTimeout::ZERO) == Ok(0)
}

/// An image that nobody takes: whoever saves waits, and holds up nobody who needs the memory's lock.
pub(super) fn stalled_writer() -> Result<(), String> {
    let cgroup = Path::new(freezer::MOUNT).join("t_calls");
    let failed = |e: std::io::Error| format!("{}: {e}", cgroup.display());
    let saved = tree::spawn("saved", sleep)?;
    // /init removes it after the case.
    fs::create_dir(&cgroup).map_err(failed)?;
    fs::write(cgroup.join("cgroup.procs"), saved.pid.to_string()).map_err(failed)?;
    let (read, write) = pipe2(OFlag::O_CLOEXEC).map_err(|e| format!("pipe: {e}"))?;
    let mut checkpoint = Command::new("checkpoint")
        .arg(saved.pid.to_string())
        .stdout(write.try_clone().map_err(|e| format!("pipe: {e}"))?)
        .spawn()
        .map_err(|e| format!("checkpoint: {e}"))?;
    let saver = checkpoint.id() as i32;
    let waits = || procfs::sleeps_in(saver, sys::SYS_CHECKPOINT) && is_full(&write);
    wait::until(at_once(), "checkpoint does not wait for the reader of its image", waits)?;
    let writer = needs_memory_lock(saved.pid, "who needs the lock of a memory that is being saved waits")?;
    expect("whether checkpoint still waits", true, waits())?;
    drop(read);
    drop(write);
    let status = checkpoint.wait().map_err(|e| format!("checkpoint: {e}"))?;
    expect("whether an image that nobody took was saved", false, status.success())?;
    has_ended_well(&writer)?;
    end(saved.pid);
    Ok(())
}

/// A task that is gone, its parent with it, while its image waits for a reader: it is refused, and neither
/// is looked at any more.
pub(super) fn vanished() -> Result<(), String> {
    let parent = tree::spawn("parent", || {
        let reaped = tree::spawn("saved", sleep).and_then(|saved| {
            waitpid(Pid::from_raw(saved.pid), None).map_err(|e| format!("waitpid: {e}"))
        });
        u8::from(reaped.is_err())
    })?;
    let child = || {
        let tasks = procfs::tasks().unwrap_or_default();
        procfs::subtree(&tasks, parent.pid).iter().map(|task| task.pid).find(|pid| *pid != parent.pid)
    };
    wait::until(at_once(), "the task to be saved was not made", || child().is_some())?;
    let saved = child().ok_or("the task to be saved is gone")?;
    let cgroup = Path::new(freezer::MOUNT).join("t_calls_gone");
    let failed = |e: std::io::Error| format!("{}: {e}", cgroup.display());
    fs::create_dir(&cgroup).map_err(failed)?;
    fs::write(cgroup.join("cgroup.procs"), saved.to_string()).map_err(failed)?;
    // Once into a file, to know where its TASK record begins.
    let whole = "gone.ckpt";
    let file = File::create(whole).map_err(|e| format!("{whole}: {e}"))?;
    let status = Command::new("checkpoint")
        .args(["--leave-running", &saved.to_string()])
        .stdout(file)
        .status()
        .map_err(|e| format!("checkpoint: {e}"))?;
    expect("whether the task can be saved", true, status.success())?;
    // And into a pipe of one page that is full in front of that record.
    let (mut read, write) = {
        let (read, write) = pipe2(OFlag::O_CLOEXEC).map_err(|e| format!("pipe: {e}"))?;
        (File::from(read), write)
    };
    fcntl(&write, FcntlArg::F_SETPIPE_SZ(PAGE as i32)).map_err(|e| format!("F_SETPIPE_SZ: {e}"))?;
    let room = Image::read(whole)?.offset(2);
    let filler = vec![0; PAGE.checked_sub(room).ok_or("HEAD and TREE are longer than a page")?];
    nix::unistd::write(&write, &filler).map_err(|e| format!("pipe: {e}"))?;
    let mut checkpoint = Command::new("checkpoint")
        .arg(saved.to_string())
        .stdout(write.try_clone().map_err(|e| format!("pipe: {e}"))?)
        .spawn()
        .map_err(|e| format!("checkpoint: {e}"))?;
    let saver = checkpoint.id() as i32;
    let waits = || procfs::sleeps_in(saver, sys::SYS_CHECKPOINT) && in_pipe(&write) == Ok(PAGE);
    wait::until(at_once(), "checkpoint does not wait with its TASK record", waits)?;
    kill(Pid::from_raw(saved), Signal::SIGKILL).map_err(|e| format!("kill: {e}"))?;
    let ended = waitpid(Pid::from_raw(parent.pid), None).map_err(|e| format!("waitpid: {e}"))?;
    expect("the end of its parent", WaitStatus::Exited(Pid::from_raw(parent.pid), 0), ended)?;
    // What the kernel knew of them is freed when every processor has passed a quiet moment.
    thread::sleep(wait::scaled(Duration::from_millis(200)));
    drop(write);
    read.read_to_end(&mut Vec::new()).map_err(|e| format!("reading the image: {e}"))?;
    let status = checkpoint.wait().map_err(|e| format!("checkpoint: {e}"))?;
    expect("whether a task that is gone was saved", false, status.success())
}

/// Ends its first thread while a second one lives.
fn leave_to_thread() -> u8 {
    thread::spawn(|| loop {
        thread::park();
    });
    // SAFETY: ends this thread alone; what is on its stack is not dropped.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
    1
}

/// Who has ended and is not reaped, or has ended but for its threads: it is not saved. In the place of the former
/// nobody can be put; the latter could still execute a program that calls restart.
pub(super) fn ended(image: &Image) -> Result<(), String> {
    let out = File::create("t_calls.out").map_err(|e| format!("t_calls.out: {e}"))?;
    let whole = file_of(&image.bytes())?;
    let coordinate = sys::restart_as(image.root()?) | RESTART_COORDINATOR;
    for (what, body, lives) in [
        ("a zombie", (|| 0) as fn() -> u8, false),
        ("a process whose first thread has ended", leave_to_thread, true),
    ] {
        let child = tree::spawn(what, body)?;
        let is_zombie = || procfs::task(child.pid).is_some_and(|task| task.state == 'Z');
        wait::until(at_once(), &format!("{what}: it does not end"), is_zombie)?;
        let says = format!("task {}: zombie, or about to be one: cannot be carried", child.pid);
        refused_saying(&format!("checkpoint: {what}"), Errno::EOPNOTSUPP, &says, |log| {
            sys::checkpoint(child.pid, out.as_fd(), 0, Some(log))
        })?;
        if !lives {
            let says = "waiting for the task: nobody is left who could become it";
            refused_saying(&format!("coordinating {what}"), Errno::ESRCH, says, |log| {
                sys::restart(child.pid, Some(whole.as_fd()), coordinate, Some(log))
            })?;
        }
        expect(&format!("{what}: whether it is as it was"), true, is_zombie())?;
        end(child.pid);
    }
    Ok(())
}
