// SPDX-License-Identifier: GPL-2.0

//! Short sleeps of the current task, which must be allowed to sleep, and the time.
//!
//! C headers: [`include/linux/delay.h`](srctree/include/linux/delay.h),
//! [`include/linux/sched.h`](srctree/include/linux/sched.h) and
//! [`include/linux/timekeeping.h`](srctree/include/linux/timekeeping.h).

/// Nanoseconds of CLOCK_MONOTONIC.
pub fn now_ns() -> u64 {
    // SAFETY: the current task may sleep, so this is no NMI, in which it must not be called; tasks
    // do not run while the clock is suspended.
    unsafe { bindings::ktime_get() as u64 }
}

/// Sleeps until the next tick of the timer, or until a signal comes.
pub fn sleep_a_tick() {
    // SAFETY: the current task may sleep.
    unsafe { bindings::schedule_timeout_interruptible(1) };
}

/// Lets a freezer have the current task, which must hold no lock, if one wants it; and then sleeps until the next
/// tick of the timer, or until it is killed.
pub fn stand_still() {
    // SAFETY: the current task may sleep, and holds no lock by the function's contract. Without a freezer that
    // wants it the function does nothing.
    #[cfg(CONFIG_FREEZER)]
    unsafe {
        bindings::__refrigerator(false)
    };
    // SAFETY: the current task may sleep.
    unsafe { bindings::schedule_timeout_killable(1) };
}

/// Sleeps for so many microseconds, or a little longer.
pub fn sleep_us(us: u32) {
    // SAFETY: the current task may sleep; TASK_IDLE does not count as load.
    unsafe { bindings::usleep_range_state(us as _, us as _, bindings::TASK_IDLE) };
}
