// SPDX-License-Identifier: GPL-2.0-only

//! What the kernel is to do when a task ends it still does after a restart: the
//! owner of a robust futex dies, and who waits for it is told; a thread ends, and
//! the word of set_tid_address is cleared and woken.
//!
//! Arguments: STATUS. Pids must stay what they are: the futex holds one.

use crate::procfs;
use crate::shared::Words;
use crate::stage::{self, expect, Stage};
use crate::sys::{futex_wait, Scope};
use crate::tree::{self, Child};
use crate::wait;
use nix::errno::Errno;
use nix::sys::signal::{kill, Signal};
use nix::sys::wait::{waitpid, WaitStatus};
use nix::unistd::Pid;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The robust futex.
const HELD: usize = 0;
/// The word that is cleared at the end of a thread.
const TID: usize = 1;

/// How long may go by until a waiter has been told.
fn soon() -> Duration {
    wait::scaled(Duration::from_secs(5))
}

/// An entry of a robust list; as the last one it points to the list's head.
#[repr(C)]
struct Entry {
    next: *const Entry,
}

/// The head of a robust list, as `struct robust_list_head`.
#[repr(C)]
struct Head {
    list: Entry,
    futex_offset: libc::c_long,
    pending: *const Entry,
}

/// Tells the kernel that the caller holds `word`.
fn hold(word: &AtomicU32) -> Result<(), String> {
    let none = std::ptr::null();
    // They are there until the task is gone.
    let entry = Box::leak(Box::new(Entry { next: none }));
    let offset = word.as_ptr() as libc::c_long - &raw const *entry as libc::c_long;
    let head = Box::leak(Box::new(Head {
        list: Entry { next: entry },
        futex_offset: offset,
        pending: none,
    }));
    entry.next = &raw const head.list;
    // SAFETY: takes no arguments.
    let tid = unsafe { libc::gettid() } as u32;
    word.store(tid | libc::FUTEX_WAITERS, Ordering::SeqCst);
    // SAFETY: the list lives as long as the task.
    let told = unsafe { libc::syscall(libc::SYS_set_robust_list, &raw const *head, size_of::<Head>()) };
    Errno::result(told).map(drop).map_err(|e| format!("set_robust_list: {e}"))
}

fn holder(stage: &Stage, words: Words) -> Result<(), String> {
    hold(words.word(HELD))?;
    stage.ready()?;
    loop {
        nix::unistd::pause();
    }
}

/// Waits once for the word to change; it must be woken, and find `expected`.
fn waiter(stage: &Stage, word: &AtomicU32, expected: u32) -> Result<(), String> {
    let mut first = 0;
    wait::until(soon(), "the word has no value", || {
        first = word.load(Ordering::SeqCst);
        first != 0
    })?;
    stage.ready()?;
    expect("the wait", Ok(()), futex_wait(word, first, Scope::Shared, None))?;
    expect("the word", expected, word.load(Ordering::SeqCst))
}

/// Ends its first thread while a second one lives: only for memory that somebody else uses as well
/// does the kernel clear the word.
fn leaver(stage: &Stage, words: Words) -> Result<(), String> {
    let word = words.word(TID);
    // SAFETY: the word is shared memory, which nobody unmaps.
    let tid = unsafe { libc::syscall(libc::SYS_set_tid_address, word.as_ptr()) };
    word.store(tid as u32, Ordering::SeqCst);
    stage.ready()?;
    stage::wait_for_term()?;
    let other = stage.named("leaver")?;
    std::thread::spawn(move || {
        let otherwise = "its word is not cleared";
        let cleared = wait::until(soon(), otherwise, || word.load(Ordering::SeqCst) == 0);
        std::process::exit(other.verdict(cleared).into())
    });
    // SAFETY: ends this thread alone; what is on its stack is not dropped.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
    Err("exit came back".to_owned())
}

fn until_told(child: &Child) -> Result<(), String> {
    let otherwise = format!("{} has not been told", child.name);
    wait::until(soon(), &otherwise, || procfs::is_exiting(child.pid))
}

fn run(stage: &Stage) -> Result<(), String> {
    let words = Words::map(2)?;
    let spawn = |name: &'static str, body: &dyn Fn(&Stage) -> Result<(), String>| {
        tree::spawn(name, || stage.verdict_of(name, body))
    };
    let holder = spawn("holder", &|stage| holder(stage, words))?;
    let died = libc::FUTEX_WAITERS | libc::FUTEX_OWNER_DIED;
    let survivor = spawn("survivor", &|stage| waiter(stage, words.word(HELD), died))?;
    let leaver = spawn("leaver", &|stage| leaver(stage, words))?;
    let joiner = spawn("joiner", &|stage| waiter(stage, words.word(TID), 0))?;
    stage.ready()?;
    stage::wait_for_term()?;
    let signal = |child: &Child, signal: Signal| {
        kill(Pid::from_raw(child.pid), signal).map_err(|e| format!("{signal} to {}: {e}", child.name))
    };
    signal(&holder, Signal::SIGKILL)?;
    let holder = Pid::from_raw(holder.pid);
    let ended = waitpid(holder, None).map_err(|e| format!("waiting for the holder: {e}"))?;
    expect("the holder's end", WaitStatus::Signaled(holder, Signal::SIGKILL, false), ended)?;
    until_told(&survivor)?;
    signal(&leaver, Signal::SIGTERM)?;
    until_told(&joiner)?;
    tree::reap(&[survivor, leaver, joiner], true)
}

/// Runs with the arguments of the process.
pub fn main() -> ExitCode {
    stage::run_named("root", run)
}
