// SPDX-License-Identifier: GPL-2.0

//! Statics that are initialised in place once, at boot: locks, which cannot be moved.

use crate::error::{code::*, Error, Result};
use crate::variant::PinInit;
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicU8, Ordering};

const EMPTY: u8 = 0;
const FILLING: u8 = 1;
const READY: u8 = 2;

/// A static that [`BootOnce::init`] fills.
///
/// # Invariants
///
/// `value` is initialised, and never written again, when `state` is `READY`; only the one caller who
/// moved `state` from `EMPTY` to `FILLING` writes it before.
pub struct BootOnce<T> {
    state: AtomicU8,
    value: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: shared references to `T` are all that is handed out, after `value` was initialised.
unsafe impl<T: Send + Sync> Sync for BootOnce<T> {}

impl<T> BootOnce<T> {
    /// A static that is not filled yet.
    pub const fn new() -> Self {
        Self { state: AtomicU8::new(EMPTY), value: UnsafeCell::new(MaybeUninit::uninit()) }
    }

    /// Fills it; `EBUSY` if that has been done or is being done.
    pub fn init<E>(&'static self, init: impl PinInit<T, E>) -> Result
    where
        Error: From<E>,
    {
        self.state
            .compare_exchange(EMPTY, FILLING, Ordering::Relaxed, Ordering::Relaxed)
            .map_err(|_| EBUSY)?;
        // SAFETY: by the type invariant nobody else touches `value` now; a static does not move.
        unsafe { init.__pinned_init((*self.value.get()).as_mut_ptr()) }?;
        self.state.store(READY, Ordering::Release);
        Ok(())
    }

    /// The value; `None` before [`Self::init`] has succeeded.
    pub fn get(&'static self) -> Option<&'static T> {
        if self.state.load(Ordering::Acquire) != READY {
            return None;
        }
        // SAFETY: by the type invariant the value is initialised and only read from now on.
        Some(unsafe { (*self.value.get()).assume_init_ref() })
    }
}
