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
    // As git am has it.
    let words: Vec<&str> = subject.split_ascii_whitespace().collect();
    let subject = words.join(" ");
    let subject = without_tags(&subject);
    if subject.is_empty() {
        return Err(Error::usage(
            format!("reading {}", patch.name),
            "its \"Subject:\" says nothing",
        ));
    }
    let body: Vec<&str> = patch
        .header
        .lines()
        .take_while(|line| !is_separator(line))
        .skip_while(|line| !line.trim().is_empty())
        .collect();
    let body = body.join("\n");
    Ok((
        author,
        format!("{subject}\n\n{}", without_blank_ends(&body)),
    ))
}

/// Whether a line ends the message of a mail.
pub fn is_separator(line: &str) -> bool {
    line.trim_end() == "---"
}

/// A text without blank lines around it; its first line keeps its indent.
pub fn without_blank_ends(text: &str) -> &str {
    let mut lines = text.split_inclusive('\n');
    let blank = lines.by_ref().take_while(|line| line.trim().is_empty());
    text[blank.map(str::len).sum()..].trim_end()
}

/// What the file of a patch says beside author, message and change: it is in no commit.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Besides {
    /// Other fields of the mail that it was, each in a line of its own.
    pub fields: String,
    /// What stands between the message and the list of its files, with an empty line behind it.
    pub notes: String,
}

impl Besides {
    /// Of a patch with this header.
    pub fn of(header: &str) -> Besides {
        let mut fields = String::new();
        let mut is_kept = false;
        let is_field = |line: &&str| !line.trim().is_empty() && !is_separator(line);
        for line in header.lines().take_while(is_field) {
            if !line.starts_with([' ', '\t']) {
                let name = line.split_once(':').map(|(name, _)| name);
                let is_named = name.is_some_and(|name| !name.contains(' '));
                is_kept = is_named && name != Some("From") && name != Some("Subject");
            }
            if is_kept {
                fields.push_str(line);
                fields.push('\n');
            }
        }
        let behind = header.lines().skip_while(|line| !is_separator(line));
        // The list of files is git's.
        let notes: Vec<&str> = behind.skip(1).filter(|line| !is_listed(line)).collect();
        let notes = notes.join("\n");
        let notes = without_blank_ends(&notes);
        Besides {
            fields,
            notes: match notes.is_empty() {
                true => String::new(),
                false => format!("{notes}\n\n"),
            },
        }
    }
}

/// Whether git writes a line below a message when it lists the files that are changed.
fn is_listed(line: &str) -> bool {
    let Some(said) = line.strip_prefix(' ') else {
        return false;
    };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (first, rest) = said.split_once(' ').unwrap_or((said, ""));
    let is_sum =
        is_number(first) && (rest.starts_with("file changed") || rest.starts_with("files changed"));
    let is_mode = |text: &str| text.len() == 6 && is_number(text);
    let mode = |words: &str| {
        said.strip_prefix(words)
            .and_then(|rest| rest.split(' ').next())
    };
    let has_mode = ["create mode ", "delete mode ", "mode change "];
    let is_of_mode = has_mode
        .iter()
        .any(|words| mode(words).is_some_and(is_mode));
    let is_of_name = ["rename ", "copy ", "rewrite "]
        .iter()
        .any(|word| said.starts_with(word))
        && line.ends_with("%)");
    let is_graph = said.rsplit_once(" | ").is_some_and(|(_, count)| {
        let (count, graph) = count
            .trim_start()
            .split_once(' ')
            .unwrap_or((count.trim(), ""));
        let drawn = !graph.is_empty() && graph.bytes().all(|byte| byte == b'+' || byte == b'-');
        count == "Bin" || (is_number(count) && (drawn || count == "0"))
    });
    is_sum || is_of_mode || is_of_name || is_graph
}

/// A text as it was before git wrote it into a mail: `=?UTF-8?q?J=C3=B6rg?=` is Jörg (RFC 2047). One that does not come
/// to a line of text stays as it is.
pub fn decoded(text: &str) -> String {
    if !text.is_ascii() || !text.contains("=?") {
        return text.to_string();
    }
    let field = format!("X: {text}");
    let decoded = mailparse::parse_header(field.as_bytes()).map(|(field, _)| field.get_value());
    let is_line = |decoded: &String| {
        let is_odd = |sign: char| sign.is_control() || sign == char::REPLACEMENT_CHARACTER;
        !decoded.trim().is_empty() && !decoded.contains(is_odd)
    };
    decoded
        .ok()
        .filter(is_line)
        .unwrap_or_else(|| text.to_string())
}

