// SPDX-License-Identifier: GPL-2.0-only

//! Which lines of a diff may follow which.

use super::time::is_gone;
use super::{is_of_binary, refused_mode};
use crate::patchset::header::is_separator;
use crate::patchset::parts::{bare, is_place, Part};

/// What comes before a line of a diff.
#[derive(Clone, Copy, PartialEq, Default)]
pub(super) enum Before {
    /// Nothing that hunks may follow.
    #[default]
    Names,
    /// The line that begins what is said of a file.
    Diff,
    /// What git says of a file, above its names.
    Said,
    /// Something else, below that.
    Apart,
    /// Both names of a file.
    Named,
    /// A hunk.
    Hunk,
    /// Something else, below names or a hunk.
    Behind,
    /// What ends a mail: all that follows is none of the diff's.
    Signature,
}

impl Before {
    pub(super) fn after(self, part: Part, line: &str) -> Before {
        match part {
            Part::Header => Before::Names,
            Part::File if line.starts_with("diff -") => Before::Diff,
            Part::File if line.starts_with("+++ ") => Before::Named,
            Part::File if line.starts_with("--- ") => Before::Names,
            Part::File => Before::Said,
            Part::Place | Part::Line => Before::Hunk,
            Part::Besides if self == Before::Signature => Before::Signature,
            Part::Besides if self == Before::Diff => Before::Diff,
            Part::Besides if matches!(self, Before::Said | Before::Apart) => Before::Apart,
            Part::Besides => Before::Behind,
        }
    }

    /// Whether what a mail says of the patch ends: by a signature, a diff to another version of it, or what it is for.
    pub(super) fn ends_at(part: Part, line: &str, next: &str) -> bool {
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

    pub(super) fn refuses(self, part: Part, whole: &str) -> Option<&'static str> {
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
            Part::File if self == Before::Apart && line.starts_with("--- ") => {
                Some("git would not take what it says above for this file, and `patch` would: nothing may stand between them")
            }
            Part::File => refused_mode(line),
            Part::Place if !is_place(line) => Some("not a hunk"),
            Part::Place => match self {
                Before::Named | Before::Hunk => None,
                Before::Behind => {
                    Some("what stands above it is of no hunk: `patch` would not read on, and git nothing of it")
                }
                Before::Names | Before::Diff | Before::Said | Before::Apart | Before::Signature => Some(WITHOUT_NAMES),
            },
            Part::Line => None,
            Part::Besides => match self {
                Before::Diff if line.trim().is_empty() => None,
                Before::Diff if line.starts_with("*** ") => Some(OTHER_KIND),
                Before::Diff => Some(
                    "no diff, and the line above it begins one: where that is one of the message, indent it",
                ),
                Before::Named if is_of_hunk => Some("no line that begins with @@ stands above it"),
                Before::Hunk | Before::Behind if is_of_hunk => {
                    Some("it is in no hunk: the one above has all the lines that its @@ line counts")
                }
                Before::Names | Before::Said | Before::Apart if is_of_hunk => Some("it is in no hunk: none begins above it"),
                _ => None,
            },
        }
    }
}

/// Why a diff is refused that is no unified one.
const OTHER_KIND: &str = "a context diff: only unified ones are read";
/// Why a line that begins a hunk is refused where none may begin.
const WITHOUT_NAMES: &str = "a hunk without the names of its file above it";

fn is_signature(line: &str) -> bool {
    line.trim_end() == "--"
}

/// Whether a line is one of a diff that is no unified one.
fn is_of_context(line: &str) -> bool {
    let rest = line.strip_prefix("***************");
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}
