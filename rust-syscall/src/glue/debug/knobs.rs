// SPDX-License-Identifier: GPL-2.0-only

//! A hand on those who take part in a restart, for tests; debugfs, `checkpoint/`:
//!
//! | file | meaning |
//! | --- | --- |
//! | `contexts` | contexts in memory; 0 when no restart is going on |
//! | `places` | roots of which a restart is going on or waited for; 0 when nobody is in restart(2) |
//! | `delay_us` | at each [`Point`] a participant is delayed by up to that many microseconds |
//! | `seed` | state of the generator that chooses the delays; write it to begin a sequence |
//! | `hold_point` | number of the [`Point`] at which a participant is held; 0: none |
//! | `hold_slot` | who: the number of a task in the pids array, or 4294967295 for the coordinator |
//! | `panic_point` | number of the [`Point`] at which the next participant panics, which is an oops: then it is 0 again |
//! | `held` | pid, in the first pid namespace, of the participant that is held now; else 0 |
//!
//! Whoever is held goes on when `hold_point` changes, or when a signal comes.

use super::{CONTEXTS, PLACES};
use crate::restart::{Actor, Point};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use kernel::current;
use kernel::debugfs_numbers::Dir;
use kernel::task_sleep::{sleep_a_tick, sleep_us};

/// [`HOLD_SLOT`] for the coordinator.
const COORDINATOR: u32 = u32::MAX;
/// Longest delay: a test that asks for more would look like a hang.
const MAX_DELAY_US: u32 = 100_000;

static DELAY_US: AtomicU32 = AtomicU32::new(0);
static SEED: AtomicU64 = AtomicU64::new(0);
static HOLD_POINT: AtomicU32 = AtomicU32::new(0);
static HOLD_SLOT: AtomicU32 = AtomicU32::new(0);
static HELD: AtomicU32 = AtomicU32::new(0);
static PANIC_POINT: AtomicU32 = AtomicU32::new(0);

/// Makes the files; once, at boot.
pub(super) fn init(dir: &Dir) {
    dir.read_only_u32(c"contexts", &CONTEXTS);
    dir.read_only_u32(c"places", &PLACES);
    dir.read_write_u32(c"delay_us", &DELAY_US);
    dir.read_write_u64(c"seed", &SEED);
    dir.read_write_u32(c"hold_point", &HOLD_POINT);
    dir.read_write_u32(c"hold_slot", &HOLD_SLOT);
    dir.read_only_u32(c"held", &HELD);
    dir.read_write_u32(c"panic_point", &PANIC_POINT);
}

/// A participant is at a point of its way: delays it, or holds it there, or has it panic.
pub(super) fn pass(actor: Actor, point: Point) {
    let (wanted, relaxed) = (point as u32, Ordering::Relaxed);
    if PANIC_POINT.compare_exchange(wanted, 0, relaxed, relaxed).is_ok() {
        panic!("as checkpoint/panic_point wants it");
    }
    let limit = DELAY_US.load(Ordering::Relaxed).min(MAX_DELAY_US);
    if limit > 0 {
        sleep_us(random() as u32 % limit);
    }
    let slot = match actor {
        Actor::Slot(slot) => slot as u32,
        Actor::Coordinator => COORDINATOR,
    };
    let is_wanted = || {
        HOLD_POINT.load(Ordering::SeqCst) == point as u32
            && HOLD_SLOT.load(Ordering::SeqCst) == slot
    };
    if !is_wanted() {
        return;
    }
    HELD.store(current!().pid() as u32, Ordering::SeqCst);
    while is_wanted() && !current!().signal_pending() {
        sleep_a_tick();
    }
    HELD.store(0, Ordering::SeqCst);
}

/// The next number of the sequence: splitmix64 over a counter that all share.
fn random() -> u64 {
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut x = SEED.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
