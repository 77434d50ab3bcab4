// SPDX-License-Identifier: GPL-2.0-only

//! For tests of restart: how many contexts and places there are, and with CONFIG_CHECKPOINT_DEBUG a hand on
//! those who take part, and a record of what they do. Files in debugfs, `checkpoint/`; which, is in
//! the modules.

#[cfg(CONFIG_CHECKPOINT_DEBUG)]
mod knobs;
#[cfg(CONFIG_CHECKPOINT_DEBUG)]
mod trace;

use crate::restart::trace::Place;
use crate::restart::Actor;
use core::sync::atomic::{AtomicU32, Ordering};

static CONTEXTS: AtomicU32 = AtomicU32::new(0);
/// Roots in the list of restarts.
static PLACES: AtomicU32 = AtomicU32::new(0);
/// Restarts since boot.
static RESTARTS: AtomicU32 = AtomicU32::new(0);

/// Makes the files; once, at boot.
pub(crate) fn init() {
    #[cfg(CONFIG_CHECKPOINT_DEBUG)]
    {
        let dir = kernel::debugfs_numbers::Dir::new(c"checkpoint");
        knobs::init(&dir);
        trace::init(&dir);
    }
}

/// A participant has come to a place; `_saved_pid` is its task's in the image.
pub(crate) fn pass(_restart: &Counted, _actor: Actor, _saved_pid: i32, _place: Place) {
    #[cfg(CONFIG_CHECKPOINT_DEBUG)]
    {
        trace::keep(crate::restart::trace::Moment {
            time_ns: kernel::task_sleep::now_ns(),
            restart: _restart.number,
            number: 0,
            actor: _actor,
            pid: kernel::current!().pid(),
            saved_pid: _saved_pid,
            place: _place,
        });
        if let Place::At { point, .. } = _place {
            knobs::pass(_actor, point);
        }
    }
}

/// Part of a context: counts it for as long as it is there.
pub(crate) struct Counted {
    /// Which restart since boot it is, from 1.
    #[cfg_attr(not(CONFIG_CHECKPOINT_DEBUG), allow(dead_code))]
    number: u32,
}

impl Counted {
    pub(crate) fn new() -> Self {
        CONTEXTS.fetch_add(1, Ordering::SeqCst);
        Self {
            number: RESTARTS.fetch_add(1, Ordering::Relaxed).wrapping_add(1),
        }
    }
}

/// Part of a root's place in the list of restarts: counts it for as long as it is there.
pub(crate) struct Listed(());

impl Listed {
    pub(crate) fn new() -> Self {
        PLACES.fetch_add(1, Ordering::SeqCst);
        Self(())
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        PLACES.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        CONTEXTS.fetch_sub(1, Ordering::SeqCst);
    }
}
