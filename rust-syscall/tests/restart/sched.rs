// SPDX-License-Identifier: GPL-2.0-only

//! What the models' threads, locks and sleeps are: loom's, of which every order is tried; under miri, which
//! cannot follow loom from stack to stack, std's, in orders that miri draws.

#[cfg(not(miri))]
pub use loom::{
    sync::atomic::{AtomicBool, Ordering},
    sync::{Condvar, Mutex, MutexGuard},
    thread, thread_local,
};
#[cfg(miri)]
pub use std::{
    sync::atomic::{AtomicBool, Ordering},
    sync::{Condvar, Mutex, MutexGuard},
    thread, thread_local,
};

/// Tells a story in every order of its threads that has at most this many preemptions.
#[cfg(not(miri))]
pub fn explore(preemptions: usize, tell: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(tell);
}

/// Tells a story in some of the orders of its threads. Each time on new threads: the story's first one has
/// variables of its own too.
#[cfg(miri)]
pub fn explore(_preemptions: usize, tell: impl Fn() + Send + Sync + 'static) {
    const ROUNDS: usize = 4;
    let tell = std::sync::Arc::new(tell);
    for _ in 0..ROUNDS {
        let tell = tell.clone();
        thread::spawn(move || tell()).join().unwrap();
    }
}
