// SPDX-License-Identifier: GPL-2.0-only

//! Credentials, as later kernels have them.
//!
//! C header: [`include/linux/cred.h`](srctree/include/linux/cred.h).

pub mod attributes;
pub mod new;

use crate::types::{AlwaysRefCounted, Opaque};
use core::ptr::NonNull;

/// Wraps the kernel's `struct cred`.
///
/// # Invariants
///
/// Always refcounted through `get_cred`.
#[repr(transparent)]
pub struct Credential(Opaque<bindings::cred>);

// SAFETY: credentials are counted atomically and do not change once they are in use.
unsafe impl Send for Credential {}
// SAFETY: as above.
unsafe impl Sync for Credential {}

// SAFETY: the type invariant.
unsafe impl AlwaysRefCounted for Credential {
    fn inc_ref(&self) {
        // SAFETY: a shared reference means that the count is not zero.
        unsafe { bindings::get_cred(self.0.get()) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: the caller gives up one count.
        unsafe { bindings::put_cred(obj.cast().as_ptr()) };
    }
}

impl Credential {
    /// A pointer to the C side.
    pub fn as_ptr(&self) -> *const bindings::cred {
        self.0.get()
    }
}
