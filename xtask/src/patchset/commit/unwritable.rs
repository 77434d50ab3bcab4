// SPDX-License-Identifier: GPL-2.0-only

//! What a patch cannot say, or says so that it would be read as something else.

use super::{Commit, Source};
use crate::error::{Error, Result};
use crate::patchset::header::{is_separator, without_tags, Besides};
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
        if self
            .diff
            .lines()
            .any(|line| line.starts_with("Binary files "))
        {
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
        if without_tags(subject) != subject {
            return refused(
                "its subject begins with what mails put there, and commits do not have",
            );
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

/// Whether git would take a line of a message for part of a diff, or for the next mail.
pub fn is_misread(line: &str) -> bool {
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

fn is_digit(sign: char) -> bool {
    sign.is_ascii_digit()
}

/// Whether a line of git's own in a diff says that a file is a link, to a file or to a repository.
fn is_of_link(line: &str) -> bool {
    let is_mode = ["new file mode ", "deleted file mode ", "index "]
        .iter()
        .any(|word| line.starts_with(word));
    is_mode && (line.ends_with(" 120000") || line.ends_with(" 160000"))
}
