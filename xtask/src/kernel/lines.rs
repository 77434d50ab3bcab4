// SPDX-License-Identifier: GPL-2.0-only

//! File and line of what a kernel log names by function and offset. Kernels are built without debug
//! information; when a log calls for it, the few objects that its frames are in are compiled once more, with
//! line tables. A frame is told only if its function came out as it was.

mod object;
mod recompile;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result};
use crate::layout::create_dir;
use crate::stamp;
use object::{code_of, objects_by_function, start_of, Found};

/// Objects that one log may have compiled again: those of its first frames tell most.
const OBJECTS: usize = 12;
/// Where the objects with line tables are kept, in the kernel's object folder.
const KEPT: &str = ".lab-lines";

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

/// The frame that a line of a log names, if it names one.
pub fn frame_in(line: &str) -> Option<Frame> {
    let (before, after) = line.split_once("+0x")?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '$');
    let function = before.rsplit(|c| !is_name(c)).next()?;
    let (offset, after) = after.split_once("/0x")?;
    let size = &after[..after
        .find(|c: char| !c.is_ascii_hexdigit())
        .unwrap_or(after.len())];
    let offset = u64::from_str_radix(offset, 16).ok()?;
    let size = u64::from_str_radix(size, 16).ok()?;
    // What is called returns behind the call; only of where the processor is the address is that itself. What
    // would return to a function's beginning was called at the end of the one before it.
    let is_exact = line.contains("RIP:") || line.contains("pc : ") || line.contains(" at ");
    let offset = if is_exact {
        offset
    } else {
        offset.checked_sub(1)?
    };
    let is_frame = !function.is_empty() && offset < size;
    is_frame.then(|| Frame {
        function: function.to_string(),
        offset,
        size,
    })
}

/// A log in which file and line stand below each frame that `place` knows: innermost function first.
pub fn annotate(log: &str, mut place: impl FnMut(&Frame) -> Result<Vec<String>>) -> Result<String> {
    let mut text = String::new();
    for line in log.lines() {
        text.push_str(line);
        text.push('\n');
        for place in frame_in(line).map_or(Ok(Vec::new()), |frame| place(&frame))? {
            text.push_str(&format!("                {PLACE}{place}\n"));
        }
    }
    Ok(text)
}

/// A built kernel in which frames are looked up.
pub struct Lines {
    /// Its object folder.
    obj: PathBuf,
    /// Its source, whose name is left out of files' names.
    source: PathBuf,
    /// Version suffix of the LLVM tools.
    llvm: String,
    /// The objects that functions are in.
    objects: BTreeMap<String, Vec<Found>>,
    /// Objects compiled again so far.
    used: BTreeSet<PathBuf>,
    /// Objects that could not be compiled again, and why.
    complaints: BTreeMap<PathBuf, String>,
}

impl Lines {
    /// Looks into a kernel's object folder, which has to hold the kernel that was booted: `vmlinux` is that.
    pub fn open(obj: &Path, source: &Path, llvm: &str, vmlinux: &Path) -> Result<Lines> {
        let own = obj.join("vmlinux");
        if stamp::hash_file(&own)? != stamp::hash_file(vmlinux)? {
            return Err(Error::new(
                Kind::Usage,
                format!("looking up lines of {}", vmlinux.display()),
                format!("{} is another kernel by now", own.display()),
            )
            .hint("build the kernel that was booted again, or run the scenario with this one"));
        }
        Ok(Lines {
            objects: objects_by_function(obj)?,
            obj: obj.to_path_buf(),
            source: source.to_path_buf(),
            llvm: llvm.to_string(),
            used: BTreeSet::new(),
            complaints: BTreeMap::new(),
        })
    }

