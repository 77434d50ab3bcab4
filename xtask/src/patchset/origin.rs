// SPDX-License-Identifier: GPL-2.0-only

//! What a git tree was made from, or last refreshed to: copies of the patches and
//! of the overlay's files inside its `.git`, by which one sees later on which side
//! something was edited; and what git said of each patch's commit.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{AtPath, Error, Result};
use crate::kernel::tree::OverlayFile;
use crate::layout::{copy_whole, read_text, remove_dir, write_whole};
use crate::patchset::commit::Commit;
use crate::patchset::series::{Patch, Series};
use crate::stamp::files_below;

/// The folder, in the tree, and what is in it.
const FOLDER: &str = ".git/restart-lab";
const FILES: &str = "files";
const COMMITS: &str = "commits.json";

/// A commit as it was: its patch, and all that it said.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Known {
    patch: String,
    says: String,
}

/// What a tree was made from.
pub struct Origin {
    folder: PathBuf,
    /// By the hash of the commit, and by its trailer.
    commits: BTreeMap<String, Known>,
}

impl Origin {
    /// Of a tree that is being made.
    pub fn new(tree: &Path) -> Origin {
        Origin {
            folder: tree.join(FOLDER),
            commits: BTreeMap::new(),
        }
    }

    /// Of a tree that this lab has made.
    pub fn of(doing: &str, tree: &Path) -> Result<Origin> {
        let folder = tree.join(FOLDER);
        if !folder.join(COMMITS).is_file() {
            return Err(Error::usage(
                doing,
                "it was not made by `cargo xtask patchset apply --to`",
            ));
        }
        let commits = serde_json::from_str(&read_text(&folder.join(COMMITS))?)
            .map_err(|err| Error::usage(doing, format!("{COMMITS}: {err}")))?;
        Ok(Origin { folder, commits })
    }

    /// Keeps copies of what a tree is made from, under their paths in the project.
    pub fn keep(
        &self,
        root: &Path,
        overlay: &[OverlayFile],
        series: &Series,
        patches: &[Patch],
    ) -> Result<()> {
        let patches = patches.iter().map(|patch| series.dir.join(&patch.name));
        for from in overlay.iter().map(|file| file.from.clone()).chain(patches) {
            copy_whole(&from, &self.copy(root, &from)?)?;
        }
        Ok(())
    }

    /// Where the copy of a file of the project is.
    pub fn copy(&self, root: &Path, path: &Path) -> Result<PathBuf> {
        match path.strip_prefix(root) {
            Ok(below) => Ok(self.folder.join(FILES).join(below)),
            Err(_) => Err(Error::lab(
                "keeping what a git tree is made from",
                format!("{} is not in {}", path.display(), root.display()),
            )),
        }
    }

    /// Remembers which patch a commit is, and what it says.
    pub fn remember(&mut self, commit: &Commit, patch: &str) {
        let known = Known {
            patch: patch.to_string(),
            says: commit.says(),
        };
        // The trailer outlives a rebase; of a commit that was split in two the first has it.
        if let Some(name) = &commit.patch {
            self.commits
                .entry(name.clone())
                .or_insert_with(|| known.clone());
        }
        self.commits.insert(commit.hash.clone(), known);
    }

    /// The patch that a commit is, as the project had it last; and whether it says still the same.
    pub fn patch_of(&self, commit: &Commit) -> Option<(&str, bool)> {
        let by_name = || self.commits.get(commit.patch.as_ref()?);
        let known = self.commits.get(&commit.hash).or_else(by_name)?;
        Some((&known.patch, known.says == commit.says()))
    }

    /// What a file of the project held then; `None` if it was not part of it.
    pub fn text(&self, path: &Path) -> Result<Option<Vec<u8>>> {
        let kept = self.folder.join(FILES).join(path);
        match kept.is_file() {
            true => std::fs::read(&kept).at("reading", &kept).map(Some),
            false => Ok(None),
        }
    }

    /// The files below a folder of the project, by their paths there.
    pub fn files(&self, folder: &str) -> Result<Vec<PathBuf>> {
        let all = self.folder.join(FILES);
        let kept = all.join(folder);
        if !kept.is_dir() {
            return Ok(Vec::new());
        }
        let files = files_below(&kept)?;
        let below = |file: &PathBuf| file.strip_prefix(&all).ok().map(Path::to_path_buf);
        Ok(files.iter().filter_map(below).collect())
    }

    /// From now on these files, and these patches of commits, are what the tree was made from.
    pub fn replace(
        &mut self,
        files: &[(PathBuf, Vec<u8>)],
        commits: &[(Commit, String)],
    ) -> Result<()> {
        let all = self.folder.join(FILES);
        remove_dir(&all)?;
        for (path, content) in files {
            write_whole(&all.join(path), content)?;
        }
        self.commits.clear();
        for (commit, patch) in commits {
            self.remember(commit, patch);
        }
        self.write()
    }

    /// Keeps what is remembered.
    pub fn write(&self) -> Result<()> {
        let text = serde_json::to_string_pretty(&self.commits)
            .map_err(|err| Error::lab("keeping what a git tree is made from", err.to_string()))?;
        write_whole(&self.folder.join(COMMITS), text.as_bytes())
    }
}
