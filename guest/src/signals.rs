// SPDX-License-Identifier: GPL-2.0-only

//! Signals by number, real-time ones included, and a handler that keeps a
//! record of what it was given.

use nix::errno::Errno;
use std::mem;
use std::ptr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Deliveries that are kept.
const KEPT: usize = 32;

static COUNT: AtomicUsize = AtomicUsize::new(0);
static RECORDS: [[AtomicU64; 4]; KEPT] = [const { [const { AtomicU64::new(0) }; 4] }; KEPT];

/// One call of the handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// Which signal.
    pub signo: i32,
    /// `si_code`: who sent it how.
    pub code: i32,
    /// `si_value` as an integer; meaningful when queued.
    pub value: i32,
    /// An address on the stack that the handler ran on.
    pub stack: u64,
}

extern "C" fn on_signal(signo: i32, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    let at = COUNT.fetch_add(1, Ordering::SeqCst);
    let Some(record) = RECORDS.get(at) else {
        return;
    };
    let here = 0u8;
    // SAFETY: the kernel passes a valid siginfo to a SA_SIGINFO handler.
    let (code, value) = unsafe { ((*info).si_code, (*info).si_value().sival_ptr as i32) };
    let fields = [
        signo as u64,
        code as u64,
        value as u64,
        &raw const here as u64,
    ];
    for (slot, field) in record.iter().zip(fields) {
        slot.store(field, Ordering::SeqCst);
    }
}

/// What the handler was called with so far, in order.
pub fn deliveries() -> Vec<Delivery> {
    let count = COUNT.load(Ordering::SeqCst);
    RECORDS
        .iter()
        .take(count)
        .map(|record| {
            let field = |at: usize| record[at].load(Ordering::SeqCst);
            Delivery {
                signo: field(0) as i32,
                code: field(1) as i32,
                value: field(2) as i32,
                stack: field(3),
            }
        })
        .collect()
}

fn checked(what: &str, signo: i32, result: i32) -> Result<(), String> {
    Errno::result(result)
        .map(drop)
        .map_err(|e| format!("signal {signo}: {what}: {e}"))
}

/// Installs the recording handler with `flags` besides SA_SIGINFO.
pub fn record(signo: i32, flags: i32) -> Result<(), String> {
    // SAFETY: an all-zero sigaction is valid: no flags, empty mask.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = on_signal as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | flags;
    // SAFETY: the handler touches atomics only; action is valid.
    checked("sigaction", signo, unsafe {
        libc::sigaction(signo, &action, ptr::null_mut())
    })
}

/// Fails unless the recording handler is installed with exactly these flags.
pub fn expect_recorded(signo: i32, flags: i32) -> Result<(), String> {
    // SAFETY: as above; the call only writes to action.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    // SAFETY: the new action is none, the old one goes to valid memory.
    checked("sigaction", signo, unsafe {
        libc::sigaction(signo, ptr::null(), &mut action)
    })?;
    let handler = on_signal as *const () as usize;
    // The C library adds the flag that names its restorer.
    const SA_RESTORER: i32 = 0x0400_0000;
    let found = (action.sa_sigaction, action.sa_flags & !SA_RESTORER);
    crate::stage::expect(
        &format!("action of signal {signo}"),
        (handler, libc::SA_SIGINFO | flags),
        found,
    )
}

fn set_of(signo: i32) -> libc::sigset_t {
    // SAFETY: both calls write to the set alone; a wrong number leaves it empty.
    unsafe {
        let mut set = mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, signo);
        set
    }
}

/// Blocks a signal.
pub fn block(signo: i32) -> Result<(), String> {
    let set = set_of(signo);
    // SAFETY: the set is valid, the old mask not wanted.
    checked("blocking", signo, unsafe {
        libc::sigprocmask(libc::SIG_BLOCK, &set, ptr::null_mut())
    })
}

/// Unblocks a signal; what was pending has been delivered on return.
pub fn unblock(signo: i32) -> Result<(), String> {
    let set = set_of(signo);
    // SAFETY: the set is valid, the old mask not wanted.
    checked("unblocking", signo, unsafe {
        libc::sigprocmask(libc::SIG_UNBLOCK, &set, ptr::null_mut())
    })
}

/// Whether a signal is blocked.
pub fn is_blocked(signo: i32) -> bool {
    let mut set = set_of(0);
    // SAFETY: no new mask; the old one goes to valid memory.
    unsafe {
        libc::sigprocmask(libc::SIG_BLOCK, ptr::null(), &mut set) == 0
            && libc::sigismember(&set, signo) == 1
    }
}

/// Whether a signal is pending.
pub fn is_pending(signo: i32) -> bool {
    let mut set = set_of(0);
    // SAFETY: the call writes to the set alone.
    unsafe { libc::sigpending(&mut set) == 0 && libc::sigismember(&set, signo) == 1 }
}

/// Queues a signal with a value for the caller's own process.
pub fn queue(signo: i32, value: i32) -> Result<(), String> {
    let value = libc::sigval {
        sival_ptr: value as usize as *mut libc::c_void,
    };
    // SAFETY: plain values; the pointer is carried, never followed.
    checked("sigqueue", signo, unsafe {
        libc::sigqueue(libc::getpid(), signo, value)
    })
}

/// Sends a signal to the calling thread alone.
pub fn send_to_thread(signo: i32) -> Result<(), String> {
    // SAFETY: plain integers.
    let sent = unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), libc::gettid(), signo) };
    checked("tgkill", signo, sent as i32)
}
