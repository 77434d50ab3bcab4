// SPDX-License-Identifier: GPL-2.0

//! The kernel's own name.
//!
//! C header: [`include/linux/utsname.h`](srctree/include/linux/utsname.h).

use core::ptr;

/// The release, as `uname -r` prints it in the first namespace.
pub fn release() -> &'static [u8] {
    // SAFETY: the kernel's own names are constant; `release` is terminated by a zero.
    let field = unsafe { &*ptr::addr_of!(bindings::init_uts_ns.name.release) };
    let len = field.iter().position(|c| *c == 0).unwrap_or(field.len());
    // SAFETY: C characters are bytes, and `len` lies within the field.
    unsafe { core::slice::from_raw_parts(field.as_ptr().cast::<u8>(), len) }
}
