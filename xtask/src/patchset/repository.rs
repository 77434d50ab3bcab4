// SPDX-License-Identifier: GPL-2.0-only

//! A kernel source as a bare git repository of one commit, kept beside its tarball: what every git tree
//! and every export begins with. Packing it takes longest of all that they need, and is done once.

use std::path::{Path, PathBuf};

use crate::error::{AtPath, Result};
use crate::event::{Event, Sink, Stage, Step};
use crate::kernel::source::Fetched;
use crate::layout::{create_dir, remove_dir, Layout};
use crate::patchset::git::{commit_tree, git, BRANCH, LAB};

const DOING: &str = "keeping the kernel source as a repository";

/// The source's repository, made if it is not there: its branch is [`BRANCH`]. The caller holds the lock.
pub fn repository(layout: &Layout, source: &Fetched, sink: &dyn Sink) -> Result<PathBuf> {
    let folder = layout.source(&source.name);
    let kept = folder.join(format!("{}.git", source.sha256));
    if kept.is_dir() {
        return Ok(kept);
    }
    create_dir(&folder)?;
    forget_others(&folder)?;
    sink.emit(Event::StepProgress {
        step: Step::once(Stage::Tree),
        done: 0,
        total: None,
        text: format!("packing {}, once", source.origin),
    });
    let scratch = layout.scratch("repository")?;
    let (unpacked, made) = (scratch.path().join("unpacked"), scratch.path().join("made"));
    create_dir(&unpacked)?;
    source.unpack(&unpacked)?;
    create_dir(&made)?;
    git(DOING, &made, ["init", "-q", "--bare", "--template=", "-b"])
        .arg(BRANCH)
        .read()?;
    // Whatever is in it, also what the kernel's own rules ignore. A file that counts as big is written
    // straight into a pack: one file, in the place of as many as the kernel has.
    git(
        DOING,
        &unpacked,
        [
            "-c",
            "core.bigFileThreshold=1",
            "add",
            "--all",
            "--force",
            ".",
        ],
    )
    .env("GIT_DIR", &made)
    .env("GIT_WORK_TREE", &unpacked)
    .read()?;
    commit_tree(&made, None, LAB, &format!("Linux {}\n", source.version), 0)?;
    // What a clone takes over is the pack alone.
    let index = made.join("index");
    std::fs::remove_file(&index).at("removing", &index)?;
    std::fs::rename(&made, &kept).at("renaming to", &kept)?;
    Ok(kept)
}

/// Removes what was packed of what the source was before.
fn forget_others(folder: &Path) -> Result<()> {
    for entry in std::fs::read_dir(folder).at("listing", folder)?.flatten() {
        let path = entry.path();
        if path.is_dir() && path.extension().is_some_and(|ext| ext == "git") {
            remove_dir(&path)?;
        }
    }
    Ok(())
}
