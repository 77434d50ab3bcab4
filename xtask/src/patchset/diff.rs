// SPDX-License-Identifier: GPL-2.0-only

//! The text of a patch: its header, and the unified diff behind that.

use crate::error::{Error, Result};
use crate::patchset::paths::oddity;
use crate::patchset::wellformed::malformed;

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

/// What a line of a patch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// One before the first change.
    Header,
    /// One about a file: its names, and what git says of it.
    File,
    /// The beginning of a hunk.
    Place,
    /// A line of a hunk.
    Line,
    /// What stands behind a change and is none: a signature, a diff to another version.
    Besides,
}

/// What lines about a file begin with.
const OF_FILE: [&str; 15] = [
    "diff -",
    "--- ",
    "+++ ",
    "index ",
    "old mode ",
    "new mode ",
    "new file mode ",
    "deleted file mode ",
    "similarity index ",
    "dissimilarity index ",
    "rename from ",
    "rename to ",
    "copy from ",
    "copy to ",
    "GIT binary patch",
];

/// The lines of a patch, each whole and with what it is.
pub fn parts(text: &str) -> impl Iterator<Item = (Part, &str)> {
    let mut lines = text.split_inclusive('\n').peekable();
    let mut hunk = Hunk::default();
    let mut last = Part::Header;
    std::iter::from_fn(move || {
        let whole = lines.next()?;
        let line = bare(whole);
        let next = lines.peek().copied().unwrap_or_default();
        last = if hunk.is_open() {
            hunk.take(line);
            Part::Line
        } else if last == Part::Header && !begins_change(line, next) {
            Part::Header
        } else if line.starts_with("@@ ") {
            hunk = Hunk::parse(line).unwrap_or_default();
            Part::Place
        } else if last == Part::Line && line.starts_with('\\') {
            Part::Line
        } else if OF_FILE.iter().any(|word| line.starts_with(word)) {
            Part::File
        } else {
            Part::Besides
        };
        Some((last, whole))
    })
}

/// A line without its end.
pub fn bare(line: &str) -> &str {
    let line = line.strip_suffix('\n').unwrap_or(line);
    line.strip_suffix('\r').unwrap_or(line)
}

/// Whether a line says where a hunk belongs, and how many lines it has.
pub fn is_place(line: &str) -> bool {
    Hunk::parse(line).is_some()
}

/// Whether a line is the first of a change.
fn begins_change(line: &str, next: &str) -> bool {
    line.starts_with("diff -") || (line.starts_with("--- ") && next.starts_with("+++ "))
}

/// What a patch changes, and nothing else of it.
pub fn change_of(text: &str) -> String {
    let is_change = |part: &Part| !matches!(part, Part::Header | Part::Besides);
    let change = parts(text).filter(|(part, _)| is_change(part));
    change.map(|(_, line)| line).collect()
}

impl Patch {
    /// Reads a unified diff with a header. What no patch may name, or make, is refused.
    pub fn parse(name: &str, text: &str) -> Result<Patch> {
        let refused = |found: String| Error::usage(format!("reading {name}"), found);
        let named = |path: Option<String>| match path.as_deref().and_then(oddity) {
            None => Ok(path),
            Some(why) => {
                let path = path.unwrap_or_default();
                Err(refused(format!("it names the file {path:?}: {why}")))
            }
        };
        if let Some(found) = malformed(text) {
            return Err(refused(found));
        }
        let mut header = String::new();
        let mut files: Vec<TouchedFile> = Vec::new();
        let mut before = None;
        let mut git: Option<GitHeader> = None;
        // Whether git says of the file whether it is new.
        let mut is_told = false;
        for (part, line) in parts(text) {
            let line = bare(line);
            match part {
                Part::Header => {
                    header.push_str(line);
                    header.push('\n');
                }
                Part::Place => {
                    if let Some(file) = files.last_mut() {
                        // A file that has no line before need not be called /dev/null.
                        let is_first = file.hunks == 0 && line.starts_with("@@ -0,0 ");
                        file.created |= is_first && !is_told;
                        file.hunks += 1;
                    }
                }
                Part::Line => {
                    if let Some(file) = files.last_mut() {
                        file.added += usize::from(line.starts_with('+'));
                    }
                }
                Part::File => {
                    if let Some(names) = line.strip_prefix("diff --git ") {
                        files.extend(git.take().and_then(GitHeader::file));
                        git = Some(GitHeader::of(names));
                    } else if let Some(old) = line.strip_prefix("--- ") {
                        before = Some(named(path_of(old))?);
                    } else if let Some(new) = line.strip_prefix("+++ ") {
                        let old = before.take().flatten();
                        let new = named(path_of(new))?;
                        let Some(path) = new.clone().or_else(|| old.clone()) else {
                            return Err(refused("a change names no file".into()));
                        };
                        // A file with another name has not been there before, though what it was made of has.
                        let git = git.take();
                        is_told = git.is_some();
                        let moved = git.as_ref().is_some_and(|header| header.created);
                        files.push(TouchedFile {
                            created: old.is_none() || moved,
                            deleted: new.is_none(),
                            turned: git.is_some_and(|header| header.turned),
                            ..TouchedFile::at(path)
                        });
                    } else if let Some(header) = &mut git {
                        files.extend(header.take(line));
                    }
                }
                Part::Besides if line.starts_with("***************") => {
                    return Err(refused("a context diff: only unified ones are read".into()));
                }
                Part::Besides => {}
            }
        }
        files.extend(git.and_then(GitHeader::file));
        for file in &files {
            named(Some(file.path.clone()))?;
        }
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

    /// Counts one line.
    fn take(&mut self, line: &str) {
        match line.as_bytes().first() {
            Some(b'+') => self.new = self.new.saturating_sub(1),
            Some(b'-') => self.old = self.old.saturating_sub(1),
            Some(b'\\') => {}
            _ => {
                self.old = self.old.saturating_sub(1);
                self.new = self.new.saturating_sub(1);
            }
        }
    }
}

/// `a/kernel/fork.c` -> `kernel/fork.c`; `/dev/null` -> none.
pub(super) fn path_of(name: &str) -> Option<String> {
    let name = name.split('\t').next().unwrap_or(name).trim_matches(' ');
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
    fn an_empty_file_that_is_filled_is_not_a_new_one() {
        let fills = "--- a/none\n+++ b/none\n@@ -0,0 +1 @@\n+x\n";
        let created = |text: &str| Patch::parse("x", text).unwrap().files[0].created;
        assert!(created(fills));
        let index = "diff --git a/none b/none\nindex e69de29..587be6b 100644\n";
        assert!(!created(&format!("{index}{fills}")));
        let new = index.replace("index", "new file mode 100644\nindex");
        assert!(created(&format!("{new}{fills}")));
    }

    #[test]
    fn a_change_is_told_from_what_stands_around_it() {
        let header = "Subject: x\n\ndiff to v1, and\n--- this\n    --- a/k\n    +++ b/k\n    @@ -1 +1 @@\n    -a\n    +b\n---\n k | 2\n\n";
        let change = "diff --git a/k b/k\nindex 1..2 100644\n--- a/k\n+++ b/k\n@@ -1,2 +1,2 @@ f\n-a\n--- b\n+c\n+++ d\n\\ No newline at end of file\n";
        let besides = "-- \n2.39.5\n\nInterdiff:\n  diff --git a/k b/k\n  --- a/k\n  +++ b/k\n  @@ -1 +1 @@\n  -a\n  +b\n";
        let text = format!("{header}{change}{besides}");
        assert_eq!(change_of(&text), change);
        assert_eq!(Patch::parse("x", &text).unwrap().header, header);
    }
}
