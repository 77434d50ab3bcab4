// SPDX-License-Identifier: GPL-2.0

//! Open files, `struct file`, as later kernels have them.
//!
//! C headers: [`include/linux/fs.h`](srctree/include/linux/fs.h) and
//! [`include/linux/file.h`](srctree/include/linux/file.h).

use crate::types::{AlwaysRefCounted, Opaque};
use core::ptr::{self, NonNull};

/// Flags of an open file, as `open(2)` takes them.
pub mod flags {
    /// Reading only.
    pub const O_RDONLY: u32 = bindings::O_RDONLY;
    /// Writing only.
    pub const O_WRONLY: u32 = bindings::O_WRONLY;
    /// Reading and writing.
    pub const O_RDWR: u32 = bindings::O_RDWR;
    /// The bits that say which of the three.
    pub const O_ACCMODE: u32 = bindings::O_ACCMODE;
}

/// Wraps the kernel's `struct file`.
///
/// # Invariants
///
/// Instances are always refcounted: a call to `get_file` keeps the allocation
/// until the matching call to `fput`.
#[repr(transparent)]
pub struct File {
    inner: Opaque<bindings::file>,
}

// SAFETY: a `struct file` is counted atomically and may be dropped on any thread.
unsafe impl Send for File {}

// SAFETY: all methods on a shared `File` are safe to call from several threads.
unsafe impl Sync for File {}

// SAFETY: the type invariant says that `File` is always refcounted, by `f_count`.
unsafe impl AlwaysRefCounted for File {
    fn inc_ref(&self) {
        // SAFETY: a shared reference means that the count is not zero.
        unsafe { bindings::get_file(self.as_ptr()) };
    }

    unsafe fn dec_ref(obj: NonNull<File>) {
        // SAFETY: the caller gives up one count, which `fput` takes.
        unsafe { bindings::fput(obj.cast().as_ptr()) }
    }
}

impl File {
    /// Borrows a C file.
    ///
    /// # Safety
    ///
    /// `file` must be valid, with a count that is held, for the whole of `'a`.
    pub unsafe fn from_raw_file<'a>(file: *const bindings::file) -> &'a File {
        // SAFETY: by the function's contract; `File` is transparent over `struct file`.
        unsafe { &*file.cast() }
    }

    /// A pointer to the C side.
    pub fn as_ptr(&self) -> *mut bindings::file {
        self.inner.get()
    }

    /// The open flags, without those that only mattered while opening.
    pub fn flags(&self) -> u32 {
        // SAFETY: the file is valid; the field is read as the C side does, without a lock.
        unsafe { ptr::addr_of!((*self.as_ptr()).f_flags).read_volatile() }
    }
}
