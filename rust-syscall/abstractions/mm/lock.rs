// SPDX-License-Identifier: GPL-2.0

//! An address space whose mappings do not change: `mmap_lock`, held for reading.
//!
//! Lock order: `mmap_lock` before a page table lock, which [`ReadGuard::walk_own_pages`] holds
//! while it calls back.

use super::{virt::VmaRef, MmWithUser};

impl MmWithUser {
    /// Takes `mmap_lock` for reading.
    pub fn read_lock(&self) -> ReadGuard<'_> {
        // SAFETY: the mm is valid; the guard unlocks.
        unsafe { bindings::mmap_read_lock(self.as_raw()) };
        ReadGuard { mm: self }
    }
}

/// `mmap_lock`, held for reading.
pub struct ReadGuard<'a> {
    mm: &'a MmWithUser,
}

impl Drop for ReadGuard<'_> {
    fn drop(&mut self) {
        // SAFETY: the guard's existence says that the lock is held.
        unsafe { bindings::mmap_read_unlock(self.mm.as_raw()) };
    }
}

impl<'a> ReadGuard<'a> {
    /// The first mapping that ends above `addr`.
    pub fn vma_above(&self, addr: u64) -> Option<&VmaRef> {
        // SAFETY: the lock is held; the reference does not outlive the guard.
        unsafe {
            let vma = bindings::find_vma(self.mm.as_raw(), addr as _);
            (!vma.is_null()).then(|| VmaRef::from_raw(vma))
        }
    }

    /// The address space that is locked.
    pub fn mm(&self) -> &'a MmWithUser {
        self.mm
    }
}
