// SPDX-License-Identifier: GPL-2.0-only

//! The series as it lies in `kernel-patches/`: its order, its patches, what each touches.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::error::{AtPath, Error, Kind, Result};
use crate::exec::tool;
use crate::layout::read_written;
use crate::patchset::parts::change_of;
use crate::patchset::{list, misfit};

pub use crate::patchset::diff::{Patch, TouchedFile};

/// The series.
#[derive(Debug, Clone)]
pub struct Series {
    /// Its folder.
    pub dir: PathBuf,
    /// The source version it was made for, from the file `base`.
    pub base: String,
    /// The patches in order.
    pub patches: Vec<Patch>,
}

impl Series {
    /// Reads `series`, `base` and every patch.
    pub fn read(dir: &Path) -> Result<Series> {
        let text = read_written(&dir.join("series"))?;
        let mut patches = Vec::new();
        for name in list::read(&dir.join("series"), &text)? {
            let path = dir.join(name);
            if !path.is_file() {
                return Err(Error::usage(
                    format!("reading {}", dir.join("series").display()),
                    format!("it lists {name}, which is not in {}", dir.display()),
                ));
            }
            patches.push(Patch::parse(name, &read_written(&path)?)?);
        }
        let base = read_written(&dir.join("base")).map_err(|err| {
            err.hint("it says for which version of the source the patches were made, in one line")
        })?;
        let base = base.trim().to_string();
        if base.is_empty() || base.contains(char::is_whitespace) {
            return Err(Error::usage(
                format!("reading {}", dir.join("base").display()),
                format!("expected a version of the source, as 6.12.117, found {base:?}"),
            ));
        }
        Ok(Series {
            dir: dir.to_path_buf(),
            base,
            patches,
        })
    }

    /// No patches at all.
    pub fn none() -> Series {
        Series {
            dir: PathBuf::new(),
            base: String::new(),
            patches: Vec::new(),
        }
    }

    /// Its first `count` patches.
    pub fn prefix(&self, count: usize) -> Series {
        Series {
            patches: self.patches.iter().take(count).cloned().collect(),
            ..self.clone()
        }
    }

    /// Every file the series changes, sorted.
    pub fn touched(&self) -> BTreeSet<String> {
        self.patches
            .iter()
            .flat_map(|patch| patch.files.iter().map(|file| file.path.clone()))
            .collect()
    }

    /// The first of its patches that changes a file.
    pub fn first_to_change(&self, path: &str) -> Option<&str> {
        let changes = |patch: &&Patch| patch.files.iter().any(|file| file.path == path);
        self.patches
            .iter()
            .find(changes)
            .map(|patch| patch.name.as_str())
    }

    /// Every file that a patch of it creates.
    pub fn created(&self) -> BTreeSet<String> {
        let files = self.patches.iter().flat_map(|patch| &patch.files);
        let created = files.filter(|file| file.created);
        created.map(|file| file.path.clone()).collect()
    }

    /// Applies the whole series to the files in `tree`, which are those of `source`, without fuzz; returns what `patch`
    /// said about offsets.
    pub fn apply(&self, tree: &Path, source: &str) -> Result<Vec<String>> {
        let mut offsets = Vec::new();
        for patch in &self.patches {
            let text = read_written(&self.dir.join(&patch.name))?;
            offsets.extend(self.apply_one(patch, &text, tree, source)?);
        }
        Ok(offsets)
    }

    /// Applies one patch of it, whose text is this, to the files in `tree`, those of `source` with what comes before it.
    pub fn apply_one(
        &self,
        patch: &Patch,
        text: &str,
        tree: &Path,
        source: &str,
    ) -> Result<Vec<String>> {
        put_on(patch, text, tree, source).map_err(|err| match err.kind() {
            Kind::Build => err.hint(self.hint_to_rebase()),
            _ => err,
        })
    }

    /// What helps when a patch of it does not fit.
    fn hint_to_rebase(&self) -> String {
        format!(
            "the series was made for {}; `cargo xtask patchset rebase --onto KERNEL --to DIR` puts in what fits and stops where \
             something does not",
            self.base
        )
    }
}

/// What is being done when a patch of this name is put on the files of `source`.
pub fn applying(name: &str, source: &str) -> String {
    format!("applying {name} to {source}")
}

