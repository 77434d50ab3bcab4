// SPDX-License-Identifier: GPL-2.0

//! System calls that a signal cut short and that `restart_syscall(2)` continues.
//!
//! The kernel keeps absolute deadlines; here they are the nanoseconds that are left, so that
//! they mean the same on a machine whose clocks stand elsewhere.
//!
//! C header: [`include/linux/restart_block.h`](srctree/include/linux/restart_block.h).

use crate::error::{code::*, Result};
use crate::ffi::c_long;
use crate::task::Task;
use crate::variant;

const CLOCK_REALTIME: i32 = bindings::CLOCK_REALTIME as i32;
const CLOCK_MONOTONIC: i32 = bindings::CLOCK_MONOTONIC as i32;
const CLOCK_BOOTTIME: i32 = bindings::CLOCK_BOOTTIME as i32;
const CLOCK_TAI: i32 = bindings::CLOCK_TAI as i32;
const NSEC_PER_SEC: i64 = bindings::NSEC_PER_SEC as i64;
const FUTEX_CLOCK_REALTIME: u32 = bindings::FUTEX_CLOCK_REALTIME;
/// The option bits that a futex wait can have been called with.
const FUTEX_OPTIONS: [u32; 4] = [
    0,
    bindings::FUTEX_PRIVATE_FLAG,
    FUTEX_CLOCK_REALTIME,
    bindings::FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME,
];

/// An interrupted system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupted {
    /// Nothing to continue.
    Nothing,
    /// `nanosleep` or `clock_nanosleep` for a time.
    Nanosleep {
        /// The clock that it sleeps by.
        clock: i32,
        /// Where to write the time left when it is interrupted again, if anywhere.
        remainder: Option<u64>,
        /// Nanoseconds left; negative when it is over.
        left: i64,
    },
    /// `futex`, FUTEX_WAIT with a timeout.
    Futex {
        /// Address of the futex.
        address: u64,
        /// Value that it must have.
        value: u32,
        /// FUTEX_PRIVATE_FLAG and FUTEX_CLOCK_REALTIME.
        options: u32,
        /// Which wakers are waited for; not 0.
        bitset: u32,
        /// Nanoseconds left; negative when it is over.
        left: i64,
    },
    /// `poll`.
    Poll {
        /// Address of the array.
        fds: u64,
        /// Its entries.
        nfds: i32,
        /// Nanoseconds left, negative when it is over; `None` for ever.
        left: Option<i64>,
    },
}

/// What the hrtimer base of a clock shows.
fn now(clock: i32) -> Result<i64> {
    // SAFETY: reads a clock.
    let offset = |offset| unsafe { bindings::ktime_get_with_offset(offset) };
    match clock {
        // SAFETY: reads a clock.
        CLOCK_MONOTONIC => Ok(unsafe { bindings::ktime_get() }),
        CLOCK_REALTIME => Ok(offset(bindings::tk_offsets_TK_OFFS_REAL)),
        CLOCK_BOOTTIME => Ok(offset(bindings::tk_offsets_TK_OFFS_BOOT)),
        CLOCK_TAI => Ok(offset(bindings::tk_offsets_TK_OFFS_TAI)),
        _ => Err(EINVAL),
    }
}

/// `None` for a clock that is none of the above.
fn left_until(clock: i32, deadline: i64) -> Option<i64> {
    Some(deadline.saturating_sub(now(clock).ok()?))
}

/// The deadline `left` nanoseconds from now; the clocks start at 0.
fn deadline_after(clock: i32, left: i64) -> Result<i64> {
    Ok(now(clock)?.saturating_add(left).max(0))
}

fn futex_clock(options: u32) -> i32 {
    if options & FUTEX_CLOCK_REALTIME != 0 {
        CLOCK_REALTIME
    } else {
        CLOCK_MONOTONIC
    }
}

fn futex_flags(options: u32) -> u32 {
    // SAFETY: translates numbers.
    unsafe { bindings::futex_restart_flags(options) }
}

impl Task {
    /// The system call that the task's restart block continues. The task must not run, and have
    /// been interrupted in a call that uses its restart block: else the block is a stale one.
    ///
    /// `None` for one that is none of [`Interrupted`]: a sleep on an alarm or CPU clock.
    pub fn interrupted_call(&self) -> Option<Interrupted> {
        type Call = unsafe extern "C" fn(*mut bindings::restart_block) -> c_long;
        // SAFETY: the task is valid and does not run; a restart block is plain data.
        let block = unsafe { (*self.as_raw()).restart_block };
        let is = |call: Call| {
            block
                .fn_
                .is_some_and(|found| found as usize == call as usize)
        };
        if is(bindings::hrtimer_nanosleep_restart) {
            // SAFETY: the function says which member of the union was set.
            nanosleep(unsafe { &block.__bindgen_anon_1.nanosleep })
        } else if is(bindings::do_restart_poll) {
            // SAFETY: the function says which member of the union was set.
            poll(unsafe { &block.__bindgen_anon_1.poll })
        } else if is(bindings::futex_wait_restart) {
            // SAFETY: the function says which member of the union was set.
            futex(unsafe { &block.__bindgen_anon_1.futex })
        } else if is(bindings::do_no_restart_syscall) {
            Some(Interrupted::Nothing)
        } else {
            None
        }
    }
}

