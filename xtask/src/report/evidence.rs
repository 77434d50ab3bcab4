// SPDX-License-Identifier: GPL-2.0-only

//! What a scenario left in its folder, read back for the reports: what programs wrote, and the kernel log.

use std::path::Path;

use crate::kernel::lines::PLACE;
use crate::qemu::args::CONSOLE_LOG;
use crate::qemu::console::{trouble_in, without_stamp};
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
    let Some(first) = first_trouble(&lines) else {
        let asked = lines.iter().position(|line| line.contains(FIRST_KEY));
        let own = asked.unwrap_or(lines.len());
        let last = &lines[own.saturating_sub(LOG_LINES)..own];
        return last.iter().map(|line| line.to_string()).collect();
    };
    let mut count = 0;
    let telling = lines[first..].iter().filter(|line| !is_registers(line));
    let within = telling.take_while(|line| {
        count += usize::from(!is_place(line));
        count <= TROUBLE_LINES
    });
    within.map(|line| line.to_string()).collect()
}

fn first_trouble(lines: &[&str]) -> Option<usize> {
    lines.iter().position(|line| trouble_in(line).is_some())
}

fn is_place(line: &str) -> bool {
    line.trim_start().starts_with(PLACE)
}

/// Whether a line holds registers or code, which fill a screen and tell few people something; but for where
/// the processor was.
fn is_registers(line: &str) -> bool {
    let text = without_stamp(line);
    let word = text.split([' ', ':']).next().unwrap_or_default();
    let is_arm64 = word
        .strip_prefix('x')
        .is_some_and(|digits| digits.parse::<u8>().is_ok());
    let is_x86 = matches!(word.len(), 2 | 3)
        && word
            .chars()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
        && text.contains(": ")
        && !matches!(word, "RIP" | "BUG" | "CPU" | "UID" | "PID");
    is_arm64 || is_x86 || matches!(word, "Code" | "sp" | "pstate")
}

/// Where the kernel was at its first trouble, by file and line, if somebody has looked for them: without the
/// functions that only tell of it.
pub fn first_places(console: &Path) -> Vec<String> {
    let text = log(console);
    let lines: Vec<&str> = text.lines().collect();
    let from = first_trouble(&lines).unwrap_or(lines.len());
    let places = lines[from..].iter().filter(|line| is_place(line));
    let own = places.filter(|place| !TELLERS.iter().any(|file| place.contains(file)));
    own.take(PLACES)
        .map(|place| place.trim_start().to_string())
        .collect()
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
    fn registers_are_left_out_and_where_the_processor_was_is_not() {
        for line in [
            "[    1.4] x29: ffff800080783640 x28: ffff000000abac00 x27: ffff000000b30200",
            "[    1.4] x5 : ffff8000804fad30 x4 : ffff0000018dac40 x3 : 0000000000000010",
            "[    1.4] sp : ffff800080783620",
            "[    1.0] RAX: 0000000000000087 RBX: 0000000300000002 RCX: 0000000000000000",
            "[    1.0] R10: 0000000000002ffd R11: 0000000000000004 R12: 000000003d6c4018",
            "[    1.0] CS:  0010 DS: 0000 ES: 0000 CR0: 0000000080050033",
            "[    1.0] Code: ff cc cc",
        ] {
            assert!(is_registers(line), "{line}");
        }
        for line in [
            "[    1.0] RIP: 0010:rust_helper_BUG+0x4/0x10",
            "[    1.4] pc : rust_helper_BUG+0x0/0x4",
            "[    1.4] CPU: 1 UID: 0 PID: 41 Comm: mktree",
            "[    1.4] BUG: KASAN: slab-use-after-free",
            "[    1.4]  x64_sys_call+0x29b/0xa10",
        ] {
            assert!(!is_registers(line), "{line}");
        }
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
