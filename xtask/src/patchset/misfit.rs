// SPDX-License-Identifier: GPL-2.0-only

//! A patch that does not fit, explained: each hunk that failed, beside the lines that are there instead.

use std::path::Path;

/// Lines shown before and behind the place of a hunk.
const AROUND: usize = 2;

/// What `patch` has `said` about the patch with this `text`, which it has put on the files in `tree` as far
/// as it fits: one block for each hunk that failed, behind what was said.
pub fn explain(text: &str, said: &str, tree: &Path) -> String {
    let mut file = "";
    let mut blocks = vec![said.trim().to_string()];
    for line in said.lines() {
        if let Some(path) = line.strip_prefix("patching file ") {
            file = path.trim();
        }
        let failed = line
            .strip_prefix("Hunk #")
            .and_then(|rest| rest.split_once(" FAILED at "));
        let Some((number, at)) = failed else { continue };
        let at: String = at.chars().take_while(char::is_ascii_digit).collect();
        if let (Ok(number), Ok(at)) = (number.parse(), at.parse()) {
            blocks.extend(hunk(text, file, number).map(|hunk| block(&hunk, file, at, tree)));
        }
    }
    blocks.join("\n")
}

/// The lines of a file's hunk with this number, from 1, its head left out.
fn hunk<'a>(text: &'a str, file: &str, number: usize) -> Option<Vec<&'a str>> {
    let named = |line: &&str| {
        let name = line
            .strip_prefix("+++ ")
            .and_then(|rest| rest.split('\t').next());
        name.and_then(|name| name.split_once('/'))
            .is_some_and(|(_, path)| path.trim() == file)
    };
    let mut lines = text
        .lines()
        .skip_while(|line| !named(line))
        .skip(1)
        .peekable();
    for _ in 0..number {
        lines.find(|line| line.starts_with("@@ "))?;
    }
    let of_hunk = |line: &&str| line.is_empty() || line.starts_with([' ', '+', '-', '\\']);
    let mut found = Vec::new();
    while let Some(line) = lines.next_if(of_hunk) {
        // The next file's beginning.
        if line.starts_with("--- ") && lines.peek().is_some_and(|next| next.starts_with("+++ ")) {
            break;
        }
        found.push(line);
    }
    Some(found)
}

fn block(hunk: &[&str], file: &str, at: usize, tree: &Path) -> String {
    let mut text = format!("{file}: the hunk for line {at}\n");
    for line in hunk {
        text.push_str(&format!("        | {line}\n"));
    }
    let present = std::fs::read(tree.join(file)).unwrap_or_default();
    let present = String::from_utf8_lossy(&present);
    let old = hunk.iter().filter(|line| !line.starts_with('+')).count();
    let first = at.saturating_sub(1).saturating_sub(AROUND);
    let lines = present.lines().enumerate().skip(first);
    text.push_str(&format!("{file}: what is there\n"));
    for (number, line) in lines.take(old + 2 * AROUND) {
        text.push_str(&format!("  {:>5} | {line}\n", number + 1));
    }
    text.trim_end().to_string()
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
}
