// SPDX-License-Identifier: GPL-2.0-only

//! Callers who share with others what a saved task would be put in the place of.

use super::refused_saying;
use crate::edit::{file_of, Image};
use crate::sys;
use crate::tree;
use nix::errno::Errno;
use nix::sys::wait::{waitpid, WaitStatus};
use nix::unistd::{getpid, Pid};
use std::os::fd::{AsFd, BorrowedFd};
use std::thread;

/// Words of the stack of a process that shares its parent's memory.
const STACK: usize = 4096;
/// The kernel's reason for what it has no name of.
const SHARES: &str = "the caller shares threads, memory, files or handlers";

/// What a process calls restart with that is its root.
#[derive(Clone, Copy)]
struct Call<'a> {
    image: Option<BorrowedFd<'a>>,
    flags: u64,
    log: Option<BorrowedFd<'a>>,
}

impl<'a> Call<'a> {
    fn logged(self, log: BorrowedFd<'a>) -> Self {
        Call { log: Some(log), ..self }
    }

    fn make(&self) -> nix::Result<i64> {
        sys::restart(getpid().as_raw(), self.image, self.flags, self.log)
    }

    /// The call by a child that shares with its parent what these flags of clone(2) say.
    fn by_child(&self, shared: libc::c_int) -> nix::Result<i64> {
        let mut stack = vec![0u128; STACK];
        let top = stack.as_mut_ptr_range().end.cast();
        let call: *const Self = self;
        // SAFETY: stack and call are there until the child has ended, which is waited for. Meanwhile the
        // caller does nothing else with the memory that the two may share.
        let pid = unsafe { libc::clone(make_call, top, shared | libc::SIGCHLD, call.cast_mut().cast()) };
        answer_of(Errno::result(pid)?)
    }
}

/// A process that makes a call, and ends with its errno.
extern "C" fn make_call(call: *mut libc::c_void) -> libc::c_int {
    // SAFETY: the only one who clones such a process gives it a call that outlives it.
    let call = unsafe { &*call.cast::<Call<'_>>() };
    status_of(call.make()).into()
}

fn status_of(answer: nix::Result<i64>) -> u8 {
    answer.map_or_else(|errno| errno as i32 as u8, |_| 0)
}

/// What a child has ended with: its errno, as it is after a call that has left it as it was.
fn answer_of(pid: i32) -> nix::Result<i64> {
    match waitpid(Pid::from_raw(pid), None)? {
        WaitStatus::Exited(_, 0) => Ok(0),
        WaitStatus::Exited(_, errno) => Err(Errno::from_raw(errno)),
        _ => Err(Errno::ECHILD),
    }
}

/// The answer to a call that is made in a child.
fn in_child(call: impl FnOnce() -> nix::Result<i64>) -> nix::Result<i64> {
    let child = tree::spawn("child", || status_of(call())).map_err(|_| Errno::EAGAIN)?;
    answer_of(child.pid)
}

/// As [`in_child`], where another thread is parked.
fn beside_thread(call: impl FnOnce() -> nix::Result<i64>) -> nix::Result<i64> {
    in_child(|| {
        thread::spawn(|| loop {
            thread::park();
        });
        call()
    })
}

/// As [`in_child`], by a thread of it that is not the first.
fn by_thread(call: impl FnOnce() -> nix::Result<i64> + Send) -> nix::Result<i64> {
    in_child(|| {
        thread::scope(|scope| scope.spawn(call).join()).unwrap_or(Err(Errno::ECHILD))
    })
}

/// Nobody else is to lose, or to get, what a restored task has.
pub(super) fn sharing(image: &Image) -> Result<(), String> {
    let whole = file_of(&image.bytes())?;
    let bringing = Call {
        image: Some(whole.as_fd()),
        flags: sys::restart_as(image.root()?),
        log: None,
    };
    let joining = Call { image: None, ..bringing };
    let threads = "more than one thread";
    for (what, call) in [("with an image", bringing), ("without one", joining)] {
        let what = format!("a caller with another thread, {what}");
        refused_saying(&what, Errno::EOPNOTSUPP, threads, |log| beside_thread(|| call.logged(log).make()))?;
    }
    refused_saying("another thread than the first", Errno::EOPNOTSUPP, threads, |log| {
        by_thread(|| joining.logged(log).make())
    })?;
    refused_saying("another thread than the first, with an image", Errno::EBADF, "fd of the image", |log| {
        by_thread(|| bringing.logged(log).make())
    })?;
    let memory = "memory shared by CLONE_VM";
    for (what, shared, expected, says) in [
        ("shared descriptors", libc::CLONE_FILES, Errno::EINVAL, SHARES),
        ("a shared working directory", libc::CLONE_FS, Errno::EINVAL, SHARES),
        ("shared memory", libc::CLONE_VM, Errno::EOPNOTSUPP, memory),
        ("shared handlers", libc::CLONE_VM | libc::CLONE_SIGHAND, Errno::EOPNOTSUPP, memory),
        ("a vfork", libc::CLONE_VM | libc::CLONE_VFORK, Errno::EOPNOTSUPP, "its parent waits in vfork"),
    ] {
        refused_saying(what, expected, says, |log| bringing.logged(log).by_child(shared))?;
    }
    Ok(())
}
