// SPDX-License-Identifier: GPL-2.0

//! Keeping another task as it is while it is looked at.
//!
//! Lock order: `exec_update_lock`, then `cgroup_mutex`; nothing else of the kernel's is taken under
//! the latter here, and no I/O is done under it.

use crate::error::{to_result, Result};
use crate::sync::aref::ARef;
use crate::task::Task;
use core::ptr;

/// A task that does not execute another program as long as this lives.
///
/// # Invariants
///
/// The `exec_update_lock` of the task's process is held for reading.
pub struct NoExec {
    task: ARef<Task>,
}

impl Task {
    /// Holds off `execve(2)` of the task, with which it could become one that the caller has no
    /// access to; a signal that kills the caller ends the wait.
    pub fn hold_off_exec(&self) -> Result<NoExec> {
        // SAFETY: a task keeps its `signal_struct` for as long as it is referenced.
        to_result(unsafe {
            let signal = (*self.as_raw()).signal;
            bindings::down_read_killable(ptr::addr_of_mut!((*signal).exec_update_lock))
        })?;
        // INVARIANT: the lock has been taken above.
        Ok(NoExec { task: self.into() })
    }
}

impl Drop for NoExec {
    fn drop(&mut self) {
        // SAFETY: by the type invariant the lock is held; the reference keeps `signal_struct`.
        unsafe {
            let signal = (*self.task.as_raw()).signal;
            bindings::up_read(ptr::addr_of_mut!((*signal).exec_update_lock));
        }
    }
}

/// A time in which no task is frozen, thawed or moved to another cgroup.
pub struct NoThaw(());

impl NoThaw {
    /// Begins it.
    pub fn begin() -> Self {
        // SAFETY: sleeps, which a task in a system call may; the drop unlocks.
        unsafe { bindings::cgroup_lock() };
        Self(())
    }
}

impl Drop for NoThaw {
    fn drop(&mut self) {
        // SAFETY: the value's existence says that the lock is held by this task.
        unsafe { bindings::cgroup_unlock() };
    }
}
