// SPDX-License-Identifier: GPL-2.0-only

//! The header of a patch, as a mail has it or a file of a series: who wrote it, and what the commit says.

use crate::error::{Error, Result};
use crate::patchset::series::Patch;

/// A patch's author, and its message: the subject, and what the header says beside it.
pub fn message(patch: &Patch) -> Result<(String, String)> {
    let (Some(author), Some(subject)) = (
        field(&patch.header, "From:"),
        field(&patch.header, "Subject:"),
    ) else {
        return Err(Error::usage(
            format!("reading {}", patch.name),
            "its header has no \"From:\" or no \"Subject:\"",
        ));
    };
    let subject = without_tags(&subject);
    let body: Vec<&str> = patch
        .header
        .lines()
        .skip_while(|line| !line.trim().is_empty())
        .take_while(|line| *line != "---")
        .collect();
    Ok((author, format!("{subject}\n\n{}", body.join("\n").trim())))
}

/// What a header says behind a name, in one line: mails fold long ones.
fn field(header: &str, name: &str) -> Option<String> {
    let mut lines = header.lines().skip_while(|line| !line.starts_with(name));
    let mut text = lines.next()?.strip_prefix(name)?.trim().to_string();
    for more in lines.take_while(|line| line.starts_with([' ', '\t']) && !line.trim().is_empty()) {
        text.push(' ');
        text.push_str(more.trim());
    }
    Some(text)
}

/// A subject without what mails put before it ("[PATCH v2 3/7] ").
fn without_tags(subject: &str) -> &str {
    let tag = subject
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'));
    match tag {
        Some((tag, rest)) if tag.contains("PATCH") => without_tags(rest.trim_start()),
        _ => subject,
    }
}

/// `A <a@b>` as name and address.
pub fn identity(author: &str) -> Option<(&str, &str)> {
    let (name, rest) = author.split_once('<')?;
    Some((name.trim(), rest.strip_suffix('>')?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mails_subject_is_the_commits() {
        let said = |header: &str| {
            let text = format!("{header}\n\nWhy.\n---\n");
            message(&Patch::parse("x.patch", &text).unwrap()).map(|(_, text)| text)
        };
        for (subject, expected) in [
            ("mm: x", "mm: x"),
            ("[PATCH] mm: x", "mm: x"),
            ("[RFC PATCH v2 03/12] mm: x\n of y", "mm: x of y"),
            ("[media] mm: x", "[media] mm: x"),
            ("[PATCH", "[PATCH"),
        ] {
            let text = said(&format!("From: A <a@b.invalid>\nSubject: {subject}"));
            assert_eq!(text.unwrap(), format!("{expected}\n\nWhy."));
        }
        assert!(said("Subject: x").is_err());
    }
}
