// SPDX-License-Identifier: GPL-2.0-only

//! What a git tree was made from, or last refreshed to: copies of the patches and
//! of the overlay's files inside its `.git`, by which one sees later on which side
//! something was edited; and what git said of each patch's commit.

mod pending;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{AtPath, Error, Result};
use crate::kernel::tree::{OverlayFile, OVERLAY};
use crate::layout::{copy_whole, read_text, write_whole};
use crate::patchset::base::BASE;
use crate::patchset::commit::{Commit, Source};
use crate::patchset::git::Contents;
use crate::patchset::series::{Patch, Series};

pub use pending::Change;

/// The folder, in the tree, and what is in it.
const FOLDER: &str = ".git/restart-lab";
const FILES: &str = "files";
const FRESH: &str = "files.new";
const OLD: &str = "files.old";
const MADE: &str = "made.json";
/// The list of a series, beside its patches.
pub const SERIES: &str = "series";

/// A commit as it was: its patch, and all that it said.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Known {
    patch: String,
    says: String,
}

/// What is written down.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Made {
    /// The series' folder in the project.
    series: PathBuf,
    /// What its file `base` is to say, for a series that is carried to another source.
    base: Option<String>,
    /// The version of the source. Trees of before it was kept have none.
    #[serde(default)]
    version: Option<String>,
    /// The patches that were to be carried.
    #[serde(default)]
    carried: Vec<String>,
    /// The hash of the source's files. Trees of before it was kept have none.
    #[serde(default)]
    source: Option<String>,
    /// Whether an overlay belongs to it. Trees of before it was kept have one if they have files of one.
    #[serde(default)]
    overlay: Option<bool>,
    /// By the hash of the commit, and by its trailer.
    commits: BTreeMap<String, Known>,
}

/// What a tree was made from.
pub struct Origin {
    folder: PathBuf,
    made: Made,
}

impl Origin {
    /// Of a tree that is being made of these contents, with this first commit.
    pub fn new(tree: &Path, contents: &Contents<'_>, source: &Source) -> Result<Origin> {
        let made = Made {
            series: below(contents.layout.root(), &contents.series.dir)?.to_path_buf(),
            base: contents.base.clone(),
            version: Some(contents.source.version.clone()),
            carried: Vec::new(),
            source: Some(source.files.clone()),
            overlay: Some(source.has_overlay()),
            commits: BTreeMap::new(),
        };
        let folder = tree.join(FOLDER);
        Ok(Origin { folder, made })
    }

    /// The folder of the project that its patches go back to.
    pub fn series(&self) -> &Path {
        &self.made.series
    }

    /// What the file `base` there is to say, if the series was carried to another source.
    pub fn base(&self) -> Option<&str> {
        self.made.base.as_deref()
    }

    /// The version of the tree's source, if it was kept.
    pub fn version(&self) -> Option<&str> {
        self.made.version.as_deref()
    }

    /// The patches that were to be carried to another source.
    pub fn carried(&self) -> &[String] {
        &self.made.carried
    }

    /// Whether an overlay belongs to the tree.
    pub fn has_overlay(&self) -> Result<bool> {
        match self.made.overlay {
            Some(has) => Ok(has),
            None => self
                .files(Path::new(OVERLAY))
                .map(|files| !files.is_empty()),
        }
    }

    /// Remembers which patches are to be carried.
    pub fn carry(&mut self, names: Vec<String>) {
        self.made.carried = names;
    }

    /// Refuses a tree whose first commit has other files than the source: what was done to them there belongs to no
    /// patch.
    pub fn refuse_other(&self, doing: &str, source: &Source) -> Result<()> {
        match &self.made.source {
            Some(files) if *files != source.files => Err(Error::usage(
                doing,
                format!(
                    "its first commit ({}) has other files than the source that it was made of",
                    source.commit
                ),
            )
            .hint(
                "what was put into it belongs into commits of their own; git reflog still has what was there before",
            )),
            _ => Ok(()),
        }
    }

