// SPDX-License-Identifier: GPL-2.0

//! x86's extended registers in XSAVE's standard format, in which each kind has its place and a
//! machine with more kinds has more behind the others.

use crate::alloc::{flags::GFP_KERNEL, KVVec};
use crate::error::{code::*, Result};
use core::arch::x86_64::__cpuid_count;
use core::ops::Range;

/// The leaf of CPUID that says where registers are in the standard format.
const CPUID_XSTATE: u32 = 0xd;
/// Where the kernel's copy says which kinds there were, whether or not they were in use.
const KINDS: Range<usize> = 464..472;
/// x87 and SSE registers, and the header: what the format begins with.
const LEGACY_AND_HEADER: usize = 576;
/// The first kind behind that.
const FIRST_EXTENDED: u32 = 2;

/// Where a kind of registers is, on this machine.
pub(super) fn place(kind: u32) -> Range<usize> {
    // A safe function to newer compilers.
    #[allow(unused_unsafe)]
    // SAFETY: every machine with XSAVE has the leaf.
    let leaf = unsafe { __cpuid_count(CPUID_XSTATE, kind) };
    let at = leaf.ebx as usize;
    at..at + leaf.eax as usize
}

/// Registers of a machine with fewer kinds as this one has them, `size` bytes long: those that are
/// missing are as after a reset. `None` if they have that length.
///
/// `EINVAL` if this machine would not have had those kinds in as many bytes: their places differ then.
pub(super) fn lengthened(bytes: &[u8], size: usize) -> Result<Option<KVVec<u8>>> {
    if bytes.len() >= size {
        return Ok(None);
    }
    let kinds = bytes.get(KINDS).ok_or(EINVAL)?;
    let kinds = kinds.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    let extended = (FIRST_EXTENDED..u64::BITS).filter(|kind| kinds & 1 << kind != 0);
    let end = extended.map(|kind| place(kind).end).max().unwrap_or(0);
    if end.max(LEGACY_AND_HEADER) != bytes.len() {
        return Err(EINVAL);
    }
    let mut longer = KVVec::with_capacity(size, GFP_KERNEL)?;
    longer.extend_from_slice(bytes, GFP_KERNEL)?;
    longer.extend_with(size - bytes.len(), 0, GFP_KERNEL)?;
    Ok(Some(longer))
}
