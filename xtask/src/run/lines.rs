// SPDX-License-Identifier: GPL-2.0-only

//! Kernel logs with file and line: of the scenarios of a run that failed, when it is over, and `lab lines`, of
//! any scenario whose kernel is still there as it was built.

use std::path::{Path, PathBuf};

use crate::arch::Arch;
use crate::error::{AtPath, Error, Kind, Result};
use crate::event::{Event, Sink};
use crate::flags::{ArchSet, LinesFlags, Target};
use crate::kernel::lines::{annotate, frame_in, Lines};
use crate::layout::{resolve, write_whole};
use crate::plan::Plan;
use crate::qemu::args::CONSOLE_LOG;
use crate::qemu::guest::VMLINUX;
use crate::report::evidence::{first_places, LINES};
use crate::report::record::{self, EVENTS};
use crate::report::RunReport;
use crate::session::Session;

/// Scenarios of an architecture that get lines by themselves; `lab lines` does it for others.
const SCENARIOS: usize = 6;

/// Adds file and line to what the kernel said in the scenarios that failed, and tells where it was; whether
/// there are any. A kernel that is not to be had any more, or does not compile, or a folder that somebody else
/// works in, leaves the logs as they are.
pub fn add(plan: &Plan, report: &RunReport, sink: &dyn Sink) -> Result<bool> {
    let mut any = false;
    let outcomes = report.outcomes();
    for arch in &plan.arches {
        let failed = outcomes
            .iter()
            .map(|outcome| outcome.last)
            .filter(|result| result.case.arch == *arch && !result.verdict.is_good())
            .map(|result| (result.case.shown(), report.folder_of(result)))
            .filter(|(_, folder)| has_frames(folder));
        let mut failed: Vec<(String, PathBuf)> = failed.collect();
        let more = failed.len().saturating_sub(SCENARIOS);
        failed.truncate(SCENARIOS);
        if failed.is_empty() {
            continue;
        }
        let note = |text: String| sink.emit(Event::Note(text));
        note(format!(
            "looking for file and line of what the kernel said ({arch})"
        ));
        match add_to(plan, *arch, &report.folder, &failed, &note) {
            Ok(()) => any = true,
            Err(err) if err.kind() == Kind::Interrupted => return Err(err),
            Err(err) => note(format!("no file and line ({arch}): {err}")),
        }
        if more > 0 {
            note(format!(
                "{more} more have none ({arch}): `cargo xtask lab lines FOLDER` adds them"
            ));
        }
    }
    Ok(any)
}

/// Adds lines to the logs in some scenarios' folders.
fn add_to(
    plan: &Plan,
    arch: Arch,
    run: &Path,
    folders: &[(String, PathBuf)],
    note: &dyn Fn(String),
) -> Result<()> {
    let Some(_lock) = plan.layout.try_lock()? else {
        let found = "another lab is at work in target/lab";
        return Err(Error::lab("compiling objects with line tables", found)
            .hint("`cargo xtask lab lines FOLDER` does it later"));
    };
    let mut lines = open(plan, arch, run)?;
    for (name, folder) in folders {
        write(&mut lines, folder)?;
        for why in lines.next_log() {
            note(format!(
                "some frames of {name} have no file and line: {why}"
            ));
        }
        let places = first_places(&folder.join(CONSOLE_LOG));
        if !places.is_empty() {
            note(format!("{name}: {}", places.join(", ")));
        }
    }
    Ok(())
}

/// `lab lines`: the kernel log of a scenario, with file and line.
pub fn text(session: &Session, flags: &LinesFlags, sink: &dyn Sink) -> Result<String> {
    let folder = resolve(&flags.folder)?;
    let doing = || format!("reading {}", flags.folder.display());
    let run = folder
        .ancestors()
        .find(|above| above.join(EVENTS).is_file());
    let run = run.ok_or_else(|| {
        Error::usage(doing(), "it is no scenario's folder in a run")
            .hint("reports name it: target/lab/runs/ID/ARCH/SCENARIO")
    })?;
    let report = record::read(run)?;
    let below = folder.strip_prefix(run).unwrap_or(&folder);
    let mut results = report.results.iter();
    let result = results
        .find(|result| result.folder == below)
        .ok_or_else(|| {
            Error::usage(
                doing(),
                format!("its run has no scenario {}", below.display()),
            )
        })?;
    let plan = session.plan(&Target {
        arch: ArchSet::One(result.case.arch),
        kernel: Some(result.case.kernel.clone()),
        ..Target::default()
    })?;
    let _lock = session.make_ready(&plan, sink)?;
    let mut lines = open(&plan, result.case.arch, run)?;
    let text = write(&mut lines, &folder)?;
    for why in lines.next_log() {
        sink.emit(Event::Note(format!(
            "some frames have no file and line: {why}"
        )));
    }
    Ok(text)
}

fn open(plan: &Plan, arch: Arch, run: &Path) -> Result<Lines> {
    let obj = plan.layout.obj(&plan.kernel.name, arch);
    let source = plan.layout.tree(&plan.kernel.tree_name);
    let vmlinux = run.join(arch.name()).join(VMLINUX);
    Lines::open(&obj, &source, &plan.toolchain.llvm, &vmlinux)
}

/// Whether a scenario's kernel log names functions.
fn has_frames(folder: &Path) -> bool {
    let log = log(folder).unwrap_or_default();
    log.lines().any(|line| frame_in(line).is_some())
}

/// A scenario's kernel log.
fn log(folder: &Path) -> Result<String> {
    let path = folder.join(CONSOLE_LOG);
    let bytes = std::fs::read(&path).at("reading", &path)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Writes the log with lines beside the log; what was written.
fn write(lines: &mut Lines, folder: &Path) -> Result<String> {
    let text = annotate(&log(folder)?, |frame| lines.place(frame))?;
    write_whole(&folder.join(LINES), text.as_bytes())?;
    Ok(text)
}
