// SPDX-License-Identifier: GPL-2.0-only

//! The lines of a patch, told apart: its header, the unified diff behind that, and what is neither.

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

/// What lines about a file begin with, but for its names before and after, which stand together.
const OF_FILE: [&str; 13] = [
    "diff -",
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
    // Whether the last line is the first of a file's two names.
    let mut is_half = false;
    std::iter::from_fn(move || {
        let whole = lines.next()?;
        let line = bare(whole);
        let next = lines.peek().copied().unwrap_or_default();
        let is_named = is_half && line.starts_with("+++ ");
        is_half = is_first_name(line, next);
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
        } else if is_half || is_named || OF_FILE.iter().any(|word| line.starts_with(word)) {
            Part::File
        } else {
            Part::Besides
        };
        is_half &= last == Part::File;
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

/// Whether a line is the first of a change. Quilt's own form has a line with the name of the file above its
/// names, and no line that ends the message.
fn begins_change(line: &str, next: &str) -> bool {
    let is_of_quilt = line.starts_with("Index: ") && next.starts_with("====");
    line.starts_with("diff -") || is_of_quilt || is_first_name(line, next)
}

fn is_first_name(line: &str, next: &str) -> bool {
    line.starts_with("--- ") && next.starts_with("+++ ")
}

/// What stands above the change, line by line.
pub fn header_of(text: &str) -> String {
    let header = parts(text).take_while(|(part, _)| *part == Part::Header);
    header
        .map(|(_, line)| format!("{}\n", bare(line)))
        .collect()
}

/// What a patch changes, and nothing else of it.
pub fn change_of(text: &str) -> String {
    let is_change = |part: &Part| !matches!(part, Part::Header | Part::Besides);
    let change = parts(text).filter(|(part, _)| is_change(part));
    change.map(|(_, line)| line).collect()
}

/// Lines of a hunk still to come, and the kind of the last one.
#[derive(Default)]
pub(super) struct Hunk {
    /// Where it begins before the change.
    at: usize,
    old: usize,
    new: usize,
    sign: Option<u8>,
    /// Lines at the beginning of a file are found without others around them: up to which it is so.
    start: usize,
    /// Whether lines that stay are among those that have come.
    is_held: bool,
}

impl Hunk {
    /// `@@ -12,7 +12,9 @@ ...`, to the letter: the readers of patches differ in what else they take for one.
    pub(super) fn parse(line: &str) -> Option<Hunk> {
        let (ranges, rest) = line.strip_prefix("@@ -")?.split_once(" @@")?;
        let (old, new) = ranges.split_once(" +")?;
        let ((at, old), (_, new)) = (range(old)?, range(new)?);
        (rest.is_empty() || rest.starts_with(' ')).then_some(Hunk {
            at,
            old,
            new,
            sign: None,
            start: usize::from(old > 0),
            is_held: false,
        })
    }

    pub(super) fn is_open(&self) -> bool {
        self.old > 0 || self.new > 0
    }

    /// Whether all of its lines have come, and only its number says where in a file they belong.
    pub(super) fn is_adrift(&self) -> bool {
        !self.is_open() && !self.is_held && self.at > self.start
    }

    /// Whether it leaves nothing of what it changes.
    pub(super) fn leaves_nothing(&self) -> bool {
        self.new == 0
    }

    /// Counts one line; whether it was still to come.
    pub(super) fn take(&mut self, line: &str) -> bool {
        let sign = line.bytes().next();
        let (old, new) = match sign {
            Some(b'+') => (0, 1),
            Some(b'-') => (1, 0),
            Some(b'\\') => (0, 0),
            _ => (1, 1),
        };
        let is_due = match (sign, self.sign) {
            // It says that the line above it, which is the last of a file, has no end.
            (Some(b'\\'), Some(b'+')) => self.new == 0,
            (Some(b'\\'), Some(b'-')) => self.old == 0,
            (Some(b'\\'), Some(b' ')) => !self.is_open(),
            (Some(b'\\'), _) => false,
            _ => old <= self.old && new <= self.new,
        };
        self.old = self.old.saturating_sub(old);
        self.new = self.new.saturating_sub(new);
        self.sign = sign;
        self.is_held |= (old, new) == (1, 1);
        is_due
    }
}

/// `12,7`, or `12` for one line.
fn range(text: &str) -> Option<(usize, usize)> {
    let number = |text: &str| match text.bytes().all(|digit| digit.is_ascii_digit()) {
        true => text.parse().ok(),
        false => None,
    };
    let (at, count) = text.split_once(',').unwrap_or((text, "1"));
    Some((number(at)?, number(count)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patchset::diff::Patch;

    #[test]
    fn a_change_is_told_from_what_stands_around_it() {
        let header = "Subject: x\n\ndiff to v1, and\n--- this\n    --- a/k\n    +++ b/k\n    @@ -1 +1 @@\n    -a\n    +b\n---\nInterdiff:\n  --- a/k\n  +++ b/k\n  @@ -1,2 +1,2 @@\n   a\n\n k | 2\n\n";
        let change = "diff --git a/k b/k\nindex 1..2 100644\n--- a/k\n+++ b/k\n@@ -1,2 +1,2 @@ f\n-a\n--- b\n+c\n+++ d\n\\ No newline at end of file\n";
        // Git put another version's diff above the list of files until 2.46, and has it behind the change since then.
        let signature = "-- \n2.39.5\n\n";
        let other = "  diff --git a/k b/k\n  --- a/k\n  +++ b/k\n  @@ -1 +1 @@\n  -a\n  +b\n\n";
        let ranges = "1:  96a305c ! 1:  2f1d3a8 x\n    @@ Metadata\n     ## k ##\n    @@ k\n    - a\n    + b\n\n";
        for besides in [
            format!("{signature}Interdiff:\n{other}"),
            format!("\nInterdiff:\n{other}{signature}"),
            format!("\nInterdiff against v1:\n{other}Range-diff against v1:\n{ranges}{signature}"),
            format!("\nRange-diff:\n{ranges}{signature}"),
            format!(
                "\n---\nbase-commit: 1e4637884852\nchange-id: 1-x\n\nBest regards,\n{signature}"
            ),
            format!(
                "\nbase-commit: 1e4637884852\nprerequisite-patch-id: 8c312631500f\n{signature}"
            ),
        ] {
            let text = format!("{header}{change}{besides}");
            assert_eq!(change_of(&text), change);
            assert_eq!(Patch::parse("x", &text).unwrap().header, header);
        }
    }

    #[test]
    fn the_header_ends_at_what_quilt_writes_above_names() {
        let change = "--- linux.orig/k\n+++ linux/k\n@@ -1 +1,2 @@\n a\n+b\n";
        let index =
            "Index: linux/k\n===================================================================\n";
        let text = format!("Subject: x\n\nIndex: of what it is\n\n{index}{change}{index}{change}");
        assert_eq!(header_of(&text), "Subject: x\n\nIndex: of what it is\n\n");
        assert_eq!(change_of(&text), [change, change].concat());
    }

    #[test]
    fn a_hunk_begins_with_its_two_ranges() {
        for line in [
            "@@ -1 +1 @@",
            "@@ -1,2 +3,4 @@",
            "@@ -0,0 +1,9 @@ fn x() -> @@",
        ] {
            assert!(is_place(line), "{line}");
        }
        for line in [
            "@@  -1,2 +3,4 @@",
            "@@ -1,2  +3,4 @@",
            "@@ -1,2\t+3,4 @@",
            "@@ -1,2 +3,4 @",
            "@@ -1,2 +3,4@@",
            "@@ -1,2 +3,4 @@@",
            "@@ -1,2, +3,4 @@",
            "@@ -1,+2 +3,4 @@",
            "@@ - +3,4 @@",
            "@@ -1,2 @@",
            " @@ -1 +1 @@",
            "date -u +%s",
        ] {
            assert!(!is_place(line), "{line}");
        }
    }

    #[test]
    fn only_the_last_line_of_a_file_has_no_end() {
        let is_due = |lines: &[&str]| {
            let mut hunk = Hunk::parse("@@ -1,2 +1,2 @@").unwrap();
            lines.iter().all(|line| hunk.take(line))
        };
        let end = "\\ No newline at end of file";
        for lines in [
            &[" 1", "-2", end, "+B", end][..],
            &["-1", "+A", " 2", end],
            &["-1", "-2", "+A", "+B", end],
        ] {
            assert!(is_due(lines), "{lines:?}");
        }
        for lines in [
            &[end, " 1", "-2", "+B"][..],
            &[" 1", end, " 2"],
            &["-1", end, "-2", "+A", "+B"],
            &["-1", "-2", "+A", end, "+B"],
            &["-1", "+A", " 2", end, end],
        ] {
            assert!(!is_due(lines), "{lines:?}");
        }
    }
}
