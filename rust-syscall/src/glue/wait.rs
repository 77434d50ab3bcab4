// SPDX-License-Identifier: GPL-2.0-only

//! Waits that end although no signal has come: a freezer (suspend, a cgroup), or a debugger that wants the task
//! to stop, makes interruptible waits end, and goes on wanting it. Inside the call a task can be given to the
//! first alone; for the others it waits from tick to tick.

use kernel::error::{code::EINTR, Error, Result};
use kernel::sighand;
use kernel::task::Task;
use kernel::task_sleep::stand_still;

/// The kernel's own codes for "call again": ERESTARTSYS and its kind.
const CALL_AGAIN: core::ops::RangeInclusive<i32> = -516..=-512;

/// Whether this error says that a wait was interrupted.
pub(crate) fn is_interruption(error: Error) -> bool {
    error == EINTR || CALL_AGAIN.contains(&error.to_errno())
}

/// Whether a wait of the current task, which was interrupted and holds no lock, is to be begun again: no signal
/// has come, and no participant wants it to look. Waits a moment then.
pub(crate) fn goes_on() -> bool {
    if sighand::has_signal() || Task::is_current_wait_interrupted() {
        return false;
    }
    stand_still();
    true
}

/// Does what may be interrupted, again and again while [`goes_on`] says so.
pub(crate) fn for_signals_only<T>(mut act: impl FnMut() -> Result<T>) -> Result<T> {
    loop {
        match act() {
            Err(error) if is_interruption(error) && goes_on() => {}
            done => return done,
        }
    }
}
