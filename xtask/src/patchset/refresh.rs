// SPDX-License-Identifier: GPL-2.0-only

//! From a git tree back to patches: commits become patches again, files of the
//! overlay go back to `rust-syscall/`. Everything is read and compared before
//! anything is written; what did not change keeps every byte.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::{AtPath, Error, Result};
use crate::layout::{write_whole, Layout};
use crate::patchset::commit::{self, Commit};
use crate::patchset::number;
use crate::patchset::origin::Origin;
use crate::patchset::series::Series;

/// Folders of the project that a tree goes back to.
const PATCHES: &str = "kernel-patches";
const OVERLAY: &str = "rust-syscall";
const SERIES: &str = "kernel-patches/series";

/// What a refresh does to the project's files.
#[derive(Debug, Default, PartialEq)]
pub struct Changes {
    /// New content by path in the project.
    pub written: Vec<(PathBuf, Vec<u8>)>,
    /// Files that go.
    pub removed: Vec<PathBuf>,
    /// Patches and files that stay as they are.
    pub same: usize,
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (path, _) in &self.written {
            writeln!(f, "written {}", path.display())?;
        }
        for path in &self.removed {
            writeln!(f, "removed {}", path.display())?;
        }
        let (written, removed) = (self.written.len(), self.removed.len());
        write!(
            f,
            "{written} written, {removed} removed, {} as they were",
            self.same
        )
    }
}

/// Finds out what the tree in `dir` changes in the project; writes nothing.
pub fn compare(layout: &Layout, dir: &Path) -> Result<Changes> {
    let dir = std::fs::canonicalize(dir).at("looking for", dir)?;
    let origin = Origin::of(&dir)?;
    commit::refuse_unfinished(&dir)?;
    let commits = commit::read_all(&dir)?;
    let mut refresh = Refresh {
        layout,
        origin,
        changes: Changes::default(),
        conflicts: Vec::new(),
    };
    refresh.patches(&commits)?;
    refresh.overlay(&dir)?;
    if refresh.conflicts.is_empty() {
        return Ok(refresh.changes);
    }
    Err(Error::usage(
        format!("refreshing from {}", dir.display()),
        format!(
            "edited in the tree and in the project since: {}",
            refresh.conflicts.join(", ")
        ),
    )
    .hint("put one side's edit away (git stash, in the project), refresh, and take it up again"))
}

/// Carries changes out.
pub fn write(layout: &Layout, changes: &Changes) -> Result<()> {
    for (path, content) in &changes.written {
        write_whole(&layout.root().join(path), content)?;
    }
    for path in &changes.removed {
        let path = layout.root().join(path);
        std::fs::remove_file(&path).at("removing", &path)?;
    }
    Ok(())
}

struct Refresh<'a> {
    layout: &'a Layout,
    origin: Origin,
    changes: Changes,
    conflicts: Vec<String>,
}

/// A patch of the refreshed series.
struct Refreshed {
    /// Its name when the tree was made, if it is one of those.
    was: Option<String>,
    /// What it is called by, without number and ending.
    slug: String,
    /// Its content.
    text: Vec<u8>,
}

