// SPDX-License-Identifier: GPL-2.0-only

//! For tests of restart: how many contexts there are, and with CONFIG_CHECKPOINT_DEBUG a hand on
//! those who take part.

#[cfg(CONFIG_CHECKPOINT_DEBUG)]
mod knobs;

use crate::restart::{Actor, Point};
use core::sync::atomic::{AtomicU32, Ordering};

static CONTEXTS: AtomicU32 = AtomicU32::new(0);

/// Makes the files; once, at boot.
pub(crate) fn init() {
    #[cfg(CONFIG_CHECKPOINT_DEBUG)]
    knobs::init();
}

/// A participant is at a point of its way.
pub(crate) fn pass(_actor: Actor, _point: Point) {
    #[cfg(CONFIG_CHECKPOINT_DEBUG)]
    knobs::pass(_actor, _point);
}

/// Part of a context: counts it for as long as it is there.
pub(crate) struct Counted(());

impl Counted {
    pub(crate) fn new() -> Self {
        CONTEXTS.fetch_add(1, Ordering::SeqCst);
        Self(())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        CONTEXTS.fetch_sub(1, Ordering::SeqCst);
    }
}
