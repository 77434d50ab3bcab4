// SPDX-License-Identifier: GPL-2.0-only

//! A refresh that is being carried out. It is written down whole before the first file of the project changes, so that
//! one that is cut can be finished, and is not taken for what the project has edited.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Made, Origin, FILES, FRESH, OLD};
use crate::error::{AtPath, Error, Result};
use crate::layout::{create_dir, read_text, remove_dir, write_whole};
use crate::patchset::commit::Commit;
use crate::stamp::{hash_bytes, hash_file};

/// In the tree's folder: what is to be done, and the files that the project is to have.
const PENDING: &str = "refresh.json";
const NEXT: &str = "refresh.files";
/// What the last one that was given up would have written.
const GIVEN_UP: &str = "refresh.given-up";

/// What is to be done.
#[derive(Debug, Serialize, Deserialize)]
struct Pending {
    /// The project's folder.
    root: PathBuf,
    /// Files of the project that come, change or go, each with hashes of what it held before and is to hold: none where
    /// there was or is to be none.
    files: BTreeMap<PathBuf, (Option<String>, Option<String>)>,
    /// What is written down of the tree afterwards.
    made: Made,
}

/// What a refresh changes.
pub struct Change<'a> {
    /// New content by path in the project.
    pub written: &'a [(PathBuf, Vec<u8>)],
    /// Files that go.
    pub removed: &'a [PathBuf],
    /// All files that the tree is made from afterwards.
    pub files: &'a [(PathBuf, Vec<u8>)],
    /// The commits that are patches, each with the name of its patch.
    pub patches: &'a [(Commit, String)],
}

impl Origin {
    /// Writes a change down, which [`Origin::finish`] carries out.
    pub fn begin(&self, root: &Path, change: &Change<'_>) -> Result<()> {
        let mut all = BTreeMap::new();
        let written = change
            .written
            .iter()
            .map(|(path, content)| (path, Some(hash_bytes(content))));
        let removed = change.removed.iter().map(|path| (path, None));
        for (path, after) in written.chain(removed) {
            let files = (hash_of(&root.join(path))?, after);
            if all.insert(path.clone(), files).is_some() {
                let found = format!("{} would change twice", path.display());
                return Err(Error::lab("writing a refresh down", found));
            }
        }
        let mut after = Origin {
            folder: self.folder.clone(),
            made: self.made.clone(),
        };
        after.made.overlay = Some(self.has_overlay()?);
        after.made.commits.clear();
        // Whoever was left out has been told of.
        after.made.carried.clear();
        for (commit, patch) in change.patches {
            after.remember(commit, patch);
        }
        let pending = Pending {
            root: root.to_path_buf(),
            files: all,
            made: after.made,
        };
        for (folder, files) in [(FRESH, change.files), (NEXT, change.written)] {
            let folder = self.folder.join(folder);
            remove_dir(&folder)?;
            create_dir(&folder)?;
            for (path, content) in files {
                write_whole(&folder.join(path), content)?;
            }
        }
        let text = serde_json::to_string_pretty(&pending)
            .map_err(|err| Error::lab("writing a refresh down", err.to_string()))?;
        write_whole(&self.folder.join(PENDING), text.as_bytes())
    }

    /// Whether a refresh was begun and not finished.
    pub fn is_pending(&self) -> bool {
        self.folder.join(PENDING).is_file()
    }

    /// Gives up what was begun: what it has written stays, and counts as what the project has edited. Gives the folder with
    /// what it would have written, which stays too.
    pub fn abort(&self) -> Result<PathBuf> {
        let (next, kept) = (self.folder.join(NEXT), self.folder.join(GIVEN_UP));
        let path = self.folder.join(PENDING);
        // Cut here, it can be given up again.
        if next.exists() {
            remove_dir(&kept)?;
            std::fs::rename(&next, &kept).at("renaming to", &kept)?;
        }
        std::fs::remove_file(&path).at("removing", &path)?;
        Ok(kept)
    }

    /// Carries out what was begun, or the rest of it: the tree is from then on one of what the project has.
    pub fn finish(&mut self, doing: &str, root: &Path) -> Result<()> {
        let path = self.folder.join(PENDING);
        let pending: Pending = serde_json::from_str(&read_text(&path)?)
            .map_err(|err| Error::lab(format!("reading {}", path.display()), err.to_string()))?;
        // Where that is gone the project has moved; its files tell whether this is it.
        if pending.root != root && pending.root.exists() {
            let found = format!("a refresh to {} was cut", pending.root.display());
            return Err(Error::usage(doing, found).hint("run it there: it finishes that one first"));
        }
        let next = self.folder.join(NEXT);
        for (path, (before, after)) in &pending.files {
            let (now, made) = (hash_of(&root.join(path))?, hash_of(&next.join(path))?);
            if now != *before && now != *after {
                let found = format!("{} was edited since a refresh was cut", path.display());
                return Err(Error::usage(doing, found).hint(format!(
                    "put it back as it was, or give that refresh up by --abort: what it has written stays, what it would write is in {}",
                    next.display()
                )));
            }
            if made != *after {
                let found = format!("{} is damaged", next.join(path).display());
                return Err(Error::lab(doing, found)
                    .hint("git has the commits: make a new tree, and cherry-pick them"));
            }
        }
        let (goes, comes): (Vec<_>, Vec<_>) = pending
            .files
            .iter()
            .partition(|(_, (_, after))| after.is_none());
        // What goes goes last, since what comes may be the same under another name; but for what lies where something comes.
        let is_in_the_way = |path: &&PathBuf| {
            let mut coming = comes.iter().map(|(path, _)| path);
            coming.any(|coming| coming.starts_with(path) || path.starts_with(coming))
        };
        let goes = goes.iter().map(|(path, _)| *path);
        let (first, last): (Vec<_>, Vec<_>) = goes.partition(is_in_the_way);
        remove_all(root, &first)?;
        for (path, _) in &comes {
            let (from, to) = (next.join(path), root.join(path));
            if to.is_dir() {
                remove_empty(&to)?;
            }
            write_whole(&to, &std::fs::read(&from).at("reading", &from)?)?;
        }
        remove_all(root, &last)?;
        let [all, fresh, old] = [FILES, FRESH, OLD].map(|name| self.folder.join(name));
        if fresh.exists() {
            remove_dir(&old)?;
            if all.exists() {
                std::fs::rename(&all, &old).at("renaming to", &old)?;
            }
            std::fs::rename(&fresh, &all).at("renaming to", &all)?;
        }
        remove_dir(&old)?;
        self.made = pending.made;
        self.write()?;
        std::fs::remove_file(&path).at("removing", &path)?;
        remove_dir(&next)
    }
}

/// Removes files of the project, as far as they are there.
fn remove_all(root: &Path, paths: &[&PathBuf]) -> Result<()> {
    for path in paths {
        let to = root.join(path);
        if to.is_file() {
            std::fs::remove_file(&to).at("removing", &to)?;
        }
    }
    Ok(())
}

/// Removes a folder in which there are no files.
fn remove_empty(folder: &Path) -> Result<()> {
    for entry in walkdir::WalkDir::new(folder).contents_first(true) {
        let entry = entry
            .map_err(|err| Error::lab(format!("listing {}", folder.display()), err.to_string()))?;
        std::fs::remove_dir(entry.path()).at("removing", entry.path())?;
    }
    Ok(())
}

/// A hash of a file, if it is there.
fn hash_of(path: &Path) -> Result<Option<String>> {
    match path.is_file() {
        true => hash_file(path).map(Some),
        false => Ok(None),
    }
}
