// SPDX-License-Identifier: GPL-2.0-only

//! The series out of a tree's commits. First it is settled what each patch says, then where it stands, then what it is
//! called, then which files that makes. Which patches there are and in which order is one side's to change: where the
//! project has changed it the tree may change what patches say, and no more.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::naming::{self, Patch};
use super::picked::text_like;
use super::Refresh;
use crate::error::{Error, Result};
use crate::layout::read_written;
use crate::patchset::base::BASE;
use crate::patchset::commit::Commit;
use crate::patchset::list;
use crate::patchset::origin::SERIES;
use crate::patchset::said::Said;

/// A patch of the refreshed series.
pub(super) struct Refreshed {
    commit: Commit,
    /// Its name, if it is one that was there before.
    was: Option<String>,
    /// What it is called by, without number and ending.
    slug: String,
    /// What the project is to have.
    pub(super) content: Vec<u8>,
    /// The same but for what the project alone has edited: what later edits of it are told by.
    pub(super) known: Vec<u8>,
}

/// The series as the project has it.
pub(super) struct Present {
    /// Its folder.
    pub(super) folder: PathBuf,
    /// The list as it is, and as it was when the tree was made; of trees of before that was kept, as it is.
    text: String,
    before: String,
    /// The patches that it names, each once.
    pub(super) listed: Vec<String>,
    /// The patches that the tree was made from, or refreshed to.
    pub(super) known: Vec<String>,
    /// What the project has changed since of which there are and in which order, in words.
    pub(super) changed: Vec<String>,
}

