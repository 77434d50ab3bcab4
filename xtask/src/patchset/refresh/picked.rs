// SPDX-License-Identifier: GPL-2.0-only

//! A commit that was picked from another tree of the series, in which it has become a patch already.

use std::collections::BTreeSet;

use super::patches::Present;
use super::Refresh;
use crate::error::Result;
use crate::patchset::commit::Commit;
use crate::patchset::header::{self, Besides};
use crate::patchset::series::Patch;

impl Refresh<'_> {
    /// The patch of the project's that a commit without a name was picked from in another tree: it says the same, wherever
    /// its lines stand; or it has the same subject, and is to be looked at.
    pub(super) fn picked(
        &self,
        present: &Present,
        taken: &BTreeSet<String>,
        commit: &Commit,
    ) -> Result<Option<String>> {
        let is_free = |name: &&String| !present.known.contains(name) && !taken.contains(*name);
        let mut namesake = None;
        for name in present.listed.iter().filter(is_free) {
            let Some(has) = self.present(&present.folder.join(name))? else {
                continue;
            };
            if is_moved(&text_like(commit, Some(&has))?, &has) {
                return Ok(Some(name.clone()));
            }
            let patch = Patch::parse(name, &String::from_utf8_lossy(&has))?;
            let says = header::message(&patch).ok();
            if says.is_some_and(|(_, message)| message.lines().next() == Some(commit.subject())) {
                namesake.get_or_insert(name);
            }
        }
        Ok(namesake.cloned())
    }
}

/// A commit as a patch that says besides what this one does.
pub(super) fn text_like(commit: &Commit, other: Option<&Vec<u8>>) -> Result<Vec<u8>> {
    let besides = match other {
        Some(other) => {
            let other = Patch::parse(&commit.hash, &String::from_utf8_lossy(other))?;
            Besides::of(&other.header)
        }
        None => Besides::default(),
    };
    Ok(commit.text(&besides).into_bytes())
}

/// Whether two patches say the same, whatever objects they name.
pub(super) fn is_alike(one: &[u8], other: &[u8]) -> bool {
    lines_but_for(one, &[b"index "]).eq(lines_but_for(other, &[b"index "]))
}

/// Whether two patches say the same, in whichever lines of their files.
pub(super) fn is_moved(one: &[u8], other: &[u8]) -> bool {
    const PLACES: &[&[u8]] = &[b"index ", b"@@ -"];
    lines_but_for(one, PLACES).eq(lines_but_for(other, PLACES))
}

/// The lines that begin with none of these.
fn lines_but_for<'a>(
    text: &'a [u8],
    words: &'static [&'static [u8]],
) -> impl Iterator<Item = &'a [u8]> {
    let lines = text.split(|byte| *byte == b'\n');
    lines.filter(|line| !words.iter().any(|word| line.starts_with(word)))
}
