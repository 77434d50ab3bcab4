// SPDX-License-Identifier: GPL-2.0-only

//! Whether a diff is well-formed: `patch`, git and the lab pass over different lines of one that is not, and none says so.

mod before;
mod time;

use before::Before;
use time::is_dated;

use crate::patchset::header::is_separator;
use crate::patchset::mail::{begins_mail, encoded};
use crate::patchset::parts::{bare, parts, Hunk, Part};

/// The first line of a patch's diff that its readers would take for different things, or pass over, with its number
/// and why. What stands above the line that ends its message is nobody's diff.
pub fn malformed(text: &str) -> Option<String> {
    let header = parts(text).take_while(|(part, _)| *part == Part::Header);
    let message = header.map(|(_, line)| line).position(is_separator);
    if let Some((number, line)) = encoded(text) {
        return told(number, line, "another text is meant than the one that lies here: save it as b4 or `git format-patch` do");
    }
    let mut reading = Reading::default();
    let mut lines = parts(text).enumerate().peekable();
    while let Some((number, (part, whole))) = lines.next() {
        let line = bare(whole);
        let is_behind = part == Part::Besides && line.starts_with("Subject: ");
        if is_behind || (begins_mail(line) && !is_first(text, number)) {
            return told(
                number,
                line,
                "another mail begins here, and a patch is one of them: where it is a line of the message, indent it",
            );
        }
        if message.is_some_and(|end| number < end) {
            continue;
        }
        let next = lines.peek().map_or("", |(_, (_, next))| *next);
        if let Some(found) = reading.refuses(number, part, whole, next) {
            return Some(found);
        }
    }
    let Reading { hunk, place, .. } = reading;
    match hunk.is_open() {
        true => told(place.0, place.1, "it counts more lines than follow"),
        false => None,
    }
}

fn told(number: usize, line: &str, why: &str) -> Option<String> {
    Some(format!("line {}, {line:?}: {why}", number + 1))
}

/// Whether only blank lines stand above line `number`, from 0.
fn is_first(text: &str, number: usize) -> bool {
    text.lines().take(number).all(|line| line.trim().is_empty())
}

/// What has been read of a diff.
#[derive(Default)]
struct Reading<'a> {
    before: Before,
    /// The hunk that the lines are of,
    hunk: Hunk,
    /// and the line that begins it.
    place: (usize, &'a str),
    /// The line with the name that the file has after the change.
    named: &'a str,
    /// Whether its mode has been said to change.
    is_turned: bool,
}

impl<'a> Reading<'a> {
    /// What is wrong with the next line, if anything is.
    fn refuses(&mut self, number: usize, part: Part, whole: &'a str, next: &str) -> Option<String> {
        let line = bare(whole);
        if Before::ends_at(part, line, next) {
            self.before = Before::Signature;
            return None;
        }
        if let Some(why) = self.before.refuses(part, whole) {
            return told(number, line, why);
        }
        let place = self.place.0 + 1;
        match part {
            Part::Place => {
                self.hunk = Hunk::parse(line).unwrap_or_default();
                self.place = (number, line);
                if self.hunk.leaves_nothing() && !is_dated(self.named) {
                    return told(
                        number,
                        line,
                        "the time of its file may stand for one that is gone: name that /dev/null",
                    );
                }
            }
            Part::Line if !whole.starts_with([' ', '+', '-', '\\', '\n']) => {
                let why = format!("no line of a hunk, and line {place} counts it");
                return told(number, line, &why);
            }
            Part::Line if !self.hunk.take(line) => {
                let why = format!("line {place} counts no such line here");
                return told(number, line, &why);
            }
            Part::Line if self.hunk.is_adrift() => return told(self.place.0, self.place.1, ADRIFT),
            Part::File if line.starts_with("diff -") => self.is_turned = false,
            Part::File if line.starts_with("new mode ") => self.is_turned = true,
            Part::File if line.starts_with("+++ ") => self.named = line,
            // Git takes the one below for the mode, and `patch` the one above.
            Part::File if self.is_turned && mode_of_index(line).is_some() => {
                return told(
                    number,
                    line,
                    "it names a mode, and so do the lines above it",
                );
            }
            Part::Line | Part::Header | Part::File | Part::Besides => {}
        }
        self.before = self.before.after(part, line);
        None
    }
}

