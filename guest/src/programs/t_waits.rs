// SPDX-License-Identifier: GPL-2.0-only

//! Waits that time ends, each in a task of its own: one that is restarted
//! meanwhile waits for what is left, not less, and not all over again.
//!
//! Arguments: STATUS [MILLISECONDS] [KIND...]. Without kinds, all of them.

use crate::lived::Lived;
use crate::signals;
use crate::stage::{self, expect, Stage};
use crate::sys::{futex_wait, Scope};
use crate::tree;
use nix::errno::Errno;
use nix::sys::signal::{kill, Signal};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use std::process::ExitCode;
use std::ptr;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// Waits as long as it is told.
type Wait = fn(Duration) -> Result<(), String>;

const WAITS: [(&str, Wait); 7] = [
    ("nanosleep", nanosleep),
    ("clock_nanosleep", clock_nanosleep),
    ("futex", futex),
    ("poll", poll),
    ("ppoll", ppoll),
    ("select", select),
    ("pselect", pselect),
];

fn timespec(time: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: time.as_secs() as libc::time_t,
        tv_nsec: time.subsec_nanos().into(),
    }
}

/// Fails unless the call ended because the time was over.
fn over(result: i32) -> Result<(), String> {
    expect("the result", Ok(0), Errno::result(result))
}

fn nanosleep(time: Duration) -> Result<(), String> {
    // SAFETY: the request is valid, the remainder is not wanted.
    over(unsafe { libc::nanosleep(&timespec(time), ptr::null_mut()) })
}

fn clock_nanosleep(time: Duration) -> Result<(), String> {
    let (clock, mut left) = (libc::CLOCK_MONOTONIC, timespec(Duration::ZERO));
    // SAFETY: the request and the remainder are valid.
    let result = unsafe { libc::clock_nanosleep(clock, 0, &timespec(time), &mut left) };
    expect("the result", 0, result)
}

fn futex(time: Duration) -> Result<(), String> {
    let word = AtomicU32::new(0);
    let found = futex_wait(&word, 0, Scope::Private, Some(time));
    expect("the result", Err(Errno::ETIMEDOUT), found)
}

fn poll(time: Duration) -> Result<(), String> {
    // SAFETY: no descriptors are given.
    over(unsafe { libc::poll(ptr::null_mut(), 0, time.as_millis() as i32) })
}

fn ppoll(time: Duration) -> Result<(), String> {
    // SAFETY: no descriptors and no mask are given, the time is valid.
    over(unsafe { libc::ppoll(ptr::null_mut(), 0, &timespec(time), ptr::null()) })
}

fn select(time: Duration) -> Result<(), String> {
    let none = ptr::null_mut();
    let mut time = libc::timeval {
        tv_sec: time.as_secs() as libc::time_t,
        tv_usec: time.subsec_micros().into(),
    };
    // SAFETY: no descriptors are given, the time is valid.
    over(unsafe { libc::select(0, none, none, none, &mut time) })
}

/// With a mask for the time of the call alone.
fn pselect(time: Duration) -> Result<(), String> {
    let none = ptr::null_mut();
    signals::block(libc::SIGUSR2)?;
    // SAFETY: an all-zero set is empty.
    let mask: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: no descriptors are given, the time and the mask are valid.
    over(unsafe { libc::pselect(0, none, none, none, &timespec(time), &mask) })?;
    expect("SIGUSR2 blocked again", true, signals::is_blocked(libc::SIGUSR2))
}

fn run(stage: &Stage) -> Result<(), String> {
    let time = Duration::from_millis(stage.number(0, 4000)?);
    let kinds = stage.args.get(1..).unwrap_or_default();
    if let Some(other) = kinds.iter().find(|kind| !WAITS.iter().any(|(name, _)| name == kind)) {
        return Err(format!("there is no wait {other:?}"));
    }
    let (lived, clock) = Lived::keep()?;
    let chosen = |name: &str| kinds.is_empty() || kinds.iter().any(|kind| kind == name);
    let mut children = Vec::new();
    for (name, wait) in WAITS.iter().filter(|(name, _)| chosen(name)) {
        children.push(tree::spawn(name, || {
            stage.verdict_of(name, |stage| {
                stage.ready()?;
                lived.expect(time, || wait(time))
            })
        })?);
    }
    for child in &children {
        // It has told of its failure.
        waitpid(Pid::from_raw(child.pid), None).map_err(|e| format!("waiting for {}: {e}", child.name))?;
    }
    let clock = Pid::from_raw(clock.pid);
    kill(clock, Signal::SIGKILL).map_err(|e| format!("killing the clock: {e}"))?;
    waitpid(clock, None).map(drop).map_err(|e| format!("waiting for the clock: {e}"))
}

/// Runs with the arguments of the process.
pub fn main() -> ExitCode {
    stage::run_named("root", run)
}
