// SPDX-License-Identifier: GPL-2.0

//! Batches of pages that are held in memory for I/O: pinned user pages, and pages of shared
//! memory objects.
//!
//! No lock is held while a batch exists, so that I/O on it may block for as long as it likes.

use super::MmWithUser;
use crate::alloc::{flags::GFP_KERNEL, KVec};
use crate::error::{code::*, from_err_ptr, Error, Result};
use crate::fs::File;
use crate::page::PAGE_SIZE;
use core::mem::MaybeUninit;
use core::ptr;

/// How many pages a batch holds at the most: 1 MiB of 4 KiB pages.
pub const BATCH: usize = 256;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Held {
    /// By `pin_user_pages*`; `true`: for writing.
    Pin(bool),
    /// By a plain page reference; `true`: for writing.
    Reference(bool),
}

/// A batch of pages; those taken are added to those that are there, up to [`BATCH`]. All of a
/// batch are held in one way: taking some in another way lets go of the others first.
///
/// # Invariants
///
/// Every pointer in `pages` is a page held in the way that `held` says. Both vectors have room
/// for [`BATCH`] entries.
pub struct Pages {
    pages: KVec<*mut bindings::page>,
    bvecs: KVec<bindings::bio_vec>,
    held: Held,
}

impl Pages {
    /// An empty batch, with all the memory it will ever need.
    pub fn new() -> Result<Self> {
        Ok(Self {
            pages: KVec::with_capacity(BATCH, GFP_KERNEL)?,
            bvecs: KVec::with_capacity(BATCH, GFP_KERNEL)?,
            held: Held::Pin(false),
        })
    }

    /// Takes up to `nr` pages of an address space from `start` on, for reading, whatever the
    /// protection of the mapping; returns how many, at least one.
    ///
    /// A plain reference, not a pin: a pin would break copy-on-write sharing with a forked task.
    pub fn take_remote(&mut self, mm: &MmWithUser, start: u64, nr: usize) -> Result<usize> {
        self.hold_by(Held::Reference(false))?;
        let mut locked = 1;
        let guard = mm.read_lock();
        // SAFETY: `mmap_lock` is held and stays so unless `locked` comes back as 0; the array
        // has room for that many pointers more.
        let got = unsafe {
            bindings::get_user_pages_remote(
                mm.as_raw(),
                start as _,
                self.room_for(nr) as _,
                bindings::FOLL_FORCE,
                self.pages.as_mut_ptr().add(self.pages.len()),
                &mut locked,
            )
        };
        if locked == 0 {
            core::mem::forget(guard);
        }
        self.took(got)
    }

    /// Pins up to `nr` pages of the current task from `start` on, to be filled, whatever the
    /// protection of the (private) mapping; returns how many, at least one.
    pub fn pin_current_for_filling(&mut self, start: u64, nr: usize) -> Result<usize> {
        self.hold_by(Held::Pin(true))?;
        // SAFETY: the array has room for that many pointers more; no lock is held.
        let got = unsafe {
            bindings::pin_user_pages_unlocked(
                start as _,
                self.room_for(nr) as _,
                self.pages.as_mut_ptr().add(self.pages.len()),
                bindings::FOLL_FORCE | bindings::FOLL_WRITE,
            )
        };
        self.took(got)
    }

    fn hold_by(&mut self, held: Held) -> Result {
        if self.held != held {
            self.release();
            self.held = held;
        }
        if self.pages.len() == BATCH {
            return Err(Error::from_errno(-(bindings::ENOBUFS as i32)));
        }
        Ok(())
    }

    fn room_for(&self, nr: usize) -> usize {
        nr.min(BATCH - self.pages.len())
    }

    fn took(&mut self, got: isize) -> Result<usize> {
        if got < 0 {
            return Err(Error::from_errno(got as i32));
        }
        if got == 0 {
            return Err(EFAULT);
        }
        // SAFETY: the call has written that many pointers, within the capacity.
        unsafe { self.pages.inc_len(got as usize) };
        Ok(got as usize)
    }

    /// Takes up to `nr` pages of a shared memory object from byte `start` on, for reading or
    /// `for_filling`; missing ones are made, zeroed. Returns how many, at least one.
    pub fn take_shared(
        &mut self,
        object: &File,
        start: u64,
        nr: usize,
        for_filling: bool,
    ) -> Result<usize> {
        self.hold_by(Held::Reference(for_filling))?;
        let first = start / PAGE_SIZE as u64;
        let nr = self.room_for(nr);
        for index in first..first + nr as u64 {
            // SAFETY: the object is a shmem file that is held; the result owns a reference.
            let page = from_err_ptr(unsafe { bindings::shmem_page(object.as_ptr(), index as _) })?;
            self.pages.push(page, GFP_KERNEL)?;
        }
        Ok(nr)
    }

