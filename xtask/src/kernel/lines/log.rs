// SPDX-License-Identifier: GPL-2.0-only

//! What a kernel log names of the kernel's code, and the log with file and line in it. Pure.

use std::collections::BTreeMap;

use crate::error::Result;

/// Places of one log that are looked up.
const FRAMES: usize = 200;
/// Lines of one log that are read.
const LINES: usize = 5000;

/// What stands before file and line in a log that has them, behind blanks.
pub const PLACE: &str = "at ";

/// A place in a function, as a kernel log names it: `copy_process+0x4ff/0xe00`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Frame {
    /// The function's name in the symbol table.
    pub function: String,
    /// Bytes into it.
    pub offset: u64,
    /// Its size, up to the next function.
    pub size: u64,
}

/// The frame that a line of a log names, if it names one. What x86 marks as stale words of the stack is none.
pub fn frame_in(line: &str) -> Option<Frame> {
    let (before, after) = line.split_once("+0x")?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '$');
    let function = before.rsplit(|c| !is_name(c)).next()?;
    let is_stale = before.trim_end_matches(is_name).ends_with("? ");
    let (offset, after) = after.split_once("/0x")?;
    let size = &after[..after
        .find(|c: char| !c.is_ascii_hexdigit())
        .unwrap_or(after.len())];
    let offset = u64::from_str_radix(offset, 16).ok()?;
    let size = u64::from_str_radix(size, 16).ok()?;
    let is_frame = !function.is_empty() && !is_stale && offset <= size;
    is_frame.then(|| Frame {
        function: function.to_string(),
        offset,
        size,
    })
}

/// The frames of a log one after the other, as places of the instruction that was at work: what is called
/// returns behind the call, but where a processor was is that itself.
#[derive(Debug, Default)]
struct Trace {
    /// Where the last registers that were printed had the processor.
    stopped_at: Option<Frame>,
    /// Whether the last frame was an entry from a trap: the one behind it is where that happened.
    trapped: bool,
}

impl Trace {
    fn next(&mut self, line: &str) -> Option<Frame> {
        let frame = frame_in(line)?;
        let is_place = line.contains("RIP:") || line.contains("pc : ") || line.contains(" at ");
        let is_exact = is_place || self.trapped || self.stopped_at.as_ref() == Some(&frame);
        // arm64 repeats the place of its registers as the first frame of the trace.
        if is_place {
            self.stopped_at = Some(frame.clone());
        }
        self.trapped = frame.function.starts_with("el1h_64_");
        let offset = match is_exact {
            true => frame.offset,
            // What would return to a function's beginning was called at the end of the one before it.
            false => frame.offset.checked_sub(1)?,
        };
        (offset < frame.size).then_some(Frame { offset, ..frame })
    }
}

