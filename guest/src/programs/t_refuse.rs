// SPDX-License-Identifier: GPL-2.0-only

//! Holds something that cannot be carried, and lives on to be refused.
//!
//! Arguments: STATUS KIND

use crate::stage;
use crate::sys::{self, Birth, Forked};
use nix::errno::Errno;
use std::fs::{self, File};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::ExitCode;

const KINDS: &str = "socket unix pipe fifo thread unlinked timer eventfd epoll timerfd signalfd inotify memfd pidfd pty zombie namespace";

/// Takes ownership of a descriptor that a raw call returned.
fn owned(what: &str, fd: i32) -> Result<Held, String> {
    let fd = Errno::result(fd).map_err(|e| format!("{what}: {e}"))?;
    // SAFETY: the call has just returned this new descriptor.
    Ok(Box::new(unsafe { OwnedFd::from_raw_fd(fd) }))
}

/// Anything that is kept until the end.
type Held = Box<dyn std::any::Any>;

fn hold(kind: &str) -> Result<Held, String> {
    let io = |e: std::io::Error| format!("{kind}: {e}");
    let unix = |e: Errno| format!("{kind}: {e}");
    match kind {
        "socket" => Ok(Box::new(UnixDatagram::unbound().map_err(io)?)),
        "unix" => Ok(Box::new(UnixStream::pair().map_err(io)?)),
        "pipe" => Ok(Box::new(nix::unistd::pipe().map_err(unix)?)),
        "fifo" => {
            nix::unistd::mkfifo("t_refuse.fifo", nix::sys::stat::Mode::S_IRWXU).map_err(unix)?;
            Ok(Box::new(
                File::options()
                    .read(true)
                    .write(true)
                    .open("t_refuse.fifo")
                    .map_err(io)?,
            ))
        }
        "thread" => Ok(Box::new(std::thread::spawn(|| loop {
            std::thread::park();
        }))),
        "unlinked" => {
            let file = File::create("t_refuse.unlinked").map_err(io)?;
            fs::remove_file("t_refuse.unlinked").map_err(io)?;
            Ok(Box::new(file))
        }
        "timer" => timer(),
        "namespace" => namespace(),
        "zombie" => Ok(Box::new(crate::tree::spawn("zombie", || 0)?)),
        // SAFETY: these calls take integers only, or a valid string or set.
        _ => unsafe {
            let mut set: libc::sigset_t = std::mem::zeroed();
            libc::sigaddset(&mut set, libc::SIGUSR1);
            match kind {
                "eventfd" => owned(kind, libc::eventfd(0, 0)),
                "epoll" => owned(kind, libc::epoll_create1(0)),
                "timerfd" => owned(kind, libc::timerfd_create(libc::CLOCK_MONOTONIC, 0)),
                "signalfd" => owned(kind, libc::signalfd(-1, &set, 0)),
                "inotify" => owned(kind, libc::inotify_init1(0)),
                "memfd" => owned(kind, libc::memfd_create(c"refuse".as_ptr(), 0)),
                "pty" => owned(kind, libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY)),
                "pidfd" => owned(
                    kind,
                    libc::syscall(libc::SYS_pidfd_open, libc::getpid(), 0) as i32,
                ),
                _ => Err(format!("kind {kind:?}: expected one of: {KINDS}")),
            }
        },
    }
}

/// A child in a pid namespace of its own.
fn namespace() -> Result<Held, String> {
    let birth = Birth {
        namespaces: libc::CLONE_NEWPID as u64,
        ..Birth::default()
    };
    // SAFETY: the program has one thread.
    match unsafe { sys::fork(birth) } {
        // The pidfd is not kept: it would be refused first.
        Ok(Forked::Parent(..)) => Ok(Box::new(())),
        Ok(Forked::Child) => loop {
            nix::unistd::pause();
        },
        Err(err) => Err(format!("forking into a new pid namespace: {err}")),
    }
}

/// A POSIX timer that will not go off.
fn timer() -> Result<Held, String> {
    let mut timer = std::ptr::null_mut();
    // SAFETY: the default event, and memory for the timer's id.
    let made =
        unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, std::ptr::null_mut(), &mut timer) };
    Errno::result(made).map_err(|e| format!("timer_create: {e}"))?;
    Ok(Box::new(()))
}

/// Runs with the arguments of the process.
pub fn main() -> ExitCode {
    stage::run(|stage| {
        let kind = stage
            .args
            .first()
            .ok_or_else(|| format!("expected a kind: {KINDS}"))?;
        let _held = hold(kind)?;
        stage.ready()?;
        stage::wait_for_term()
    })
}
