// SPDX-License-Identifier: GPL-2.0-only

//! `lab clean`: removes what the lab has made.

use std::path::PathBuf;

use crate::error::Result;
use crate::event::Sink;
use crate::flags::Clean;
use crate::layout::{disk_bytes, remove_dir, Layout};

/// What was removed.
pub struct Removed {
    /// The folder.
    pub path: PathBuf,
    /// What its files took of the disk, in bytes.
    pub bytes: u64,
}

/// Removes what the flags say; returns what was there and is gone.
/// Downloads and tools stay without `--all`: getting them again takes longest.
pub fn clean(layout: &Layout, flags: &Clean, sink: &dyn Sink) -> Result<Vec<Removed>> {
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
        let bytes = disk_bytes(&path);
        remove_dir(&path)?;
        removed.push(Removed { path, bytes });
    }
    drop(lock);
    Ok(removed)
}
