// SPDX-License-Identifier: GPL-2.0-only

//! The restart state machine from outside: every interleaving of up to five
//! tasks, random ones of up to 64, refusals, and the driver over real threads.
//! What is checked is numbered in `docs/restart.md`.

mod driver;
mod explore;
mod interleavings;
mod invariants;
mod machine;
mod mutants;
mod random;
mod refusals;
mod registry;
mod room;
mod story;
mod threads;
mod wrong_steps;
