// SPDX-License-Identifier: GPL-2.0-only

//! System calls that libc does not wrap: checkpoint, restart, clone3 and futex.
//!
//! Owns the numbers and the raw calls; what an arch does differently is in
//! `sys/<arch>.rs` under the same names.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
pub use aarch64::{
    hold_vectors, protection_keys, spin, stay_in_sequence, thread_pointer, ELF_MACHINE,
    RSEQ_SIGNATURE, VECTORS,
};
#[cfg(target_arch = "x86_64")]
pub use x86_64::{
    hold_vectors, protection_keys, spin, stay_in_sequence, thread_pointer, ELF_MACHINE,
    RSEQ_SIGNATURE, VECTORS,
};

use nix::errno::Errno;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// How often a thread's restartable sequence was aborted, and how often it found itself in the middle of
/// one with the number of another processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Sequence {
    pub aborts: u64,
    pub strayed: u64,
}

/// `rseq(2)`, for the calling thread: registers the area at an address, or gives it up.
pub fn rseq(area: usize, len: u32, give_up: bool) -> Result<(), Errno> {
    let flags = i32::from(give_up);
    // SAFETY: the caller's area; the kernel takes it for untrusted memory.
    let ret = unsafe { libc::syscall(libc::SYS_rseq, area, len, flags, RSEQ_SIGNATURE) };
    Errno::result(ret).map(drop)
}

/// The length of an area that the kernel has something to say for all of; 0 if it does not tell.
pub fn rseq_len() -> u32 {
    // AT_RSEQ_ALIGN, which is the length rounded up.
    const ALIGN: libc::c_ulong = 28;
    // SAFETY: reads the auxiliary vector.
    unsafe { libc::getauxval(ALIGN) as u32 }
}

/// Number of `checkpoint(2)`, the same on both arches.
pub const SYS_CHECKPOINT: libc::c_long = 548;
/// Number of `restart(2)`.
pub const SYS_RESTART: libc::c_long = 549;

/// `restart`: the caller is the parent of the root and is not restored.
pub const RESTART_COORDINATOR: u64 = 1 << 0;
/// `restart`: bits 32..63 of the flags hold the saved pid of the caller.
pub const RESTART_NEW_PIDS: u64 = 1 << 1;

/// The flags of a task that restarts under a new pid as the one saved under `pid`.
pub fn restart_as(pid: i32) -> u64 {
    RESTART_NEW_PIDS | (pid as u64) << 32
}

fn raw_fd(fd: Option<BorrowedFd<'_>>) -> i32 {
    fd.map_or(-1, |fd| fd.as_raw_fd())
}

/// Saves the tree rooted at `pid` (0: the caller) to `image`; the image's id,
/// or 0 in the restarted caller.
pub fn checkpoint(
    pid: i32,
    image: BorrowedFd<'_>,
    flags: u64,
    log: Option<BorrowedFd<'_>>,
) -> nix::Result<i64> {
    checkpoint_by_number(pid, image.as_raw_fd(), flags, raw_fd(log))
}

/// As [`checkpoint`], by numbers that may be no descriptors.
pub fn checkpoint_by_number(pid: i32, image: i32, flags: u64, log: i32) -> nix::Result<i64> {
    // SAFETY: the call takes no pointers, and refuses numbers that are no descriptors.
    let id = unsafe {
        libc::syscall(
            SYS_CHECKPOINT,
            libc::c_long::from(pid),
            libc::c_long::from(image),
            flags,
            libc::c_long::from(log),
        )
    };
    Errno::result(id)
}

/// Joins the restart of the tree whose root is `root`. A task that is restored
/// does not come back; the coordinator gets 0.
pub fn restart(
    root: i32,
    image: Option<BorrowedFd<'_>>,
    flags: u64,
    log: Option<BorrowedFd<'_>>,
) -> nix::Result<i64> {
    restart_by_number(root, raw_fd(image), flags, raw_fd(log))
}

/// As [`restart`], by numbers that may be no descriptors.
pub fn restart_by_number(root: i32, image: i32, flags: u64, log: i32) -> nix::Result<i64> {
    // SAFETY: the call takes no pointers, and refuses numbers that are no descriptors. When it
    // succeeds for a task that is restored, this program's memory is gone with everything that
    // refers to it.
    let result = unsafe {
        libc::syscall(
            SYS_RESTART,
            libc::c_long::from(root),
            libc::c_long::from(image),
            flags,
            libc::c_long::from(log),
        )
    };
    Errno::result(result)
}

/// Whether the running kernel has the two calls, asked with arguments that it
/// must refuse.
pub fn has_checkpoint_restart() -> bool {
    // SAFETY: no pointers; pid -1 and descriptor -1 exist nowhere.
    let result = unsafe {
        libc::syscall(
            SYS_CHECKPOINT,
            -1 as libc::c_long,
            -1 as libc::c_long,
            u64::MAX,
            -1 as libc::c_long,
        )
    };
    !matches!(Errno::result(result), Err(Errno::ENOSYS))
}

/// `CLONE_INTO_CGROUP`; libc's constant is too narrow for it.
const CLONE_INTO_CGROUP: u64 = 1 << 33;

