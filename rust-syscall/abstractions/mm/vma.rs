// SPDX-License-Identifier: GPL-2.0

//! Mappings: what they map and how.

use super::virt::VmaRef;
use super::vma_flags as flags;
use crate::fs::File;
use core::ffi::CStr;

impl VmaRef {
    /// Offset in the file, in pages; for anonymous memory the kernel's own numbering.
    pub fn pgoff(&self) -> u64 {
        // SAFETY: the lock is held, so the field does not change.
        unsafe { (*self.as_ptr()).vm_pgoff as u64 }
    }

    /// The mapped file.
    pub fn file(&self) -> Option<&File> {
        // SAFETY: the lock is held, so the mapping keeps its file.
        unsafe {
            let file = (*self.as_ptr()).vm_file;
            (!file.is_null()).then(|| File::from_raw_file(file))
        }
    }

    /// Whether the memory is private and anonymous (no operations of its own).
    pub fn is_anonymous(&self) -> bool {
        // SAFETY: the lock is held.
        unsafe { (*self.as_ptr()).vm_ops.is_null() }
    }

    /// Whether the memory belongs to a shmem object: tmpfs, memfd or shared anonymous.
    pub fn is_shmem(&self) -> bool {
        // SAFETY: the lock is held.
        unsafe { bindings::vma_is_shmem(self.as_ptr()) }
    }

    /// Whether it is the special mapping of that name, such as `[vdso]`.
    pub fn is_special(&self, name: &CStr) -> bool {
        // SAFETY: the lock is held; operations are constants, and `name`, where there is one, gives
        // null or a C string that lives as long as the mapping.
        unsafe {
            let Some(ops) = (*self.as_ptr()).vm_ops.as_ref() else {
                return false;
            };
            let Some(own) = ops.name.map(|own| own(self.as_ptr())) else {
                return false;
            };
            !own.is_null() && CStr::from_ptr(own.cast()) == name
        }
    }

    /// Whether it is anonymous memory that the program has given a name (PR_SET_VMA_ANON_NAME).
    pub fn has_name(&self) -> bool {
        #[cfg(CONFIG_ANON_VMA_NAME)]
        // SAFETY: the lock is held, so the field does not change.
        return unsafe { !(*self.as_ptr()).anon_name.is_null() };
        #[cfg(not(CONFIG_ANON_VMA_NAME))]
        false
    }

    /// Whether it has a NUMA memory policy of its own (`mbind`).
    pub fn has_memory_policy(&self) -> bool {
        #[cfg(CONFIG_NUMA)]
        // SAFETY: the lock is held, so the field does not change.
        return unsafe { !(*self.as_ptr()).vm_policy.is_null() };
        #[cfg(not(CONFIG_NUMA))]
        false
    }

    /// Whether a userfaultfd watches it.
    pub fn has_userfaultfd(&self) -> bool {
        self.flags() as u64 & (flags::UFFD_MISSING | flags::UFFD_WP) != 0
    }
}
