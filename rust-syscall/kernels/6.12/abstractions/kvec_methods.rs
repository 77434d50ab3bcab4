// SPDX-License-Identifier: GPL-2.0

//! Methods of `Vec` that later kernels have, here for plain values.

use crate::alloc::{Allocator, Vec};

impl<T: Copy, A: Allocator> Vec<T, A> {
    /// Counts `additional` elements more.
    ///
    /// # Safety
    ///
    /// They must lie within the capacity, and be initialised.
    pub unsafe fn inc_len(&mut self, additional: usize) {
        // SAFETY: by the function's contract.
        unsafe { self.set_len(self.len() + additional) };
    }

    /// Shortens the vector to `len` elements; does nothing if it is not longer.
    pub fn truncate(&mut self, len: usize) {
        if len < self.len() {
            // SAFETY: the first `len` elements are initialised, and `Copy` values need no drop.
            unsafe { self.set_len(len) };
        }
    }

    /// Empties the vector.
    pub fn clear(&mut self) {
        self.truncate(0);
    }
}
