// SPDX-License-Identifier: GPL-2.0

//! The task that runs, to be held like any other.

use crate::sync::aref::ARef;
use crate::task::Task;
use core::ptr;

/// The current task, for longer than a borrow of it lasts.
pub fn current_task() -> ARef<Task> {
    let task: &Task = crate::current!();
    task.into()
}

impl Task {
    /// Whether the task is the one that runs.
    pub fn is_current(&self) -> bool {
        // SAFETY: always safe to ask.
        ptr::eq(self.as_raw(), unsafe { bindings::get_current() })
    }

    /// A pointer to the C side.
    pub fn as_raw(&self) -> *mut bindings::task_struct {
        self.0.get()
    }
}