/// A log in which file and line stand below each frame that `place` knows: innermost function first. Of a long
/// log the beginning.
pub fn annotate(log: &str, mut place: impl FnMut(&Frame) -> Result<Vec<String>>) -> Result<String> {
    let mut text = String::new();
    let mut trace = Trace::default();
    let mut known: BTreeMap<Frame, Vec<String>> = BTreeMap::new();
    let mut full = false;
    for line in log.lines().take(LINES) {
        text.push_str(line);
        text.push('\n');
        let Some(frame) = trace.next(line) else {
            continue;
        };
        if !known.contains_key(&frame) {
            if known.len() >= FRAMES {
                full = true;
                continue;
            }
            let found = place(&frame)?;
            known.insert(frame.clone(), found);
        }
        for place in &known[&frame] {
            text.push_str(&format!("                {PLACE}{place}\n"));
        }
    }
    if full {
        text.push_str(&format!(
            "[file and line are told of the first {FRAMES} places only]\n"
        ));
    }
    if log.lines().nth(LINES).is_some() {
        text.push_str("[the rest is in the log itself]\n");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(function: &str, offset: u64, size: u64) -> Option<Frame> {
        Some(Frame {
            function: function.into(),
            offset,
            size,
        })
    }

    #[test]
    fn frames_are_found_as_both_architectures_write_them() {
        for (line, found) in [
            (
                "[    1.2] RIP: 0010:copy_process+0x4ff/0xe00",
                frame("copy_process", 0x4ff, 0xe00),
            ),
            ("[    1.2] pc : idle+0x1c/0x24", frame("idle", 0x1c, 0x24)),
            (
                "[    1.2]  _RNvNtC7cr_main4glue7restart+0x3a73/0x3d50",
                frame("_RNvNtC7cr_main4glue7restart", 0x3a73, 0x3d50),
            ),
            ("[    1.2]  foo.cold+0x5/0x9 [mod]", frame("foo.cold", 5, 9)),
            (
                "WARNING: CPU: 0 PID: 1 at kernel/fork.c:1 f+0x1/0x2",
                frame("f", 1, 2),
            ),
            ("[    1.2]  ? vfs_write+0x10/0x20", None),
            ("[    1.2] Code: 0f+0xzz/0x10", None),
            ("[    1.2] +0x1/0x2", None),
            ("[    1.2] beyond+0x9/0x2", None),
            ("[    1.2] nothing here", None),
            ("ä+0x1/0x2", None),
        ] {
            assert_eq!(frame_in(line), found, "{line}");
        }
    }

    #[test]
    fn calls_are_told_from_the_place_of_a_processor() {
        let offsets = |lines: &[&str]| {
            let mut trace = Trace::default();
            let frames = lines.iter().map(|line| trace.next(line));
            frames
                .map(|frame| frame.map(|frame| frame.offset))
                .collect::<Vec<_>>()
        };
        // The trace of arm64 begins with the place itself; so does what was interrupted by a trap.
        let arm64 = [
            "pc : f+0x8/0x20",
            "lr : g+0x8/0x20",
            " f+0x8/0x20 (P)",
            " g+0x8/0x20",
            " el1h_64_irq+0x6c/0x70",
            " idle+0x8/0x20",
            " next+0x0/0x20",
        ];
        let found = [
            Some(8),
            Some(7),
            Some(8),
            Some(7),
            Some(0x6b),
            Some(8),
            None,
        ];
        assert_eq!(offsets(&arm64), found);
        let x86 = [
            "RIP: 0010:f+0x8/0x20",
            " g+0x8/0x20",
            " no_return+0x10/0x10",
        ];
        assert_eq!(offsets(&x86), [Some(8), Some(7), Some(15)]);
    }

    #[test]
    fn a_storm_of_warnings_is_not_looked_up_for_ever() {
        let mut asked = 0;
        let log: String = (0..LINES + 10)
            .map(|at| format!(" f{at}+0x2/0x9\n"))
            .collect();
        let text = annotate(&log, |_| {
            asked += 1;
            Ok(vec!["a.c:1 f".into()])
        });
        let text = text.unwrap();
        assert_eq!(
            (asked, text.matches("at a.c:1 f").count()),
            (FRAMES, FRAMES)
        );
        assert!(text.ends_with("[the rest is in the log itself]\n"));
        let same = " f+0x2/0x9\n".repeat(50);
        asked = 0;
        annotate(&same, |_| {
            asked += 1;
            Ok(vec![])
        })
        .unwrap();
        assert_eq!(asked, 1);
    }

    #[test]
    fn places_stand_below_their_frames() {
        let log = "Call Trace:\n f+0x11/0x20\n g+0x11/0x20\n";
        let text = annotate(log, |frame| {
            Ok(match frame.function.as_str() {
                "f" => vec!["a.h:3 inlined".into(), "a.c:9 f".into()],
                _ => vec![],
            })
        });
        assert_eq!(
            text.unwrap(),
            "Call Trace:\n f+0x11/0x20\n                at a.h:3 inlined\n                at a.c:9 f\n g+0x11/0x20\n"
        );
    }
}