fn nanosleep(block: &bindings::restart_block__bindgen_ty_1__bindgen_ty_2) -> Option<Interrupted> {
    let remainder = match block.type_ {
        bindings::timespec_type_TT_NONE => None,
        // SAFETY: both members of the union are user pointers.
        bindings::timespec_type_TT_NATIVE => Some(unsafe { block.__bindgen_anon_1.rmtp } as u64),
        _ => return None,
    };
    Some(Interrupted::Nanosleep {
        clock: block.clockid,
        remainder,
        left: left_until(block.clockid, block.expires as i64)?,
    })
}

fn futex(block: &bindings::restart_block__bindgen_ty_1__bindgen_ty_1) -> Option<Interrupted> {
    let mut options = FUTEX_OPTIONS.into_iter();
    let options = options.find(|options| futex_flags(*options) == block.flags)?;
    Some(Interrupted::Futex {
        address: block.uaddr as u64,
        value: block.val,
        options,
        bitset: block.bitset,
        left: left_until(futex_clock(options), block.time as i64)?,
    })
}

fn poll(block: &bindings::restart_block__bindgen_ty_1__bindgen_ty_3) -> Option<Interrupted> {
    let left = if block.has_timeout != 0 {
        let (seconds, rest) = variant::poll_end(block);
        let deadline = seconds.saturating_mul(NSEC_PER_SEC).saturating_add(rest);
        Some(left_until(CLOCK_MONOTONIC, deadline)?)
    } else {
        None
    };
    Some(Interrupted::Poll {
        fds: block.ufds as u64,
        nfds: block.nfds,
        left,
    })
}

/// Makes `call` what the current task's `restart_syscall(2)` continues; deadlines count from
/// now. Addresses must be user addresses, which the caller checks; `EINVAL` for a clock, option
/// or bitset that the system call itself would not take.
pub fn set_current_interrupted_call(call: &Interrupted) -> Result {
    let mut block = bindings::restart_block::default();
    match *call {
        Interrupted::Nothing => block.fn_ = Some(bindings::do_no_restart_syscall),
        Interrupted::Nanosleep {
            clock,
            remainder,
            left,
        } => {
            block.fn_ = Some(bindings::hrtimer_nanosleep_restart);
            let mut to = bindings::restart_block__bindgen_ty_1__bindgen_ty_2 {
                clockid: clock,
                type_: bindings::timespec_type_TT_NONE,
                expires: deadline_after(clock, left)? as _,
                ..Default::default()
            };
            if let Some(address) = remainder {
                to.type_ = bindings::timespec_type_TT_NATIVE;
                to.__bindgen_anon_1.rmtp = address as *mut bindings::__kernel_timespec;
            }
            block.__bindgen_anon_1.nanosleep = to;
        }
        Interrupted::Futex {
            address,
            value,
            options,
            bitset,
            left,
        } => {
            if !FUTEX_OPTIONS.contains(&options) || bitset == 0 {
                return Err(EINVAL);
            }
            block.fn_ = Some(bindings::futex_wait_restart);
            block.__bindgen_anon_1.futex = bindings::restart_block__bindgen_ty_1__bindgen_ty_1 {
                uaddr: address as *mut u32,
                val: value,
                flags: futex_flags(options),
                bitset,
                time: deadline_after(futex_clock(options), left)? as _,
                ..Default::default()
            };
        }
        Interrupted::Poll { fds, nfds, left } => {
            block.fn_ = Some(bindings::do_restart_poll);
            let deadline = deadline_after(CLOCK_MONOTONIC, left.unwrap_or(0))?;
            let mut to = bindings::restart_block__bindgen_ty_1__bindgen_ty_3 {
                ufds: fds as *mut bindings::pollfd,
                nfds,
                has_timeout: i32::from(left.is_some()),
                ..Default::default()
            };
            variant::set_poll_end(&mut to, deadline / NSEC_PER_SEC, deadline % NSEC_PER_SEC);
            block.__bindgen_anon_1.poll = to;
        }
    }
    // SAFETY: only the current task uses its restart block, and not in this system call.
    unsafe { (*bindings::get_current()).restart_block = block };
    Ok(())
}
