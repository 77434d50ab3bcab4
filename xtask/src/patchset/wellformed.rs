// SPDX-License-Identifier: GPL-2.0-only

//! Whether a diff is well-formed: `patch`, git and the lab pass over different lines of one that is not, and none says so.

use crate::patchset::header::is_separator;
use crate::patchset::parts::{bare, is_place, parts, Hunk, Part};

/// The first line of a patch's diff that its readers would take for different things, or pass over, with its number
/// and why. What stands above the line that ends its message is nobody's diff.
pub fn malformed(text: &str) -> Option<String> {
    let header = parts(text).take_while(|(part, _)| *part == Part::Header);
    let message = header.map(|(_, line)| line).position(is_separator);
    let mut place = Place::Names;
    // The hunk that the lines are of, and where it begins.
    let mut hunk = (Hunk::default(), 0, "");
    let mut lines = parts(text).enumerate().peekable();
    while let Some((number, (part, whole))) = lines.next() {
        let line = bare(whole);
        let told = |why: &str| Some(format!("line {}, {line:?}: {why}", number + 1));
        let is_behind = part == Part::Besides && line.starts_with("Subject: ");
        if is_behind || (number > 0 && begins_mail(line)) {
            return told("another mail begins here: a patch is one of them");
        }
        if message.is_some_and(|end| number < end) {
            continue;
        }
        let next = lines.peek().map_or("", |(_, (_, next))| *next);
        if Place::ends_at(part, line, next) {
            place = Place::Signature;
            continue;
        }
        if let Some(why) = place.refuses(part, whole) {
            return told(why);
        }
        match part {
            Part::Place => hunk = (Hunk::parse(line).unwrap_or_default(), number + 1, line),
            Part::Line if !whole.starts_with([' ', '+', '-', '\\', '\n']) => {
                return told(&format!("no line of a hunk, and line {} counts it", hunk.1));
            }
            Part::Line if !hunk.0.take(line) => {
                return told(&format!("line {} counts no such line here", hunk.1));
            }
            Part::Line | Part::Header | Part::File | Part::Besides => {}
        }
        if part == Part::Place && hunk.0.is_adrift() {
            return told("only its number says where it belongs, and git looks at the end of the file: keep a line around it (-U1 or more)");
        }
        place = place.after(part, line);
    }
    let (open, number, line) = hunk;
    open.is_open()
        .then(|| format!("line {number}, {line:?}: it counts more lines than follow"))
}

/// Whether a line of a diff stands for the lines of a binary file, which are not there.
pub fn is_of_binary(line: &str) -> bool {
    line == "GIT binary patch" || (line.starts_with("Binary files ") && line.ends_with(" differ"))
}

/// Why a patch does not say what a line of git's own says of a mode, if it says something of one. `git apply` takes
/// more for a link's than `patch` does.
pub fn refused_mode(line: &str) -> Option<&'static str> {
    const WORDS: [&str; 4] = [
        "old mode ",
        "new mode ",
        "new file mode ",
        "deleted file mode ",
    ];
    let of_mode = WORDS.iter().find_map(|word| line.strip_prefix(word));
    let of_index = line.strip_prefix("index ").and_then(|rest| {
        let (objects, mode) = rest.split_once(' ')?;
        objects.contains("..").then_some(mode)
    });
    let mode = of_mode.or(of_index)?;
    let is_octal = mode.len() == 6 && mode.bytes().all(|digit| (b'0'..b'8').contains(&digit));
    match mode {
        "120000" | "160000" => Some("it makes, changes or removes a link"),
        _ if is_octal && mode.starts_with("100") => None,
        _ => Some("expected a file's mode, 100644 or 100755"),
    }
}

fn is_signature(line: &str) -> bool {
    line.trim_end() == "--"
}

