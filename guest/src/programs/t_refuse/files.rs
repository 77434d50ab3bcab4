// SPDX-License-Identifier: GPL-2.0-only

//! Open files and directories that cannot be carried.

use super::{checked, failed, Hold};
use nix::fcntl::{fcntl, FcntlArg, Flock, FlockArg, OFlag};
use nix::mount::{mount, MsFlags};
use nix::sys::stat::Mode;
use std::fs::{self, File};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};

/// The first descriptor of what is refused.
const FD: i32 = 100;

pub(super) const KINDS: &[(&str, Hold)] = &[
    ("socket", || {
        one(UnixDatagram::unbound().map_err(|e| format!("socket: {e}"))?)
    }),
    ("unix", || {
        let (one, other) = UnixStream::pair().map_err(|e| format!("socketpair: {e}"))?;
        pair(one.into(), other.into())
    }),
    ("pipe", || {
        let (read, write) = nix::unistd::pipe().map_err(failed("pipe"))?;
        pair(read, write)
    }),
    ("fifo", || {
        nix::unistd::mkfifo("t_refuse.fifo", Mode::S_IRWXU).map_err(failed("mkfifo"))?;
        one(open("t_refuse.fifo")?)
    }),
    ("unlinked", || {
        let file = create()?;
        fs::remove_file(FILE).map_err(|e| format!("{FILE}: {e}"))?;
        one(file)
    }),
    ("covered", || {
        fs::create_dir("t_refuse.folder").map_err(|e| format!("mkdir: {e}"))?;
        let path = "t_refuse.folder/file";
        let file = File::create(path).map_err(|e| format!("{path}: {e}"))?;
        let none: Option<&str> = None;
        mount(Some("cover"), "t_refuse.folder", Some("tmpfs"), MsFlags::empty(), none).map_err(failed("mount"))?;
        one(file)
    }),
    ("path", || one(open_with("/run", OFlag::O_PATH)?)),
    ("procfs", || one(File::open("/proc/self/status").map_err(|e| e.to_string())?)),
    ("procfs-folder", || one(File::open("/proc/self").map_err(|e| e.to_string())?)),
    ("kmsg", || one(open_with("/dev/kmsg", OFlag::O_NONBLOCK)?)),
    ("flock", || {
        let lock = Flock::lock(create()?, FlockArg::LockExclusive);
        let lock = lock.map_err(|(_, errno)| format!("flock: {errno}"))?;
        // The lock belongs to the open file, so the original may be closed; Flock would unlock it.
        keep_as(lock.as_raw_fd(), FD)?;
        std::mem::forget(lock);
        Ok(())
    }),
    ("ofd-lock", || {
        let file = create()?;
        fcntl(&file, FcntlArg::F_OFD_SETLK(&whole(0))).map_err(failed("F_OFD_SETLK"))?;
        one(file)
    }),
    ("posix-lock", || {
        let file = create()?;
        // This lock goes with the first descriptor of the file that is closed.
        let fd = file.into_raw_fd();
        keep_as(fd, FD)?;
        // SAFETY: takes integers and a valid struct.
        checked("F_SETLK", unsafe { libc::fcntl(FD, libc::F_SETLK, &whole(0)) }).map(drop)
    }),
    ("lease", || {
        let file = create()?;
        // SAFETY: takes integers only.
        checked("F_SETLEASE", unsafe {
            libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_WRLCK)
        })?;
        one(file)
    }),
    ("owner", || {
        let file = create()?;
        // SAFETY: takes integers only.
        checked("F_SETOWN", unsafe {
            libc::fcntl(file.as_raw_fd(), libc::F_SETOWN, libc::getpid())
        })?;
        one(file)
    }),
    ("eventfd", || anonymous("eventfd")),
    ("epoll", || anonymous("epoll")),
    ("timerfd", || anonymous("timerfd")),
    ("signalfd", || anonymous("signalfd")),
    ("inotify", || anonymous("inotify")),
    ("memfd", || anonymous("memfd")),
    ("pidfd", || anonymous("pidfd")),
    ("pty", || anonymous("pty")),
    ("controlling-tty", || {
        let leader = checked("posix_openpt", open_terminal())?;
        // SAFETY: takes integers only. Unlocked, its other side can be had without a name.
        unsafe {
            checked("unlockpt", libc::unlockpt(leader))?;
            let tty = checked("TIOCGPTPEER", libc::ioctl(leader, libc::TIOCGPTPEER, libc::O_RDWR | libc::O_NOCTTY))?;
            checked("TIOCSCTTY", libc::ioctl(tty, libc::TIOCSCTTY, 0)).map(drop)
        }
    }),
    ("removed-folder", || {
        fs::create_dir("t_refuse.folder").map_err(|e| format!("mkdir: {e}"))?;
        std::env::set_current_dir("t_refuse.folder").map_err(|e| format!("chdir: {e}"))?;
        fs::remove_dir("/run/case/t_refuse.folder").map_err(|e| format!("rmdir: {e}"))
    }),
    ("folder-in-procfs", || {
        std::env::set_current_dir("/proc/self").map_err(|e| format!("chdir: {e}"))
    }),
];

