// SPDX-License-Identifier: GPL-2.0

//! Mappings: `struct vm_area_struct`.

use crate::fs::File;
use crate::str::CStr;
use crate::types::Opaque;

/// Flags of a mapping, `VM_*`.
#[allow(missing_docs)]
pub mod flags {
    pub const READ: u64 = bindings::VM_READ as u64;
    pub const WRITE: u64 = bindings::VM_WRITE as u64;
    pub const EXEC: u64 = bindings::VM_EXEC as u64;
    pub const SHARED: u64 = bindings::VM_SHARED as u64;
    pub const MAYREAD: u64 = bindings::VM_MAYREAD as u64;
    pub const MAYWRITE: u64 = bindings::VM_MAYWRITE as u64;
    pub const MAYEXEC: u64 = bindings::VM_MAYEXEC as u64;
    pub const MAYSHARE: u64 = bindings::VM_MAYSHARE as u64;
    pub const GROWSDOWN: u64 = bindings::VM_GROWSDOWN as u64;
    pub const PFNMAP: u64 = bindings::VM_PFNMAP as u64;
    pub const LOCKED: u64 = bindings::VM_LOCKED as u64;
    pub const LOCKONFAULT: u64 = bindings::VM_LOCKONFAULT as u64;
    pub const IO: u64 = bindings::VM_IO as u64;
    pub const SEQ_READ: u64 = bindings::VM_SEQ_READ as u64;
    pub const RAND_READ: u64 = bindings::VM_RAND_READ as u64;
    pub const DONTCOPY: u64 = bindings::VM_DONTCOPY as u64;
    pub const DONTEXPAND: u64 = bindings::VM_DONTEXPAND as u64;
    pub const ACCOUNT: u64 = bindings::VM_ACCOUNT as u64;
    pub const NORESERVE: u64 = bindings::VM_NORESERVE as u64;
    pub const HUGETLB: u64 = bindings::VM_HUGETLB as u64;
    pub const WIPEONFORK: u64 = bindings::VM_WIPEONFORK as u64;
    pub const DONTDUMP: u64 = bindings::VM_DONTDUMP as u64;
    pub const SOFTDIRTY: u64 = bindings::VM_SOFTDIRTY as u64;
    pub const MIXEDMAP: u64 = bindings::VM_MIXEDMAP as u64;
    pub const HUGEPAGE: u64 = bindings::VM_HUGEPAGE as u64;
    pub const NOHUGEPAGE: u64 = bindings::VM_NOHUGEPAGE as u64;
    pub const MERGEABLE: u64 = bindings::VM_MERGEABLE as u64;
}

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
    pub fn start(&self) -> u64 {
        // SAFETY: the lock is held, so the field does not change.
        unsafe { (*self.as_ptr()).__bindgen_anon_1.__bindgen_anon_1.vm_start as u64 }
    }

    /// First address behind.
    pub fn end(&self) -> u64 {
        // SAFETY: the lock is held, so the field does not change.
        unsafe { (*self.as_ptr()).__bindgen_anon_1.__bindgen_anon_1.vm_end as u64 }
    }

    /// `VM_*` flags.
    pub fn flags(&self) -> u64 {
        // SAFETY: the lock is held, so the field does not change.
        unsafe { (*self.as_ptr()).__bindgen_anon_2.vm_flags as u64 }
    }

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
            (!file.is_null()).then(|| File::from_raw(file))
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
            !own.is_null() && CStr::from_char_ptr(own).as_bytes() == name.as_bytes()
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
        const UFFD: u64 = (bindings::VM_UFFD_MISSING | bindings::VM_UFFD_WP) as u64;
        self.flags() & UFFD != 0
    }
}
