// SPDX-License-Identifier: GPL-2.0-only

//! What a patch cannot say, or says so that it would be read as something else.

use super::{Commit, Source};
use crate::error::{Error, Result};
use crate::patchset::diff::{is_of_binary, is_of_link};
use crate::patchset::header::{decoded, identity, is_separator, without_tags, Besides};
use crate::patchset::series::Patch;

impl Commit {
    /// Refuses what a patch of these paths cannot say.
    pub(super) fn refuse_unwritable(
        &self,
        doing: &str,
        paths: &[String],
        source: &Source,
    ) -> Result<()> {
        let subject = self.subject();
        let refused = |why: &str| {
            let found = format!("{} (\"{subject}\"): {why}", self.hash);
            Err(Error::usage(doing, found))
        };
        // Lines of files are behind a sign: what is not is git's own.
        if self.diff.lines().any(is_of_binary) {
            return refused("it changes a binary file");
        }
        if self.diff.lines().any(is_of_link) {
            return refused("it makes, changes or removes a link");
        }
        let is_odd = |path: &&String| path.contains(['"', '\\']) || path.contains(char::is_control);
        if let Some(path) = paths.iter().find(is_odd) {
            return refused(&format!(
                "{path:?} has letters that names in a patch do not have"
            ));
        }
        if self.message.is_empty() {
            return refused("it has no message");
        }
        if self
            .message
            .lines()
            .nth(1)
            .is_some_and(|line| !line.trim().is_empty())
        {
            let why = "its subject is more than one line";
            return refused(why).map_err(|err| err.hint("put an empty line behind the first one"));
        }
        if !subject
            .split(' ')
            .all(|word| !word.is_empty() && !word.contains(char::is_whitespace))
        {
            return refused("its subject has blanks that do not come back: several, or a tab");
        }
        if without_tags(subject) != subject {
            return refused(
                "its subject begins with what mails put there, and commits do not have",
            );
        }
        let (author, _) = identity(&self.author).unwrap_or((&self.author, ""));
        if let Some(text) = [subject, author]
            .iter()
            .find(|text| decoded(text) != **text)
        {
            return refused(&format!("{text:?} would be read as what mails encode"));
        }
        let mut body = self
            .message
            .lines()
            .skip(1)
            .filter(|line| !line.trim().is_empty());
        if let Some(line) = body.next().filter(|line| is_taken_for_field(line)) {
            let why =
                format!("git am would take the beginning of its message for a field: {line:?}");
            return refused(&why).map_err(|err| err.hint("begin it in another way"));
        }
        if let Some(line) = self.message.lines().find(|line| is_misread(line)) {
            let why = format!(
                "a line of its message looks like the beginning of a diff or a mail: {line:?}"
            );
            return refused(&why).map_err(|err| err.hint("indent it, or word it in another way"));
        }
        let patch = Patch::parse(&self.hash, &self.text(&Besides::default()))?;
        let said = |path: &String| patch.files.iter().find(|file| file.path == *path);
        for path in paths {
            let why = match said(path) {
                Some(file) if file.deleted && source.overlay => {
                    format!("it deletes {path}, and no patch deletes files")
                }
                Some(file) if file.hunks == 0 && path.contains(' ') => {
                    format!("it changes no line of {path:?}, and `patch` would not find that name")
                }
                Some(file) if file.hunks > 0 || !source.overlay => continue,
                _ => format!("it changes no line of {path}, but its mode, or that it is there"),
            };
            return refused(&why);
        }
        Ok(())
    }
}

/// What `git am` would not take for the message that it is, in words.
pub fn misread<'a>(mut lines: impl Iterator<Item = &'a str> + Clone) -> Vec<String> {
    let mut problems = Vec::new();
    if let Some(line) = lines.clone().find(|line| is_misread(line)) {
        problems.push(format!(
            "git am would not take this for a line of its message: {line}"
        ));
    }
    let first = lines.find(|line| !line.trim().is_empty());
    if let Some(line) = first.filter(|line| is_taken_for_field(line)) {
        problems.push(format!(
            "git am would take the beginning of its message for a field of its own: {line}"
        ));
    }
    problems
}

/// Whether git would take a line of a message for part of a diff, or for the next mail.
fn is_misread(line: &str) -> bool {
    const WORDS: [&str; 7] = [
        "--- ", "+++ ", "*** ", "@@ -", "diff -", "Index:", "Prereq:",
    ];
    // Mails in one file begin with "From ", who, and a time.
    let time = |text: &str| {
        let around = text
            .split_once(':')
            .map(|(hour, rest)| (hour.ends_with(is_digit), rest.starts_with(is_digit)));
        around == Some((true, true))
    };
    let is_mail = line.strip_prefix("From ").is_some_and(time);
    is_mail || is_separator(line) || WORDS.iter().any(|word| line.starts_with(word))
}

/// Whether git would take the first line below a subject for a field of the mail.
fn is_taken_for_field(line: &str) -> bool {
    const FIELDS: [&str; 6] = [
        "From",
        "Subject",
        "Date",
        "Content-Type",
        "Content-Transfer-Encoding",
        "Message-ID",
    ];
    let is_field = |field: &&str| {
        line.split_once(':')
            .is_some_and(|(name, _)| name.eq_ignore_ascii_case(field))
    };
    FIELDS.iter().any(is_field) || line.starts_with("[PATCH]") || line.starts_with(">From ")
}

fn is_digit(sign: char) -> bool {
    sign.is_ascii_digit()
}
