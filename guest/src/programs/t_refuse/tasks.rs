// SPDX-License-Identifier: GPL-2.0-only

//! What about tasks cannot be carried. The caller is task 1, its child task 2.

use super::{checked, failed, Hold};
use crate::stage;
use crate::sys::{self, Birth, Forked};
use crate::{procfs, tree, wait};
use nix::sched::{sched_setaffinity, CpuSet};
use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;
use std::time::Duration;

/// Longer than any scenario.
const LONG: libc::timeval = libc::timeval {
    tv_sec: 3600,
    tv_usec: 0,
};
const NEVER: libc::timeval = libc::timeval { tv_sec: 0, tv_usec: 0 };

pub(super) const KINDS: &[(&str, Hold)] = &[
    ("thread", || {
        std::thread::spawn(|| loop {
            std::thread::park();
        });
        Ok(())
    }),
    ("zombie", || tree::spawn("zombie", || 0).and_then(|child| ended(child.pid))),
    ("namespace", || {
        child(Birth {
            namespaces: libc::CLONE_NEWPID as u64,
            ..Birth::default()
        })
        .map(drop)
    }),
    ("mount-namespace", || {
        child(Birth {
            namespaces: libc::CLONE_NEWNS as u64,
            ..Birth::default()
        })
        .map(drop)
    }),
    ("clone-files", || shared_by(libc::CLONE_FILES)),
    ("clone-fs", || shared_by(libc::CLONE_FS)),
    ("clone-vm", || with_same_memory(libc::CLONE_VM)),
    ("clone-sighand", || with_same_memory(libc::CLONE_VM | libc::CLONE_SIGHAND)),
    ("exit-signal", || {
        child(Birth {
            exit_signal: Some(libc::SIGUSR1),
            ..Birth::default()
        })
        .map(drop)
    }),
    ("stopped", || {
        let child = child(Birth::default())?;
        kill(child, Signal::SIGSTOP).map_err(failed("kill"))?;
        until("the child is not stopped", || {
            procfs::task(child.as_raw()).is_some_and(|task| task.state == 'T')
        })
    }),
    ("tracer", || {
        let child = child(Birth::default())?;
        // SAFETY: takes integers only.
        let seized = unsafe { libc::ptrace(libc::PTRACE_SEIZE, child.as_raw(), 0, 0) };
        checked("PTRACE_SEIZE", seized).map(drop)
    }),
    ("timer", || {
        let mut timer = std::ptr::null_mut();
        // SAFETY: the default event, and memory for the timer's id.
        let made = unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, std::ptr::null_mut(), &mut timer) };
        checked("timer_create", made).map(drop)
    }),
    ("itimer", || interval_timer(libc::ITIMER_REAL)),
    ("itimer-virtual", || interval_timer(libc::ITIMER_VIRTUAL)),
    ("alarm", || {
        nix::unistd::alarm::set(LONG.tv_sec as u32);
        Ok(())
    }),
    ("cpu-clock", sleep_on_cpu_clock),
    ("affinity", || {
        let mut cpus = CpuSet::new();
        cpus.set(0).map_err(failed("CpuSet"))?;
        sched_setaffinity(Pid::from_raw(0), &cpus).map_err(failed("sched_setaffinity"))
    }),
    ("policy", || {
        let priority = libc::sched_param { sched_priority: 1 };
        // SAFETY: the parameter is valid.
        let set = unsafe { libc::syscall(libc::SYS_sched_setscheduler, 0, libc::SCHED_FIFO, &priority) };
        checked("sched_setscheduler", set).map(drop)
    }),
    ("semaphore-undo", || {
        let mut add = libc::sembuf {
            sem_num: 0,
            sem_op: 1,
            sem_flg: libc::SEM_UNDO as i16,
        };
        // SAFETY: the operation is valid.
        unsafe {
            let id = checked("semget", libc::semget(libc::IPC_PRIVATE, 1, 0o600))?;
            checked("semop", libc::semop(id, &mut add, 1)).map(drop)
        }
    }),
];

fn until(otherwise: &str, come_about: impl FnMut() -> bool) -> Result<(), String> {
    wait::until(wait::scaled(Duration::from_secs(5)), otherwise, come_about)
}

fn ended(pid: i32) -> Result<(), String> {
    until("the child does not end", || procfs::is_exiting(pid))
}

/// A child that does nothing until SIGTERM.
fn child(birth: Birth<'_>) -> Result<Pid, String> {
    // SAFETY: the program has one thread.
    match unsafe { sys::fork(birth) } {
        // The pidfd is not kept: it would be refused first.
        Ok(Forked::Parent(pid, _)) => Ok(Pid::from_raw(pid)),
        Ok(Forked::Child) => std::process::exit(i32::from(stage::wait_for_term().is_err())),
        Err(err) => Err(format!("forking: {err}")),
    }
}

fn shared_by(flag: i32) -> Result<(), String> {
    let shared = flag as u64;
    // With CLONE_FILES the pidfd, which the child would not close, is closed for both.
    child(Birth {
        shared,
        ..Birth::default()
    })
    .map(drop)
}

extern "C" fn pause_for_ever(_: *mut libc::c_void) -> i32 {
    loop {
        // SAFETY: takes no arguments.
        unsafe { libc::pause() };
    }
}

/// A child with a stack of its own in the caller's memory.
fn with_same_memory(flags: i32) -> Result<(), String> {
    let stack: &'static mut [u128] = Box::leak(Box::new([0; 1024]));
    let top = stack.as_mut_ptr_range().end.cast();
    let nothing = std::ptr::null_mut();
    // SAFETY: the stack is there for ever, and the child makes one system call again and again.
    let pid = unsafe { libc::clone(pause_for_ever, top, flags | libc::SIGCHLD, nothing) };
    checked("clone", pid).map(drop)
}

fn interval_timer(which: libc::c_int) -> Result<(), String> {
    let once = libc::itimerval {
        it_interval: NEVER,
        it_value: LONG,
    };
    // SAFETY: the new value is valid, the old one is not wanted.
    let set = unsafe { libc::setitimer(which as _, &once, std::ptr::null_mut()) };
    checked("setitimer", set).map(drop)
}

/// A child that sleeps until its parent, which sleeps, has used a second of a processor.
fn sleep_on_cpu_clock() -> Result<(), String> {
    let mut clock = 0;
    // SAFETY: the clock's number goes to valid memory.
    let found = unsafe { libc::clock_getcpuclockid(libc::getpid(), &mut clock) };
    if found != 0 {
        return Err(format!("clock_getcpuclockid: {found}"));
    }
    let sleeper = tree::spawn("sleeper", || {
        let time = libc::timespec {
            tv_sec: LONG.tv_sec,
            tv_nsec: 0,
        };
        // SAFETY: the time is valid, the remainder is not wanted.
        let slept = unsafe { libc::clock_nanosleep(clock, 0, &time, std::ptr::null_mut()) };
        u8::from(slept == 0)
    })?;
    until("the child does not sleep", || {
        procfs::sleeps_in(sleeper.pid, libc::SYS_clock_nanosleep)
    })
}
