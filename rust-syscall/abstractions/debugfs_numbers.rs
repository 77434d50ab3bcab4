// SPDX-License-Identifier: GPL-2.0

//! Numbers that debugfs shows, alone or many of them, and lets root change.
//!
//! Files are never removed: what they show are statics of code that is built in.
//!
//! C header: [`include/linux/debugfs.h`](srctree/include/linux/debugfs.h).

use crate::alloc::{flags::GFP_KERNEL, KBox};
use core::ffi::CStr;
use core::ptr;
use core::sync::atomic::{AtomicU32, AtomicU64};

/// Read and write for root.
const READ_WRITE: bindings::umode_t = 0o600;
/// Read for root.
const READ_ONLY: bindings::umode_t = 0o400;

/// A folder of debugfs.
///
/// # Invariants
///
/// Holds what `debugfs_create_dir` gave, which its other functions take whatever it is.
pub struct Dir(*mut bindings::dentry);

impl Dir {
    /// Makes a folder at the top. Without a working debugfs nothing comes of it, as in C.
    pub fn new(name: &CStr) -> Self {
        // SAFETY: the name is ended by a NUL, and is copied.
        Self(unsafe { bindings::debugfs_create_dir(name.as_ptr().cast(), ptr::null_mut()) })
    }

    /// Makes a file that shows a number and takes another.
    pub fn read_write_u32(&self, name: &CStr, value: &'static AtomicU32) {
        self.create_u32(name, READ_WRITE, value);
    }

    /// Makes a file that shows a number.
    pub fn read_only_u32(&self, name: &CStr, value: &'static AtomicU32) {
        self.create_u32(name, READ_ONLY, value);
    }

    fn create_u32(&self, name: &CStr, mode: bindings::umode_t, value: &'static AtomicU32) {
        // SAFETY: by the type invariant; the name is copied, and the value is there for ever.
        // debugfs reads and writes it as a word, which is what an atomic makes of it too.
        unsafe {
            bindings::debugfs_create_u32(name.as_ptr().cast(), mode, self.0, value.as_ptr())
        };
    }

    /// Makes a file that shows these words, in the machine's order of bytes. Root can write to it
    /// all the same: they are not to be relied on.
    pub fn read_only_words(&self, name: &CStr, words: &'static [AtomicU64]) {
        let blob = bindings::debugfs_blob_wrapper {
            data: words.as_ptr().cast_mut().cast(),
            size: core::mem::size_of_val(words),
        };
        // Without memory for it nothing comes of the file, as of others without debugfs.
        let Ok(blob) = KBox::new(blob, GFP_KERNEL) else {
            return;
        };
        let blob = KBox::into_raw(blob);
        // SAFETY: by the type invariant; the name is copied. Neither the blob, which has just been
        // given up for ever, nor the words ever go away. debugfs copies from them, and to them if
        // root insists on writing, as C that races with atomics does: a word may come out torn, and
        // every value of one is valid.
        unsafe {
            bindings::debugfs_create_blob(name.as_ptr().cast(), READ_ONLY, self.0, blob)
        };
    }

    /// Makes a file that shows a number of 64 bits and takes another.
    pub fn read_write_u64(&self, name: &CStr, value: &'static AtomicU64) {
        // SAFETY: as above.
        unsafe {
            bindings::debugfs_create_u64(name.as_ptr().cast(), READ_WRITE, self.0, value.as_ptr())
        };
    }
}
