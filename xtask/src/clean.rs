// SPDX-License-Identifier: GPL-2.0-only

//! `lab clean`: removes what the lab has made.

use std::path::PathBuf;

use crate::error::Result;
use crate::event::Sink;
use crate::flags::Clean;
use crate::layout::{remove_dir, Layout};

/// Removes what the flags say; returns what was there and is gone.
/// Downloads and tools stay without `--all`: getting them again takes longest.
pub fn clean(layout: &Layout, flags: &Clean, sink: &dyn Sink) -> Result<Vec<PathBuf>> {
    let lock = layout.lock(sink)?;
    let lab = layout.lab();
    let names: &[&str] = match (flags.runs, flags.all) {
        (true, _) => &["runs"],
        // Stamps first: without them nothing half-removed is believed.
        (false, false) => &["stamps", "runs", "out", "obj", "src", "logs", "tmp"],
        (false, true) => &[
            "stamps", "runs", "out", "obj", "src", "logs", "tmp", "cache", "tools",
        ],
    };
    let mut removed = Vec::new();
    for path in names
        .iter()
        .map(|name| lab.join(name))
        .filter(|path| path.exists())
    {
        remove_dir(&path)?;
        removed.push(path);
    }
    drop(lock);
    Ok(removed)
}