/// What a new process gets at its birth, see clone3(2).
#[derive(Debug, Clone, Copy, Default)]
pub struct Birth<'a> {
    /// `CLONE_NEW*` flags.
    pub namespaces: u64,
    /// Pids to have, the innermost pid namespace first; empty: any.
    pub pids: &'a [i32],
    /// The cgroup to start in.
    pub cgroup: Option<BorrowedFd<'a>>,
    /// The signal that its end sends to its parent, 0 for none, instead of SIGCHLD. The parent can
    /// wait for it by `__WALL` only.
    pub exit_signal: Option<i32>,
    /// Flags that have it share something with the caller: `CLONE_FILES` and its kind.
    pub shared: u64,
}

/// The two sides of [`fork`].
#[derive(Debug)]
pub enum Forked {
    /// In the new process.
    Child,
    /// In the caller: the pid and a pidfd of the new process.
    Parent(i32, OwnedFd),
}

/// Forks by clone3, the exit signal being SIGCHLD if no other is wanted.
///
/// # Safety
/// As fork(2): the caller must have one thread only, or the child must keep to
/// what is safe in a signal handler.
pub unsafe fn fork(birth: Birth<'_>) -> nix::Result<Forked> {
    let mut pidfd: libc::c_int = -1;
    // SAFETY: all fields of clone_args are integers, for which zero is valid.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = birth.namespaces | birth.shared | libc::CLONE_PIDFD as u64;
    args.pidfd = &raw mut pidfd as u64;
    args.exit_signal = birth.exit_signal.unwrap_or(libc::SIGCHLD) as u64;
    if !birth.pids.is_empty() {
        args.set_tid = birth.pids.as_ptr() as u64;
        args.set_tid_size = birth.pids.len() as u64;
    }
    if let Some(cgroup) = birth.cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: args and what it points to outlive the call; no new stack is
    // given, so the child runs on a copy of this one, as after fork.
    let pid = unsafe {
        libc::syscall(
            libc::SYS_clone3,
            &raw const args,
            std::mem::size_of::<libc::clone_args>(),
        )
    };
    match Errno::result(pid)? {
        0 => Ok(Forked::Child),
        // SAFETY: the kernel stored a new descriptor that nothing else owns.
        pid => Ok(Forked::Parent(pid as i32, unsafe {
            OwnedFd::from_raw_fd(pidfd)
        })),
    }
}

/// A descriptor that can be read from once the process has ended.
pub fn pidfd(pid: i32) -> nix::Result<OwnedFd> {
    // SAFETY: takes integers only.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    // SAFETY: the kernel returned a new descriptor that nothing else owns.
    Errno::result(fd).map(|fd| unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Sends a signal to the process of a pidfd, and to nobody once that has been reaped. Allowed in a
/// signal handler.
pub fn signal_by(pidfd: BorrowedFd<'_>, signal: libc::c_int) -> nix::Result<()> {
    let fd = pidfd.as_raw_fd();
    let info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: without a siginfo the call takes integers only.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, signal, info, 0) };
    Errno::result(result).map(drop)
}

/// Who can wait on a futex word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Tasks of this address space.
    Private,
    /// Whoever maps the word.
    Shared,
}

impl Scope {
    fn flag(self) -> libc::c_int {
        match self {
            Scope::Private => libc::FUTEX_PRIVATE_FLAG,
            Scope::Shared => 0,
        }
    }
}

/// Waits while `word` holds `expected`; ETIMEDOUT after `timeout`.
pub fn futex_wait(
    word: &AtomicU32,
    expected: u32,
    scope: Scope,
    timeout: Option<Duration>,
) -> nix::Result<()> {
    let time = timeout.map(|t| libc::timespec {
        tv_sec: t.as_secs() as libc::time_t,
        tv_nsec: t.subsec_nanos().into(),
    });
    let time_ptr = time
        .as_ref()
        .map_or(std::ptr::null(), |t| t as *const libc::timespec);
    // SAFETY: word and time are borrowed for the call; the kernel only reads them.
    let result = unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT | scope.flag(),
            expected,
            time_ptr,
        )
    };
    Errno::result(result).map(drop)
}

/// Wakes at most `count` waiters; how many there were.
pub fn futex_wake(word: &AtomicU32, scope: Scope, count: i32) -> nix::Result<i64> {
    // SAFETY: the kernel uses the address only to find the waiters.
    let result = unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAKE | scope.flag(),
            count,
        )
    };
    Errno::result(result)
}

/// Closes every descriptor that is not in `keep`.
pub fn close_all_but(keep: &[Option<BorrowedFd<'_>>]) {
    let mut kept: Vec<u32> = keep
        .iter()
        .flatten()
        .map(|fd| fd.as_raw_fd() as u32)
        .collect();
    kept.sort_unstable();
    let mut from = 0;
    for fd in kept.into_iter().map(Some).chain([None]) {
        let to = fd.map_or(u32::MAX, |fd| fd.wrapping_sub(1));
        if fd != Some(0) && from <= to {
            // SAFETY: the caller gives the descriptors up; see the doc comment.
            unsafe { libc::syscall(libc::SYS_close_range, from, to, 0) };
        }
        from = fd.map_or(u32::MAX, |fd| fd + 1);
    }
}
