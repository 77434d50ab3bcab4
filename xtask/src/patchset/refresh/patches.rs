// SPDX-License-Identifier: GPL-2.0-only

//! The series out of a tree's commits. A patch is known by its commit, whatever it is called: its name may be another in
//! the project by now, and it may get another by its place. First it is settled what each says and where it stands, then
//! what it is called, then which files that makes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::naming::{self, Patch};
use super::Refresh;
use crate::error::{Error, Result};
use crate::layout::read_written;
use crate::patchset::base::BASE;
use crate::patchset::commit::Commit;
use crate::patchset::list;
use crate::patchset::origin::SERIES;

/// A patch of the refreshed series.
struct Refreshed {
    commit: Commit,
    /// Its name in the project, if it is one that was there before.
    was: Option<String>,
    /// What it is called by, without number and ending.
    slug: String,
    /// What the project is to have.
    content: Vec<u8>,
    /// The same but for what the project alone has edited: what later edits of it are told by.
    known: Vec<u8>,
    /// Whether the project has it, but no more in its list.
    is_unlisted: bool,
}

/// The series as the project has it.
struct Present {
    /// Its folder.
    folder: PathBuf,
    /// The list as it is.
    text: String,
    /// The patches that it names, each once.
    listed: Vec<String>,
    /// And named when the tree was made or refreshed last; none of a tree of before that was kept.
    before: Option<Vec<String>>,
    /// Patches that the tree was made from, each with its name now: `None` if the project has taken it out.
    now: BTreeMap<String, Option<String>>,
}

