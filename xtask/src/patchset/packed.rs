// SPDX-License-Identifier: GPL-2.0-only

//! A kernel source packed into git's objects, once for all git trees and exports, which begin with it.
//! Only its files and folders: whoever commits them says what they are.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{AtPath, Error, Result};
use crate::event::{Sink, Stage, Step};
use crate::kernel::source::Fetched;
use crate::layout::{copy_whole, create_dir, remove_dir, Layout};
use crate::patchset::git::git;
use crate::stage::Cached;
use crate::stamp::{self, Freshness, Inputs};

const DOING: &str = "packing the kernel source for git";

/// A packed source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Packed {
    /// Hash of the tree object with all of it.
    pub tree: String,
    /// Packs and their indices, with their lengths.
    files: Vec<(PathBuf, u64)>,
}

/// The source as git has it, packed unless that was done before. The caller holds the lock.
pub fn packed(layout: &Layout, source: &Fetched, sink: &dyn Sink) -> Result<Packed> {
    let mut inputs = Inputs::new();
    inputs.text("kernel source", source.sha256.clone());
    let stamp = layout.stamp(&format!("packed-{}", source.name));
    // Of a pack git sets the time when it would write an object that is in it, also from a tree that has it by
    // a link: a pack is known by its length alone.
    if let Freshness::Fresh(packed) = stamp::check::<Packed>(&stamp, &inputs) {
        if !packed.is_whole() {
            stamp::forget(&stamp)?;
        }
    }
    let stage = Cached {
        step: Step::once(Stage::Packed),
        stamp,
        inputs: &inputs,
        sink,
    };
    let is_index = |file: &&PathBuf| file.extension() != Some("pack".as_ref());
    let outputs = |packed: &Packed| {
        let files = packed.files.iter().map(|(file, _)| file);
        files.filter(is_index).cloned().collect()
    };
    stage.get(outputs, || pack(layout, source))
}

fn pack(layout: &Layout, source: &Fetched) -> Result<Packed> {
    let scratch = layout.scratch("packed")?;
    let (unpacked, made) = (scratch.path().join("unpacked"), scratch.path().join("made"));
    create_dir(&unpacked)?;
    source.unpack(&unpacked)?;
    create_dir(&made)?;
    git(DOING, &made, ["init", "-q", "--bare", "--template="]).read()?;
    // Whatever is in it, also what the kernel's own rules ignore. A file that counts as big is written
    // straight into a pack: one file, in the place of as many as the kernel has. Packed a fifth larger than git
    // does by itself, and in three fifths of the time.
    git(DOING, &unpacked, ["-c", "core.bigFileThreshold=1"])
        .args(["-c", "core.compression=1", "add", "--all", "--force", "."])
        .env("GIT_DIR", &made)
        .env("GIT_WORK_TREE", &unpacked)
        .read()?;
    let tree = git(DOING, &made, ["write-tree"]).read()?;
    // The folders' objects are left, which git packs only when something leads to them.
    git(DOING, &made, ["update-ref", "refs/source", &tree]).read()?;
    git(DOING, &made, ["repack", "-q", "-d"]).read()?;
    let place = layout.packed(&source.name);
    remove_dir(&place)?;
    create_dir(&layout.tree(""))?;
    let packs = made.join("objects/pack");
    std::fs::rename(&packs, &place).at("renaming to", &place)?;
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&place).at("listing", &place)? {
        let file = entry.at("listing", &place)?.path();
        let len = std::fs::metadata(&file).at("looking at", &file)?.len();
        files.push((file, len));
    }
    files.sort();
    Ok(Packed { tree, files })
}

impl Packed {
    /// Puts the objects into a git tree: links to them where the file system can do that, copies otherwise.
    /// Nothing in the tree leads back here.
    pub fn put_into(&self, dir: &Path) -> Result<()> {
        let packs = dir.join(".git/objects/pack");
        create_dir(&packs)?;
        for (file, _) in &self.files {
            let name = file
                .file_name()
                .ok_or_else(|| Error::lab(DOING, format!("{} has no name", file.display())))?;
            let to = packs.join(name);
            if std::fs::hard_link(file, &to).is_err() {
                copy_whole(file, &to)?;
            }
        }
        Ok(())
    }

    /// Whether all files are there in their lengths.
    fn is_whole(&self) -> bool {
        let len_of = |file: &Path| std::fs::metadata(file).ok().map(|meta| meta.len());
        self.files
            .iter()
            .all(|(file, len)| len_of(file) == Some(*len))
    }

    /// What to do when they turn out to be no good.
    pub fn hint(&self) -> String {
        let place = self.files.first().and_then(|(file, _)| file.parent());
        let place = place.unwrap_or(Path::new("")).display();
        format!("remove {place}: it is made anew")
    }
}
