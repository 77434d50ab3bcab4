// SPDX-License-Identifier: GPL-2.0-only

//! SIGINT and SIGTERM while a tree is made and restarted: they kill its root,
//! or the container's init, and with it a restart that is stuck. mktree itself
//! lives on to bury the tree and to say so.

use super::NOT_MADE;
use crate::sys;
use nix::errno::Errno;
use nix::sys::signal::{sigaction, SaFlags, SigAction, SigHandler, SigSet, Signal};
use std::os::fd::{BorrowedFd, IntoRawFd, OwnedFd};
use std::sync::atomic::{AtomicI32, Ordering};

const SIGNALS: [Signal; 2] = [Signal::SIGINT, Signal::SIGTERM];

/// The pidfd of who is killed, which is not closed; -1: nobody has been made yet. Once the process has
/// been reaped, its pid may be another's.
static TARGET: AtomicI32 = AtomicI32::new(-1);

extern "C" fn on_signal(_: libc::c_int) {
    match TARGET.load(Ordering::SeqCst) {
        // What has just been forked dies with its parent.
        // SAFETY: ends the process at once; allowed in a handler.
        ..0 => unsafe { libc::_exit(NOT_MADE.into()) },
        target => {
            // SAFETY: `aim_at` has given the descriptor away for good.
            let target = unsafe { BorrowedFd::borrow_raw(target) };
            let before = Errno::last_raw();
            // One that has ended needs no signal.
            let _ = sys::signal_by(target, libc::SIGKILL);
            Errno::set_raw(before);
        }
    }
}

fn set(handler: SigHandler) -> Result<(), String> {
    // Without SA_RESTART: a coordinator's restart(2) ends too.
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    for signal in SIGNALS {
        // SAFETY: the handler makes system calls and reads an atomic only.
        unsafe { sigaction(signal, &action) }.map_err(|e: Errno| format!("sigaction: {e}"))?;
    }
    Ok(())
}

/// From now on the signals end the restart, whatever the caller's parent has blocked or ignored.
pub fn watch() -> Result<(), String> {
    set(SigHandler::Handler(on_signal))?;
    let signals: SigSet = SIGNALS.into_iter().collect();
    signals
        .thread_unblock()
        .map_err(|e| format!("sigprocmask: {e}"))
}

/// The process of this pidfd is whom they kill.
pub fn aim_at(target: OwnedFd) {
    TARGET.store(target.into_raw_fd(), Ordering::SeqCst);
}

/// Has children wait to be reaped, which the caller's parent may have changed.
pub fn keep_children() -> Result<(), String> {
    let action = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: no handler is installed.
    let set = unsafe { sigaction(Signal::SIGCHLD, &action) };
    set.map(drop).map_err(|e| format!("sigaction: {e}"))
}

/// The tree runs, and is about to be told of: from now on the signals wait for who takes them.
pub fn hand_over() -> nix::Result<SigSet> {
    let signals: SigSet = SIGNALS.into_iter().collect();
    signals.thread_block().map(|()| signals)
}

/// In a process that was forked: the signals are its own again.
pub fn forget() {
    // Cannot fail: both signals have actions.
    let _ = set(SigHandler::SigDfl);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{Birth, Forked};
    use nix::sys::signal::raise;
    use nix::sys::wait::{waitpid, WaitPidFlag, WaitStatus};
    use nix::unistd::Pid;

    /// How a process ends that does this and makes system calls only.
    fn end_of(body: fn() -> nix::Result<i32>) -> WaitStatus {
        // SAFETY: the child allocates nothing and takes no locks.
        match unsafe { sys::fork(Birth::default()) }.unwrap() {
            Forked::Child => {
                let status = body().unwrap_or(99);
                // SAFETY: ends the process at once.
                unsafe { libc::_exit(status) }
            }
            Forked::Parent(pid, _pidfd) => waitpid(Pid::from_raw(pid), None).unwrap(),
        }
    }

    fn code(status: WaitStatus) -> Option<i32> {
        match status {
            WaitStatus::Exited(_, code) => Some(code),
            _ => None,
        }
    }

    #[test]
    fn signals_that_were_blocked_end_the_restart() {
        let ended = end_of(|| {
            hand_over()?;
            watch().map_err(|_| Errno::EINVAL)?;
            raise(Signal::SIGTERM)?;
            Ok(0)
        });
        assert_eq!(code(ended), Some(NOT_MADE.into()));
    }

    /// A process that waits for a signal.
    fn sleeper() -> nix::Result<(Pid, OwnedFd)> {
        // SAFETY: the child makes system calls only.
        match unsafe { sys::fork(Birth::default()) }? {
            Forked::Parent(pid, pidfd) => Ok((Pid::from_raw(pid), pidfd)),
            Forked::Child => loop {
                nix::unistd::pause();
            },
        }
    }

    #[test]
    fn who_has_been_reaped_is_aimed_at_in_vain() {
        let ended = end_of(|| {
            let (target, pidfd) = sleeper()?;
            watch().map_err(|_| Errno::EINVAL)?;
            aim_at(pidfd);
            raise(Signal::SIGINT)?;
            waitpid(target, None)?;
            raise(Signal::SIGINT)?;
            Ok(7)
        });
        assert_eq!(code(ended), Some(7));
    }

    #[test]
    fn children_wait_to_be_reaped_below_one_who_ignores_them() {
        let ended = end_of(|| {
            // SAFETY: no handler is installed.
            unsafe { nix::sys::signal::signal(Signal::SIGCHLD, SigHandler::SigIgn) }?;
            keep_children().map_err(|_| Errno::EINVAL)?;
            let (child, pidfd) = sleeper()?;
            {
                use std::os::fd::AsFd;
                sys::signal_by(pidfd.as_fd(), libc::SIGKILL)?;
            }
            waitpid(child, Some(WaitPidFlag::__WALL))?;
            Ok(7)
        });
        assert_eq!(code(ended), Some(7));
    }
}