impl Refresh<'_> {
    /// Makes patches of the commits that are some, and the list of all.
    pub(super) fn patches(&mut self, doing: &str, commits: Vec<Commit>) -> Result<()> {
        let present = self.present_series()?;
        let refreshed = self.refreshed(&present, commits)?;
        if !self.conflicts.is_empty() {
            return Ok(());
        }
        let (patches, unlisted): (Vec<_>, Vec<_>) =
            refreshed.into_iter().partition(|patch| !patch.is_unlisted);
        let others = self.others(&present, &patches);
        let listed: Vec<&str> = present.listed.iter().map(String::as_str).collect();
        let in_order = self.is_in_order(&present, &patches);
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
        let unlisted = unlisted.into_iter().map(|patch| {
            let name = patch.was.clone().unwrap_or_default();
            (patch, name)
        });
        let called: Vec<(Refreshed, String)> =
            patches.into_iter().zip(name_of).chain(unlisted).collect();
        let renamed: BTreeMap<String, String> = called
            .iter()
            .filter_map(|(patch, name)| Some((patch.was.clone()?, name.clone())))
            .collect();
        self.files(&present, called)?;
        self.series(&present, &names, &renamed);
        match self.origin.base() {
            Some(base) => {
                let text = format!("{base}\n").into_bytes();
                let path = present.folder.join(BASE);
                self.settle(path, Some(text)).map(drop)
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
        for name in list::names(&text) {
            if !listed.iter().any(|other| other == name) {
                listed.push(name.to_string());
            }
        }
        let before = self.origin.text(&folder.join(SERIES))?;
        let before = before.map(|text| String::from_utf8_lossy(&text).into_owned());
        let mut now = BTreeMap::new();
        let known = self.origin.patches()?;
        for name in &known {
            let then = self.origin.text(&folder.join(name))?;
            let mut found = None;
            if self.present(&folder.join(name))?.is_some() {
                found = Some(name.clone());
            } else {
                // What the project has renamed is told by what it says.
                for other in listed.iter().filter(|other| !known.contains(other)) {
                    if found.is_none() && self.present(&folder.join(other))? == then {
                        found = Some(other.clone());
                    }
                }
            }
            now.insert(name.clone(), found);
        }
        Ok(Present {
            before: before.map(|text| list::names(&text).map(str::to_string).collect()),
            folder,
            text,
            listed,
            now,
        })
    }

    /// What each commit makes of its patch, with what the project has made of it. What the project has taken out stays out.
    fn refreshed(&mut self, present: &Present, commits: Vec<Commit>) -> Result<Vec<Refreshed>> {
        let mut refreshed: Vec<Refreshed> = Vec::new();
        let mut taken = BTreeSet::new();
        for commit in commits.into_iter().filter(Commit::is_patch) {
            let is_listed = |name: &str| present.listed.iter().any(|other| other == name);
            let known = self.origin.patch_of(&commit, is_listed);
            // Of a commit that was split in two the first keeps the name.
            let known = known.filter(|(name, _)| taken.insert(name.to_string()));
            let known = known.map(|(name, same)| (name.to_string(), same));
            let Some((name, same)) = known else {
                let text = commit.text().into_bytes();
                refreshed.push(Refreshed {
                    slug: commit.slug(),
                    was: None,
                    content: text.clone(),
                    known: text,
                    is_unlisted: false,
                    commit,
                });
                continue;
            };
            let then = self.origin.text(&present.folder.join(&name))?;
            let now = present
                .now
                .get(&name)
                .cloned()
                .unwrap_or(Some(name.clone()));
            let has = match &now {
                Some(now) => self.present(&present.folder.join(now))?,
                None => None,
            };
            let text = match &then {
                Some(then) if same => then.clone(),
                _ => commit.text().into_bytes(),
            };
            let (content, known) = match (then, has) {
                (None, None) => (text.clone(), text),
                // Of another tree of the same series: it says what the project has, or it is to be looked at.
                (None, Some(has)) if is_alike(&text, &has) => (has.clone(), has),
                (Some(then), Some(has)) if then == text => (has, then),
                (_, Some(has)) if has == text => (has, text),
                (Some(then), Some(has)) if then == has => (text.clone(), text),
                (Some(then), None) if then == text => {
                    self.changes.files.push((present.folder.join(&name), then));
                    self.changes.patches.push((commit, name));
                    continue;
                }
                _ => {
                    let path = present.folder.join(now.unwrap_or(name));
                    self.conflicts.push(path.display().to_string());
                    continue;
                }
            };
            let was = now.unwrap_or(name);
            let slug =
                naming::parts(&was).map_or_else(|| commit.slug(), |(_, slug)| slug.to_string());
            let before = present.before.as_ref();
            let was_listed = before.is_some_and(|before| before.contains(&was));
            refreshed.push(Refreshed {
                is_unlisted: was_listed && !is_listed(&was),
                was: Some(was),
                slug,
                content,
                known,
                commit,
            });
        }
        self.left_out(&taken);
        Ok(refreshed)
    }

    /// Whether the tree has the patches in the order in which they were listed. Both sides' orders cannot count.
    fn is_in_order(&mut self, present: &Present, patches: &[Refreshed]) -> bool {
        let tree: Vec<&str> = patches
            .iter()
            .filter_map(|patch| patch.was.as_deref())
            .collect();
        let listed: Vec<&str> = present.listed.iter().map(String::as_str).collect();
        let before: Vec<&str> = match &present.before {
            Some(before) => before
                .iter()
                .map(|name| {
                    present
                        .now
                        .get(name)
                        .and_then(Option::as_deref)
                        .unwrap_or(name)
                })
                .collect(),
            None => listed.clone(),
        };
        let in_order = naming::is_same_order(&tree, &before);
        if !in_order
            && !naming::is_same_order(&listed, &before)
            && !naming::is_same_order(&tree, &listed)
        {
            let path = present.folder.join(SERIES);
            self.conflicts
                .push(format!("{} (the order)", path.display()));
        }
        in_order || naming::is_same_order(&tree, &listed)
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

    /// Patches that the project lists and the tree does not know.
    fn others<'a>(&self, present: &'a Present, patches: &[Refreshed]) -> Vec<&'a str> {
        let mut known: BTreeSet<&str> = present.now.keys().map(String::as_str).collect();
        known.extend(present.now.values().flatten().map(String::as_str));
        known.extend(patches.iter().filter_map(|patch| patch.was.as_deref()));
        let listed = present.listed.iter().map(String::as_str);
        listed.filter(|name| !known.contains(name)).collect()
    }

    /// The files that these patches make, under these names, in the place of those that the tree was made from.
    fn files(&mut self, present: &Present, called: Vec<(Refreshed, String)>) -> Result<()> {
        let names: BTreeSet<String> = called.iter().map(|(_, name)| name.clone()).collect();
        let was: BTreeSet<&String> = called
            .iter()
            .filter_map(|(patch, _)| patch.was.as_ref())
            .collect();
        // What goes with its commit, where the project has left it as it was.
        let mut leaves: BTreeSet<String> = was.iter().map(|name| name.to_string()).collect();
        for (name, now) in &present.now {
            let kept = self
                .changes
                .files
                .iter()
                .any(|(path, _)| *path == present.folder.join(name));
            let Some(now) = now.as_ref().filter(|now| !kept && !was.contains(now)) else {
                continue;
            };
            let (then, path) = (
                self.origin.text(&present.folder.join(name))?,
                present.folder.join(now),
            );
            match then == self.present(&path)? {
                true => drop(leaves.insert(now.clone())),
                false => self.conflicts.push(path.display().to_string()),
            }
        }
        for (patch, name) in called {
            let path = present.folder.join(&name);
            let there = self.present(&path)?;
            let is_there = there.as_ref() == Some(&patch.content);
            if there.is_some() && !is_there && !leaves.contains(&name) {
                let what = patch.was.as_deref().unwrap_or("a new patch");
                self.in_the_way
                    .push(format!("{} ({what} would be called that)", path.display()));
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

/// Whether two patches say the same, whatever objects they name.
fn is_alike(one: &[u8], other: &[u8]) -> bool {
    let lines = |text: &[u8]| -> Vec<Vec<u8>> {
        let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec);
        lines.filter(|line| !line.starts_with(b"index ")).collect()
    };
    lines(one) == lines(other)
}
