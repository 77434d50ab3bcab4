// SPDX-License-Identifier: GPL-2.0-only

//! checkpoint(2) and restart(2) called wrongly: each call is refused with its
//! errno and at once, and the caller and the kernel are none the worse for it.
//!
//! Arguments: STATUS IMAGE [SEED]. IMAGE: of a tree of some tasks, the root's pid 1.

use crate::edit::{file_of, put_words, word, Image};
use crate::freezer;
use crate::knobs;
use crate::pattern::PAGE;
use crate::procfs;
use crate::puppet;
use crate::stage::{self, expect, Stage};
use crate::sys::{self, RESTART_COORDINATOR, RESTART_NEW_PIDS};
use crate::tree;
use crate::wait;
use checkpoint::image::list::Entry;
use checkpoint::image::record::TreeEntry;
use checkpoint::image::{Kind, HEADER_SIZE};
use nix::errno::Errno;
use nix::fcntl::{fcntl, FcntlArg, OFlag};
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::signal::{kill, Signal};
use nix::sys::wait::{waitpid, WaitStatus};
use nix::unistd::{getpid, pipe2, setsid, Pid};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

/// Longest that a refusal may take: a second more than the kernel's interval between two looks.
fn at_once() -> Duration {
    wait::scaled(Duration::from_secs(5))
}
/// Longest delay at a point of a restart.
const DELAY_US: u32 = 2_000;
/// A pid that nobody has.
const NOBODY: i32 = 4_000_000;
/// Offsets in the payload of HEAD.
const NR_TASKS: usize = 20;
/// Size of an entry of TREE; in it pid, tgid, ppid.
const ENTRY: usize = TreeEntry::SIZE;

/// HEAD and TREE of an image of the root alone.
fn beginning_of_one(image: &Image) -> Result<Vec<u8>, String> {
    let one = image
        .edited(Kind::Head, 0, |head| put_words(head, &[(NR_TASKS, 1)]))?
        .edited(Kind::Tree, 0, |tree| {
            tree.truncate(ENTRY);
            Ok(())
        })?;
    Ok(one.beginning(2).bytes())
}

/// Checks one refusal.
fn refused(what: &str, expected: Errno, call: impl FnOnce() -> nix::Result<i64>) -> Result<(), String> {
    let start = Instant::now();
    let found = call();
    if found != Err(expected) {
        return Err(format!("{what}: expected {expected}, found {found:?}"));
    }
    if start.elapsed() > at_once() {
        return Err(format!("{what}: refused after {:?}", start.elapsed()));
    }
    knobs::no_context(at_once()).map_err(|why| format!("{what}: {why}"))
}