    /// Number of pages held.
    pub fn len(&self) -> usize {
        self.pages.len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.pages.len() * PAGE_SIZE
    }

    /// Whether every byte of a page is zero.
    pub fn is_zero(&self, index: usize) -> bool {
        let Some(page) = self.pages.get(index) else {
            return false;
        };
        // SAFETY: the page is held; C does the scan, which bears with concurrent writers.
        unsafe { bindings::memchr_inv(bindings::page_address(*page), 0, PAGE_SIZE).is_null() }
    }

    /// Feeds the pages' bytes to `sink`, 512 at a time.
    ///
    /// They are copied out word by word first: another task may be writing to shared pages.
    pub fn for_each_chunk(&self, mut sink: impl FnMut(&[u8; 512])) {
        for page in &self.pages {
            // SAFETY: the page is held, and always mapped on our 64-bit architectures.
            let base = unsafe { bindings::page_address(*page) }.cast::<[u8; 512]>();
            for chunk in 0..PAGE_SIZE / 512 {
                let mut copy = MaybeUninit::<[u8; 512]>::uninit();
                // SAFETY: source and target are 512 valid bytes, and `memcpy` in C bears with
                // concurrent writers; afterwards the copy is initialised.
                let copy = unsafe {
                    bindings::memcpy(copy.as_mut_ptr().cast(), base.add(chunk).cast(), 512);
                    copy.assume_init_ref()
                };
                sink(copy);
            }
        }
    }

    /// Makes freshly written code visible to instruction fetches.
    pub fn flush_for_exec(&self) {
        for page in &self.pages {
            // SAFETY: the page is held.
            unsafe { bindings::flush_page_for_exec(*page) };
        }
    }

    /// Runs `io` on an iterator over the pages' bytes from `skip` on.
    pub(crate) fn with_iter(
        &mut self,
        direction: u32,
        skip: usize,
        io: impl FnOnce(*mut bindings::iov_iter) -> Result<usize>,
    ) -> Result<usize> {
        self.bvecs.clear();
        for page in self.pages.iter().skip(skip / PAGE_SIZE) {
            let offset = if self.bvecs.is_empty() { skip % PAGE_SIZE } else { 0 };
            self.bvecs.push(
                bindings::bio_vec {
                    bv_page: *page,
                    bv_len: (PAGE_SIZE - offset) as u32,
                    bv_offset: offset as u32,
                },
                GFP_KERNEL,
            )?;
        }
        let mut iter = MaybeUninit::<bindings::iov_iter>::uninit();
        // SAFETY: the vectors describe held pages and outlive the iterator, which `io` uses
        // only while it runs.
        unsafe {
            bindings::iov_iter_bvec(
                iter.as_mut_ptr(),
                direction,
                self.bvecs.as_ptr(),
                self.bvecs.len() as _,
                self.bytes().saturating_sub(skip),
            );
        }
        io(iter.as_mut_ptr())
    }

    /// Lets go of all pages; those held for filling are marked dirty.
    pub fn release(&mut self) {
        if self.pages.is_empty() {
            return;
        }
        let (pages, nr) = (self.pages.as_mut_ptr(), self.pages.len());
        match self.held {
            // SAFETY: by the type invariant these pages are pinned.
            Held::Pin(dirty) => unsafe {
                bindings::unpin_user_pages_dirty_lock(pages, nr as _, dirty)
            },
            Held::Reference(dirty) => {
                for page in &self.pages {
                    // SAFETY: by the type invariant a reference is held, and given up here.
                    unsafe {
                        if dirty {
                            bindings::set_page_dirty_lock(*page);
                        }
                        bindings::put_page(*page);
                    }
                }
            }
        }
        self.pages.clear();
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.release();
    }
}

// SAFETY: pages may be released by any task.
unsafe impl Send for Pages {}

/// Reads the bytes of the current task's memory; for memory that may not be there.
pub fn read_current(addr: u64, out: &mut [u8]) -> Result {
    // SAFETY: `copy_from_user` checks the address; the target is valid for its length.
    let left = unsafe {
        bindings::copy_from_user(out.as_mut_ptr().cast(), ptr::without_provenance(addr as usize), out.len() as _)
    };
    if left != 0 {
        return Err(EFAULT);
    }
    Ok(())
}
