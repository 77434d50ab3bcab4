// SPDX-License-Identifier: GPL-2.0

//! Address spaces, `struct mm_struct`, as later kernels have them.
//!
//! C header: [`include/linux/mm.h`](srctree/include/linux/mm.h).

pub mod lock;
pub mod mapping;
pub mod pages;
pub mod space;
pub mod virt;
pub mod vma;
pub mod vma_flags;
pub mod walk;

use crate::types::{AlwaysRefCounted, Opaque};
use core::ptr::NonNull;

/// An address space that still has its user mappings (`mm_users` is held).
///
/// # Invariants
///
/// Values of this type are always refcounted through `mmget`.
#[repr(transparent)]
pub struct MmWithUser {
    inner: Opaque<bindings::mm_struct>,
}

// SAFETY: `mmput` may be called from any task.
unsafe impl Send for MmWithUser {}
// SAFETY: all methods on a shared `MmWithUser` take the locks they need.
unsafe impl Sync for MmWithUser {}

// SAFETY: the type invariant says that it is always refcounted, by `mm_users`.
unsafe impl AlwaysRefCounted for MmWithUser {
    fn inc_ref(&self) {
        // SAFETY: a shared reference means that `mm_users` is not zero.
        unsafe { bindings::mmget(self.as_raw()) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: the caller gives up one count, which `mmput` takes.
        unsafe { bindings::mmput(obj.cast().as_ptr()) };
    }
}

impl MmWithUser {
    /// A pointer to the C side.
    pub fn as_raw(&self) -> *mut bindings::mm_struct {
        self.inner.get()
    }
}
