// SPDX-License-Identifier: GPL-2.0-only

//! What a git tree was made from: copies of the patches and of the overlay's
//! files inside its `.git`, by which one sees later on which side something was
//! edited.

use std::path::{Path, PathBuf};

use crate::error::{AtPath, Error, Result};
use crate::kernel::tree::OverlayFile;
use crate::layout::{copy_whole, write_whole};
use crate::patchset::series::{Patch, Series};
use crate::stamp::files_below;

/// The folder, in the tree.
const FOLDER: &str = ".git/restart-lab";

/// Keeps copies of what a tree is made from, under their paths in the project.
pub fn keep(
    tree: &Path,
    root: &Path,
    overlay: &[OverlayFile],
    series: &Series,
    patches: &[Patch],
) -> Result<()> {
    let folder = tree.join(FOLDER);
    let patches = patches.iter().map(|patch| series.dir.join(&patch.name));
    for from in overlay.iter().map(|file| file.from.clone()).chain(patches) {
        copy_whole(&from, &folder.join(below(root, &from)?))?;
    }
    write_whole(&folder.join("base"), series.base.as_bytes())
}

/// A path of the project, as seen from its folder.
pub fn below(root: &Path, path: &Path) -> Result<PathBuf> {
    let found = path.strip_prefix(root).map(Path::to_path_buf);
    found.map_err(|_| {
        Error::lab(
            "keeping what a git tree is made from",
            format!("{} is not in {}", path.display(), root.display()),
        )
    })
}

/// What a tree was made from.
pub struct Origin {
    folder: PathBuf,
}

impl Origin {
    /// Of a tree that this lab has made.
    pub fn of(tree: &Path) -> Result<Origin> {
        let folder = tree.join(FOLDER);
        if folder.join("base").is_file() {
            return Ok(Origin { folder });
        }
        Err(Error::usage(
            format!("refreshing from {}", tree.display()),
            "it was not made by `cargo xtask patchset apply --to`",
        ))
    }

    /// What a file of the project held then; `None` if it was not part of it.
    pub fn text(&self, path: &Path) -> Result<Option<Vec<u8>>> {
        let kept = self.folder.join(path);
        match kept.is_file() {
            true => std::fs::read(&kept).at("reading", &kept).map(Some),
            false => Ok(None),
        }
    }

    /// The files below a folder of the project, by their paths there.
    pub fn files(&self, folder: &str) -> Result<Vec<PathBuf>> {
        let kept = self.folder.join(folder);
        if !kept.is_dir() {
            return Ok(Vec::new());
        }
        let files = files_below(&kept)?;
        Ok(files
            .iter()
            .filter_map(|file| file.strip_prefix(&self.folder).ok())
            .map(Path::to_path_buf)
            .collect())
    }
}
