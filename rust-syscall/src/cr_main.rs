// SPDX-License-Identifier: GPL-2.0-only

//! The kernel's root of checkpoint and restart.

use kernel::prelude::*;

#[no_mangle]
extern "C" fn rust_checkpoint(_pid: i32, _fd: i32, _flags: usize, _logfd: i32) -> isize {
    ENOSYS.to_errno() as isize
}

#[no_mangle]
extern "C" fn rust_restart(_pid: i32, _fd: i32, _flags: usize, _logfd: i32) -> isize {
    ENOSYS.to_errno() as isize
}
