// SPDX-License-Identifier: GPL-2.0-only

//! Commits that were picked from another tree of the series, in which they have become patches already.

use std::collections::{BTreeMap, BTreeSet};

use super::patches::Present;
use super::Refresh;
use crate::error::{Error, Result};
use crate::patchset::commit::Commit;
use crate::patchset::header::Besides;
use crate::patchset::parts::header_of;
use crate::patchset::said::Said;

impl Refresh<'_> {
    /// Which of the project's patches the commits are that bear no name, by their hashes: those that say the same, or, where
    /// only one does, the same in other lines. One that has the subject of a patch and says something else may be that one
    /// or none.
    pub(super) fn picked(
        &self,
        doing: &str,
        present: &Present,
        commits: &[Commit],
    ) -> Result<BTreeMap<String, String>> {
        let is_listed = |name: &str| present.listed.iter().any(|other| other == name);
        let (mut named, mut unnamed) = (BTreeSet::new(), Vec::new());
        for commit in commits {
            match self.origin.patch_of(commit, is_listed) {
                Some((name, _)) => drop(named.insert(name.to_string())),
                None => unnamed.push((commit, said_by(commit)?)),
            }
        }
        let is_free = |name: &&String| !present.known.contains(name) && !named.contains(*name);
        let mut free = Vec::new();
        for name in present.listed.iter().filter(is_free) {
            let has = self.present(&present.folder.join(name))?;
            // One without a subject or a file is told of by whoever reads the series.
            let said = has.and_then(|has| Said::of(name, &has).ok());
            free.extend(said.map(|said| (name, said)));
        }
        let mut picked: BTreeMap<String, String> = BTreeMap::new();
        for (commit, said) in &unnamed {
            let is_left = |name: &&&String| !picked.values().any(|other| other == **name);
            let same = free.iter().filter(|(_, of_patch)| of_patch == said);
            if let Some(name) = same.map(|(name, _)| name).find(is_left) {
                picked.insert(commit.hash.clone(), name.to_string());
            }
        }
        unnamed.retain(|(commit, _)| !picked.contains_key(&commit.hash));
        free.retain(|(name, _)| !picked.values().any(|other| other == *name));
        for (commit, said) in &unnamed {
            let of_patches = free.iter().filter(|(_, of_patch)| of_patch.is_moved(said));
            let of_patches: Vec<&str> = of_patches.map(|(name, _)| name.as_str()).collect();
            let of_commits = unnamed.iter().filter(|(_, other)| other.is_moved(said));
            match (of_patches.as_slice(), of_commits.count()) {
                ([], _) => {}
                ([name], 1) => drop(picked.insert(commit.hash.clone(), name.to_string())),
                ([name, ..], _) => {
                    let why = "says the same in another place, as more of them do";
                    return Err(ambiguous(doing, commit, name, why));
                }
            }
        }
        unnamed.retain(|(commit, _)| !picked.contains_key(&commit.hash));
        free.retain(|(name, _)| !picked.values().any(|other| other == *name));
        for (commit, said) in &unnamed {
            let namesake = free
                .iter()
                .find(|(_, of_patch)| of_patch.subject() == said.subject());
            if let Some((name, _)) = namesake {
                return Err(ambiguous(doing, commit, name, "says something else"));
            }
        }
        Ok(picked)
    }
}

/// A commit that may be a patch of the project's or none.
fn ambiguous(doing: &str, commit: &Commit, name: &str, why: &str) -> Error {
    let subject = commit.subject();
    let found = format!("\"{subject}\" is new here; {name}, which this tree does not know, has that subject and {why}");
    Error::usage(doing, found).hint(
        "where it is the same patch make a tree of the project's by `cargo xtask patchset apply --to`, and do there what was \
         done here; where it is another one give it another subject",
    )
}

fn said_by(commit: &Commit) -> Result<Said> {
    Said::of(&commit.hash, commit.text(&Besides::default()).as_bytes())
}

/// A commit as a patch that says besides what this one does.
pub(super) fn text_like(commit: &Commit, other: Option<&Vec<u8>>) -> Vec<u8> {
    let besides = other.map(|other| Besides::of(&header_of(&String::from_utf8_lossy(other))));
    commit.text(&besides.unwrap_or_default()).into_bytes()
}
