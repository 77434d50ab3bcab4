// SPDX-License-Identifier: GPL-2.0

//! Changing the current task's own mappings, as `mmap(2)` and its like do, with their checks.

use crate::error::{to_result, Error, Result};
use crate::fs::File;
use crate::variant;

/// How a mapping is made.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Protection {
    pub read: bool,
    pub write: bool,
    pub exec: bool,
}

/// What kind of mapping is made.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Mode {
    pub shared: bool,
    pub grows_down: bool,
    pub locked: bool,
    pub no_reserve: bool,
}

/// Advice that stays with a mapping; see `madvise(2)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Advice {
    Random,
    Sequential,
    DontFork,
    DontDump,
    WipeOnFork,
    HugePage,
    NoHugePage,
    Mergeable,
}

/// The most mappings that an address space can have: `vm.max_map_count`.
pub fn max_count() -> usize {
    usize::try_from(variant::max_map_count()).unwrap_or(0)
}

/// Maps `file` (or anonymous memory) at exactly `addr`, where nothing may be mapped yet.
///
/// `offset` is in bytes. Fails with `EEXIST` if something is there.
pub fn map(
    file: Option<&File>,
    addr: u64,
    len: u64,
    protection: Protection,
    mode: Mode,
    offset: u64,
) -> Result {
    let mut prot = 0;
    for (set, bit) in [
        (protection.read, bindings::PROT_READ),
        (protection.write, bindings::PROT_WRITE),
        (protection.exec, bindings::PROT_EXEC),
    ] {
        prot |= if set { bit } else { 0 };
    }
    let mut flags = bindings::MAP_FIXED_NOREPLACE;
    for (set, bit) in [
        (mode.shared, bindings::MAP_SHARED),
        (!mode.shared, bindings::MAP_PRIVATE),
        (file.is_none(), bindings::MAP_ANONYMOUS),
        (mode.grows_down, bindings::MAP_GROWSDOWN),
        (mode.locked, bindings::MAP_LOCKED),
        (mode.no_reserve, bindings::MAP_NORESERVE),
    ] {
        flags |= if set { bit } else { 0 };
    }
    let file = file.map_or(core::ptr::null_mut(), |file| file.as_ptr());
    // SAFETY: the file, if any, is held; `vm_mmap` checks everything else.
    let at = unsafe {
        bindings::vm_mmap(file, addr as _, len as _, prot as _, flags as _, offset as _)
    };
    address(at as u64, addr)
}

/// Unmaps all of `start..end`.
pub fn unmap(start: u64, end: u64) -> Result {
    if start >= end {
        return Ok(());
    }
    // SAFETY: `vm_munmap` checks the range.
    to_result(unsafe { bindings::vm_munmap(start as _, (end - start) as _) })
}

/// Moves one whole mapping, to where nothing is mapped.
pub fn relocate(from: u64, len: u64, to: u64) -> Result {
    let flags = bindings::MREMAP_MAYMOVE | bindings::MREMAP_FIXED;
    // SAFETY: `ksys_mremap` checks its arguments as the system call does.
    let at = unsafe { bindings::ksys_mremap(from as _, len as _, len as _, flags as _, to as _) };
    address(at as u64, to)
}

/// Gives advice on a range.
pub fn advise(start: u64, len: u64, advice: Advice) -> Result {
    let behavior = match advice {
        Advice::Random => bindings::MADV_RANDOM,
        Advice::Sequential => bindings::MADV_SEQUENTIAL,
        Advice::DontFork => bindings::MADV_DONTFORK,
        Advice::DontDump => bindings::MADV_DONTDUMP,
        Advice::WipeOnFork => bindings::MADV_WIPEONFORK,
        Advice::HugePage => bindings::MADV_HUGEPAGE,
        Advice::NoHugePage => bindings::MADV_NOHUGEPAGE,
        Advice::Mergeable => bindings::MADV_MERGEABLE,
    };
    // SAFETY: called on the current task's own address space, which lives as long as it.
    to_result(unsafe {
        bindings::do_madvise((*bindings::get_current()).mm, start as _, len as _, behavior as _)
    })
}

// The kernel returns an address or, in its last page of values, an error.
fn address(at: u64, wanted: u64) -> Result {
    if at == wanted {
        return Ok(());
    }
    let errno = at as i64;
    if (-4095..0).contains(&errno) {
        return Err(Error::from_errno(errno as i32));
    }
    // Something was mapped, but not where it had to be.
    Err(Error::from_errno(-(bindings::EADDRINUSE as i32)))
}
