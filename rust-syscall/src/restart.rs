// SPDX-License-Identifier: GPL-2.0-only

//! The coordination of a restart: who may do what, when, and what becomes of
//! everyone when something fails.
//!
//! A pure state machine without memory of its own: the caller lends one
//! [`Slot`] for every task of the image, in the order of TREE, locks, calls
//! [`Restart::step`], unlocks, and wakes whom the [`Effect`] names. Whoever
//! waits looks at its [`Restart::turn`] under the lock each time it wakes.
//!
//! ```text
//! Gathering --last task in--> Restoring(0) --Restored--> ... Restoring(n-1)
//!     --Restored--> Verifying --Verified--> Releasing --last Leave--> Done
//! any of the first three --Failed, Interrupted, Died--> Failed
//! ```
//!
//! - The root of the tree, slot 0, restores first, the others strictly in
//!   order, one at a time.
//! - The *owner* reads the image's ends: the coordinator, or in root mode the
//!   root. It reads HEAD and TREE before the machine exists, and END when all
//!   tasks are restored ([`Turn::Verify`]).
//! - Nobody is released before that; then everybody is.
//! - The first error is kept and everyone learns it. A task that has begun to
//!   restore must then die ([`Turn::Abort`] with `kill`): it is no longer what
//!   it was. One that has not begun gets the errno.
//! - A refused event changes nothing.

pub mod monitor;
pub mod registry;
pub mod state;
pub mod step;
pub mod trace;

pub use monitor::{Ending, Monitor, Point, Work};
pub use state::{Actor, Effect, Event, Failure, Mode, Phase, ProtocolError, Slot, Turn, Wake};
pub use step::Restart;
