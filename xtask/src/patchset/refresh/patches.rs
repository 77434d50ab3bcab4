// SPDX-License-Identifier: GPL-2.0-only

//! The series out of a tree's commits: the patches, what they are called, and the file that lists them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::naming::{self, Patch};
use super::Refresh;
use crate::error::{Error, Result};
use crate::layout::read_written;
use crate::patchset::base::BASE;
use crate::patchset::commit::Commit;
use crate::patchset::list;

/// The list of a series, beside its patches.
const SERIES: &str = "series";

/// A patch of the refreshed series.
struct Refreshed {
    commit: Commit,
    /// Its name when the tree was made, if it is one of those.
    was: Option<String>,
    /// Whether its commit still says what it said then.
    same: bool,
    /// What it is called by, without number and ending.
    slug: String,
    /// Its content.
    text: Vec<u8>,
}

impl Refresh<'_> {
    /// Makes patches of the commits that are some, and the list of all.
    pub(super) fn patches(&mut self, doing: &str, commits: Vec<Commit>) -> Result<()> {
        let refreshed = self.refreshed(commits)?;
        self.left_out(&refreshed);
        let folder = self.origin.series().to_path_buf();
        let mut gone: BTreeSet<PathBuf> = self.origin.files(&folder)?.into_iter().collect();
        gone.remove(&folder.join(BASE));
        let mut here = Vec::new();
        for patch in refreshed {
            let was = patch.was.as_ref().map(|was| folder.join(was));
            match was {
                // The project alone has taken it out: it is not to come back, under whatever name.
                Some(path) if self.is_taken_out(&path)? => {
                    gone.remove(&path);
                    let name = patch.was.unwrap_or_default();
                    self.changes.patches.push((patch.commit, name));
                    self.settle(path, Some(patch.text))?;
                }
                _ => here.push(patch),
            }
        }
        let text = self.listed()?;
        let listed: Vec<&str> = list::names(&text).collect();
        let others = self.others(&listed)?;
        let others: Vec<&str> = others.iter().map(String::as_str).collect();
        let of_tree = here.iter().map(|patch| Patch::Tree {
            was: patch.was.as_deref(),
            slug: &patch.slug,
        });
        let all = naming::merge(of_tree.collect(), &others, &listed);
        let is_of_tree: Vec<bool> = all
            .iter()
            .map(|patch| matches!(patch, Patch::Tree { .. }))
            .collect();
        let names = naming::names(&all, &listed).map_err(|why| {
            Error::usage(doing, format!("numbering the patches: {why}")).hint(
                "make a tree of the whole series by `cargo xtask patchset apply` and cherry-pick what is new into it; or give patches other numbers, in their folder and in its series file",
            )
        })?;
        let new = names
            .iter()
            .zip(&is_of_tree)
            .filter(|(_, of_tree)| **of_tree);
        let new: Vec<&String> = new.map(|(name, _)| name).collect();
        let moved: BTreeMap<String, String> = here
            .iter()
            .zip(&new)
            .filter_map(|(patch, name)| Some((patch.was.clone()?, name.to_string())))
            .collect();
        for (patch, name) in here.into_iter().zip(&new) {
            gone.remove(&folder.join(name));
            let path = folder.join(name);
            match &patch.was {
                Some(was) if patch.same && was != *name => {
                    gone.remove(&folder.join(was));
                    self.rename(&folder, was, name, &moved)?;
                }
                _ => self.settle(path, Some(patch.text)).map(drop)?,
            }
            self.changes.patches.push((patch.commit, name.to_string()));
        }
        for path in gone {
            self.settle(path, None)?;
        }
        self.series(&text, &names, &moved);
        match self.origin.base() {
            Some(base) => {
                let text = format!("{base}\n").into_bytes();
                self.settle(folder.join(BASE), Some(text)).map(drop)
            }
            None => Ok(()),
        }
    }

    fn refreshed(&self, commits: Vec<Commit>) -> Result<Vec<Refreshed>> {
        let mut refreshed: Vec<Refreshed> = Vec::new();
        for commit in commits.into_iter().filter(Commit::is_patch) {
            let known = self.origin.patch_of(&commit);
            let taken = |name: &str| {
                refreshed
                    .iter()
                    .any(|other| other.was.as_deref() == Some(name))
            };
            // Of a commit that was split in two the first keeps the name.
            let known = known.filter(|(name, _)| !taken(name));
            let kept = match known {
                Some((name, true)) => self.origin.text(&self.origin.series().join(name))?,
                _ => None,
            };
            let was = known.map(|(name, _)| name.to_string());
            let slug = match was.as_deref().and_then(naming::parts) {
                Some((_, slug)) => slug.to_string(),
                None => commit.slug(),
            };
            let same = kept.is_some();
            let text = kept.unwrap_or_else(|| commit.text().into_bytes());
            refreshed.push(Refreshed {
                commit,
                was,
                same,
                slug,
                text,
            });
        }
        Ok(refreshed)
    }

    /// Whether the project had a file when the tree was made, and has it no more.
    fn is_taken_out(&self, path: &Path) -> Result<bool> {
        Ok(self.origin.text(path)?.is_some() && self.present(path)?.is_none())
    }

    /// Gives a patch that says what it said another name, with what the project has made of it since. `moved` has the new
    /// names of all.
    fn rename(
        &mut self,
        folder: &Path,
        was: &str,
        name: &str,
        moved: &BTreeMap<String, String>,
    ) -> Result<()> {
        let (old, new) = (folder.join(was), folder.join(name));
        let (known, has) = (self.origin.text(&old)?, self.present(&old)?);
        let (Some(known), Some(has)) = (known, has) else {
            return Ok(());
        };
        let is_free = match self.present(&new)? {
            None => true,
            // Of a patch that makes room itself, or goes, as it was.
            Some(there) => moved.contains_key(name) || self.origin.text(&new)? == Some(there),
        };
        if !is_free {
            let words = format!("{} (where {was} would go)", new.display());
            self.conflicts.push(words);
        }
        self.changes.files.push((new.clone(), known));
        self.changes.written.push((new, has));
        if !moved.values().any(|other| other == was) {
            self.changes.removed.push(old);
        }
        Ok(())
    }

    /// Notes what was to be carried to this source and is not among the tree's patches.
    fn left_out(&mut self, patches: &[Refreshed]) {
        let is_here = |name: &String| patches.iter().any(|patch| patch.was.as_ref() == Some(name));
        let missing = self.origin.carried().iter().filter(|name| !is_here(name));
        let notes = missing.map(|name| {
            format!("{name} of the series that was carried is not in this tree: it is left out")
        });
        self.changes.notes.extend(notes);
    }

    /// Patches that the project lists and has, and the tree does not know.
    fn others(&self, listed: &[&str]) -> Result<Vec<String>> {
        let folder = self.origin.series();
        let known: BTreeSet<PathBuf> = self.origin.files(folder)?.into_iter().collect();
        let here = |name: &&&str| {
            let path = folder.join(name);
            !known.contains(&path) && self.layout.root().join(path).is_file()
        };
        let others = listed.iter().filter(here);
        Ok(others.map(|name| name.to_string()).collect())
    }

    /// What the project's file `series` says now.
    fn listed(&self) -> Result<String> {
        let path = self.layout.root().join(self.origin.series()).join(SERIES);
        match path.is_file() {
            true => read_written(&path),
            false => Ok(String::new()),
        }
    }

    /// The list of `all`, of which some had other names, in the place of the one with this text.
    fn series(&mut self, is: &str, all: &[String], renamed: &BTreeMap<String, String>) {
        match list::names(is).eq(all.iter().map(String::as_str)) {
            true => self.changes.same += 1,
            false => {
                let text = list::rewrite(is, all, renamed);
                let path = self.origin.series().join(SERIES);
                self.changes.written.push((path, text.into_bytes()));
            }
        }
    }
}
