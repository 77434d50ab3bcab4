// SPDX-License-Identifier: GPL-2.0-only

//! What a patch cannot say, or says so that it would be read as something else.

use super::{Commit, Source};
use crate::error::{Error, Result};
use crate::patchset::header::{decoded, identity, is_separator, without_tags, Besides};
use crate::patchset::mail::begins_mail;
use crate::patchset::series::Patch;
use crate::patchset::wellformed::{is_of_binary, refused_mode};

/// What helps where a message is misread.
pub const INDENT: &str = "indent it, or word it in another way";

impl Commit {
    /// Refuses what a patch of these paths cannot say.
    pub(super) fn refuse_unwritable(
        &self,
        doing: &str,
        paths: &[String],
        source: &Source,
    ) -> Result<()> {
        let refused = |(why, hint): (String, Option<&str>)| {
            let found = format!("{} (\"{}\"): {why}", self.hash, self.subject());
            let refused = Error::usage(doing, found);
            match hint {
                None => refused,
                Some(hint) => refused.hint(hint),
            }
        };
        let unsayable = self.unsayable(paths).map(|why| (why, None));
        if let Some(found) = unsayable.or_else(|| self.misworded()) {
            return Err(refused(found));
        }
        let patch = Patch::parse(&self.hash, &self.text(&Besides::default()))?;
        match unlined(&patch, paths, source) {
            None => Ok(()),
            Some(why) => Err(refused((why, None))),
        }
    }

    /// What of its change no patch can say, in words.
    fn unsayable(&self, paths: &[String]) -> Option<String> {
        // Lines of files are behind a sign: what is not is git's own.
        if self.diff.lines().any(is_of_binary) {
            return Some("it changes a binary file".into());
        }
        if let Some(why) = self.diff.lines().find_map(refused_mode) {
            return Some(why.into());
        }
        let is_odd = |path: &&String| path.contains(['"', '\\']) || path.contains(char::is_control);
        let path = paths.iter().find(is_odd)?;
        Some(format!(
            "{path:?} has letters that names in a patch do not have"
        ))
    }

    /// What of its message would not come back as it is, in words, and what helps.
    fn misworded(&self) -> Option<(String, Option<&'static str>)> {
        let subject = self.subject();
        let mut below = self.message.lines().skip(1);
        if self.message.is_empty() {
            return Some(("it has no message".into(), None));
        }
        if below.next().is_some_and(|line| !line.trim().is_empty()) {
            let why = "its subject is more than one line";
            return Some((why.into(), Some("put an empty line behind the first one")));
        }
        // As a reader of the mail has it.
        let words: Vec<&str> = subject.split_ascii_whitespace().collect();
        if words.join(" ") != subject {
            let why = "its subject has blanks that do not come back: several, or a tab";
            return Some((why.into(), None));
        }
        if without_tags(subject) != subject {
            let why = "its subject begins with what mails put there, and commits do not have";
            return Some((why.into(), None));
        }
        let (author, _) = identity(&self.author).unwrap_or((&self.author, ""));
        let is_encoded = |text: &&&str| decoded(text) != **text;
        if let Some(text) = [subject, author].iter().find(is_encoded) {
            let why = format!("{text:?} would be read as what mails encode");
            return Some((why, None));
        }
        let why = misread(self.message.lines().skip(1));
        (!why.is_empty()).then(|| (why.join("; "), Some(INDENT)))
    }
}

/// Which of these paths, of which a patch would have no line, in words.
fn unlined(patch: &Patch, paths: &[String], source: &Source) -> Option<String> {
    paths.iter().find_map(
        |path| match patch.files.iter().find(|file| file.path == *path) {
            Some(file) if file.deleted && source.overlay => {
                Some(format!("it deletes {path}, and no patch deletes files"))
            }
            Some(file) if file.hunks > 0 || !source.overlay => None,
            _ => Some(format!(
                "it changes no line of {path}, but its mode, or that it is there"
            )),
        },
    )
}

/// What `patch` or `git am` would not take for the message that it is, in words.
pub fn misread<'a>(mut lines: impl Iterator<Item = &'a str> + Clone) -> Vec<String> {
    let mut problems = Vec::new();
    if let Some(line) = lines.clone().find(|line| is_misread(line)) {
        problems.push(format!(
            "patch or git am would not take this for a line of its message: {line}"
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

/// Whether one of the readers of patches takes a line of a message for part of a diff, or for the next mail.
fn is_misread(line: &str) -> bool {
    const WORDS: [&str; 7] = [
        "--- ", "+++ ", "*** ", "@@ -", "diff -", "Index:", "Prereq:",
    ];
    begins_mail(line) || is_separator(line) || WORDS.iter().any(|word| line.starts_with(word))
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