    /// File, line and function of a frame, innermost first: functions that were put in line have several. None
    /// where that cannot be told for certain.
    pub fn place(&mut self, frame: &Frame) -> Result<Vec<String>> {
        let fits =
            |found: &&Found| (found.size..found.size + object::ALIGNMENT).contains(&frame.size);
        let mut candidates = self
            .objects
            .get(&frame.function)
            .into_iter()
            .flatten()
            .filter(fits);
        let (Some(found), None) = (candidates.next(), candidates.next()) else {
            return Ok(Vec::new());
        };
        let found = found.clone();
        let is_new = !self.used.contains(&found.object);
        if (is_new && self.used.len() >= OBJECTS) || self.complaints.contains_key(&found.object) {
            return Ok(Vec::new());
        }
        self.used.insert(found.object.clone());
        let original = self.obj.join(&found.object);
        let compiled = match self.with_lines(&found.object) {
            Ok(Some(compiled)) => compiled,
            Ok(None) => return Ok(Vec::new()),
            // The others may do.
            Err(err) if err.kind() == Kind::Build => {
                self.complaints.insert(found.object, err.to_string());
                return Ok(Vec::new());
            }
            Err(err) => return Err(err),
        };
        let code = |path: &Path| code_of(path, &frame.function, found.size);
        let is_told = code(&original)
            .zip(code(&compiled))
            .is_some_and(|(one, other)| {
                one.has_the_place_of(&other, frame.offset) && !one.is_trap(frame.offset)
            });
        if !is_told {
            return Ok(Vec::new());
        }
        let linked = compiled.with_extension("elf");
        let Some(start) = start_of(&linked, &frame.function, found.size) else {
            return Ok(Vec::new());
        };
        self.look_up(&linked, start, start + frame.offset)
    }

    /// Why some frames are not told: objects that could not be compiled again.
    pub fn complaints(&self) -> impl Iterator<Item = &String> {
        self.complaints.values()
    }

    /// The object compiled again with line tables, and the same linked beside it, such that each of its
    /// functions has an address of its own. None if its command is not one that can be given again.
    fn with_lines(&self, object: &Path) -> Result<Option<PathBuf>> {
        let Some(commands) = recompile::commands_of(&self.obj, object)? else {
            return Ok(None);
        };
        let kept = self.obj.join(KEPT);
        let hash = stamp::hash_file(&self.obj.join(object))?;
        let name = object.display().to_string().replace('/', "+");
        let compiled = kept.join(format!("{name}-{}.o", &hash[..16]));
        let linked = compiled.with_extension("elf");
        if linked.exists() {
            return Ok(Some(compiled));
        }
        create_dir(&kept)?;
        recompile::compile(&self.obj, object, &commands, &compiled)?;
        recompile::link(&self.obj, &self.llvm, &compiled, &linked)?;
        Ok(Some(compiled))
    }

    fn look_up(&self, linked: &Path, start: u64, address: u64) -> Result<Vec<String>> {
        let before = start.saturating_sub(1);
        let mut found = recompile::symbolize(&self.llvm, linked, &[address, before])?.into_iter();
        let (found, before) = (
            found.next().unwrap_or_default(),
            found.next().unwrap_or_default(),
        );
        // Code without a line of its own, at a function's beginning, would get the last one of the function
        // before it.
        let line = |places: &[recompile::Place]| {
            places.last().map(|(file, line, _)| (file.clone(), *line))
        };
        if line(&found) == line(&before) {
            return Ok(Vec::new());
        }
        let named = |(file, line, function): recompile::Place| {
            let path = Path::new(&file);
            let short = path
                .strip_prefix(&self.source)
                .or_else(|_| path.strip_prefix(&self.obj))
                .map_or(file.clone(), |short| short.display().to_string());
            format!("{short}:{line} {function}")
        };
        // Line 0 is code that belongs to no line.
        let known = found
            .into_iter()
            .filter(|(file, line, _)| !file.is_empty() && *line > 0);
        Ok(known.map(named).collect())
    }
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
            (
                "[    1.2] pc : sysrq_handle_crash+0x1c/0x24",
                frame("sysrq_handle_crash", 0x1c, 0x24),
            ),
            (
                "[    1.2]  ? vfs_write+0x10/0x20",
                frame("vfs_write", 0xf, 0x20),
            ),
            (
                "[    1.2]  _RNvNtC7cr_main4glue7restart+0x3a73/0x3d50",
                frame("_RNvNtC7cr_main4glue7restart", 0x3a72, 0x3d50),
            ),
            ("[    1.2]  foo.cold+0x5/0x9 [mod]", frame("foo.cold", 4, 9)),
            (
                "WARNING: CPU: 0 PID: 1 at kernel/fork.c:1 f+0x1/0x2",
                frame("f", 1, 2),
            ),
            ("[    1.2] Code: 0f+0xzz/0x10", None),
            (
                "[    1.2]  no_return+0x10/0x10",
                frame("no_return", 0xf, 0x10),
            ),
            ("[    1.2]  next+0x0/0x24", None),
            ("[    1.2] +0x1/0x2", None),
            ("[    1.2] beyond+0x9/0x2", None),
            ("[    1.2] nothing here", None),
            ("ä+0x1/0x2", None),
        ] {
            assert_eq!(frame_in(line), found, "{line}");
        }
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
