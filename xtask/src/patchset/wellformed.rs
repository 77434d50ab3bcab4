// SPDX-License-Identifier: GPL-2.0-only

//! Whether a diff is well-formed: `patch`, git and the lab pass over different lines of one that is not, and none says so.

use crate::patchset::diff::{bare, is_place, parts, Part};

/// The first line of a patch's diff that its readers would take for different things, with its number and why.
pub fn malformed(text: &str) -> Option<String> {
    let mut place = Place::Names;
    for (number, (part, whole)) in parts(text).enumerate() {
        let line = bare(whole);
        if let Some(why) = place.refuses(part, whole) {
            return Some(format!("line {}, {line:?}: {why}", number + 1));
        }
        place = place.after(part, line);
    }
    None
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

/// Whether a line ends what a mail says.
fn is_signature(line: &str) -> bool {
    line.trim_end() == "--"
}

/// What comes before a line of a diff.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// Nothing that hunks may follow.
    Names,
    /// Both names of a file.
    Named,
    /// A hunk.
    Hunk,
    /// What ends a mail: all that follows is none of the diff's.
    Signature,
}

impl Place {
    fn after(self, part: Part, line: &str) -> Place {
        match part {
            Part::Header => Place::Names,
            Part::File if line.starts_with("+++ ") => Place::Named,
            Part::File => Place::Names,
            Part::Place | Part::Line => Place::Hunk,
            Part::Besides if is_signature(line) => Place::Signature,
            Part::Besides => self,
        }
    }

    fn refuses(self, part: Part, whole: &str) -> Option<&'static str> {
        let line = bare(whole);
        let is_of_hunk = line.starts_with(['+', '-', ' ', '\t', '@']) && !is_signature(line);
        match part {
            // `patch` would make an empty file of a new one.
            Part::Header | Part::File | Part::Besides if is_of_binary(line) => {
                Some("it changes a binary file")
            }
            Part::File if whole.trim_end_matches('\n').ends_with('\r') => {
                Some("it ends in a carriage return: `patch` would take those off the file's lines too, and git would not")
            }
            Part::File => refused_mode(line),
            Part::Place if !is_place(line) => Some("not a hunk"),
            Part::Place if !matches!(self, Place::Named | Place::Hunk) => {
                Some("a hunk without the names of its file above it")
            }
            Part::Besides if is_of_hunk => match self {
                Place::Named => Some("no line that begins with @@ stands above it"),
                Place::Hunk => {
                    Some("it is in no hunk: the one above has all the lines that its @@ line counts")
                }
                Place::Names | Place::Signature => None,
            },
            _ => None,
        }
    }
}

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
            String::new(),
        ] {
            assert_eq!(malformed(&format!("Subject: x\n{diff}")), None, "{diff}");
        }
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
