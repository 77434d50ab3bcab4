// SPDX-License-Identifier: GPL-2.0-only

//! What `bench_restart` tells the host: one JSON object a line, a [`Sample`] each.

use serde::{Deserialize, Serialize};

/// What one save and one restart of a tree took, each from the start of the program that does it to its end,
/// in milliseconds by the guest's clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// To freeze the tree, to save it and to kill it.
    pub save_ms: f64,
    /// To make it anew, until all of its tasks run.
    pub restart_ms: f64,
}
