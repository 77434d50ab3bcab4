// SPDX-License-Identifier: GPL-2.0-only

//! What a scenario left in its folder, read back for the reports: what programs wrote, and the kernel log.

use std::path::Path;

use crate::qemu::args::CONSOLE_LOG;
use crate::qemu::console::trouble_in;
use crate::qemu::examine::FIRST_KEY;
use crate::stamp::files_below;

/// Bytes of all programs' output in a report.
const OUTPUT_LIMIT: usize = 16 << 10;
/// Bytes of a kernel log in a report.
const LOG_LIMIT: usize = 64 << 10;
/// Lines of a kernel log without trouble that tell something.
const LOG_LINES: usize = 4;
/// Lines of a kernel log that tell something from the first trouble on.
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
            log: end_of(text(&folder.join(CONSOLE_LOG)), LOG_LIMIT),
        }
    }
}

fn text(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
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
    let text = text(console);
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let chosen = match lines.iter().position(|line| trouble_in(line).is_some()) {
        Some(first) => &lines[first..lines.len().min(first + TROUBLE_LINES)],
        None => {
            let asked = lines.iter().position(|line| line.contains(FIRST_KEY));
            let own = asked.unwrap_or(lines.len());
            &lines[own.saturating_sub(LOG_LINES)..own]
        }
    };
    chosen.iter().map(|line| line.to_string()).collect()
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
