// SPDX-License-Identifier: GPL-2.0-only

//! A patch that does not fit, explained: each hunk that failed, beside the lines that are there instead.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::patchset::diff::path_of;
use crate::patchset::parts::{bare, parts, Part};

/// Lines shown before and behind the place of a hunk.
const AROUND: usize = 2;
/// What `patch` says of a file before it looks at the hunks, where it takes the first for one that is there already. It
/// is wrong about that where a file that should go, or a line of which there are many, is another one.
const REVERSED: &str = "Reversed (or previously applied) patch detected!";

/// A place that a patch changes.
struct Hunk<'a> {
    /// Which part of the patch it is in, each about one file: a patch may have several about the same.
    part: usize,
    /// The path after the change, or before it where there is none after.
    path: String,
    /// The first line that it changes.
    at: usize,
    lines: Vec<&'a str>,
}

/// What `patch` has `said` about the patch with this `text`, which it has put on the files in `tree` as far
/// as it fits: one block for each hunk that failed, behind what was said.
pub fn explain(text: &str, said: &str, tree: &Path) -> String {
    let hunks = hunks(text);
    let (mut file, mut before) = (String::new(), String::new());
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut blocks = vec![said.trim().to_string()];
    for line in said.lines() {
        if let Some(name) = line.strip_prefix("patching file ") {
            (file, before) = names(name);
            *seen.entry(file.clone()).or_default() += 1;
        }
        let mut of_file: Vec<&Hunk<'_>> = hunks.iter().filter(|hunk| hunk.path == file).collect();
        let of_parts: BTreeSet<usize> = of_file.iter().map(|hunk| hunk.part).collect();
        let present_part = seen
            .get(&file)
            .and_then(|count| of_parts.iter().nth(count.saturating_sub(1)));
        of_file.retain(|hunk| Some(&hunk.part) == present_part);
        let present = || match tree.join(&file).exists() {
            true => tree.join(&file),
            false => tree.join(&before),
        };
        if line.starts_with(REVERSED) {
            blocks.extend(of_file.iter().map(|hunk| hunk.block(hunk.at, &present())));
            continue;
        }
        let failed = line
            .strip_prefix("Hunk #")
            .and_then(|rest| rest.split_once(" FAILED at "));
        let Some((number, at)) = failed else { continue };
        let at: String = at.chars().take_while(char::is_ascii_digit).collect();
        if let (Ok(number), Ok(at)) = (number.parse::<usize>(), at.parse()) {
            let failed = of_file.get(number.saturating_sub(1));
            blocks.extend(failed.map(|hunk| hunk.block(at, &present())));
        }
    }
    blocks.join("\n")
}

/// The file that `patch` names, and the one that it is made of: `b.c (renamed from c.c)`.
pub fn names(said: &str) -> (String, String) {
    let plain = |name: &str| name.trim_matches(' ').to_string();
    for made in [" (renamed from ", " (copied from "] {
        if let Some((name, from)) = said.split_once(made) {
            let from = from.trim_end();
            return (plain(name), plain(from.strip_suffix(')').unwrap_or(from)));
        }
    }
    (plain(said), String::new())
}

/// All hunks of a patch, in order.
fn hunks(text: &str) -> Vec<Hunk<'_>> {
    let (mut hunks, mut path, mut old) = (Vec::<Hunk<'_>>::new(), String::new(), None);
    let mut count = 0;
    for (part, line) in parts(text) {
        let line = bare(line);
        match part {
            Part::File => {
                if let Some(name) = line.strip_prefix("--- ") {
                    old = path_of(name);
                } else if let Some(name) = line.strip_prefix("+++ ") {
                    path = path_of(name).or(old.take()).unwrap_or_default();
                    count += 1;
                }
            }
            Part::Place => {
                let digits = line.trim_start_matches("@@ -").split([',', ' ']).next();
                hunks.push(Hunk {
                    part: count,
                    path: path.clone(),
                    at: digits.and_then(|digits| digits.parse().ok()).unwrap_or(1),
                    lines: Vec::new(),
                });
            }
            Part::Line => hunks
                .last_mut()
                .into_iter()
                .for_each(|hunk| hunk.lines.push(line)),
            Part::Header | Part::Besides => {}
        }
    }
    hunks
}