const FILE: &str = "t_refuse.file";

fn open_terminal() -> i32 {
    // SAFETY: takes integers only.
    unsafe { libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY) }
}

fn open(path: &str) -> Result<File, String> {
    File::options()
        .read(true)
        .write(true)
        .open(path)
        .map_err(|e| format!("{path}: {e}"))
}

fn open_with(path: &str, flags: OFlag) -> Result<File, String> {
    File::options()
        .read(true)
        .custom_flags(flags.bits())
        .open(path)
        .map_err(|e| format!("{path}: {e}"))
}

fn create() -> Result<File, String> {
    File::create(FILE).map_err(|e| format!("{FILE}: {e}"))
}

/// A lock on all of a file, for writing.
fn whole(pid: i32) -> libc::flock {
    // SAFETY: all fields are integers, for which zero is valid.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as i16;
    lock.l_whence = libc::SEEK_SET as i16;
    lock.l_pid = pid;
    lock
}

/// Moves a descriptor, which the caller gives up.
fn keep_as(fd: i32, number: i32) -> Result<(), String> {
    // SAFETY: takes integers only; nobody else uses the numbers.
    unsafe {
        checked("dup2", libc::dup2(fd, number))?;
        checked("close", libc::close(fd)).map(drop)
    }
}

fn one(file: impl Into<OwnedFd>) -> Result<(), String> {
    keep_as(file.into().into_raw_fd(), FD)
}

fn pair(first: OwnedFd, second: OwnedFd) -> Result<(), String> {
    keep_as(first.into_raw_fd(), FD)?;
    keep_as(second.into_raw_fd(), FD + 1)
}

/// Keeps a descriptor of one of the kinds that have a call of their own.
fn anonymous(kind: &'static str) -> Result<(), String> {
    // SAFETY: these calls take integers only, or a valid string or set.
    let fd = unsafe {
        match kind {
            "eventfd" => libc::eventfd(0, 0),
            "epoll" => libc::epoll_create1(0),
            "timerfd" => libc::timerfd_create(libc::CLOCK_MONOTONIC, 0),
            "signalfd" => {
                let mut set: libc::sigset_t = std::mem::zeroed();
                libc::sigaddset(&mut set, libc::SIGUSR1);
                libc::signalfd(-1, &set, 0)
            }
            "inotify" => libc::inotify_init1(0),
            "memfd" => libc::memfd_create(c"refuse".as_ptr(), 0),
            "pidfd" => libc::syscall(libc::SYS_pidfd_open, libc::getpid(), 0) as i32,
            _ => open_terminal(),
        }
    };
    let fd = checked(kind, fd)?;
    // SAFETY: the call has just returned this new descriptor.
    one(unsafe { OwnedFd::from_raw_fd(fd) })
}
