// SPDX-License-Identifier: GPL-2.0-only

//! Memory that cannot be carried.

use super::{checked, Hold};
use std::fs::File;
use std::os::fd::AsRawFd;

/// Where mappings are put: nothing else is there.
const ADDRESS: usize = 0x7000_0000;
const LEN: usize = 4096;
const FILE: &str = "t_refuse.mapped";

pub(super) const KINDS: &[(&str, Hold)] = &[
    ("shared-file", || {
        let file = File::options().read(true).write(true).create(true).truncate(true).open(FILE);
        let file = file.map_err(|e| format!("{FILE}: {e}"))?;
        file.set_len(LEN as u64).map_err(|e| format!("{FILE}: {e}"))?;
        map(libc::MAP_SHARED, file.as_raw_fd())
    }),
    ("sysv-shm", || {
        // SAFETY: nothing is mapped at the address.
        unsafe {
            let id = checked("shmget", libc::shmget(libc::IPC_PRIVATE, LEN, 0o600))?;
            let at = libc::shmat(id, ADDRESS as *const _, 0);
            checked("shmat", at as isize).map(drop)
        }
    }),
    ("mlockall", || {
        // SAFETY: takes integers only.
        checked("mlockall", unsafe { libc::mlockall(libc::MCL_FUTURE) }).map(drop)
    }),
    ("aio", || {
        let mut context: libc::c_ulong = 0;
        // SAFETY: the kernel writes the context's number to valid memory.
        let made = unsafe { libc::syscall(libc::SYS_io_setup, 1, &mut context) };
        checked("io_setup", made).map(drop)
    }),
    ("membarrier", || {
        const REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;
        // SAFETY: takes integers only.
        let done = unsafe { libc::syscall(libc::SYS_membarrier, REGISTER_PRIVATE_EXPEDITED, 0, 0) };
        checked("membarrier", done).map(drop)
    }),
    ("mdwe", || {
        const REFUSE_EXEC_GAIN: libc::c_ulong = 1;
        // SAFETY: takes integers only.
        let done = unsafe { libc::prctl(libc::PR_SET_MDWE, REFUSE_EXEC_GAIN, 0, 0, 0) };
        checked("PR_SET_MDWE", done).map(drop)
    }),
];

fn map(flags: i32, fd: i32) -> Result<(), String> {
    let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, flags | libc::MAP_FIXED_NOREPLACE);
    // SAFETY: replaces no mapping.
    let at = unsafe { libc::mmap(ADDRESS as *mut _, LEN, access, flags, fd, 0) };
    checked("mmap", at as isize).map(drop)
}
