// SPDX-License-Identifier: GPL-2.0-only

//! What the participants of the last restarts have come to, and when, for whoever draws them;
//! debugfs, `checkpoint/`:
//!
//! | file | meaning |
//! | --- | --- |
//! | `traced` | number of the last [`Moment`] since boot; 0: none |
//! | `trace` | the last [`MOMENTS`] of them, each in the form that [`Moment`] describes, in a ring: that of number n stands in place n mod [`MOMENTS`] |
//!
//! A moment that is being written while somebody reads has no number: the word with it is cleared
//! first and stored last. Of a reader that is slower than a whole round of the ring nothing is
//! promised.

use crate::restart::trace::{Moment, WORDS};
use core::sync::atomic::{fence, AtomicU32, AtomicU64, Ordering};
use kernel::debugfs_numbers::Dir;

/// Enough for two restarts of a thousand tasks.
const MOMENTS: usize = 16384;

// An initial value only: each place of the ring is one of its own.
#[allow(clippy::declare_interior_mutable_const)]
const ZERO: AtomicU64 = AtomicU64::new(0);

static RING: [AtomicU64; MOMENTS * WORDS] = [ZERO; MOMENTS * WORDS];
static TRACED: AtomicU32 = AtomicU32::new(0);

/// Makes the files; once, at boot.
pub(super) fn init(dir: &Dir) {
    dir.read_only_u32(c"traced", &TRACED);
    dir.read_only_words(c"trace", &RING);
}

/// Keeps a moment, which gets its number here.
pub(super) fn keep(mut moment: Moment) {
    moment.number = TRACED.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
    let from = moment.number as usize % MOMENTS * WORDS;
    let Some([time, numbers, who, what]) = RING.get(from..from + WORDS) else {
        return;
    };
    let words = moment.to_words();
    numbers.store(0, Ordering::Relaxed);
    fence(Ordering::Release);
    time.store(words[0], Ordering::Relaxed);
    who.store(words[2], Ordering::Relaxed);
    what.store(words[3], Ordering::Relaxed);
    numbers.store(words[1], Ordering::Release);
}
