// SPDX-License-Identifier: GPL-2.0-only

//! What a scenario left in its folder, read back for the reports: what programs wrote, and the kernel log.

use std::path::Path;

use crate::kernel::lines::PLACE;
use crate::qemu::args::CONSOLE_LOG;
use crate::qemu::console::trouble_in;
use crate::qemu::examine::FIRST_KEY;
use crate::stamp::files_below;

/// The kernel log with file and line in it, beside the log, if there is one.
pub const LINES: &str = "lines.txt";

/// Places that a summary tells.
const PLACES: usize = 4;
/// Files of the kernel and of Rust's core that panic for others and print backtraces.
const TELLERS: [&str; 6] = [
    "dump_stack.c:",
    "/stacktrace.c:",
    "kernel/panic.c:",
    "rust/helpers/bug.c:",
    "rust/kernel/lib.rs:",
    "core/src/panicking.rs:",
];

/// Bytes of all programs' output in a report.
const OUTPUT_LIMIT: usize = 16 << 10;
/// Bytes of a kernel log in a report.
const LOG_LIMIT: usize = 64 << 10;
/// Lines of a kernel log without trouble that tell something.
const LOG_LINES: usize = 4;
/// Lines of a kernel log that tell something from the first trouble on, those with places not counted.
const TROUBLE_LINES: usize = 16;

/// What a scenario left.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// What programs wrote, each file under its name.
    pub output: String,
    /// The kernel log.
    pub log: String,
}

impl Evidence {
    /// Reads a scenario's folder; what is not there, or cannot be read, is empty.
    pub fn read(folder: &Path) -> Evidence {
        let files = folder.join("files");
        let mut output = String::new();
        let listed = match files.is_dir() {
            true => files_below(&files).unwrap_or_default(),
            false => Vec::new(),
        };
        for path in listed {
            let name = path.strip_prefix(&files).unwrap_or(&path).display();
            output.push_str(&format!("== {name}\n{}", text(&path)));
            if !output.ends_with('\n') {
                output.push('\n');
            }
        }
        Evidence {
            output: end_of(output, OUTPUT_LIMIT),
            log: end_of(log(&folder.join(CONSOLE_LOG)), LOG_LIMIT),
        }
    }
}

fn text(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}

/// A kernel log, with file and line if somebody has looked for them.
fn log(console: &Path) -> String {
    let lined = text(&console.with_file_name(LINES));
    match lined.is_empty() {
        true => text(console),
        false => lined,
    }
}

/// The last `limit` bytes, from the beginning of a line on.
fn end_of(text: String, limit: usize) -> String {
    let Some(from) = text.len().checked_sub(limit).filter(|from| *from > 0) else {
        return text;
    };
    let cut = text.as_bytes()[from..]
        .iter()
        .position(|byte| *byte == b'\n')
        .map_or(text.len(), |at| from + at + 1);
    format!(
        "[{cut} bytes before this are in the folder]\n{}",
        &text[cut..]
    )
}

/// The lines of a kernel log that tell most: from the first trouble on, else the last ones that were not
/// asked for by an examination.
pub fn telling_lines(console: &Path) -> Vec<String> {
    let text = log(console);
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let chosen = match lines.iter().position(|line| trouble_in(line).is_some()) {
        Some(first) => {
            let own = |at: &usize| !lines[*at].trim_start().starts_with(PLACE);
            let end = (first..lines.len()).filter(own).nth(TROUBLE_LINES);
            &lines[first..end.unwrap_or(lines.len())]
        }
        None => {
            let asked = lines.iter().position(|line| line.contains(FIRST_KEY));
            let own = asked.unwrap_or(lines.len());
            &lines[own.saturating_sub(LOG_LINES)..own]
        }
    };
    chosen.iter().map(|line| line.to_string()).collect()
}

/// Where the kernel was at its first trouble, by file and line, if somebody has looked for them: without the
/// functions that only tell of it.
pub fn first_places(console: &Path) -> Vec<String> {
    let is_place = |line: &String| {
        let place = line.trim_start().strip_prefix(PLACE);
        place.is_some_and(|place| !TELLERS.iter().any(|file| place.contains(file)))
    };
    let lines = telling_lines(console).into_iter().filter(is_place);
    let lines = lines.map(|line| line.trim_start().to_string());
    lines.take(PLACES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_keep_their_end_in_whole_lines() {
        assert_eq!(end_of("a\nb\n".into(), 9), "a\nb\n");
        assert_eq!(
            end_of("äöü\nlast\n".into(), 6),
            "[7 bytes before this are in the folder]\nlast\n"
        );
        assert_eq!(
            end_of("no end".into(), 2),
            "[6 bytes before this are in the folder]\n"
        );
    }

    #[test]
    fn of_a_log_what_the_guest_said_by_itself_tells_most() {
        let dir = tempfile::tempdir().unwrap();
        let console = dir.path().join(CONSOLE_LOG);
        let lines = |text: &str| {
            std::fs::write(&console, text).unwrap();
            telling_lines(&console)
        };
        let log = format!("[0.1] one\n[0.2] two\n[9.0] {FIRST_KEY}\n[9.1] a trace\n");
        assert_eq!(lines(&log), ["[0.1] one", "[0.2] two"]);
        let log = format!("[0.1] one\n[0.2] WARNING: CPU: 0\n[0.3] more\n[9.0] {FIRST_KEY}\n");
        assert_eq!(lines(&log).len(), 3);
        assert_eq!(lines("")[..], [] as [&str; 0]);
    }

    #[test]
    fn file_and_line_are_told_where_they_are_known() {
        let dir = tempfile::tempdir().unwrap();
        let console = dir.path().join(CONSOLE_LOG);
        std::fs::write(&console, "BUG: a\n f+0x1/0x2\n").unwrap();
        assert_eq!(first_places(&console), [] as [&str; 0]);
        let mut lined =
            "Linux\nBUG: a\n panic+0x1/0x2\n                at kernel/panic.c:4 panic\n"
                .to_string();
        for line in 0..20 {
            lined.push_str(&format!(" f+0x1/0x2\n                at a.c:{line} f\n"));
        }
        std::fs::write(dir.path().join(LINES), &lined).unwrap();
        assert_eq!(
            first_places(&console),
            ["at a.c:0 f", "at a.c:1 f", "at a.c:2 f", "at a.c:3 f"]
        );
        let telling = telling_lines(&console);
        assert_eq!((telling.len(), telling[0].as_str()), (31, "BUG: a"));
        assert_eq!(Evidence::read(dir.path()).log, lined);
    }

    #[test]
    fn what_programs_wrote_stands_under_its_name() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Evidence::read(dir.path()), Evidence::default());
        std::fs::create_dir(dir.path().join("files")).unwrap();
        std::fs::write(dir.path().join("files/tree.out"), "one").unwrap();
        std::fs::write(dir.path().join(CONSOLE_LOG), b"log \xff\n").unwrap();
        let evidence = Evidence::read(dir.path());
        assert_eq!(evidence.output, "== tree.out\none\n");
        assert_eq!(evidence.log, "log \u{fffd}\n");
    }
}
