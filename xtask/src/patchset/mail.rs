// SPDX-License-Identifier: GPL-2.0-only

//! The mail that a patch may lie in: where one begins, and whether its text is as it lies there.

/// Whether a line begins a mail among others in one file, as `git mailsplit` has it: "From ", who, and behind the
/// last colon seconds and a year.
pub fn begins_mail(line: &str) -> bool {
    let halves = line
        .strip_prefix("From ")
        .and_then(|rest| rest.rsplit_once(':'));
    let Some((before, behind)) = halves else {
        return false;
    };
    let is_digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_digit);
    let (before, seconds) = (before.as_bytes(), behind.as_bytes());
    let from_end = |back: usize| before.len().checked_sub(back).and_then(|at| before.get(at));
    let is_time = [1, 2, 4].into_iter().all(|back| is_digit(from_end(back)))
        && [0, 1].into_iter().all(|at| is_digit(seconds.get(at)));
    let year = behind.get(2..).unwrap_or_default().trim_start();
    let year = year.strip_prefix('+').unwrap_or(year);
    let digits = year.bytes().take_while(u8::is_ascii_digit).count();
    is_time && year[..digits].parse::<u64>().is_ok_and(|year| year > 90)
}

/// The field of a mail that says that another text is meant than the one that lies here, with the number of its line,
/// from 0.
pub fn encoded(text: &str) -> Option<(usize, &str)> {
    const AS_IT_IS: [&str; 3] = ["7bit", "8bit", "binary"];
    let lines = text.lines().enumerate();
    let mut fields = lines
        .skip_while(|(_, line)| line.trim().is_empty())
        .take_while(|(_, line)| !line.trim().is_empty());
    let is_other = |line: &str| {
        let (name, value) = line.split_once(':').unwrap_or_default();
        let value = value.trim().to_ascii_lowercase();
        match name.to_ascii_lowercase().as_str() {
            "content-transfer-encoding" => !AS_IT_IS.contains(&value.as_str()),
            "content-type" => value.starts_with("multipart/"),
            _ => false,
        }
    };
    fields.find(|(_, line)| is_other(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_begins_as_git_has_it() {
        // What `git mailsplit` 2.47 was seen to do.
        for line in [
            "From git@z Thu Jan  1 00:00:00 1970",
            "From git@z Thu Jan  1 00:00:00 91",
            "From 1e46 Mon Sep 17 00:00:00 2001",
            "From a 1:00:00 2001",
            "From a 00:00:00 +0100 2001",
            "From a b 00:00:002001",
            "From me: 10:11:12 1999",
        ] {
            assert!(begins_mail(line), "{line}");
        }
        for line in [
            "From git@z Thu Jan  1 00:00:00 90",
            "From 1e461e461e461e461e461e461e461e461e461e46 on it does.",
            "From 10:30 on it is",
            "From a 00:00:0x 2001",
            "From x 00:00:00 2001 a:b",
            "From: a 00:00:00 2001",
            "From :",
            "From é:00:00é",
            "",
        ] {
            assert!(!begins_mail(line), "{line}");
        }
    }
}
