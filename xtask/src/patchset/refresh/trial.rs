// SPDX-License-Identifier: GPL-2.0-only

//! Whether the patches of a series to come fit together. What is the tree's alone does: its commits are there. Patches that
//! the tree does not know, and what the project alone has edited, have never been seen with what the tree has changed.

use std::path::PathBuf;

use super::patches::{Present, Refreshed};
use super::Refresh;
use crate::error::{AtPath, Error, Result};
use crate::exec::Invocation;
use crate::patchset::git::git;

/// How the patches of a series are called, each with what the tree has of it.
type ToCome<'a> = Vec<(&'a str, Option<&'a Refreshed>)>;

impl Refresh<'_> {
    /// Refuses a series that would not fit, if it holds something that the tree has not.
    pub(super) fn try_out(&self, doing: &str, present: &Present, series: ToCome<'_>) -> Result<()> {
        let is_seen = |of_tree: &Option<&Refreshed>| {
            of_tree.is_some_and(|patch| patch.content == patch.known)
        };
        if series.iter().all(|(_, of_tree)| is_seen(of_tree)) {
            return Ok(());
        }
        let scratch = tempfile::tempdir().map_err(|err| Error::lab(doing, err.to_string()))?;
        let mut files: Vec<(&str, PathBuf)> = Vec::new();
        for (name, of_tree) in series {
            let content = match of_tree {
                Some(patch) => Some(patch.content.clone()),
                None => self.present(&present.folder.join(name))?,
            };
            // One that is listed and not there is told of by whoever reads the series.
            let Some(content) = content else { continue };
            let file = scratch.path().join(files.len().to_string());
            std::fs::write(&file, content).at("writing", &file)?;
            files.push((name, file));
        }
        let index = scratch.path().join("index");
        let in_index = |git: Invocation| git.env("GIT_INDEX_FILE", &index);
        let from_source = || {
            let read = git(doing, self.dir, ["read-tree", &self.source.commit]);
            in_index(read).read().map(drop)
        };
        let apply = |files: &[(&str, PathBuf)]| {
            let apply = git(
                doing,
                self.dir,
                ["apply", "--cached", "--allow-empty", "--whitespace=nowarn"],
            );
            in_index(apply.args(files.iter().map(|(_, file)| file))).output()
        };
        from_source()?;
        // All at once in a fraction of the time.
        if apply(&files)?.status.success() {
            return Ok(());
        }
        from_source()?;
        for file in files.chunks(1) {
            let applied = apply(file)?;
            if !applied.status.success() {
                let said = String::from_utf8_lossy(&applied.stderr).trim().to_string();
                let name = file[0].0;
                return Err(Error::usage(
                    doing,
                    format!("{name} would not fit behind what is before it, with what was edited here: {said}"),
                )
                .hint(
                    "make a tree of the project's by `cargo xtask patchset apply --to`, and do there what was done here: \
                     git fetch and git cherry-pick",
                ));
            }
        }
        Ok(())
    }
}