/// Whether a line begins a mail, as git writes them.
fn begins_mail(line: &str) -> bool {
    let hash = line
        .strip_prefix("From ")
        .map(|rest| rest.split(' ').next());
    hash.flatten()
        .is_some_and(|hash| hash.len() >= 40 && hash.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

/// Whether the name of a file that is after a change has the time of one that is not there.
fn is_gone(line: &str) -> bool {
    let time = line
        .strip_prefix("+++ ")
        .and_then(|name| name.split_once('\t'));
    time.is_some_and(|(_, time)| time.starts_with("1970-01-01") || time.starts_with("1969-12-31"))
}

/// Whether a line is one of a diff that is no unified one.
fn is_of_context(line: &str) -> bool {
    let rest = line.strip_prefix("***************");
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

/// What comes before a line of a diff.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// Nothing that hunks may follow.
    Names,
    /// The line that begins what is said of a file.
    Diff,
    /// Both names of a file.
    Named,
    /// A hunk.
    Hunk,
    /// Something else, below names or a hunk.
    Behind,
    /// What ends a mail: all that follows is none of the diff's.
    Signature,
}

impl Place {
    fn after(self, part: Part, line: &str) -> Place {
        match part {
            Part::Header => Place::Names,
            Part::File if line.starts_with("diff -") => Place::Diff,
            Part::File if line.starts_with("+++ ") => Place::Named,
            Part::File => Place::Names,
            Part::Place | Part::Line => Place::Hunk,
            Part::Besides if self == Place::Signature => Place::Signature,
            Part::Besides if self == Place::Diff => Place::Diff,
            Part::Besides => Place::Behind,
        }
    }

    /// Whether what a mail says of the patch ends: by a signature, a diff to another version of it, or what it is for.
    fn ends_at(part: Part, line: &str, next: &str) -> bool {
        const OTHERS: [&str; 4] = [
            "Interdiff:",
            "Interdiff against v",
            "Range-diff:",
            "Range-diff against v",
        ];
        const IS_FOR: [&str; 2] = ["base-commit: ", "change-id: "];
        let begins = |line: &str, words: &[&str]| words.iter().any(|word| line.starts_with(word));
        let is_end = is_signature(line)
            || begins(line, &OTHERS)
            || (is_separator(line) && begins(next, &IS_FOR));
        part == Part::Besides && is_end
    }

    fn refuses(self, part: Part, whole: &str) -> Option<&'static str> {
        let line = bare(whole);
        let is_of_hunk = line.starts_with(['+', '-', ' ', '\t', '@']);
        match part {
            // `patch` would make an empty file of a new one.
            Part::Header | Part::File | Part::Besides if is_of_binary(line) => {
                Some("it changes a binary file")
            }
            Part::Header | Part::Besides if is_of_context(line) => Some(OTHER_KIND),
            Part::Header if is_place(line) => Some(WITHOUT_NAMES),
            Part::Header => None,
            Part::File if whole.trim_end_matches('\n').ends_with('\r') => {
                Some("it ends in a carriage return: `patch` would take those off the file's lines too, and git would not")
            }
            Part::File if is_gone(line) => {
                Some("that time stands for a file that is gone: name it /dev/null")
            }
            Part::File => refused_mode(line),
            Part::Place if !is_place(line) => Some("not a hunk"),
            Part::Place => match self {
                Place::Named | Place::Hunk => None,
                Place::Behind => {
                    Some("what stands above it is of no hunk: `patch` would not read on, and git nothing of it")
                }
                Place::Names | Place::Diff | Place::Signature => Some(WITHOUT_NAMES),
            },
            Part::Line => None,
            Part::Besides => match self {
                Place::Diff if line.trim().is_empty() => None,
                Place::Diff if line.starts_with("*** ") => Some(OTHER_KIND),
                Place::Diff => Some(
                    "no diff, and the line above it begins one: where that is one of the message, indent it",
                ),
                Place::Named if is_of_hunk => Some("no line that begins with @@ stands above it"),
                Place::Hunk | Place::Behind if is_of_hunk => {
                    Some("it is in no hunk: the one above has all the lines that its @@ line counts")
                }
                Place::Names if is_of_hunk => Some("it is in no hunk: none begins above it"),
                _ => None,
            },
        }
    }
}

/// Why a diff is refused that is no unified one.
const OTHER_KIND: &str = "a context diff: only unified ones are read";
/// Why a line that begins a hunk is refused where none may begin.
const WITHOUT_NAMES: &str = "a hunk without the names of its file above it";

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &str = "--- a/k\n+++ b/k\n";

    #[test]
    fn lines_that_belong_to_no_hunk_are_told_of() {
        let hunk = "@@ -1,2 +1,3 @@\n 1\n+A\n 2\n";
        let next = "@@ -20,2 +21,3 @@\n 20\n+B\n 21\n";
        for (diff, told) in [
            (
                format!("{NAMES}{hunk}+EXTRA\n{next}"),
                "line 8, \"+EXTRA\": it is in no hunk",
            ),
            (
                format!("{NAMES}{hunk} 3\n"),
                "line 8, \" 3\": it is in no hunk",
            ),
            (
                format!("{NAMES}{hunk}{}", next.replace("@@ -", "@ -")),
                "line 8, \"@ -20,2 +21,3 @@\": it is in no hunk",
            ),
            (
                format!("{NAMES} 1\n+A\n"),
                "line 4, \" 1\": no line that begins with @@",
            ),
            (
                format!("diff --git a/k b/k\n{hunk}"),
                "line 3, \"@@ -1,2 +1,3 @@\": a hunk without the names",
            ),
            (
                format!("{NAMES}{hunk}-- \n2.39\n{next}"),
                "line 10, \"@@ -20,2 +21,3 @@\": a hunk without the names",
            ),
            (
                format!("{NAMES}{hunk}Only in b: x\n+y\n"),
                "line 9, \"+y\": it is in no hunk",
            ),
            (
                format!("{NAMES}{hunk}\n{next}"),
                "line 9, \"@@ -20,2 +21,3 @@\": what stands above it is of no hunk",
            ),
            (
                format!("{NAMES}foo\n{hunk}"),
                "line 5, \"@@ -1,2 +1,3 @@\": what stands above it is of no hunk",
            ),
            // One of a file's two names is lost.
            (
                format!("---\n--- a/j\n{hunk}{NAMES}{hunk}"),
                "line 4, \"@@ -1,2 +1,3 @@\": a hunk without the names",
            ),
            (
                format!("---\n+++ b/j\n{hunk}{NAMES}{hunk}"),
                "line 4, \"@@ -1,2 +1,3 @@\": a hunk without the names",
            ),
            (
                format!("{NAMES}{hunk}--- a/j\n{hunk}"),
                "line 8, \"--- a/j\": it is in no hunk",
            ),
            (
                format!("{NAMES}{hunk}+++ b/j\n{hunk}"),
                "line 8, \"+++ b/j\": it is in no hunk",
            ),
            // A line that is taken away begins as a name does.
            (
                format!("{NAMES}{hunk}--- 3\n+B\n"),
                "line 8, \"--- 3\": it is in no hunk",
            ),
            (
                format!("{NAMES}{hunk}diff --git a/j b/j\nindex 1..2 100644\n 1\n+A\n"),
                "line 10, \" 1\": it is in no hunk: none begins above it",
            ),
            (
                format!("{NAMES}{hunk}diff --git a/j b/j\n 1\n+A\n"),
                "line 9, \" 1\": no diff, and the line above it begins one",
            ),
            // Of a message.
            (
                format!("diff -r a b shows\nwhy.\n---\n{NAMES}{hunk}"),
                "line 3, \"why.\": no diff",
            ),
            // The count of a hunk.
            (
                format!("{NAMES}{}", hunk.replace("1,2 +1,3", "1,3 +1,4")),
                "line 4, \"@@ -1,3 +1,4 @@\": it counts more lines than follow",
            ),
            (
                format!(
                    "{NAMES}{}diff --git a/j b/j\n",
                    hunk.replace("1,2 +1,3", "1,3 +1,4")
                ),
                "line 8, \"diff --git a/j b/j\": no line of a hunk, and line 4 counts it",
            ),
            (
                format!("{NAMES}{}", hunk.replace(" 2", "+B\n 2")),
                "line 8, \" 2\": line 4 counts no such line here",
            ),
            (
                format!("{NAMES}{}", hunk.replace(" 2", "\\ No newline\n 2")),
                "line 7, \"\\\\ No newline\": line 4 counts no such line here",
            ),
            (
                format!("{NAMES}{hunk}{}", next.replace("@@ -", "@@  -")),
                "line 8, \"@@  -20,2 +21,3 @@\": not a hunk",
            ),
            (
                format!("{NAMES}@@ -5,0 +6 @@\n+Z\n"),
                "line 4, \"@@ -5,0 +6 @@\": only its number says",
            ),
            (
                "--- a/e\n+++ b/e\t1970-01-01 00:00:00.000000000 +0000\n@@ -1 +0,0 @@\n-x\n".into(),
                "line 3, \"+++ b/e\\t1970-01-01 00:00:00.000000000 +0000\": that time",
            ),
            (
                format!("*** a/j\n--- b/j\n***************\n*** 1 ****\n{NAMES}{hunk}"),
                "line 4, \"***************\": a context diff",
            ),
            (
                "diff -c a/j b/j\n*** a/j\n--- b/j\n".into(),
                "line 3, \"*** a/j\": a context diff",
            ),
            (
                format!("diff -r a b shows\n\nwhy.\n{NAMES}{hunk}"),
                "line 4, \"why.\": no diff",
            ),
            (
                format!("{NAMES}{hunk}\n---\nwhat it was for\n"),
                "line 9, \"---\": it is in no hunk",
            ),
            (
                format!("{NAMES}{}", hunk.replace(" 2", "\t2")),
                "line 7, \"\\t2\": no line of a hunk, and line 4 counts it",
            ),
            (
                format!("{NAMES}{}", hunk.replace(" 2", "\r")),
                "line 7, \"\": no line of a hunk, and line 4 counts it",
            ),
        ] {
            let found = malformed(&format!("Subject: x\n{diff}")).unwrap_or_default();
            assert!(found.starts_with(told), "{diff}: {found}");
        }
        for diff in [
            format!("{NAMES}{hunk}{next}"),
            format!(
                "{NAMES}{hunk}\\ No newline at end of file\n{next}\nIndex: k\n===\n{NAMES}{hunk}"
            ),
            format!(
                "{NAMES}{hunk}--\n2.39\n\n+ of v1\n  @@ -1 +1 @@\ndiff -u a/k b/k\n{NAMES}{hunk}"
            ),
            format!("{NAMES}diff --git a/k b/k\nold mode 100644\nnew mode 100755\n{NAMES}{hunk}"),
            format!("@@ -1 +1 @@ and\nBinary files a and b differ\n---\n{NAMES}{hunk}"),
            format!("{NAMES}{}", hunk.replace(" 2", "")),
            format!("  @@ -1,2 +1,3 @@\n  date -u +%s\n****************\n{NAMES}{hunk}"),
            format!("{NAMES}{hunk}diff -urN a/e b/e\n\n-- \n2.39\n"),
            format!("{NAMES}{hunk}\nbase-commit: 1\n-- \n2.39\n\n@ of the list\n"),
            String::new(),
        ] {
            assert_eq!(malformed(&format!("Subject: x\n{diff}")), None, "{diff}");
        }
    }

    #[test]
    fn two_mails_are_two_patches() {
        let mail = |name: &str| {
            let hash = "1e4637884852".repeat(4);
            let header = format!("From {hash} Mon Sep 17 00:00:00 2001\nFrom: A <a@b>\nSubject: {name}\n\nWhy.\n---\n");
            format!("{header}{NAMES}@@ -1 +1,2 @@\n 1\n+A\n-- \n2.39\n\n")
        };
        assert_eq!(malformed(&mail("x")), None);
        let two = mail("x") + &mail("y");
        let found = malformed(&two).unwrap_or_default();
        assert!(found.starts_with("line 15, \"From 1e4"), "{found}");
        let (_, headless) = two.rsplit_once("From: ").unwrap();
        let found = malformed(&format!("{}From: {headless}", mail("x"))).unwrap_or_default();
        assert!(
            found.starts_with("line 16, \"Subject: y\": another mail"),
            "{found}"
        );
        // A cover letter has no line that ends its message.
        let cover = mail("x").replace("---\n", "");
        let (cover, _) = cover.split_once(NAMES).unwrap_or((&cover, ""));
        let found = malformed(&format!("{cover}-- \n2.39\n\n{}", mail("y"))).unwrap_or_default();
        assert!(found.starts_with("line 9, \"From 1e4"), "{found}");
    }

    #[test]
    fn a_carriage_return_is_one_of_a_line_and_of_no_name() {
        let lines = "@@ -1 +1,2 @@\r\n 1\r\n+A\r\n";
        assert_eq!(malformed(&format!("{NAMES}{lines}")), None);
        for name in ["--- a/k", "+++ b/k"] {
            let text = format!("{NAMES}{lines}").replace(name, &format!("{name}\r"));
            let found = malformed(&text).unwrap_or_default();
            assert!(found.contains("ends in a carriage return"), "{found}");
        }
    }

    #[test]
    fn modes_are_those_of_files() {
        for mode in ["100644", "100755", "100664"] {
            assert_eq!(refused_mode(&format!("new file mode {mode}")), None);
            assert_eq!(refused_mode(&format!("index 1234..5678 {mode}")), None);
        }
        for (mode, why) in [
            ("120000", "a link"),
            ("160000", "a link"),
            ("120000 ", "expected"),
            ("120000\t", "expected"),
            ("\t120000", "expected"),
            ("0120000", "expected"),
            ("40000120000", "expected"),
            ("644", "expected"),
            ("000644", "expected"),
            ("100648", "expected"),
            ("", "expected"),
        ] {
            for words in ["old mode", "new mode", "deleted file mode", "index 1..2"] {
                let found = refused_mode(&format!("{words} {mode}"));
                assert!(
                    found.is_some_and(|found| found.contains(why)),
                    "{words} {mode:?}"
                );
            }
        }
        for line in [
            "index 1234..5678",
            "index of modes",
            "new modes 1",
            "+new mode 1",
        ] {
            assert_eq!(refused_mode(line), None, "{line}");
        }
    }

    #[test]
    fn a_binary_file_is_one_wherever_it_stands() {
        let said = "Binary files a/logo and b/logo differ\n";
        let lines = "@@ -1 +1,2 @@\n 1\n+A\n";
        for text in [
            format!("Subject: x\n\n{said}{NAMES}{lines}"),
            format!("Subject: x\n\n{NAMES}{lines}{said}"),
        ] {
            let found = malformed(&text).unwrap_or_default();
            assert!(found.ends_with("it changes a binary file"), "{found}");
        }
    }
}
