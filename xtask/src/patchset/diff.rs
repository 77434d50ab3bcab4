// SPDX-License-Identifier: GPL-2.0-only

//! What a patch says: its header, and which files the unified diff behind that changes.

use crate::error::{Error, Result};
use crate::patchset::parts::{bare, header_of, parts, Part};
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

impl Patch {
    /// Reads a unified diff with a header. What no patch may name, or make, is refused.
    pub fn parse(name: &str, text: &str) -> Result<Patch> {
        let refused = |found: String| Error::usage(format!("reading {name}"), found);
        let at = |number: usize, found: &str| refused(format!("line {}: {found}", number + 1));
        let odd = |path: &str| oddity(path).map(|why| format!("it names the file {path:?}: {why}"));
        let named = |number: usize, name: &str| {
            let path = path_of(name);
            match path.as_deref().and_then(odd) {
                None => Ok(path),
                Some(why) => Err(at(number, &why)),
            }
        };
        if let Some(found) = malformed(text) {
            return Err(refused(found));
        }
        let mut files: Vec<TouchedFile> = Vec::new();
        let mut before = None;
        let mut git: Option<GitHeader> = None;
        // Whether git says of the file whether it is new.
        let mut is_told = false;
        for (number, (part, line)) in parts(text).enumerate() {
            let line = bare(line);
            match part {
                Part::Header | Part::Besides => {}
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
                        files.extend(GitHeader::end(git.take()).map_err(refused)?);
                        git = Some(GitHeader::of(names));
                    } else if let Some(old) = line.strip_prefix("--- ") {
                        before = Some(named(number, old)?);
                    } else if let Some(new) = line.strip_prefix("+++ ") {
                        let old = before.take().flatten();
                        let new = named(number, new)?;
                        let Some(path) = new.clone().or_else(|| old.clone()) else {
                            return Err(at(number, "a change names no file"));
                        };
                        // A file with another name has not been there before, though what it was made of has.
                        let git = git.take();
                        is_told = git.is_some();
                        let other = git.as_ref().and_then(|header| header.path.as_ref());
                        if let Some(other) = other.filter(|other| **other != path) {
                            let found = format!(
                                "the lines above it are of {other:?}, and these of {path:?}"
                            );
                            return Err(at(number, &found));
                        }
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
            }
        }
        files.extend(GitHeader::end(git).map_err(refused)?);
        if let Some(why) = files.iter().find_map(|file| odd(&file.path)) {
            return Err(refused(why));
        }
        Ok(Patch {
            name: name.to_string(),
            header: header_of(text),
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
    /// A name with a blank in it: `patch` finds one in the lines that are to follow, and here none.
    blank: Option<String>,
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
            blank: path.clone().filter(|path| path.contains(' ')),
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
        let (from, to) = (
            named(["rename from ", "copy from "]),
            named(["rename to ", "copy to "]),
        );
        if let Some(name) = from.or(to).filter(|name| name.contains(' ')) {
            self.blank = Some(name.to_string());
        }
        if let Some(path) = to {
            self.path = Some(path.to_string());
            self.created = true;
        }
        from.map(|from| TouchedFile {
            deleted: line.starts_with("rename"),
            ..TouchedFile::at(from.to_string())
        })
    }

    /// The file of a header behind which no lines of it follow, if that says something of one.
    fn end(header: Option<GitHeader>) -> std::result::Result<Option<TouchedFile>, String> {
        let says = |header: &GitHeader| header.created || header.deleted || header.turned;
        let Some(header) = header.filter(says) else {
            return Ok(None);
        };
        if let Some(name) = header.blank {
            return Err(format!(
                "it changes no line of {name:?}, and `patch` would not find that name"
            ));
        }
        Ok(header.path.map(|path| TouchedFile {
            created: header.created,
            deleted: header.deleted,
            turned: header.turned,
            ..TouchedFile::at(path)
        }))
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
}
