// SPDX-License-Identifier: GPL-2.0-only

//! The cover letter of a series: what the user wrote, put into the letter that git begins.

use std::path::Path;

use crate::error::{Error, Result};
use crate::layout::read_written;

/// What `git format-patch` leaves to be filled in.
const SUBJECT: &str = "*** SUBJECT HERE ***";
const BLURB: &str = "*** BLURB HERE ***";
/// What git says of a text that is not ASCII.
const MIME: &str =
    "\nMIME-Version: 1.0\nContent-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: 8bit";
/// How long the part of an encoded word may be that is the text's.
const WORD: usize = 40;

/// What introduces the series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cover {
    subject: String,
    text: String,
}

impl Cover {
    /// Reads a file: the subject, an empty line, the text.
    pub fn read(path: &Path) -> Result<Cover> {
        let all = read_written(path)?;
        let (subject, text) = all.split_once('\n').unwrap_or((&all, ""));
        if subject.trim().is_empty() || !text.starts_with('\n') || text.trim().is_empty() {
            return Err(Error::usage(
                format!("reading the cover letter {}", path.display()),
                "expected a subject, an empty line, and the text",
            ));
        }
        Ok(Cover {
            subject: subject.trim().to_string(),
            text: text.trim().to_string(),
        })
    }

    /// Whether it tells what has changed since the version before this one.
    pub fn tells_changes(&self, version: u32) -> bool {
        let heading = format!("changes since v{}", version.saturating_sub(1));
        let is_heading = |line: &str| {
            let rest = line.to_lowercase();
            rest.strip_prefix(&heading)
                .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        version < 2 || self.text.lines().any(is_heading)
    }

    /// The letter that git has begun, with what it leaves to be filled in; `None` if it is none. As git does it, what is not
    /// ASCII is encoded in the subject, and the text is said to be UTF-8.
    pub fn fill(&self, begun: &str) -> Option<String> {
        let (head, rest) = begun.split_once("\n\n")?;
        if !head.contains(SUBJECT) || !rest.contains(BLURB) {
            return None;
        }
        let mut head = head.replacen(SUBJECT, &encoded(&self.subject), 1);
        let rest = rest.replacen(BLURB, &self.text, 1);
        let said = |line: &str| line.to_lowercase().starts_with("content-type:");
        if !rest.is_ascii() && !head.lines().any(said) {
            head.push_str(MIME);
        }
        Some(format!("{head}\n\n{rest}"))
    }
}

/// A subject as a header can have it (RFC 2047): as it is, or in words of at most 75 characters, a line each.
fn encoded(subject: &str) -> String {
    if subject.is_ascii() {
        return subject.to_string();
    }
    let mut words = vec![String::new()];
    for letter in subject.chars() {
        let mut bytes = [0; 4];
        let code: String = match letter {
            'a'..='z' | 'A'..='Z' | '0'..='9' => letter.to_string(),
            _ => {
                let bytes = letter.encode_utf8(&mut bytes).bytes();
                bytes.map(|byte| format!("={byte:02X}")).collect()
            }
        };
        match words.last_mut() {
            // A letter is never cut, and what stands before the subject has room as well.
            Some(word) if word.len() + code.len() <= WORD => word.push_str(&code),
            _ => words.push(code),
        }
    }
    let words: Vec<String> = words
        .iter()
        .map(|word| format!("=?UTF-8?q?{word}?="))
        .collect();
    words.join("\n ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_version_says_what_has_changed() {
        let cover = |text: &str| Cover {
            subject: "x".into(),
            text: text.into(),
        };
        assert!(cover("anything").tells_changes(1));
        assert!(!cover("anything").tells_changes(2));
        assert!(cover("Why.\n\nChanges since v1:\n- all").tells_changes(2));
        assert!(!cover("Changes since v1:\n- all").tells_changes(3));
        assert!(!cover("Changes since v12").tells_changes(2));
        assert!(!cover("Works with cgroup v1.").tells_changes(2));
    }

    #[test]
    fn a_letter_has_a_subject_and_a_text() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cover");
        for wrong in ["", "subject\n", "subject\ntext\n", "\n\ntext\n"] {
            std::fs::write(&path, wrong).unwrap();
            assert!(Cover::read(&path).is_err(), "{wrong:?}");
        }
        std::fs::write(&path, "subject\n\ntext\n\nmore\n").unwrap();
        let text = "text\n\nmore".to_string();
        let subject = "subject".to_string();
        assert_eq!(Cover::read(&path).unwrap(), Cover { subject, text });
    }

    #[test]
    fn what_is_not_ascii_is_said_to_be_so() {
        let begun = format!("From: A\nSubject: [PATCH 0/1] {SUBJECT}\n\n{BLURB}\n\nA (1):\n");
        let fill = |subject: &str, text: &str| {
            let (subject, text) = (subject.to_string(), text.to_string());
            Cover { subject, text }.fill(&begun).unwrap()
        };
        let plain = fill("a b", "Why.");
        assert_eq!(
            plain,
            "From: A\nSubject: [PATCH 0/1] a b\n\nWhy.\n\nA (1):\n"
        );
        let letter = fill("f\u{fc}r: alle Prozesse eines Baumes", "Why.");
        assert_eq!(
            letter,
            "From: A\nSubject: [PATCH 0/1] =?UTF-8?q?f=C3=BCr=3A=20alle=20Prozesse=20eines=20?=\n =?UTF-8?q?Baumes?=\n\nWhy.\n\nA (1):\n"
        );
        let letter = fill("a", "Gr\u{fc}nde.");
        assert!(
            letter.contains(&format!("a{MIME}\n\nGr\u{fc}nde.")),
            "{letter}"
        );
        // git has said so already where a patch's author is not ASCII.
        let cover = Cover {
            subject: "a".into(),
            text: "\u{fc}".into(),
        };
        let begun = begun.replace("\n\n*", &format!("{MIME}\n\n*"));
        assert_eq!(
            cover.fill(&begun).unwrap().matches("MIME-Version").count(),
            1
        );
        assert_eq!(cover.fill("Subject: x\n\ny\n"), None);
    }
}
