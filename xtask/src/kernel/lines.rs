// SPDX-License-Identifier: GPL-2.0-only

//! File and line of what a kernel log names by function and offset. Kernels are built without debug
//! information; when a log calls for it, the few objects that its frames are in are compiled once more, with
//! line tables. A frame is told only if its function came out as it was.

mod log;
mod object;
mod recompile;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use crate::error::{AtPath, Error, Kind, Result};
use crate::layout::create_dir;
use crate::stamp;
pub use log::{annotate, frame_in, Frame, PLACE};
use object::{code_of, objects_by_function, sizes_of_functions, start_of, Found};

/// Objects that may be compiled for one log: those of its first frames tell most.
const OBJECTS: usize = 12;
/// Where the objects with line tables are kept, in the kernel's object folder.
const KEPT: &str = ".lab-lines";

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
    /// The sizes of the functions of each name in the kernel itself.
    sizes: BTreeMap<String, Vec<u64>>,
    /// Objects compiled for this log.
    compiled: usize,
    /// What is not told of this log, and why.
    complaints: BTreeSet<String>,
    /// Objects that could not be compiled again.
    failed: BTreeSet<PathBuf>,
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
            sizes: sizes_of_functions(&own)?,
            obj: obj.to_path_buf(),
            source: source.to_path_buf(),
            llvm: llvm.to_string(),
            compiled: 0,
            complaints: BTreeSet::new(),
            failed: BTreeSet::new(),
        })
    }

    /// The next log: what it may take begins anew. What was not told of the last one, and why.
    pub fn next_log(&mut self) -> Vec<String> {
        self.compiled = 0;
        std::mem::take(&mut self.complaints).into_iter().collect()
    }

    /// File, line and function of a frame, innermost first: functions that were put in line have several. None
    /// where that cannot be told for certain.
    pub fn place(&mut self, frame: &Frame) -> Result<Vec<String>> {
        let Some(found) = self.find(frame).cloned() else {
            return Ok(Vec::new());
        };
        let original = self.obj.join(&found.object);
        let Some(compiled) = self.with_lines(&found.object)? else {
            return Ok(Vec::new());
        };
        let code = |path: &Path| code_of(path, &frame.function, found.size);
        let is_told = code(&original)
            .zip(code(&compiled))
            .is_some_and(|(one, other)| {
                one.has_the_place_of(&other, frame.offset) && !one.is_trap(frame.offset)
            });
        let linked = compiled.with_extension("elf");
        match start_of(&linked, &frame.function, found.size).filter(|_| is_told) {
            Some(start) => self.look_up(&linked, start, start + frame.offset),
            None => Ok(Vec::new()),
        }
    }

    /// The object that a frame's function is in, if there is but one of that name and size in the kernel.
    fn find(&self, frame: &Frame) -> Option<&Found> {
        let fits = |size: &&u64| (**size..**size + object::ALIGNMENT).contains(&frame.size);
        let mut sizes = self.sizes.get(&frame.function)?.iter().filter(fits);
        let (size, None) = (*sizes.next()?, sizes.next()) else {
            return None;
        };
        let mut objects = self.objects.get(&frame.function)?.iter();
        let found = objects.find(|found| found.size == size)?;
        objects.all(|other| other.size != size).then_some(found)
    }

    /// The object compiled again with line tables, and the same linked beside it, such that each of its
    /// functions has an address of its own. None if that cannot be done, or enough has been done for this log.
    fn with_lines(&mut self, object: &Path) -> Result<Option<PathBuf>> {
        let original = self.obj.join(object);
        let kept = self.obj.join(KEPT);
        let name = object.display().to_string().replace('/', "+");
        // The same code comes of other lines too, when only a comment has changed.
        let made = std::fs::metadata(&original).and_then(|meta| meta.modified());
        let made = made.at("looking at", &original)?;
        let made = made.duration_since(UNIX_EPOCH).unwrap_or_default();
        let compiled = kept.join(format!("{name}-{}.o", made.as_nanos()));
        let linked = compiled.with_extension("elf");
        if linked.exists() {
            return Ok(Some(compiled));
        }
        if self.failed.contains(object) {
            return Ok(None);
        }
        if self.compiled >= OBJECTS {
            self.complaints.insert(format!(
                "no more than {OBJECTS} objects are compiled for a log"
            ));
            return Ok(None);
        }
        let Some(commands) = recompile::commands_of(&self.obj, object)? else {
            return Ok(None);
        };
        create_dir(&kept)?;
        remove_older(&kept, &name)?;
        self.compiled += 1;
        let done = recompile::compile(&self.obj, object, &commands, &compiled)
            .and_then(|()| recompile::link(&self.obj, &self.llvm, &compiled, &linked));
        match done {
            Ok(()) => Ok(Some(compiled)),
            // The others may do.
            Err(err) if err.kind() == Kind::Build => {
                self.failed.insert(object.to_path_buf());
                self.complaints.insert(err.to_string());
                Ok(None)
            }
            Err(err) => Err(err),
        }
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

/// Removes what is kept of an object as it was before.
fn remove_older(kept: &Path, name: &str) -> Result<()> {
    for entry in std::fs::read_dir(kept).at("reading", kept)?.flatten() {
        let file = entry.file_name().to_string_lossy().into_owned();
        let is_of_object = file
            .strip_prefix(name)
            .is_some_and(|rest| rest.starts_with('-'));
        if is_of_object {
            std::fs::remove_file(entry.path()).at("removing", &entry.path())?;
        }
    }
    Ok(())
}
