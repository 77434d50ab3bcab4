// SPDX-License-Identifier: GPL-2.0-only

//! The restart state machine from outside: every interleaving of up to four
//! tasks, refusals, and the driver over real threads.

mod explore;
mod interleavings;
mod refusals;
mod threads;
