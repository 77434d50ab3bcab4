// SPDX-License-Identifier: GPL-2.0-only

//! Waits that end although no signal has come: a freezer, for a suspend or with a cgroup, has interruptible waits
//! end, and a debugger that wants the task to stop. The former get it where it waits; the latter has to wait until
//! the call is over.

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
/// has come, and no participant wants it to look. Waits for a moment then, or as long as it is frozen.
pub(crate) fn goes_on() -> bool {
    let undisturbed = || !sighand::has_signal() && !Task::is_current_wait_interrupted();
    if !undisturbed() {
        return false;
    }
    stand_still(undisturbed);
    true
}

/// Does what may be interrupted, again and again while [`goes_on`] says so. A file system may say so by itself.
pub(crate) fn for_signals_only<T>(mut act: impl FnMut() -> Result<T>) -> Result<T> {
    loop {
        match act() {
            Err(error) if is_interruption(error) && kernel::current!().signal_pending() && goes_on() => {}
            done => return done,
        }
    }
}