/// What a header says behind a name, in one line: mails fold long ones.
fn field(header: &str, name: &str) -> Option<String> {
    let mut lines = header.lines().skip_while(|line| !line.starts_with(name));
    let mut text = lines.next()?.strip_prefix(name)?.trim().to_string();
    for more in lines.take_while(|line| line.starts_with([' ', '\t']) && !line.trim().is_empty()) {
        text.push(' ');
        text.push_str(more.trim());
    }
    // An address is never encoded, and what looks like one in a name is none.
    Some(match text.rsplit_once('<') {
        Some((who, address)) if name == "From:" => {
            format!("{} <{address}", decoded(who.trim()).replace(['<', '>'], ""))
        }
        _ => decoded(&text),
    })
}

/// A subject without what mails put before it ("[PATCH v2 3/7] ", "Re: ").
pub fn without_tags(subject: &str) -> &str {
    if let Some((answer, rest)) = subject.split_at_checked(3) {
        if answer.eq_ignore_ascii_case("re:") {
            return without_tags(rest.trim_start());
        }
    }
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
            ("Re: [PATCH] RE: mm:  x  of y", "mm: x of y"),
            ("rest: x", "rest: x"),
            ("=?UTF-8?q?mm:=20f=C3=BCr?=\n =?UTF-8?b?IHg=?=", "mm: für x"),
            ("mm: =?no", "mm: =?no"),
            ("=?utf-8?q?one=0Atwo?=", "=?utf-8?q?one=0Atwo?="),
            (
                "=?utf-8?q?J=C3?= =?UTF-8?q?=B6rg?=",
                "=?utf-8?q?J=C3?= =?UTF-8?q?=B6rg?=",
            ),
            ("=?utf-8?q?_?=", "=?utf-8?q?_?="),
            ("mm: für", "mm: für"),
        ] {
            let text = said(&format!("From: A <a@b.invalid>\nSubject: {subject}"));
            assert_eq!(text.unwrap(), format!("{expected}\n\nWhy."));
        }
        for nothing in ["[PATCH]", "Re:"] {
            let text = format!("From: A <a@b.invalid>\nSubject: {nothing}");
            assert!(said(&text).is_err(), "{nothing}");
        }
        assert!(said("Subject: x").is_err());
    }

    #[test]
    fn what_is_in_no_commit_is_kept_beside_it() {
        let header = "From 1234 Mon Sep 17 00:00:00 2001\nFrom: A <a@b.invalid>\nDate: Mon, 1 Jan\n 2024\nSubject: a\n b\n\nWhy.\n\
                      ---\nv2: notes | of mine\n\n  more\n\n k/x.c | 2 +-\n 1 file changed, 1 insertion(+)\n create mode 100644 k/x.c\n\n";
        let besides = Besides::of(header);
        assert_eq!(besides.fields, "Date: Mon, 1 Jan\n 2024\n");
        assert_eq!(besides.notes, "v2: notes | of mine\n\n  more\n\n");
        let plain = "From: A <a@b.invalid>\nSubject: a\n\nWhy.\n---\n k/x.c | 2 +-\n 1 file changed, 1 insertion(+)\n\n";
        assert_eq!(Besides::of(plain), Besides::default());
        assert_eq!(
            Besides::of("From: A <a@b.invalid>\nSubject: a\n\nWhy.\n"),
            Besides::default()
        );
    }

    #[test]
    fn a_list_of_ones_own_is_none_of_gits() {
        let listed = " k/x.c => y.c | 2 +-\n k/z | 0\n k/b | Bin 0 -> 1 bytes\n 3 files changed, 1 insertion(+)\n \
                      rename k/x.c => k/y.c (90%)\n copy a => b (100%)\n mode change 100644 => 100755 k/z\n";
        let own = " - rename helper to restart\n\n  | a | 2 |\n x | 12\n  before | 10 s\n";
        for notes in [format!("{own}{listed}"), format!("{listed}\n{own}")] {
            let header = format!("From: A <a@b.invalid>\nSubject: a\n---\n{notes}");
            let besides = Besides::of(&header);
            assert_eq!(besides.fields, "");
            assert_eq!(besides.notes, format!("{own}\n"));
        }
    }

    #[test]
    fn the_first_line_of_a_body_keeps_its_indent() {
        assert_eq!(without_blank_ends("\n  \n  a\n b\n\n"), "  a\n b");
        assert_eq!(without_blank_ends("\n \n"), "");
        let text = "From: A <a@b.invalid>\nSubject: x\n\n  | a |\n\nWhy.\n--- \nnotes\n";
        let (_, said) = message(&Patch::parse("x.patch", text).unwrap()).unwrap();
        assert_eq!(said, "x\n\n  | a |\n\nWhy.");
    }
}
