// SPDX-License-Identifier: GPL-2.0

//! Short sleeps of the current task, which must be allowed to sleep, and the time.
//!
//! C headers: [`include/linux/delay.h`](srctree/include/linux/delay.h),
//! [`include/linux/sched.h`](srctree/include/linux/sched.h) and
//! [`include/linux/timekeeping.h`](srctree/include/linux/timekeeping.h).

use crate::ffi::{c_long, c_ulong};

/// In jiffies; what is called HZ there is user space's.
const SECOND: c_long = bindings::CONFIG_HZ as c_long;

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

/// Lets a freezer have the current task, which must hold no lock, if one wants it: for a suspend as long as that
/// takes; with its cgroup as long as that is to be frozen and `goes_on` says so. Then sleeps for a moment, or until
/// it is killed.
pub fn stand_still(goes_on: impl Fn() -> bool) {
    // Not interruptible: so checkpoint(2) does not take the task for one that was frozen on its way to user space.
    // SAFETY: the current task may sleep.
    let sleep = |jiffies| unsafe { bindings::schedule_timeout_killable(jiffies) };
    // SAFETY: the current task may sleep, and holds no lock by the function's contract. Without a freezer that
    // wants it the function does nothing.
    #[cfg(CONFIG_FREEZER)]
    let suspended = || unsafe { bindings::__refrigerator(false) };
    #[cfg(not(CONFIG_FREEZER))]
    let suspended = || false;
    suspended();
    #[cfg(CONFIG_CGROUPS)]
    if is_to_freeze() {
        // SAFETY: what counts as frozen until the second call does nothing but sleep in between, as one does that
        // waits for its vfork child (`wait_for_vfork_done`).
        unsafe { bindings::cgroup_enter_frozen() };
        // The end of the frost wakes it.
        while is_to_freeze() && goes_on() {
            suspended();
            sleep(SECOND / 2);
        }
        // SAFETY: as above.
        unsafe { bindings::cgroup_leave_frozen(true) };
        return;
    }
    sleep(SECOND / 50);
}

/// Whether the current task's cgroup is to be frozen.
#[cfg(CONFIG_CGROUPS)]
fn is_to_freeze() -> bool {
    const FREEZE: c_ulong = 1 << bindings::JOBCTL_TRAP_FREEZE_BIT;
    // SAFETY: the current task's own word; others change it under `siglock`.
    let jobctl = unsafe { core::ptr::addr_of!((*bindings::get_current()).jobctl).read_volatile() };
    jobctl & FREEZE != 0
}

/// Sleeps for so many microseconds, or a little longer.
pub fn sleep_us(us: u32) {
    // SAFETY: the current task may sleep; TASK_IDLE does not count as load.
    unsafe { bindings::usleep_range_state(us as _, us as _, bindings::TASK_IDLE) };
}
