// SPDX-License-Identifier: GPL-2.0-only

//! The series as it lies in `kernel-patches/`: its order, its patches, what each touches.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result};
use crate::exec::tool;
use crate::layout::read_text;
use crate::patchset::misfit;

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

/// One patch of the series.
#[derive(Debug, Clone)]
pub struct Patch {
    /// Its file name.
    pub name: String,
    /// Everything before the first `diff` or `---` line.
    pub header: String,
    /// Files it changes, in order, each with the lines it adds there.
    pub files: Vec<TouchedFile>,
}

/// What a patch does to one file.
#[derive(Debug, Clone, PartialEq)]
pub struct TouchedFile {
    /// Path in the kernel tree.
    pub path: String,
    /// Whether the file does not exist before.
    pub created: bool,
    /// Whether the file does not exist after.
    pub deleted: bool,
    /// Lines added.
    pub added: usize,
}

impl Series {
    /// Reads `series`, `base` and every patch.
    pub fn read(dir: &Path) -> Result<Series> {
        let list = read_text(&dir.join("series"))?;
        let mut patches = Vec::new();
        for name in list.lines().map(str::trim).filter(|line| is_name(line)) {
            let path = dir.join(name);
            if !path.is_file() {
                return Err(Error::usage(
                    format!("reading {}", dir.join("series").display()),
                    format!("it lists {name}, which is not in {}", dir.display()),
                ));
            }
            patches.push(Patch::parse(name, &read_text(&path)?)?);
        }
        let base = read_text(&dir.join("base"))?.trim().to_string();
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

    /// Applies the whole series to the files in `tree`, which are those of `source`, without fuzz; returns what `patch`
    /// said about offsets.
    pub fn apply(&self, tree: &Path, source: &str) -> Result<Vec<String>> {
        let mut offsets = Vec::new();
        for patch in &self.patches {
            let doing = format!("applying {} to {source}", patch.name);
            let run = tool(doing.clone(), "patch")
                .args([
                    "-p1",
                    "--fuzz=0",
                    "--forward",
                    "--batch",
                    "--no-backup-if-mismatch",
                    "--reject-file=-",
                ])
                .arg("-i")
                .arg(self.dir.join(&patch.name))
                .arg("-d")
                .arg(tree)
                .env("LC_ALL", "C")
                .failure(Kind::Build);
            let output = run.output()?;
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            if !output.status.success() {
                let said = said + &String::from_utf8_lossy(&output.stderr);
                let text = read_text(&self.dir.join(&patch.name))?;
                return Err(Error::build(doing, misfit::explain(&text, &said, tree))
                    .hint(self.hint_to_rebase()));
            }
            let moved = said
                .lines()
                .filter(|line| line.contains("(offset ") || line.contains("with fuzz"));
            offsets.extend(moved.map(|line| format!("{}: {line}", patch.name)));
        }
        Ok(offsets)
    }

    /// What helps when a patch of it does not fit.
    pub fn hint_to_rebase(&self) -> String {
        format!(
            "the series was made for {}; `cargo xtask patchset rebase --onto KERNEL --to DIR` puts in what fits and stops where \
             something does not",
            self.base
        )
    }
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

impl Patch {
    /// Reads a unified diff with a header.
    pub fn parse(name: &str, text: &str) -> Result<Patch> {
        let mut header = String::new();
        let mut files: Vec<TouchedFile> = Vec::new();
        let mut before = None;
        let mut in_header = true;
        let mut hunk = Hunk::default();
        for line in text.lines() {
            if hunk.is_open() {
                if let (true, Some(file)) = (hunk.take(line), files.last_mut()) {
                    file.added += 1;
                }
                continue;
            }
            in_header &= !line.starts_with("diff ") && !line.starts_with("--- ");
            if in_header {
                header.push_str(line);
                header.push('\n');
            } else if let Some(old) = line.strip_prefix("--- ") {
                before = Some(path_of(old));
            } else if let Some(new) = line.strip_prefix("+++ ") {
                let old = before.take().flatten();
                let new = path_of(new);
                let path = new.clone().or_else(|| old.clone()).ok_or_else(|| {
                    Error::usage(format!("reading {name}"), "a change names no file")
                })?;
                files.push(TouchedFile {
                    path,
                    created: old.is_none(),
                    deleted: new.is_none(),
                    added: 0,
                });
            } else if line.starts_with("@@ ") {
                hunk = Hunk::parse(line).ok_or_else(|| {
                    Error::usage(format!("reading {name}"), format!("not a hunk: {line}"))
                })?;
            }
        }
        Ok(Patch {
            name: name.to_string(),
            header,
            files,
        })
    }
}

/// Lines of a hunk still to come.
#[derive(Default)]
struct Hunk {
    old: usize,
    new: usize,
}

impl Hunk {
    /// `@@ -12,7 +12,9 @@ ...`
    fn parse(line: &str) -> Option<Hunk> {
        let mut words = line.split_whitespace().skip(1);
        let mut count = |sign: char| -> Option<usize> {
            let range = words.next()?.strip_prefix(sign)?;
            range
                .split_once(',')
                .map_or(Some(1), |(_, count)| count.parse().ok())
        };
        Some(Hunk {
            old: count('-')?,
            new: count('+')?,
        })
    }

    fn is_open(&self) -> bool {
        self.old > 0 || self.new > 0
    }

    /// Counts one line; whether it is an added one.
    fn take(&mut self, line: &str) -> bool {
        match line.as_bytes().first() {
            Some(b'+') => {
                self.new = self.new.saturating_sub(1);
                return true;
            }
            Some(b'-') => self.old = self.old.saturating_sub(1),
            Some(b'\\') => {}
            _ => {
                self.old = self.old.saturating_sub(1);
                self.new = self.new.saturating_sub(1);
            }
        }
        false
    }
}

/// `a/kernel/fork.c` -> `kernel/fork.c`; `/dev/null` -> none.
fn path_of(name: &str) -> Option<String> {
    let name = name.split('\t').next().unwrap_or(name).trim();
    if name == "/dev/null" {
        return None;
    }
    name.split_once('/').map(|(_, path)| path.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Subject: x\n\n--- a/kernel/fork.c\n+++ b/kernel/fork.c\n@@ -1,2 +1,3 @@\n one\n--- two\n+-- a\n+++ b\n\
                        --- a/new\n+++ b/kernel/new.c\n@@ -0,0 +1 @@\n+x\n";

    #[test]
    fn lines_that_look_like_names_are_counted_as_lines() {
        let patch = Patch::parse("100-x.patch", TEXT).unwrap();
        assert_eq!(patch.header, "Subject: x\n\n");
        let found: Vec<(&str, usize)> = patch
            .files
            .iter()
            .map(|file| (file.path.as_str(), file.added))
            .collect();
        assert_eq!(found, [("kernel/fork.c", 2), ("kernel/new.c", 1)]);
    }

    #[test]
    fn a_missing_patch_is_named() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("series"), "100-x.patch\n").unwrap();
        let error = Series::read(dir.path()).unwrap_err().to_string();
        assert!(error.contains("it lists 100-x.patch"), "{error}");
    }
}