/// Why a hunk is refused that could be anywhere.
const ADRIFT: &str = "only its number says where it belongs, and git looks at the end of the file: keep a line around it (-U1 or more)";

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
    let mode = of_mode.or_else(|| mode_of_index(line))?;
    let is_octal = mode.len() == 6 && mode.bytes().all(|digit| (b'0'..b'8').contains(&digit));
    match mode {
        "120000" | "160000" => Some("it makes, changes or removes a link"),
        _ if is_octal && mode.starts_with("100") => None,
        _ => Some("expected a file's mode, 100644 or 100755"),
    }
}

/// The mode in a line of git's own that names objects.
fn mode_of_index(line: &str) -> Option<&str> {
    let (objects, mode) = line.strip_prefix("index ")?.split_once(' ')?;
    objects.contains("..").then_some(mode)
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
                format!("{NAMES}@@ -2 +2 @@\n-x\n+y\n"),
                "line 4, \"@@ -2 +2 @@\": only its number says",
            ),
            (
                format!("{NAMES}{hunk}@@ -20 +20,0 @@\n-x\n"),
                "line 8, \"@@ -20 +20,0 @@\": only its number says",
            ),
            // What git says of a file, and what stands between that and its names.
            (
                format!("diff --git a/k b/k\nnew file mode 100755\n\n{NAMES}{hunk}"),
                "line 5, \"--- a/k\": git would not take",
            ),
            (
                format!("diff --git a/k b/k\nnew file mode 100755\nfoo\n{NAMES}{hunk}"),
                "line 5, \"--- a/k\": git would not take",
            ),
            (
                format!("diff --git a/k b/k\nold mode 100644\nnew mode 100755\nindex 1..2 100644\n{NAMES}{hunk}"),
                "line 5, \"index 1..2 100644\": it names a mode",
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
            format!("{NAMES}@@ -1 +1 @@\n-1\n+A\n"),
            format!("{NAMES}@@ -1,2 +0,0 @@\n-1\n-2\n"),
            format!("{NAMES}@@ -2,2 +2 @@\n 1\n-2\n"),
            "--- /dev/null\n+++ b/k\n@@ -0,0 +1 @@\n+1\n".into(),
            format!("diff --git a/k b/k\nold mode 100644\nnew mode 100755\nindex 1..2\n{NAMES}{hunk}"),
            format!("diff --git a/j b/j\nold mode 100644\nnew mode 100755\n\ndiff --git a/k b/k\nindex 1..2 100644\n{NAMES}{hunk}"),
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
    fn a_cover_letter_of_an_archive_is_a_mail_of_its_own() {
        let mail = |who: &str, rest: &str| {
            format!("From git@z Thu Jan  1 00:00:00 1970\nFrom: {who} <a@b>\nSubject: x\n\nWhy.\n---\n{rest}-- \n2.39\n\n")
        };
        let patch = mail("B", &format!("{NAMES}@@ -1 +1,2 @@\n 1\n+A\n"));
        assert_eq!(malformed(&format!("\n{patch}")), None);
        let found = malformed(&format!("{}{patch}", mail("A", " k | 2 ++\n"))).unwrap_or_default();
        assert!(found.starts_with("line 11, \"From git@z"), "{found}");
    }

    #[test]
    fn a_mail_that_is_encoded_is_not_read_as_it_lies() {
        let patch = |field: &str| {
            format!("From: A <a@b>\nSubject: x\n{field}\n\nContent-Transfer-Encoding: base64\n---\n{NAMES}@@ -1 +1,2 @@\n 1\n+A =3D\n")
        };
        for field in [
            "Content-Transfer-Encoding: 8bit",
            "content-transfer-encoding:7BIT",
            "Content-Type: text/plain; charset=UTF-8",
        ] {
            assert_eq!(malformed(&patch(field)), None, "{field}");
        }
        for field in [
            "Content-Transfer-Encoding: quoted-printable",
            "content-transfer-encoding: BASE64",
            "Content-Type: multipart/mixed; boundary=\"x\"",
        ] {
            let found = malformed(&patch(field)).unwrap_or_default();
            assert!(
                found.starts_with("line 3, ") && found.contains("another text is meant"),
                "{field}: {found}"
            );
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
