// SPDX-License-Identifier: GPL-2.0-only

//! Whether the patches of a series to come fit together, put on by `patch`. Those that the tree does not know, what the
//! project alone has edited, and another order or choice of them than the tree's have never stood together with what is
//! written. The tree's own have, but as git's commits: `patch` cannot do in one what git can.

use std::collections::BTreeSet;

use super::patches::{Present, Refreshed};
use super::Refresh;
use crate::error::{Error, Kind, Result};
use crate::patchset::diff::Patch;
use crate::patchset::series::put_on;
use crate::patchset::staging::Staging;

/// What patches are put on here.
const SOURCE: &str = "the source";

/// What is to be tried.
pub(super) struct Trial {
    /// The series to come: names and contents in order.
    to_come: Vec<(String, Vec<u8>)>,
    /// The patches that the project lists now.
    listed: Vec<String>,
    /// Whether all of it is the tree's own.
    is_own: bool,
}

impl Refresh<'_> {
    /// The series of these names, each with what the tree has of it.
    pub(super) fn trial<'p>(
        &self,
        present: &Present,
        series: impl Iterator<Item = (&'p str, Option<&'p Refreshed>)>,
    ) -> Result<Trial> {
        let mut to_come = Vec::new();
        let mut is_own = present.changed.is_empty();
        for (name, of_tree) in series {
            is_own &= of_tree.is_some_and(|patch| patch.content == patch.known);
            let content = match of_tree {
                Some(patch) => Some(patch.content.clone()),
                None => self.present(&present.folder.join(name))?,
            };
            // One that is listed and not there is told of by whoever reads the series.
            to_come.extend(content.map(|content| (name.to_string(), content)));
        }
        Ok(Trial {
            to_come,
            listed: present.listed.clone(),
            is_own,
        })
    }

    /// Refuses what makes patches of a series that would not fit. One that does not fit as the project has it is noted.
    pub(super) fn try_out(&mut self, doing: &str) -> Result<()> {
        let series = self.origin.series();
        let written = self.changes.written.iter().map(|(path, _)| path);
        let mut changed = written.chain(&self.changes.removed);
        if !changed.any(|path| path.starts_with(series)) {
            return Ok(());
        }
        let Some(trial) = self.trial.take() else {
            return Ok(());
        };
        let Some((name, said)) = self.unfit(doing, &trial.to_come)? else {
            return Ok(());
        };
        let mut now = Vec::new();
        for name in trial.listed {
            let has = self.present(&self.origin.series().join(&name))?;
            now.extend(has.map(|has| (name, has)));
        }
        if let Some((name, said)) = self.unfit(doing, &now)? {
            let note =
                format!("{name} does not fit in the project, without what was done here, so that whether this fits behind it was not tried: {said}");
            self.changes.notes.push(note);
            return Ok(());
        }
        let found = format!("{name} would not fit behind what would be before it: {said}");
        Err(Error::usage(doing, found).hint(match trial.is_own {
            true => "`patch` cannot do what that commit does: make two of it, one that removes and one that adds, or other names",
            false => super::ANEW,
        }))
    }

    /// The first patch that does not fit, and what `patch` says of it.
    fn unfit(&self, doing: &str, series: &[(String, Vec<u8>)]) -> Result<Option<(String, String)>> {
        let scratch = tempfile::tempdir().map_err(|err| Error::lab(doing, err.to_string()))?;
        let mut texts = Vec::new();
        let mut touched = BTreeSet::new();
        for (name, content) in series {
            let text = String::from_utf8_lossy(content).into_owned();
            let patch = match Patch::parse(name, &text) {
                Ok(patch) => patch,
                Err(err) => return Ok(Some((name.clone(), err.found().to_string()))),
            };
            touched.extend(patch.files.iter().map(|file| file.path.clone()));
            texts.push((patch, text));
        }
        let staging = Staging::of(doing, self.dir, &self.source.commit, &touched, scratch)?;
        for (patch, text) in texts {
            let refused = staging.refuse_links(&patch, SOURCE);
            match refused.and_then(|()| put_on(&patch, &text, staging.path(), SOURCE)) {
                Ok(_) => {}
                Err(err) if matches!(err.kind(), Kind::Build | Kind::Usage) => {
                    return Ok(Some((patch.name, err.found().to_string())));
                }
                Err(err) => return Err(err),
            }
        }
        Ok(None)
    }
}