    /// Of a tree that this lab has made.
    pub fn of(doing: &str, tree: &Path) -> Result<Origin> {
        let folder = tree.join(FOLDER);
        if !folder.join(MADE).is_file() {
            return Err(Error::usage(
                doing,
                "it was not made by `cargo xtask patchset apply --to` or `rebase`",
            ));
        }
        // Cut between the two renamings of `finish`.
        let [all, fresh, old] = [FILES, FRESH, OLD].map(|name| folder.join(name));
        if !all.exists() && old.exists() && fresh.exists() {
            std::fs::rename(&fresh, &all).at("renaming to", &all)?;
        }
        let made = serde_json::from_str(&read_text(&folder.join(MADE))?)
            .map_err(|err| Error::usage(doing, format!("{MADE}: {err}")))?;
        Ok(Origin { folder, made })
    }

    /// The names of the patches that it was made from.
    pub fn patches(&self) -> Result<Vec<String>> {
        let files = self.files(&self.made.series)?;
        let names = files
            .iter()
            .filter_map(|path| path.strip_prefix(&self.made.series).ok());
        let names = names.map(|name| name.display().to_string());
        Ok(names
            .filter(|name| name != BASE && name != SERIES)
            .collect())
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
        self.keep_file(root, &series.dir.join(SERIES))
    }

    /// Keeps a copy of one file of the project, if it is there.
    pub fn keep_file(&self, root: &Path, path: &Path) -> Result<()> {
        match path.is_file() {
            true => copy_whole(path, &self.copy(root, path)?),
            false => Ok(()),
        }
    }

    /// Where the copy of a file of the project is.
    pub fn copy(&self, root: &Path, path: &Path) -> Result<PathBuf> {
        Ok(self.folder.join(FILES).join(below(root, path)?))
    }

    /// Remembers which patch a commit is, and what it says.
    pub fn remember(&mut self, commit: &Commit, patch: &str) {
        let known = Known {
            patch: patch.to_string(),
            says: commit.says(),
        };
        // The trailer outlives a rebase; of a commit that was split in two the first has it.
        if let Some(name) = &commit.patch {
            self.made
                .commits
                .entry(name.clone())
                .or_insert_with(|| known.clone());
        }
        self.made.commits.insert(commit.hash.clone(), known);
    }

    /// The patch that a commit is, as the project had it last; and whether it says still the same.
    /// `is_listed`: whether the project has one of this name now.
    pub fn patch_of<'a>(
        &'a self,
        commit: &'a Commit,
        is_listed: impl Fn(&str) -> bool,
    ) -> Option<(&'a str, bool)> {
        let name = commit.patch.as_ref();
        let by_name = || self.made.commits.get(name?);
        match self.made.commits.get(&commit.hash).or_else(by_name) {
            Some(known) => Some((&known.patch, known.says == commit.says())),
            // Carried over from another source, or picked from another tree of the series: its name is known, and
            // nothing that it said here. A name from elsewhere may be anything.
            None => name
                .filter(|name| self.made.carried.contains(name) || is_listed(name))
                .map(|name| (name.as_str(), false)),
        }
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
    pub fn files(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        let all = self.folder.join(FILES);
        let kept = all.join(folder);
        if !kept.is_dir() {
            return Ok(Vec::new());
        }
        let mut files = Vec::new();
        // All of them: it has been said already what of the project is left out.
        for entry in walkdir::WalkDir::new(&kept).sort_by_file_name() {
            let entry = entry.map_err(|err| {
                Error::lab(format!("listing {}", kept.display()), err.to_string())
            })?;
            let below = entry.path().strip_prefix(&all).map(Path::to_path_buf);
            if let (true, Ok(path)) = (entry.file_type().is_file(), below) {
                files.push(path);
            }
        }
        Ok(files)
    }

    /// Keeps what is remembered.
    pub fn write(&self) -> Result<()> {
        let text = serde_json::to_string_pretty(&self.made)
            .map_err(|err| Error::lab("keeping what a git tree is made from", err.to_string()))?;
        write_whole(&self.folder.join(MADE), text.as_bytes())
    }
}

/// A path of the project, below its root.
fn below<'a>(root: &Path, path: &'a Path) -> Result<&'a Path> {
    path.strip_prefix(root).map_err(|_| {
        Error::usage(
            "keeping what a git tree is made from",
            format!("{} is not in {}", path.display(), root.display()),
        )
        .hint("series and overlay have to lie in the project's folder")
    })
}
