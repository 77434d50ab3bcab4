// SPDX-License-Identifier: GPL-2.0-only

//! What a patch says, however it is written: whether two of them are the same, in the same lines of their files or in others.

use crate::error::Result;
use crate::patchset::diff::{path_of, Patch};
use crate::patchset::header::message;
use crate::patchset::parts::{bare, parts, Part};

/// What a patch says.
#[derive(Debug, PartialEq)]
pub struct Said {
    author: String,
    message: String,
    /// Files and lines in order.
    change: Vec<String>,
    /// Where the hunks stand.
    places: Vec<String>,
}

impl Said {
    /// By the patch in this file. One without an author or a subject is an error.
    pub fn of(name: &str, text: &[u8]) -> Result<Said> {
        let text = String::from_utf8_lossy(text);
        let patch = Patch::parse(name, &text)?;
        let (author, message) = message(&patch)?;
        // Nothing else names a file of which no line changes.
        let bare_files = patch.files.iter().filter(|file| file.hunks == 0);
        let mut change: Vec<String> = bare_files
            .map(|file| format!("no line of {}", file.path))
            .collect();
        let mut places = Vec::new();
        let mut old = None;
        for (part, line) in parts(&text) {
            match part {
                Part::Header | Part::Besides => {}
                Part::Place => places.push(place(bare(line))),
                Part::Line => change.push(line.trim_end_matches('\n').to_string()),
                Part::File => {
                    let line = bare(line);
                    if let Some(name) = line.strip_prefix("--- ") {
                        old = path_of(name);
                    } else if let Some(name) = line.strip_prefix("+++ ") {
                        change.push(match (path_of(name), old.take()) {
                            (Some(path), _) => format!("file {path}"),
                            (None, path) => format!("gone {}", path.unwrap_or_default()),
                        });
                    } else if !is_told_otherwise(line) {
                        change.push(line.to_string());
                    }
                }
            }
        }
        Ok(Said {
            author,
            message,
            change,
            places,
        })
    }

    /// The first line of the message.
    pub fn subject(&self) -> &str {
        self.message.lines().next().unwrap_or_default()
    }

    /// Whether the other one says the same, maybe in other lines of the files.
    pub fn is_moved(&self, other: &Said) -> bool {
        self.author == other.author && self.message == other.message && self.change == other.change
    }
}

/// Whether a line of git's about a file says what the names and the lines say as well, or what depends on other patches.
fn is_told_otherwise(line: &str) -> bool {
    let words = ["diff -", "index ", "similarity ", "dissimilarity "];
    let usual = ["new file mode 100644", "deleted file mode 100644"];
    words.iter().any(|word| line.starts_with(word)) || usual.contains(&line)
}

/// `@@ -1 +2,3 @@ f` as `-1,1 +2,3`.
fn place(line: &str) -> String {
    let ranges = line.split(' ').skip(1).take(2);
    let whole = ranges.map(|range| match range.contains(',') {
        true => range.to_string(),
        false => format!("{range},1"),
    });
    whole.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_without_lines_are_told_apart() {
        let header = "From: A <a@b.invalid>\nSubject: x\n---\n";
        let empty = "diff --git a/k/x.c b/k/x.c\nnew file mode 100644\nindex 0000000..e69de29\n";
        let turned = "diff --git a/k/x.c b/k/x.c\nold mode 100644\nnew mode 100755\n";
        for change in [empty, turned] {
            let one = format!("{header}{change}");
            assert_eq!(said(&one), said(&one));
            assert!(
                !said(&one).is_moved(&said(&one.replace("x.c", "y.c"))),
                "{one}"
            );
        }
    }

    fn said(text: &str) -> Said {
        Said::of("x.patch", text.as_bytes()).unwrap()
    }

    #[test]
    fn patches_are_the_same_however_they_are_written() {
        let by_hand = "From: A <a@b.invalid>\nSubject: [PATCH] x\n\nindex 1\n---\n--- a/k/x.c\n+++ b/k/x.c\n@@ -1 +1,2 @@\n one\n+two\n";
        let by_git = "From: A <a@b.invalid>\nSubject: x\n\nindex 1\n---\n k/x.c | 1 +\n 1 file changed, 1 insertion(+)\n\n\
                      diff --git a/k/x.c b/k/x.c\nindex 1..2 100644\n--- a/k/x.c\n+++ b/k/x.c\n@@ -1,1 +1,2 @@ f\n one\n+two\n-- \n2.39.5\n";
        assert_eq!(said(by_hand), said(by_git));
        let moved = said(&by_git.replace("-1,1 +1,2", "-7,1 +9,2"));
        assert!(moved != said(by_git) && moved.is_moved(&said(by_git)));
        for other in [
            by_git.replace("+two", "+ two"),
            by_git.replace("index 1\n---", "index 2\n---"),
            by_git.replace("k/x.c", "k/y.c"),
            by_git.replace("From: A", "From: B"),
        ] {
            assert!(!said(&other).is_moved(&said(by_git)), "{other}");
        }
    }
}
