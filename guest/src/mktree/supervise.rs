// SPDX-License-Identifier: GPL-2.0-only

//! What the parent of the root does: waits until the tree stands, coordinates
//! the restart or waits for the root to have done so, and afterwards for the
//! tree's end. A root may send no signal when it ends, as it was made to: only
//! waits with __WALL see such an end.

use super::log::Log;
use super::report::{Report, Reports};
use super::task::Site;
use super::{faults, Mode, NOT_MADE, REFUSED};
use crate::cli::Failure;
use crate::procfs;
use crate::sys;
use nix::errno::Errno;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::signal::{kill, SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{waitid, waitpid, Id, WaitPidFlag, WaitStatus};
use nix::unistd::Pid;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// How long killed tasks may take to be gone.
const BURIAL: Duration = Duration::from_secs(10);

/// Sees the restart through; `root` is the root's pid as the caller sees it.
pub fn restart(site: &Site, root: i32, reports: &mut Reports) -> Result<(), Failure> {
    match reports.next_report() {
        Report::Done => (),
        Report::Failed(failure) => return Err(failure),
        Report::End => {
            return Err(Failure::new(
                NOT_MADE,
                "the tasks died while the tree was being made",
            ))
        }
    }
    faults::send_stranger(site, root).map_err(|why| Failure::new(NOT_MADE, why))?;
    match site.options.mode {
        Mode::Coordinator => coordinate(site, root),
        Mode::Root => attend(site, root, reports),
    }
}

fn coordinate(site: &Site, root: i32) -> Result<(), Failure> {
    let flags = site.flags(0) | sys::RESTART_COORDINATOR;
    match sys::restart(root, Some(site.image.as_fd()), flags, Some(site.log.fd())) {
        Ok(_) => Ok(()),
        Err(err) => Err(with_log(refusal(err), &site.log)),
    }
}

/// Waits until no task of the tree has its end of the reports any more: the
/// kernel replaced their descriptors, or they died.
fn attend(site: &Site, root: i32, reports: &mut Reports) -> Result<(), Failure> {
    let mut refused = None;
    loop {
        match reports.next_report() {
            Report::Done => (),
            // The root, which logs for all, may not have done so yet: it has when nobody is left.
            Report::Failed(failure) if failure.status == REFUSED => {
                refused.get_or_insert(failure.why);
            }
            Report::Failed(failure) => return Err(with_log(failure.why, &site.log)),
            Report::End => break,
        }
    }
    if let Some(why) = refused {
        return Err(with_log(why, &site.log));
    }
    // The kernel logs a failure before it lets go of the reports.
    let why = match was_ended(root)? {
        Some(Signal::SIGKILL) => "the kernel ended the half-restored tree".to_owned(),
        Some(signal) => format!("{signal} ended the root before it ran"),
        None if site.log.line().is_some() => "the kernel ended the half-restored tree".to_owned(),
        None => return Ok(()),
    };
    Err(with_log(why, &site.log))
}

/// The signal by which the root, which has let go of its end of the reports, was ended, if it was by one
/// that ends a restart. A task that dies lets go while it exits; one that has been restored may have run to its
/// end since, and one that gets such a signal right then counts as ended before.
fn was_ended(root: i32) -> Result<Option<Signal>, Failure> {
    const ENDING: [Signal; 5] = [
        Signal::SIGKILL,
        Signal::SIGHUP,
        Signal::SIGINT,
        Signal::SIGQUIT,
        Signal::SIGTERM,
    ];
    if !procfs::is_exiting(root) {
        return Ok(None);
    }
    let peek = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT | WaitPidFlag::__WALL;
    loop {
        return match waitid(Id::Pid(Pid::from_raw(root)), peek) {
            Ok(WaitStatus::Signaled(_, signal, _)) => {
                Ok(ENDING.contains(&signal).then_some(signal))
            }
            Ok(_) => Ok(None),
            Err(Errno::EINTR) => continue,
            Err(err) => Err(Failure::new(
                REFUSED,
                format_args!("watching the root: {err}"),
            )),
        };
    }
}

/// The words for an errno of restart(2).
pub fn refusal(err: Errno) -> String {
    format!("the kernel refused the restart: {err}")
}

/// The failure, with the line that the kernel has logged about it.
fn with_log(why: String, log: &Log) -> Failure {
    match log.line() {
        Some(line) => Failure::new(REFUSED, format_args!("{why}: {line}")),
        None => Failure::new(REFUSED, why),
    }
}

/// Kills the tasks of the tree and reaps what becomes the caller's child; tells whether all are gone.
/// The caller adopts the tree's orphans.
pub fn bury(site: &Site, root: i32) -> bool {
    let mut doomed = vec![root];
    if site.options.pids == super::Pids::New {
        doomed.extend((0..site.plan.tasks.len()).map(|index| site.pid(index)));
    }
    bury_those(doomed)
}

/// Kills each of `doomed` once it is the caller's child: the pid of anybody else's child, who may
/// have been reaped, may be another process's by now.
fn bury_those(mut doomed: Vec<i32>) -> bool {
    doomed.retain(|pid| *pid > 0);
    let start = Instant::now();
    loop {
        doomed.retain(|pid| !kill_child(*pid));
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG | WaitPidFlag::__WALL)) {
                Err(Errno::ECHILD) => return true,
                Ok(WaitStatus::StillAlive) => break,
                _ => (),
            }
        }
        if start.elapsed() > BURIAL {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Kills a living child of the caller; whether it is one.
fn kill_child(pid: i32) -> bool {
    let pid = Pid::from_raw(pid);
    let peek =
        WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT | WaitPidFlag::WNOHANG | WaitPidFlag::__WALL;
    waitid(Id::Pid(pid), peek) == Ok(WaitStatus::StillAlive) && kill(pid, Signal::SIGKILL).is_ok()
}

/// The exit status that stands for how a child ended.
fn status_of(status: WaitStatus) -> Option<u8> {
    match status {
        WaitStatus::Exited(_, code) => Some(code as u8),
        WaitStatus::Signaled(_, signal, _) => Some(128 + signal as i32 as u8),
        _ => None,
    }
}

/// Waits until `child` has ended and gives its status. `signals` are blocked: SIGINT
/// kills the child, SIGTERM is left to the tree.
pub fn outlive(child: i32, signals: &SigSet) -> Result<u8, Failure> {
    let failure = |err: Errno| Failure::new(REFUSED, format_args!("waiting for the tree: {err}"));
    let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
    let interrupts = SignalFd::with_flags(signals, flags).map_err(failure)?;
    let end = sys::pidfd(child).map_err(failure)?;
    let child = Pid::from_raw(child);
    loop {
        let look = WaitPidFlag::WNOHANG | WaitPidFlag::__WALL;
        match waitpid(child, Some(look)).map(status_of) {
            Ok(Some(status)) => return Ok(status),
            Ok(None) => (),
            Err(err) => return Err(failure(err)),
        }
        let news = [end.as_fd(), interrupts.as_fd()];
        let mut news = news.map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        match poll(&mut news, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => (),
            Err(err) => return Err(failure(err)),
        }
        while let Some(signal) = interrupts.read_signal().map_err(failure)? {
            if signal.ssi_signo == Signal::SIGINT as u32 {
                let _ = kill(child, Signal::SIGKILL);
            }
        }
    }
}

/// As init of a pid namespace: reaps until nobody is left, and gives the
/// status with which `root` ended.
pub fn reap_all(root: i32) -> u8 {
    let mut status = 0;
    loop {
        match waitpid(None, Some(WaitPidFlag::__WALL)) {
            Ok(ended) if ended.pid() == Some(Pid::from_raw(root)) => {
                status = status_of(ended).unwrap_or(status);
            }
            Err(Errno::ECHILD) => return status,
            _ => (),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{Birth, Forked};
    use nix::unistd::pause;
    use std::process::Command;

    /// The pid of a process that waits for a signal.
    fn sleeper() -> i32 {
        // SAFETY: the child makes one system call.
        match unsafe { sys::fork(Birth::default()) } {
            Ok(Forked::Parent(pid, _pidfd)) => pid,
            Ok(Forked::Child) => loop {
                pause();
            },
            Err(_) => 0,
        }
    }

    #[test]
    fn who_is_nobodys_child_here_is_not_buried() {
        let mut other = Command::new("sleep").arg("60").spawn().unwrap();
        let doomed = vec![0, 0, other.id() as i32];
        // SAFETY: the child allocates nothing.
        let burial = match unsafe { sys::fork(Birth::default()) }.unwrap() {
            Forked::Parent(pid, _pidfd) => Pid::from_raw(pid),
            Forked::Child => {
                let mut doomed = doomed;
                doomed[0] = sleeper();
                doomed[1] = sleeper();
                let buried = doomed[0] > 0 && doomed[1] > 0 && bury_those(doomed);
                // SAFETY: ends the process at once.
                unsafe { libc::_exit(i32::from(!buried)) }
            }
        };
        let ended = waitpid(burial, None);
        let lives = other.try_wait().unwrap().is_none();
        other.kill().unwrap();
        other.wait().unwrap();
        assert_eq!(ended, Ok(WaitStatus::Exited(burial, 0)));
        assert!(lives, "another's child was killed");
    }
}