impl Hunk<'_> {
    /// It beside the lines of `present`, where `at` is the first.
    fn block(&self, at: usize, present: &Path) -> String {
        let path = &self.path;
        let present = std::fs::read(present).unwrap_or_default();
        let present = String::from_utf8_lossy(&present);
        let present: Vec<&str> = present.lines().collect();
        let after = self
            .lines
            .iter()
            .filter(|line| !line.starts_with(['-', '\\']));
        let after: Vec<&str> = after
            .map(|line| line.get(1..).unwrap_or_default())
            .collect();
        let is_there =
            !after.is_empty() && present.windows(after.len()).any(|lines| lines == after);
        let already = if is_there {
            ", which is there already"
        } else {
            ""
        };
        let mut text = format!("{path}: the hunk for line {at}{already}\n");
        for line in &self.lines {
            text.push_str(&format!("        | {line}\n"));
        }
        let old = self
            .lines
            .iter()
            .filter(|line| !line.starts_with('+'))
            .count();
        let first = at.saturating_sub(1).saturating_sub(AROUND);
        text.push_str(&format!("{path}: what is there\n"));
        for (number, line) in present
            .iter()
            .enumerate()
            .skip(first)
            .take(old + 2 * AROUND)
        {
            text.push_str(&format!("  {:>5} | {line}\n", number + 1));
        }
        text.trim_end().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hunk_is_shown_beside_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("k")).unwrap();
        let present = "a\nnew\nb\nc\nd\ne\nf\ng\nh\ni\n";
        std::fs::write(dir.path().join("k/x.c"), present).unwrap();
        let text = "Subject: x\n\n--- a/k/w.c\n+++ b/k/w.c\n@@ -1 +1 @@\n-1\n+2\n\
                    --- a/k/x.c\n+++ b/k/x.c\n@@ -1,2 +1,3 @@\n a\n+new\n b\n@@ -5,3 +6,3 @@\n e\n-F\n+FF\n g\n\
                    --- a/k/y.c\n+++ b/k/y.c\n@@ -1 +1 @@\n-1\n+2\n";
        let said = "patching file k/w.c\npatching file k/x.c\nHunk #2 FAILED at 6.\n1 out of 2 hunks FAILED\npatching file k/y.c\n";
        insta::assert_snapshot!(explain(text, said, dir.path()), @r"
        patching file k/w.c
        patching file k/x.c
        Hunk #2 FAILED at 6.
        1 out of 2 hunks FAILED
        patching file k/y.c
        k/x.c: the hunk for line 6
                |  e
                | -F
                | +FF
                |  g
        k/x.c: what is there
              4 | c
              5 | d
              6 | e
              7 | f
              8 | g
              9 | h
             10 | i
        ");
    }

    #[test]
    fn what_patch_takes_for_a_patch_that_is_there_is_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("x.c"), "a\ntwo\nb\nc\nTHREE\nd\n").unwrap();
        let text = "--- a/x.c\n+++ b/x.c\n@@ -2 +2 @@\n-2\n+two\n@@ -5 +5 @@\n-3\n+three\n";
        let said = "patching file x.c\nReversed (or previously applied) patch detected!  Skipping patch.\n";
        insta::assert_snapshot!(explain(text, said, dir.path()), @r"
        patching file x.c
        Reversed (or previously applied) patch detected!  Skipping patch.
        x.c: the hunk for line 2, which is there already
                | -2
                | +two
        x.c: what is there
              1 | a
              2 | two
              3 | b
              4 | c
              5 | THREE
        x.c: the hunk for line 5
                | -3
                | +three
        x.c: what is there
              3 | b
              4 | c
              5 | THREE
              6 | d
        ");
    }

    #[test]
    fn files_go_by_any_name() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a b.c"), "here\n").unwrap();
        std::fs::write(dir.path().join("gone.c"), "other\n").unwrap();
        let text = "diff --git a/a b.c b/c.c\nrename from a b.c\nrename to c.c\n--- a/a b.c\n+++ b/c.c\n@@ -1 +1 @@\n-1\n+2\n\
                    --- a/gone.c\n+++ /dev/null\n@@ -1 +0,0 @@\n-gone\n";
        let said = "patching file c.c (renamed from a b.c)\nHunk #1 FAILED at 1.\npatching file gone.c\nHunk #1 FAILED at 1.\n";
        insta::assert_snapshot!(explain(text, said, dir.path()), @r"
        patching file c.c (renamed from a b.c)
        Hunk #1 FAILED at 1.
        patching file gone.c
        Hunk #1 FAILED at 1.
        c.c: the hunk for line 1
                | -1
                | +2
        c.c: what is there
              1 | here
        gone.c: the hunk for line 1
                | -gone
        gone.c: what is there
              1 | other
        ");
    }

    #[test]
    fn a_file_may_come_twice() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("x.c"), "one\nb\n").unwrap();
        let part =
            |from: &str, to: &str| format!("--- a/x.c\n+++ b/x.c\n@@ -1 +1 @@\n-{from}\n+{to}\n");
        let text = part("1", "one") + &part("2", "two");
        let said = "patching file x.c\npatching file x.c\nHunk #1 FAILED at 1.\n";
        let told = explain(&text, said, dir.path());
        assert!(
            told.contains("| +two") && !told.contains("| +one"),
            "{told}"
        );
    }
}