/// Puts a patch on the files in `tree`, which are those of `source`, without fuzz; what `patch` said about offsets.
pub fn put_on(patch: &Patch, text: &str, tree: &Path, source: &str) -> Result<Vec<String>> {
    let name = &patch.name;
    let doing = applying(name, source);
    // `patch` finds changes in a message too, indented ones as well.
    let change =
        tempfile::NamedTempFile::new().map_err(|err| Error::lab(doing.clone(), err.to_string()))?;
    let changed = change_of(text);
    if changed.is_empty() {
        let found = "it changes nothing: it has no unified diff";
        return Err(Error::usage(doing, found));
    }
    std::fs::write(change.path(), changed).at("writing", change.path())?;
    let run = tool(doing.clone(), "patch")
        .args(["-p1", "--fuzz=0", "--forward", "--batch"])
        .args(["--no-backup-if-mismatch", "--reject-file=-"])
        .arg("-i")
        .arg(change.path())
        .arg("-d")
        .arg(tree)
        .env("LC_ALL", "C")
        .env("QUOTING_STYLE", "literal")
        .failure(Kind::Build);
    let output = run.output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let said = said + &String::from_utf8_lossy(&output.stderr);
        return Err(Error::build(doing, misfit::explain(text, &said, tree)));
    }
    refuse_other_names(&doing, patch, &said)?;
    let moved = said
        .lines()
        .filter(|line| line.contains("(offset ") || line.contains("with fuzz"));
    Ok(moved.map(|line| format!("{name}: {line}")).collect())
}

/// Refuses a patch of which `patch` has changed other files than the lab reads in it: nothing would bring one into a tree
/// that the lab does not know, and of one that only the lab knows a change is lost.
fn refuse_other_names(doing: &str, patch: &Patch, said: &str) -> Result<()> {
    let read: BTreeSet<&str> = patch.files.iter().map(|file| file.path.as_str()).collect();
    let taken = said
        .lines()
        .filter_map(|line| line.strip_prefix("patching file "));
    let taken: Vec<(String, String)> = taken.map(misfit::names).collect();
    let taken = taken.iter().flat_map(|(file, from)| [file.as_str(), from]);
    let taken: BTreeSet<&str> = taken.filter(|name| !name.is_empty()).collect();
    if let Some(path) = taken.difference(&read).next() {
        let read: Vec<&str> = read.iter().copied().collect();
        let read = read.join(", ");
        let found = format!("patch reads the name {path:?} in it, the lab {read}");
        return Err(Error::usage(doing, found).hint(
            "name a file in one way in all lines above its hunks, from the top of the tree: git -c core.quotePath=false does; only a \
             tab may stand between a name and a time",
        ));
    }
    let lost: Vec<&str> = read.difference(&taken).copied().collect();
    if lost.is_empty() {
        return Ok(());
    }
    let found = format!(
        "patch has found nothing to do in it for {}",
        lost.join(", ")
    );
    Err(Error::usage(doing, found)
        .hint("look whether a line that begins with @@ is missing or damaged"))
}

/// Whether a line of the list is a patch's name, and not empty or a comment.
pub fn is_name(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with('#')
}

/// Whether a name is one that patches have: `NNN-what-it-does.patch`.
pub fn is_patch_name(name: &str) -> bool {
    let (number, slug) = name.split_once('-').unwrap_or((name, ""));
    let numbered = number.len() == 3 && number.bytes().all(|byte| byte.is_ascii_digit());
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let slug = slug.strip_suffix(".patch").unwrap_or_default();
    numbered && !slug.is_empty() && slug.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_patch_is_named() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("series"), "100-x.patch\n").unwrap();
        let error = Series::read(dir.path()).unwrap_err().to_string();
        assert!(error.contains("it lists 100-x.patch"), "{error}");
        std::fs::write(dir.path().join("series"), "").unwrap();
        let error = Series::read(dir.path()).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        let error = error.to_string();
        assert!(
            error.contains("base: ") && error.contains("for which version"),
            "{error}"
        );
        std::fs::write(dir.path().join("series"), "100-x.patch\n").unwrap();
        std::fs::write(
            dir.path().join("100-x.patch"),
            b"From: x\nSubject: caf\xe9\n",
        )
        .unwrap();
        let error = Series::read(dir.path()).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        assert_eq!(error.found(), "expected UTF-8, found byte 0xe9 in line 2");
    }
}
