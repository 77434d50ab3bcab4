// SPDX-License-Identifier: GPL-2.0-only

//! Times behind the names of files, which stand for a file that is not there, or for nothing.

/// The time in a line with the name of a file.
fn time_of(line: &str) -> Option<&str> {
    let (_, time) = line.strip_prefix("+++ ")?.split_once('\t')?;
    Some(time)
}

/// Whether the name of a file that is after a change has the time that git takes for one of a file that is not there.
pub(super) fn is_gone(line: &str) -> bool {
    let is_epoch = |time: &str| {
        let day = ["1970-01-01 ", "1969-12-31 "];
        let clock = day.into_iter().find_map(|day| time.strip_prefix(day));
        let zone = clock.and_then(|clock| clock.split_once(' '));
        zone.is_some_and(|(clock, _)| {
            let (clock, part) = clock.split_once('.').unwrap_or((clock, ""));
            clock.ends_with(":00") && part.bytes().all(|digit| digit == b'0')
        })
    };
    time_of(line).is_some_and(is_epoch)
}

/// Whether the name of a file has no time, or one that no reader takes for that of a file that is not there.
pub(super) fn is_dated(line: &str) -> bool {
    let is_late = |time: &str| {
        let (year, rest) = time.split_once('-').unwrap_or_default();
        let is_year = year.len() == 4 && year.bytes().all(|digit| digit.is_ascii_digit());
        is_year && year > "1970" && rest.starts_with(|sign: char| sign.is_ascii_digit())
    };
    time_of(line).is_none_or(is_late)
}

#[cfg(test)]
mod tests {
    use crate::patchset::wellformed::malformed;

    #[test]
    fn a_time_stands_for_a_file_that_is_gone_only_where_a_reader_takes_it_so() {
        let diff = |time: &str, lines: &str| {
            malformed(&format!("---\n--- a/k\t{time}\n+++ b/k\t{time}\n{lines}"))
        };
        let (edit, removal) = ("@@ -1,2 +1,2 @@\n 1\n-2\n+A\n", "@@ -1 +0,0 @@\n-1\n");
        for time in ["2026-11-28 10:00:00.000000000 +0100", "1971-01-01"] {
            assert_eq!(diff(time, edit), None, "{time}");
            assert_eq!(diff(time, removal), None, "{time}");
        }
        // Nix gives its files such a time.
        for time in [
            "1970-01-01 00:00:01.000000000 +0000",
            "Thu Jan  1 00:00:00 1970",
            "1 Jan 1970",
            "@0",
            "1970-01-02 00:30:00 +0000",
            " 1970-01-01 00:00:00 +0000",
            "",
        ] {
            assert_eq!(diff(time, edit), None, "{time}");
            let found = diff(time, removal).unwrap_or_default();
            assert!(
                found.contains("may stand for one that is gone"),
                "{time}: {found}"
            );
        }
        for time in [
            "1970-01-01 01:00:00.000000000 +0100",
            "1969-12-31 23:00:00 -0100",
        ] {
            for lines in [edit, removal] {
                let found = diff(time, lines).unwrap_or_default();
                assert!(
                    found.contains("stands for a file that is gone"),
                    "{time}: {found}"
                );
            }
        }
    }
}
