// SPDX-License-Identifier: GPL-2.0-only

//! Arguments that are wrong: flags, pids, descriptors and numbers that are none.

use super::{asleep, end, lead_session, refused, refused_beside, sleep};
use crate::edit::{file_of, Image};
use crate::puppet;
use crate::stage::expect;
use crate::sys::{self, Birth, RESTART_COORDINATOR, RESTART_NEW_PIDS};
use crate::tree;
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::wait::{waitpid, WaitStatus};
use nix::unistd::{getpid, Pid};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};

/// A pid that nobody has.
const NOBODY: i32 = 4_000_000;
/// A number that no descriptor of this program has.
const CLOSED: i32 = 1_000;

/// Flags, pids and descriptors.
pub(super) fn arguments(image: &Image) -> Result<(), String> {
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
    refused("an image of who is not the root", Errno::EBADF, || sys::restart(1, fd, own, None))?;
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

/// Numbers for descriptors that are none.
pub(super) fn descriptors(image: &Image) -> Result<(), String> {
    let me = getpid().as_raw();
    let whole = file_of(&image.bytes())?;
    let fd = whole.as_raw_fd();
    let own = sys::restart_as(image.root()?);
    let coordinate = own | RESTART_COORDINATOR;
    let child = tree::spawn("child", sleep)?;
    let out = File::create("t_calls.out").map_err(|e| format!("t_calls.out: {e}"))?;
    let out = out.as_raw_fd();
    for number in [CLOSED, i32::MAX, -2, i32::MIN] {
        refused(&format!("fd {number}"), Errno::EBADF, || sys::restart_by_number(me, number, own, -1))?;
    }
    for number in [CLOSED, i32::MAX, -1, -2, i32::MIN] {
        refused(&format!("a coordinator's fd {number}"), Errno::EBADF, || {
            sys::restart_by_number(child.pid, number, coordinate, -1)
        })?;
        refused(&format!("checkpoint: fd {number}"), Errno::EBADF, || {
            sys::checkpoint_by_number(0, number, 0, -1)
        })?;
    }
    for number in [CLOSED, i32::MAX, -2, i32::MIN] {
        refused(&format!("logfd {number}"), Errno::EBADF, || sys::restart_by_number(me, fd, own, number))?;
        refused(&format!("a coordinator's logfd {number}"), Errno::EBADF, || {
            sys::restart_by_number(child.pid, fd, coordinate, number)
        })?;
        refused(&format!("checkpoint: logfd {number}"), Errno::EBADF, || {
            sys::checkpoint_by_number(0, out, 0, number)
        })?;
    }
    end(child.pid);
    Ok(())
}

/// A root waits for its coordinator, whose calls are wrong by themselves: it learns nothing of them.
pub(super) fn beside_a_root_that_waits(image: &Image) -> Result<(), String> {
    let whole = file_of(&image.bytes())?;
    let flags = sys::restart_as(image.root()?);
    let coordinate = flags | RESTART_COORDINATOR;
    let [root] = puppet::prepare(["root"])?;
    root.make(Birth::default(), lead_session, |_| sys::restart(getpid().as_raw(), None, flags, None))?;
    let pid = root.pid()?;
    root.order(0);
    asleep("a root without a coordinator", pid)?;
    let fd = whole.as_raw_fd();
    let write_only = File::create("t_calls.out").map_err(|e| format!("t_calls.out: {e}"))?;
    let unread = File::open("/proc/self/mem").map_err(|e| format!("/proc/self/mem: {e}"))?;
    for (what, expected, fd, flags, logfd) in [
        ("unknown flags", Errno::EINVAL, fd, coordinate | 1 << 7, -1),
        ("a closed fd", Errno::EBADF, CLOSED, coordinate, -1),
        ("no fd", Errno::EBADF, -1, coordinate, -1),
        ("a negative fd", Errno::EBADF, -2, coordinate, -1),
        ("an fd that is not readable", Errno::EBADF, write_only.as_raw_fd(), coordinate, -1),
        ("an fd that the kernel does not read", Errno::EINVAL, unread.as_raw_fd(), coordinate, -1),
        ("a closed logfd", Errno::EBADF, fd, coordinate, CLOSED),
        ("a negative logfd", Errno::EBADF, fd, coordinate, -2),
    ] {
        let what = format!("{what}, while the root waits");
        refused_beside(&what, expected, || sys::restart_by_number(pid, fd, flags, logfd))?;
        // Who has been told of an attempt does not sleep in restart again.
        asleep(&format!("{what}: it"), pid)?;
    }
    root.signal(Signal::SIGUSR1)?;
    root.expect(Err(Errno::EINTR))?;
    root.dismiss();
    let ended = waitpid(Pid::from_raw(pid), None).map_err(|e| format!("waitpid: {e}"))?;
    expect("the end of the root", WaitStatus::Exited(Pid::from_raw(pid), 0), ended)
}
