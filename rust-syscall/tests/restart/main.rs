// SPDX-License-Identifier: GPL-2.0-only

//! The restart state machine from outside: every interleaving of up to five
//! tasks, random ones of up to 64, refusals, and the driver over real threads.
//! What is checked is numbered in `docs/restart.md`.

// Under miri no mutation is told, and what only they need is not used.
#![cfg_attr(miri, allow(dead_code))]

mod driver;
mod explore;
mod interleavings;
mod invariants;
mod machine;
#[cfg(not(miri))]
mod mutants;
mod random;
mod refusals;
mod registry;
mod room;
mod sched;
mod story;
mod threads;
mod wrong_steps;
