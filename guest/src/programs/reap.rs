// SPDX-License-Identifier: GPL-2.0-only

//! Runs a program as the init of what it leaves behind: adopts the orphans of
//! one that makes itself a daemon, passes signals on, and ends when nobody is
//! left, with the first exit status that was not 0.
//!
//! Arguments: PROGRAM [ARGUMENT...]. It is the root of the tree, so that
//! program and daemon are saved and restarted as one.

use crate::procfs;
use crate::sys::{self, Birth, Forked};
use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::{kill, SigSet, Signal};
use nix::sys::wait::{waitpid, WaitPidFlag, WaitStatus};
use nix::unistd::{execvp, getpid, Pid};
use std::ffi::CString;
use std::process::ExitCode;

/// What is passed on.
const PASSED_ON: [Signal; 6] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
];
/// Exit status when the program could not be run.
const NOT_RUN: u8 = 127;

/// Runs with the arguments of the process.
pub fn main() -> ExitCode {
    match reap() {
        Ok(status) => ExitCode::from(status),
        Err(why) => {
            eprintln!("reap: {why}");
            ExitCode::from(NOT_RUN)
        }
    }
}

fn reap() -> Result<u8, String> {
    let argv = std::env::args()
        .skip(1)
        .map(|arg| CString::new(arg).map_err(|e| format!("argument with a zero byte: {e}")))
        .collect::<Result<Vec<_>, _>>()?;
    let program = argv.first().ok_or("usage: reap PROGRAM [ARGUMENT...]")?;
    prctl::set_child_subreaper(true).map_err(|e| format!("PR_SET_CHILD_SUBREAPER: {e}"))?;
    let mut awaited: SigSet = PASSED_ON.into_iter().collect();
    awaited.add(Signal::SIGCHLD);
    let before = awaited
        .thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_BLOCK)
        .map_err(|e| format!("sigprocmask: {e}"))?;
    // SAFETY: this program has one thread.
    match unsafe { sys::fork(Birth::default()) } {
        Err(err) => return Err(format!("fork: {err}")),
        Ok(Forked::Parent(..)) => (),
        Ok(Forked::Child) => {
            let Err(err) = before.thread_set_mask().and_then(|()| execvp(program, &argv));
            eprintln!("reap: executing {}: {err}", program.to_string_lossy());
            // SAFETY: ends the process at once, which runs nothing of the program.
            unsafe { libc::_exit(NOT_RUN.into()) }
        }
    }
    let mut status = 0;
    loop {
        match awaited.wait() {
            Ok(Signal::SIGCHLD) => {
                if !anybody_left(&mut status)? {
                    return Ok(status);
                }
            }
            Ok(signal) => pass_on(signal)?,
            Err(Errno::EINTR) => (),
            Err(err) => return Err(format!("sigwait: {err}")),
        }
    }
}

/// Buries who has ended; whether there are others.
fn anybody_left(status: &mut u8) -> Result<bool, String> {
    loop {
        let ended = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => return Ok(true),
            Err(Errno::ECHILD) => return Ok(false),
            Err(Errno::EINTR) => continue,
            Err(err) => return Err(format!("waitpid: {err}")),
            // A status has 8 bits.
            Ok(WaitStatus::Exited(_, code)) => code as u8,
            Ok(WaitStatus::Signaled(_, signal, _)) => 128 + signal as u8,
            Ok(_) => continue,
        };
        if *status == 0 {
            *status = ended;
        }
    }
}

fn pass_on(signal: Signal) -> Result<(), String> {
    let me = getpid().as_raw();
    let tasks = procfs::tasks().map_err(|e| format!("/proc: {e}"))?;
    for task in tasks.iter().filter(|task| task.ppid == me) {
        // One that has just ended needs no signal any more.
        let _ = kill(Pid::from_raw(task.pid), signal);
    }
    Ok(())
}