fn arguments(image: &Image) -> Result<(), String> {
    let me = getpid().as_raw();
    let whole = file_of(&image.bytes())?;
    let open = |path: &str| File::open(path).map_err(|e| format!("{path}: {e}"));
    let write_only = File::create("t_calls.out").map_err(|e| format!("t_calls.out: {e}"))?;
    let null = open("/dev/null")?;
    let fd = Some(whole.as_fd());
    let own = sys::restart_as(image.root()?);
    refused("unknown flags", Errno::EINVAL, || sys::restart(me, fd, own | 1 << 7, None))?;
    refused("no such root", Errno::ESRCH, || sys::restart(NOBODY, None, own, None))?;
    refused("root 0", Errno::ESRCH, || sys::restart(0, fd, own, None))?;
    refused("a negative root", Errno::ESRCH, || sys::restart(-1, fd, own, None))?;
    refused("new pids without a saved pid", Errno::EINVAL, || {
        sys::restart(me, fd, RESTART_NEW_PIDS, None)
    })?;
    refused("a saved pid without new pids", Errno::EINVAL, || {
        sys::restart(me, fd, 7 << 32, None)
    })?;
    refused("coordinating oneself", Errno::EINVAL, || {
        sys::restart(me, fd, RESTART_COORDINATOR | RESTART_NEW_PIDS, None)
    })?;
    refused("coordinating one's parent", Errno::ESRCH, || {
        let parent = nix::unistd::getppid().as_raw();
        sys::restart(parent, fd, RESTART_COORDINATOR | RESTART_NEW_PIDS, None)
    })?;
    refused("a coordinator without an image", Errno::EBADF, || {
        sys::restart(1, None, RESTART_COORDINATOR | RESTART_NEW_PIDS, None)
    })?;
    refused("an image that is not readable", Errno::EBADF, || {
        sys::restart(me, Some(write_only.as_fd()), own, None)
    })?;
    refused("a file that the kernel cannot read", Errno::EINVAL, || {
        sys::restart(me, Some(null.as_fd()), own, None)
    })?;
    refused("a log that is not writable", Errno::EBADF, || {
        sys::restart(me, fd, own, Some(null.as_fd()))
    })?;
    refused("joining a tree that one is none of", Errno::EPERM, || {
        let sibling = tree::spawn("sibling", sleep).map_err(|_| Errno::EAGAIN)?;
        let found = sys::restart(sibling.pid, None, own, None);
        end(sibling.pid);
        found
    })?;
    refused("checkpoint: unknown flags", Errno::EINVAL, || {
        sys::checkpoint(0, write_only.as_fd(), 1, None)
    })?;
    refused("checkpoint: no such task", Errno::ESRCH, || {
        sys::checkpoint(NOBODY, write_only.as_fd(), 0, None)
    })?;
    refused("checkpoint: an image that is not writable", Errno::EBADF, || {
        sys::checkpoint(0, null.as_fd(), 0, None)
    })?;
    refused("checkpoint: a tree that is not frozen", Errno::EBUSY, || {
        let child = tree::spawn("child", sleep).map_err(|_| Errno::EAGAIN)?;
        let found = sys::checkpoint(child.pid, write_only.as_fd(), 0, None);
        end(child.pid);
        found
    })
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

fn images(image: &Image) -> Result<(), String> {
    let me = getpid().as_raw();
    let own = sys::restart_as(image.root()?);
    let call = |file: &File| sys::restart(me, Some(file.as_fd()), own, None);
    let edited = |kind, words: &[(usize, u32)]| -> Result<File, String> {
        let edited = image.edited(kind, 0, |payload| put_words(payload, words))?;
        file_of(&edited.bytes())
    };
    let head = |value| edited(Kind::Head, &[(NR_TASKS, value)]);
    let tree = |words: &[(usize, u32)]| edited(Kind::Tree, words);
    let bytes = image.bytes();
    let cut = |len: usize| file_of(&bytes[..len]);
    let (root, second, third) = (0, ENTRY, 2 * ENTRY);
    let second_pid = word(image.payload(Kind::Tree, 0)?, second)?;
    for (what, expected, file) in [
        ("no task", Errno::EINVAL, head(0)?),
        ("2^31 tasks", Errno::EINVAL, head(1 << 31)?),
        ("2^32 - 1 tasks", Errno::EINVAL, head(u32::MAX)?),
        ("one task too many", Errno::EINVAL, head(32_769)?),
        ("two tasks of one pid", Errno::EINVAL, tree(&[(third, second_pid), (third + 4, second_pid)])?),
        ("a task of pid 0", Errno::EINVAL, tree(&[(second, 0), (second + 4, 0)])?),
        ("a task of a negative pid", Errno::EINVAL, tree(&[(second, u32::MAX), (second + 4, u32::MAX)])?),
        ("a thread", Errno::EINVAL, tree(&[(second + 4, image.root()? as u32)])?),
        ("a parent that comes later", Errno::EINVAL, tree(&[(second + 8, 31_000)])?),
        ("a task that is its own parent", Errno::EINVAL, tree(&[(second + 8, second_pid)])?),
        ("another root than the caller", Errno::EINVAL, tree(&[(root, 31_000), (root + 4, 31_000)])?),
        ("an image that ends in HEAD", Errno::EPIPE, cut(HEADER_SIZE + 8)?),
        ("an image that ends behind HEAD", Errno::EPIPE, cut(image.offset(1))?),
        ("an image that ends in TREE", Errno::EPIPE, cut(image.offset(1) + HEADER_SIZE + 8)?),
    ] {
        refused(what, expected, || call(&file))?;
    }
    // The image is whole, and the caller is alone: nobody can become the others.
    let whole = file_of(&image.bytes())?;
    refused("a tree whose other tasks are missing", Errno::ESRCH, || call(&whole))
}

/// The image through a pipe whose writer stops half-way.
fn pipes(image: &Image) -> Result<(), String> {
    let me = getpid().as_raw();
    let own = sys::restart_as(image.root()?);
    let bytes = image.bytes();
    let pipe = |len: usize| -> Result<_, String> {
        let (read, write) = pipe2(OFlag::O_CLOEXEC).map_err(|e| format!("pipe: {e}"))?;
        let mut write = File::from(write);
        write
            .write_all(&bytes[..len])
            .map_err(|e| format!("pipe: {e}"))?;
        Ok((File::from(read), write))
    };
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
    puppet::catch_usr1()?;
    refused("a pipe that stalls, and a signal", Errno::EINTR, || {
        sys::restart(me, Some(read.as_fd()), own, None)
    })?;
    tree::reap(&[alarm], true)
}

/// A task that sleeps over a pipe in the middle of its restore is released when the restart fails
/// elsewhere: here by a signal to the coordinator.
fn stalled_reader(image: &Image) -> Result<(), String> {
    let (read, write) = pipe2(OFlag::O_CLOEXEC).map_err(|e| format!("pipe: {e}"))?;
    let mut write = File::from(write);
    write
        .write_all(&beginning_of_one(image)?)
        .map_err(|e| format!("pipe: {e}"))?;
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

/// Whether a pipe takes no more.
fn is_full(write: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(write.as_fd(), PollFlags::POLLOUT)];
    poll(&mut fds, PollTimeout::ZERO) == Ok(0)
}

/// An image that nobody takes: whoever saves waits, and holds up nobody who needs the memory's lock.
fn stalled_writer() -> Result<(), String> {
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
    // It takes the lock for writing.
    let path = format!("/proc/{}/clear_refs", saved.pid);
    let writer = tree::spawn("writer", || u8::from(fs::write(path, "1").is_err()))?;
    let otherwise = "who needs the lock of a memory that is being saved waits";
    wait::until(at_once(), otherwise, || procfs::is_exiting(writer.pid))?;
    expect("whether checkpoint still waits", true, waits())?;
    drop(read);
    drop(write);
    let status = checkpoint.wait().map_err(|e| format!("checkpoint: {e}"))?;
    expect("whether an image that nobody took was saved", false, status.success())?;
    let ended = waitpid(Pid::from_raw(writer.pid), None).map_err(|e| format!("waitpid: {e}"))?;
    expect("the end of the writer", WaitStatus::Exited(Pid::from_raw(writer.pid), 0), ended)?;
    end(saved.pid);
    Ok(())
}

/// Bytes in a pipe.
fn in_pipe(pipe: &OwnedFd) -> Result<usize, String> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the kernel writes one int there.
    let done = unsafe { libc::ioctl(pipe.as_raw_fd(), libc::FIONREAD, &mut bytes) };
    Errno::result(done).map_err(|e| format!("FIONREAD: {e}"))?;
    Ok(bytes as usize)
}

/// A task that is gone, its parent with it, while its image waits for a reader: it is refused, and neither
/// is looked at any more.
fn vanished() -> Result<(), String> {
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
    std::thread::sleep(wait::scaled(Duration::from_millis(200)));
    drop(write);
    read.read_to_end(&mut Vec::new()).map_err(|e| format!("reading the image: {e}"))?;
    let status = checkpoint.wait().map_err(|e| format!("checkpoint: {e}"))?;
    expect("whether a task that is gone was saved", false, status.success())
}

fn run(stage: &Stage) -> Result<(), String> {
    let path = stage.args.first().ok_or("arguments: STATUS IMAGE [SEED]")?;
    let image = Image::read(path)?;
    arguments(&image)?;
    images(&image)?;
    pipes(&image)?;
    stalled_reader(&image)?;
    stalled_writer()?;
    vanished()
}

/// Runs with the arguments of the process.
pub fn main() -> ExitCode {
    stage::run(|stage| knobs::delayed(stage, DELAY_US, 1, || run(stage)))
}
