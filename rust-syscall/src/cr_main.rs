// SPDX-License-Identifier: GPL-2.0-only

//! The kernel's root of checkpoint and restart: the same `image` and `restart` as in `lib.rs`,
//! with the `glue` that joins them to the kernel.

// The host's tools use more of the core than the kernel does.
#[allow(dead_code, unreachable_pub, unused_imports)]
mod image;
#[allow(dead_code, unreachable_pub, unused_imports)]
mod restart;

mod glue;

/// `checkpoint(2)`, behind `syscalls.c`.
#[no_mangle]
extern "C" fn rust_checkpoint(pid: i32, fd: i32, flags: usize, logfd: i32) -> isize {
    glue::checkpoint::checkpoint(pid, fd, flags, logfd)
}

/// `restart(2)`, behind `syscalls.c`.
#[no_mangle]
extern "C" fn rust_restart(pid: i32, fd: i32, flags: usize, logfd: i32) -> isize {
    glue::restart::restart(pid, fd, flags, logfd)
}

/// Prepares what the calls need; once, at boot.
#[no_mangle]
extern "C" fn rust_checkpoint_init() -> i32 {
    match glue::contexts::init() {
        Ok(()) => 0,
        Err(error) => error.to_errno(),
    }
}