impl Refresh<'_> {
    /// What the project's file holds now.
    fn present(&self, path: &Path) -> Result<Option<Vec<u8>>> {
        let path = self.layout.root().join(path);
        match path.is_file() {
            true => std::fs::read(&path).at("reading", &path).map(Some),
            false => Ok(None),
        }
    }

    /// Puts a file of the tree beside that of the project, and what both were.
    fn settle(&mut self, path: PathBuf, wanted: Option<Vec<u8>>) -> Result<()> {
        let (was, is) = (self.origin.text(&path)?, self.present(&path)?);
        if wanted == is || wanted == was {
            // The same on both sides, or edited in the project alone.
            self.changes.same += usize::from(is.is_some());
        } else if was != is {
            self.conflicts.push(path.display().to_string());
        } else if let Some(content) = wanted {
            self.changes.written.push((path, content));
        } else {
            self.changes.removed.push(path);
        }
        Ok(())
    }

    fn patches(&mut self, commits: &[Commit]) -> Result<()> {
        let mut refreshed: Vec<Refreshed> = Vec::new();
        for commit in commits.iter().filter(|commit| commit.is_patch()) {
            let taken = |name: &String| {
                refreshed
                    .iter()
                    .any(|other| other.was.as_ref() == Some(name))
            };
            // Of a commit that was split in two the first keeps the name.
            let was = commit.patch.clone().filter(|name| !taken(name));
            let kept = match &was {
                Some(name) => self.origin.text(&Path::new(PATCHES).join(name))?,
                None => None,
            };
            let text = match kept {
                Some(kept) if commit.is_made_of(&kept)? => kept,
                _ => commit.text().into_bytes(),
            };
            let slug = match was.as_deref().and_then(number_of) {
                Some((_, slug)) => slug.to_string(),
                None => commit.slug(),
            };
            refreshed.push(Refreshed { was, slug, text });
        }
        let names = self.names(&refreshed)?;
        let mut gone: BTreeSet<PathBuf> = self.origin.files(PATCHES)?.into_iter().collect();
        for (patch, name) in refreshed.into_iter().zip(&names) {
            let path = Path::new(PATCHES).join(name);
            gone.remove(&path);
            self.settle(path, Some(patch.text))?;
        }
        for path in gone {
            self.settle(path, None)?;
        }
        self.series(&names)
    }

    fn names(&self, patches: &[Refreshed]) -> Result<Vec<String>> {
        let have: Vec<Option<u32>> = patches
            .iter()
            .map(|patch| {
                patch
                    .was
                    .as_deref()
                    .and_then(number_of)
                    .map(|(number, _)| number)
            })
            .collect();
        let numbers = number::assign(&have).ok_or_else(|| {
            Error::usage(
                "numbering the patches",
                "there is no room between two of them for those that are new or have moved",
            )
            .hint("rename some in kernel-patches/ and its series file, and apply again")
        })?;
        let name =
            |(patch, number): (&Refreshed, &u32)| format!("{number:03}-{}.patch", patch.slug);
        Ok(patches.iter().zip(&numbers).map(name).collect())
    }

    /// The list: what it says besides stays, and so do patches that the tree does not know.
    fn series(&mut self, names: &[String]) -> Result<()> {
        let path = PathBuf::from(SERIES);
        let is = self.present(&path)?.unwrap_or_default();
        let is = String::from_utf8_lossy(&is).into_owned();
        let known: BTreeSet<PathBuf> = self.origin.files(PATCHES)?.into_iter().collect();
        let is_name = |line: &&str| !line.trim().is_empty() && !line.starts_with('#');
        let present = Series::read(&self.layout.series())?;
        let others = present.patches.iter().map(|patch| patch.name.clone());
        let mut all: Vec<String> = others
            .filter(|name| !known.contains(&Path::new(PATCHES).join(name)))
            .collect();
        all.extend(names.iter().cloned());
        all.sort();
        let mut text: String = is
            .lines()
            .filter(|line| !is_name(line))
            .map(|line| format!("{line}\n"))
            .collect();
        text.extend(all.iter().map(|name| format!("{name}\n")));
        let listed: Vec<&str> = is.lines().filter(is_name).map(str::trim).collect();
        match listed == all {
            true => self.changes.same += 1,
            false => self.changes.written.push((path, text.into_bytes())),
        }
        Ok(())
    }

    fn overlay(&mut self, dir: &Path) -> Result<()> {
        let mut gone: BTreeSet<PathBuf> = self.origin.files(OVERLAY)?.into_iter().collect();
        for (path, content) in commit::overlay_files(dir)? {
            gone.remove(&path);
            self.settle(path, Some(content))?;
        }
        for path in gone {
            self.settle(path, None)?;
        }
        Ok(())
    }
}

/// `210-kconfig.patch` as 210 and `kconfig`.
fn number_of(name: &str) -> Option<(u32, &str)> {
    let (number, rest) = name.split_once('-')?;
    Some((number.parse().ok()?, rest.strip_suffix(".patch")?))
}
