// SPDX-License-Identifier: GPL-2.0

//! Pid namespaces, as later kernels have them.
//!
//! C header: [`include/linux/pid_namespace.h`](srctree/include/linux/pid_namespace.h).

use crate::pid::TasklistGuard;
use crate::task::Task;
use crate::types::{ARef, AlwaysRefCounted, Opaque};
use core::ptr::NonNull;

/// Wraps the kernel's `struct pid_namespace`.
///
/// # Invariants
///
/// Always refcounted through `get_pid_ns`.
#[repr(transparent)]
pub struct PidNamespace(Opaque<bindings::pid_namespace>);

// SAFETY: a pid namespace is counted atomically.
unsafe impl Send for PidNamespace {}
// SAFETY: as above.
unsafe impl Sync for PidNamespace {}

// SAFETY: the type invariant.
unsafe impl AlwaysRefCounted for PidNamespace {
    fn inc_ref(&self) {
        // SAFETY: a shared reference means that the count is not zero.
        unsafe { bindings::get_pid_ns(self.0.get()) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: the caller gives up one count.
        unsafe { bindings::put_pid_ns(obj.cast().as_ptr()) };
    }
}

impl PidNamespace {
    /// A pointer to the C side.
    pub fn as_ptr(&self) -> *mut bindings::pid_namespace {
        self.0.get()
    }
}

impl Task {
    /// The pid namespace that the task lives in; `None` once it has been reaped.
    pub fn get_pid_ns(&self) -> Option<ARef<PidNamespace>> {
        let _guard = TasklistGuard::new();
        // SAFETY: under `tasklist_lock` a task keeps its pid, if it still has one, and that
        // keeps the namespace, on which a count is taken here.
        unsafe {
            let ns = bindings::task_active_pid_ns(self.as_raw());
            let ns = NonNull::new(ns)?.cast::<PidNamespace>();
            bindings::get_pid_ns(ns.as_ptr().cast());
            Some(ARef::from_raw(ns))
        }
    }
}
