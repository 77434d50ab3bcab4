// SPDX-License-Identifier: GPL-2.0

//! Mappings, `struct vm_area_struct`, as later kernels have them.

use crate::types::Opaque;

/// One mapping of an address space whose `mmap_lock` is held.
///
/// # Invariants
///
/// References exist only while `mmap_lock` is held.
#[repr(transparent)]
pub struct VmaRef {
    inner: Opaque<bindings::vm_area_struct>,
}

impl VmaRef {
    /// Borrows a C mapping.
    ///
    /// # Safety
    ///
    /// `vma` must be valid and its `mmap_lock` held for the whole of `'a`.
    pub unsafe fn from_raw<'a>(vma: *const bindings::vm_area_struct) -> &'a Self {
        // SAFETY: by the function's contract; `VmaRef` is transparent.
        unsafe { &*vma.cast() }
    }

    /// A pointer to the C side.
    pub fn as_ptr(&self) -> *mut bindings::vm_area_struct {
        self.inner.get()
    }

    /// First address.
    pub fn start(&self) -> usize {
        // SAFETY: the lock is held, so the field does not change.
        unsafe { (*self.as_ptr()).__bindgen_anon_1.__bindgen_anon_1.vm_start }
    }

    /// First address behind.
    pub fn end(&self) -> usize {
        // SAFETY: the lock is held, so the field does not change.
        unsafe { (*self.as_ptr()).__bindgen_anon_1.__bindgen_anon_1.vm_end }
    }

    /// `VM_*` flags.
    pub fn flags(&self) -> usize {
        // SAFETY: the lock is held, so the field does not change.
        unsafe { (*self.as_ptr()).__bindgen_anon_2.vm_flags }
    }
}
