// SPDX-License-Identifier: GPL-2.0

//! Page table walks that find the pages a mapping has of its own.

use super::lock::ReadGuard;
use crate::error::{Error, Result};
use crate::page::PAGE_SIZE;
use core::ffi::c_void;
use core::ptr;

/// What was found at an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Content {
    /// A page in memory that belongs to the mapping alone (anonymous, or a broken copy).
    Own {
        /// Whether every byte of it is zero.
        zero: bool,
    },
    /// A page that is not in memory and has to be fetched to be seen.
    Elsewhere,
}

/// Whether to walk on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Walk {
    /// Go on.
    On,
    /// Stop behind this page.
    Stop,
}

impl ReadGuard<'_> {
    /// Calls `visit(address, content)` for every page in `start..end` that is the mapping's own, in order.
    ///
    /// Page cache pages of private file mappings and holes are passed over. `visit` runs under a page table
    /// lock: it must not sleep. `EOPNOTSUPP` for a page that gives SIGBUS: a poisoned one, or a guard.
    pub fn walk_own_pages<F>(&self, start: u64, end: u64, visit: &mut F) -> Result
    where
        F: FnMut(u64, Content) -> Walk,
    {
        let ops = bindings::mm_walk_ops {
            pte_entry: Some(pte_entry::<F>),
            walk_lock: bindings::page_walk_lock_PGWALK_RDLOCK,
            ..Default::default()
        };
        // SAFETY: `mmap_lock` is held for reading, as `ops` says; `visit` outlives the walk and
        // comes back in `pte_entry::<F>` with the type it has here.
        let ret = unsafe {
            bindings::walk_page_range(
                self.mm().as_raw(),
                start as _,
                end as _,
                &ops,
                ptr::from_mut(visit).cast::<c_void>(),
            )
        };
        if ret < 0 {
            return Err(Error::from_errno(ret));
        }
        Ok(())
    }
}

/// # Safety
///
/// Called by `walk_page_range` with valid arguments and, in `walk.private`, the `F` given to it.
unsafe extern "C" fn pte_entry<F>(
    pte: *mut bindings::pte_t,
    addr: usize,
    _next: usize,
    walk: *mut bindings::mm_walk,
) -> i32
where
    F: FnMut(u64, Content) -> Walk,
{
    let mut page = ptr::null_mut();
    // SAFETY: the walk's vma and the entry are valid under the locks that the walk holds.
    let content = unsafe { bindings::pte_content((*walk).vma, addr, pte, &mut page) };
    let content = match content {
        // SAFETY: a page that an entry points to is valid under the entry's lock.
        1 if unsafe { bindings::page_is_anon(page) } => Content::Own { zero: is_zero(page) },
        2 => Content::Elsewhere,
        // No page, and not as if there was nothing: what is read there gives a signal.
        3 => return -(bindings::EOPNOTSUPP as i32),
        _ => return 0,
    };
    // SAFETY: `private` is the `visit` of `walk_own_pages`, borrowed mutably for the walk alone.
    let visit = unsafe { &mut *(*walk).private.cast::<F>() };
    match visit(addr as u64, content) {
        Walk::On => 0,
        Walk::Stop => 1,
    }
}

fn is_zero(page: *mut bindings::page) -> bool {
    // SAFETY: the page is valid and, on our 64-bit architectures, always mapped; the scan is in
    // C, where a byte that changes meanwhile does no harm.
    unsafe { bindings::memchr_inv(bindings::page_address(page), 0, PAGE_SIZE).is_null() }
}