impl Refresh<'_> {
    /// Makes patches of the commits that are some, and the list of all.
    pub(super) fn patches(&mut self, doing: &str, commits: Vec<Commit>) -> Result<()> {
        let present = self.present_series()?;
        let patches = self.refreshed(doing, &present, commits)?;
        if !self.conflicts.is_empty() {
            return Ok(());
        }
        self.note_edited(&present, &patches);
        if !present.changed.is_empty() {
            if let Some(what) = self.changed_in_tree(&present, &patches) {
                let found = format!(
                    "the series is another one in the project ({}) and in the tree ({what})",
                    present.changed.join(", ")
                );
                return Err(Error::usage(doing, found).hint(super::ANEW));
            }
            let of_name = |name: &String| {
                patches
                    .iter()
                    .find(|patch| patch.was.as_ref() == Some(name))
            };
            let series = present
                .listed
                .iter()
                .map(|name| (name.as_str(), of_name(name)));
            self.trial = Some(self.trial(&present, series)?);
            return self.contents(&present, patches);
        }
        let listed: Vec<&str> = present.listed.iter().map(String::as_str).collect();
        let tree: Vec<&str> = patches
            .iter()
            .filter_map(|patch| patch.was.as_deref())
            .collect();
        let carried: Vec<&str> = self.origin.carried().iter().map(String::as_str).collect();
        let in_order = [&listed, &carried]
            .iter()
            .all(|list| naming::is_same_order(&tree, list));
        let is_other =
            |name: &&str| !tree.contains(name) && !present.known.iter().any(|known| known == name);
        let others: Vec<&str> = listed.iter().copied().filter(is_other).collect();
        let of_tree = patches.iter().enumerate().map(|(at, patch)| Patch::Tree {
            at,
            was: patch.was.as_deref(),
            slug: &patch.slug,
        });
        let all = naming::order(of_tree.collect(), &others, &listed, in_order);
        let names = naming::names(&all, in_order).map_err(|why| {
            Error::usage(doing, format!("numbering the patches: {why}")).hint(
                "make a tree of the whole series by `cargo xtask patchset apply` and cherry-pick what is new into it; or give \
                 patches other numbers, in their folder and in its series file",
            )
        })?;
        let mut name_of = vec![String::new(); patches.len()];
        for (patch, name) in all.iter().zip(&names) {
            if let Patch::Tree { at, .. } = patch {
                name_of[*at].clone_from(name);
            }
        }
        let of_patch = |patch: &Patch<'_>| match patch {
            Patch::Tree { at, .. } => Some(&patches[*at]),
            Patch::Other(_) => None,
        };
        let series = names
            .iter()
            .map(String::as_str)
            .zip(all.iter().map(of_patch));
        self.trial = Some(self.trial(&present, series)?);
        let called: Vec<(Refreshed, String)> = patches.into_iter().zip(name_of).collect();
        let renamed = called
            .iter()
            .filter_map(|(patch, name)| Some((patch.was.clone()?, name.clone())));
        let renamed: BTreeMap<String, String> = renamed.collect();
        self.files(&present, called)?;
        self.series(&present, &names, &renamed);
        match self.origin.base() {
            Some(base) => {
                let text = format!("{base}\n").into_bytes();
                let path = present.folder.join(BASE);
                self.settle(path, Some(text))
            }
            None => Ok(()),
        }
    }

    fn present_series(&self) -> Result<Present> {
        let folder = self.origin.series().to_path_buf();
        let path = self.layout.root().join(&folder).join(SERIES);
        let text = match path.is_file() {
            true => read_written(&path)?,
            false => String::new(),
        };
        let mut listed: Vec<String> = Vec::new();
        for name in list::read(&path, &text)? {
            if !listed.iter().any(|other| other == name) {
                listed.push(name.to_string());
            }
        }
        let known = self.origin.patches()?;
        let before = self.origin.text(&folder.join(SERIES))?;
        let before = before.map_or_else(
            || text.clone(),
            |text| String::from_utf8_lossy(&text).into_owned(),
        );
        let was: Vec<&str> = list::names(&before)
            .filter(|name| known.iter().any(|known| known == name))
            .collect();
        let now: Vec<&str> = listed.iter().map(String::as_str).collect();
        let mut changed = Vec::new();
        for name in &known {
            if self.present(&folder.join(name))?.is_none() {
                changed.push(format!("{name} is gone"));
            } else if was.contains(&name.as_str()) && !listed.contains(name) {
                changed.push(format!("{name} is not listed"));
            }
        }
        if !naming::is_same_order(&was, &now) {
            changed.push("their order".to_string());
        }
        Ok(Present {
            folder,
            text,
            before,
            listed,
            known,
            changed,
        })
    }

    /// What each commit makes of its patch, with what the project has made of it.
    fn refreshed(
        &mut self,
        doing: &str,
        present: &Present,
        commits: Vec<Commit>,
    ) -> Result<Vec<Refreshed>> {
        let mut refreshed: Vec<Refreshed> = Vec::new();
        let is_listed = |name: &str| present.listed.iter().any(|other| other == name);
        let commits: Vec<Commit> = commits.into_iter().filter(Commit::is_patch).collect();
        // Whoever says what a patch said is it, whoever else bears its name.
        let unchanged = commits.iter().filter_map(|commit| {
            let (name, same) = self.origin.patch_of(commit, is_listed)?;
            same.then(|| name.to_string())
        });
        let unchanged: BTreeSet<String> = unchanged.collect();
        let picked = self.picked(doing, present, &commits)?;
        let mut taken = BTreeSet::new();
        for commit in commits {
            let known = self.origin.patch_of(&commit, is_listed);
            let known = known.filter(|(name, same)| *same || !unchanged.contains(*name));
            // Of a commit that was split in two the first keeps the name.
            let known = known.filter(|(name, _)| taken.insert(name.to_string()));
            let (was, same) = match known {
                Some((name, same)) => (Some(name.to_string()), same),
                None => (picked.get(&commit.hash).cloned(), false),
            };
            taken.extend(was.clone());
            let path = was.as_ref().map(|name| present.folder.join(name));
            let (then, has) = match &path {
                Some(path) => (self.origin.text(path)?, self.present(path)?),
                None => (None, None),
            };
            let text = match &then {
                Some(then) if same => then.clone(),
                _ => text_like(&commit, then.as_ref().or(has.as_ref())),
            };
            let (content, known) = match (then, has) {
                (None, None) => (text.clone(), text),
                // Of another tree of the same series: it says what the project has, maybe with other lines above it, or it is
                // to be looked at.
                (None, Some(has)) if both_say(&text, &has, Said::eq) => (has.clone(), has),
                (None, Some(has)) if both_say(&text, &has, Said::is_moved) => (text.clone(), text),
                (Some(then), Some(has)) if then == text => (has, then),
                (Some(then), None) if then == text => (then.clone(), then),
                (_, Some(has)) if has == text => (has, text),
                (Some(then), Some(has)) if then == has => (text.clone(), text),
                _ => {
                    let path = path.unwrap_or_default();
                    self.conflicts.push(path.display().to_string());
                    continue;
                }
            };
            let of_name = was.as_deref().and_then(naming::parts);
            refreshed.push(Refreshed {
                slug: of_name.map_or_else(|| commit.slug(), |(_, slug)| slug.to_string()),
                was,
                content,
                known,
                commit,
            });
        }
        self.left_out(&taken);
        Ok(refreshed)
    }

    /// Notes which patches are as the project has them and not as this tree does, though only the project has edited them.
    fn note_edited(&mut self, present: &Present, patches: &[Refreshed]) {
        let folder = self.layout.root().join(&present.folder);
        let gone = |name: &String| present.known.contains(name) && !folder.join(name).is_file();
        for patch in patches {
            let Some(name) = &patch.was else { continue };
            let how = match patch.content == patch.known {
                _ if gone(name) => "is gone from the project",
                false => "was edited in the project",
                true => continue,
            };
            let note = format!("{name} {how}, and this tree has it as it was");
            self.changes.notes.push(note);
        }
    }

    /// What the tree has changed of which patches there are and in which order, in words.
    fn changed_in_tree(&self, present: &Present, patches: &[Refreshed]) -> Option<String> {
        let tree: Vec<&str> = patches
            .iter()
            .filter_map(|patch| patch.was.as_deref())
            .collect();
        let new = patches.iter().find(|patch| patch.was.is_none());
        let gone = present
            .known
            .iter()
            .find(|known| !tree.contains(&known.as_str()));
        let before: Vec<&str> = list::names(&present.before).collect();
        match (new, gone) {
            _ if !self.origin.carried().is_empty() => Some("it was carried here".to_string()),
            (Some(patch), _) => Some(format!("\"{}\" is new", patch.commit.subject())),
            (None, Some(name)) => Some(format!("{name} is gone")),
            (None, None) if !naming::is_same_order(&tree, &before) => {
                Some("their order".to_string())
            }
            (None, None) => None,
        }
    }

    /// What patches say that stand and are called as the project has it by now. What it has taken out stays out.
    fn contents(&mut self, present: &Present, patches: Vec<Refreshed>) -> Result<()> {
        for patch in patches {
            let name = patch.was.unwrap_or_default();
            let path = present.folder.join(&name);
            let there = self.present(&path)?;
            self.changes.files.push((path.clone(), patch.known));
            self.changes.patches.push((patch.commit, name));
            if there.as_ref() == Some(&patch.content) {
                self.changes.same += 1;
            } else if there.is_some() {
                self.changes.written.push((path, patch.content));
            }
        }
        let path = present.folder.join(SERIES);
        let before = present.before.clone().into_bytes();
        self.changes.files.push((path, before));
        self.changes.same += 1;
        Ok(())
    }

    /// Notes what was to be carried to this source and is not among the tree's patches.
    fn left_out(&mut self, taken: &BTreeSet<String>) {
        let missing = self.origin.carried().iter();
        let missing = missing.filter(|name| !taken.contains(*name));
        let notes = missing.map(|name| {
            format!("{name} of the series that was carried is not in this tree: it is left out")
        });
        self.changes.notes.extend(notes);
    }

    /// The files that these patches make, under these names, in the place of those that the tree was made from.
    fn files(&mut self, present: &Present, called: Vec<(Refreshed, String)>) -> Result<()> {
        let names: BTreeSet<String> = called.iter().map(|(_, name)| name.clone()).collect();
        let was: BTreeSet<String> = called
            .iter()
            .filter_map(|(patch, _)| patch.was.clone())
            .collect();
        // What goes with its commit, where the project has left it as it was.
        let mut leaves = was.clone();
        for name in present.known.iter().filter(|name| !was.contains(*name)) {
            let path = present.folder.join(name);
            match self.origin.text(&path)? == self.present(&path)? {
                true => drop(leaves.insert(name.clone())),
                false => self.conflicts.push(path.display().to_string()),
            }
        }
        for (patch, name) in called {
            let path = present.folder.join(&name);
            let is_there = self.present(&path)?.as_ref() == Some(&patch.content);
            let place = self.layout.root().join(&path);
            let is_something = std::fs::symlink_metadata(place).is_ok();
            if is_something && !is_there && !leaves.contains(&name) {
                let what = patch.was.as_deref().unwrap_or("a new patch");
                let words = format!("{} ({what} would be called that)", path.display());
                self.in_the_way.push(words);
            }
            self.changes.files.push((path.clone(), patch.known));
            match is_there {
                true => self.changes.same += 1,
                false => self.changes.written.push((path, patch.content)),
            }
            self.changes.patches.push((patch.commit, name));
        }
        for name in leaves.difference(&names) {
            let path = present.folder.join(name);
            if self.present(&path)?.is_some() {
                self.changes.removed.push(path);
            }
        }
        Ok(())
    }

    /// The list of `all`, of which some had other names.
    fn series(&mut self, present: &Present, all: &[String], renamed: &BTreeMap<String, String>) {
        let path = present.folder.join(SERIES);
        let is_same = list::names(&present.text).eq(all.iter().map(String::as_str));
        let text = match is_same {
            true => present.text.clone(),
            false => list::rewrite(&present.text, all, renamed),
        };
        self.changes
            .files
            .push((path.clone(), text.clone().into_bytes()));
        match is_same {
            true => self.changes.same += 1,
            false => self.changes.written.push((path, text.into_bytes())),
        }
    }
}

/// Whether two patches say the same, in this sense. One that says nothing is like no other.
fn both_say(one: &[u8], other: &[u8], same: fn(&Said, &Said) -> bool) -> bool {
    let said = |text| Said::of("", text).ok();
    said(one)
        .zip(said(other))
        .is_some_and(|(one, other)| same(&one, &other))
}
