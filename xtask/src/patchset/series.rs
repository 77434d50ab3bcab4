// SPDX-License-Identifier: GPL-2.0-only

//! The series as it lies in `kernel-patches/`: its order, its patches, what each touches.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::error::{AtPath, Error, Kind, Result};
use crate::exec::tool;
use crate::layout::read_written;
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
    /// Whether its mode is another after.
    pub turned: bool,
    /// Lines added.
    pub added: usize,
    /// Places that it changes; none where only the file comes, goes, or gets another mode.
    pub hunks: usize,
}

impl Series {
    /// Reads `series`, `base` and every patch.
    pub fn read(dir: &Path) -> Result<Series> {
        let list = read_written(&dir.join("series"))?;
        let mut patches = Vec::new();
        for name in list.lines().map(str::trim).filter(|line| is_name(line)) {
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

    /// Applies the whole series to the files in `tree`, which are those of `source`, without fuzz; returns what `patch`
    /// said about offsets.
    pub fn apply(&self, tree: &Path, source: &str) -> Result<Vec<String>> {
        let mut offsets = Vec::new();
        for patch in &self.patches {
            let doing = format!("applying {} to {source}", patch.name);
            let text = read_written(&self.dir.join(&patch.name))?;
            // `patch` finds changes in a message too, indented ones as well.
            let change = tempfile::NamedTempFile::new()
                .map_err(|err| Error::lab(doing.clone(), err.to_string()))?;
            std::fs::write(change.path(), change_of(&text)).at("writing", change.path())?;
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
                .arg(change.path())
                .arg("-d")
                .arg(tree)
                .env("LC_ALL", "C")
                .failure(Kind::Build);
            let output = run.output()?;
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            if !output.status.success() {
                let said = said + &String::from_utf8_lossy(&output.stderr);
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

/// Whether a line is the first of what a patch changes: what is before is its header.
fn is_first(line: &str) -> bool {
    let names_a_file = |line: &str| {
        line.strip_prefix("--- ")
            .is_some_and(|name| !name.trim().is_empty())
    };
    line.starts_with("diff ") || names_a_file(line)
}

/// What a patch changes, without its header.
fn change_of(text: &str) -> &str {
    let header = text
        .split_inclusive('\n')
        .take_while(|line| !is_first(line));
    &text[header.map(str::len).sum()..]
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
        let mut git: Option<GitHeader> = None;
        let mut in_header = true;
        let mut hunk = Hunk::default();
        for line in text.lines() {
            if hunk.is_open() {
                if let (true, Some(file)) = (hunk.take(line), files.last_mut()) {
                    file.added += 1;
                }
                continue;
            }
            in_header &= !is_first(line);
            if in_header {
                header.push_str(line);
                header.push('\n');
            } else if let Some(names) = line.strip_prefix("diff --git ") {
                files.extend(git.take().and_then(GitHeader::file));
                git = Some(GitHeader::of(names));
            } else if let Some(old) = line.strip_prefix("--- ") {
                before = Some(path_of(old));
            } else if let Some(new) = line.strip_prefix("+++ ") {
                let old = before.take().flatten();
                let new = path_of(new);
                let path = new.clone().or_else(|| old.clone()).ok_or_else(|| {
                    Error::usage(format!("reading {name}"), "a change names no file")
                })?;
                // A file with another name has not been there before, though what it was made of has.
                let git = git.take();
                let moved = git.as_ref().is_some_and(|header| header.created);
                files.push(TouchedFile {
                    created: old.is_none() || moved,
                    deleted: new.is_none(),
                    turned: git.is_some_and(|header| header.turned),
                    ..TouchedFile::at(path)
                });
            } else if line.starts_with("@@ ") {
                hunk = Hunk::parse(line).ok_or_else(|| {
                    Error::usage(format!("reading {name}"), format!("not a hunk: {line}"))
                })?;
                if let Some(file) = files.last_mut() {
                    // A file that has no line before need not be called /dev/null.
                    file.created |= file.hunks == 0 && line.starts_with("@@ -0,0 ");
                    file.hunks += 1;
                }
            } else if let Some(header) = &mut git {
                files.extend(header.take(line));
            }
        }
        files.extend(git.and_then(GitHeader::file));
        Ok(Patch {
            name: name.to_string(),
            header,
            files,
        })
    }
}

impl TouchedFile {
    /// A file of which nothing is said yet.
    fn at(path: String) -> TouchedFile {
        TouchedFile {
            path,
            created: false,
            deleted: false,
            turned: false,
            added: 0,
            hunks: 0,
        }
    }
}

/// What git says of a file above its lines, or in the place of any.
struct GitHeader {
    path: Option<String>,
    created: bool,
    deleted: bool,
    /// Whether its mode is another.
    turned: bool,
}

impl GitHeader {
    /// `a/kernel/fork.c b/kernel/fork.c`; where the names differ, the lines that follow say which they are.
    fn of(names: &str) -> GitHeader {
        let halves = names.split_at_checked(names.len() / 2);
        let path = halves.and_then(|(old, new)| {
            let (old, new) = (path_of(old)?, path_of(new.trim_start())?);
            (old == new).then_some(new)
        });
        GitHeader {
            path,
            created: false,
            deleted: false,
            turned: false,
        }
    }

    /// Takes one line; what a rename or a copy is made of is another file.
    fn take(&mut self, line: &str) -> Option<TouchedFile> {
        self.created |= line.starts_with("new file mode ");
        self.deleted |= line.starts_with("deleted file mode ");
        self.turned |= line.starts_with("new mode ");
        let named = |words: [&str; 2]| words.iter().find_map(|word| line.strip_prefix(word));
        if let Some(path) = named(["rename to ", "copy to "]) {
            self.path = Some(path.to_string());
            self.created = true;
        }
        let from = named(["rename from ", "copy from "])?;
        Some(TouchedFile {
            deleted: line.starts_with("rename"),
            ..TouchedFile::at(from.to_string())
        })
    }

    /// The file, if no lines of it follow.
    fn file(self) -> Option<TouchedFile> {
        let says = self.created || self.deleted || self.turned;
        let path = self.path.filter(|_| says)?;
        Some(TouchedFile {
            created: self.created,
            deleted: self.deleted,
            turned: self.turned,
            ..TouchedFile::at(path)
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
        let created: Vec<bool> = patch.files.iter().map(|file| file.created).collect();
        assert_eq!(created, [false, true]);
    }

    #[test]
    fn what_git_says_without_lines_counts() {
        let text = "Subject: x\n\ndiff --git a/k/a.c b/k/b.c\nsimilarity index 100%\nrename from k/a.c\nrename to k/b.c\n\
                    diff --git a/run b/run\nold mode 100644\nnew mode 100755\n\
                    diff --git a/k/c.c b/k/d.c\ncopy from k/c.c\ncopy to k/d.c\n--- a/k/c.c\n+++ b/k/d.c\n@@ -1 +1,2 @@\n one\n+two\n\
                    diff --git a/none b/none\nnew file mode 100644\nindex 000000000000..e69de29bb2d1\n-- \n2.39.5\n";
        let patch = Patch::parse("100-x.patch", text).unwrap();
        let said: Vec<String> = patch
            .files
            .iter()
            .map(|file| {
                let TouchedFile {
                    path,
                    created,
                    deleted,
                    turned,
                    added,
                    hunks,
                } = file;
                format!("{path} {created} {deleted} {turned} {added} {hunks}")
            })
            .collect();
        assert_eq!(
            said,
            [
                "k/a.c false true false 0 0",
                "k/b.c true false false 0 0",
                "run false false true 0 0",
                "k/c.c false false false 0 0",
                "k/d.c true false false 1 1",
                "none true false false 0 0"
            ]
        );
    }

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
