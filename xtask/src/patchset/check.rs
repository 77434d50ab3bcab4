// SPDX-License-Identifier: GPL-2.0-only

//! The rules of the series: it applies cleanly, says why it is there, edits
//! only what exists, and the C in it stays small. The overlay overwrites nothing.

use std::fmt;
use std::path::Path;

use crate::error::{Error, Result};
use crate::event::Sink;
use crate::kernel::source;
use crate::kernel::tree::{overlay_of, OverlayFile, State};
use crate::layout::{read_text, Layout};
use crate::patchset::checkpatch;
use crate::patchset::overlay::Division;
use crate::patchset::prefix::{self, Built};
use crate::patchset::series::{is_patch_name, Patch, Series};
use crate::plan::Plan;

/// Added lines of C (and its headers and assembly) have to stay below this.
pub const LINE_LIMIT: usize = 400;

/// What a check found out.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Patches in the series.
    pub patches: usize,
    /// Files that the overlay lays in.
    pub overlay_files: usize,
    /// Lines of C added, over series and overlay.
    pub c_lines: usize,
    /// The source version it was checked against.
    pub source: String,
    /// Builds of its prefixes, if they were wanted.
    pub built: Option<Built>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} patches apply to {}, {} files laid over it, {} lines of C of at most {LINE_LIMIT}",
            self.patches, self.source, self.overlay_files, self.c_lines
        )?;
        match self.built {
            None => Ok(()),
            Some(Built { all, before }) => write!(
                f,
                "\nevery prefix builds: {all} builds, {before} of them before"
            ),
        }
    }
}

/// Checks the series against the plan's source, and with `build` that each prefix of it builds. The
/// caller holds the lock and has, for building, seen to the tools.
pub fn check(plan: &Plan, build: bool, sink: &dyn Sink) -> Result<Report> {
    let layout = &plan.layout;
    let series = Series::read(plan.series()?)?;
    let overlay = overlay_of(plan)?;
    let mut problems = lint(&series, layout)?;
    let source = source::fetch(plan, sink)?;
    let state = State::open(layout, &plan.kernel.tree_name, &source, sink)?;
    problems.extend(state.overwritten(&overlay));
    problems.extend(checkpatch::problems(
        &layout.tree(&plan.kernel.tree_name),
        &series,
        &overlay,
    )?);
    if let Err(err) = Division::read(&series.dir, &layout.series())
        .and_then(|division| division.divide(&overlay).map(drop))
    {
        problems.push(err.to_string());
    }
    let scratch = layout.scratch("check")?;
    state.stage_pristine(&series, scratch.path())?;
    match series.apply(scratch.path()) {
        Ok(offsets) if series.base == source.version => problems.extend(offsets),
        Ok(_) => {}
        Err(err) => problems.push(err.to_string()),
    }
    let c_lines = c_lines(&series, &overlay)?;
    if c_lines >= LINE_LIMIT {
        problems.push(format!(
            "{c_lines} lines of C are added; the limit is {LINE_LIMIT}"
        ));
    }
    if !problems.is_empty() {
        return Err(Error::build(
            "checking the kernel series",
            problems.join("\n"),
        ));
    }
    let built = match build {
        true => Some(prefix::build_all(plan, &source, &series, &overlay, sink)?),
        false => None,
    };
    Ok(Report {
        patches: series.patches.len(),
        overlay_files: overlay.len(),
        c_lines,
        source: source.origin,
        built,
    })
}

/// What can be checked without a kernel source: names, order, headers, kinds of change.
fn lint(series: &Series, layout: &Layout) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    let mut last = String::new();
    for patch in &series.patches {
        problems.extend(lint_patch(patch));
        if patch.name <= last {
            problems.push(format!("{}: comes after {last} in the series", patch.name));
        }
        last.clone_from(&patch.name);
    }
    let dir = series.dir.clone();
    let entries = std::fs::read_dir(&dir)
        .map_err(|err| Error::lab(format!("listing {}", dir.display()), err.to_string()))?;
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".patch") && !series.patches.iter().any(|patch| patch.name == name) {
            problems.push(format!(
                "{name}: lies in {} but is not in the series",
                layout.show(&dir)
            ));
        }
    }
    Ok(problems)
}

/// The rules that one patch has to keep.
fn lint_patch(patch: &Patch) -> Vec<String> {
    let mut problems = Vec::new();
    let mut wrong = |what: String| problems.push(format!("{}: {what}", patch.name));
    if !is_patch_name(&patch.name) {
        wrong("its name is not NNN-what-it-does.patch".into());
    }
    let field = |name: &str| {
        patch.header.lines().any(|line| {
            line.strip_prefix(name)
                .is_some_and(|rest| !rest.trim().is_empty())
        })
    };
    for name in ["From:", "Subject:", "Signed-off-by:", "Patch-mainline:"] {
        if !field(name) {
            wrong(format!("its header has no \"{name}\""));
        }
    }
    let reason = patch
        .header
        .lines()
        .skip_while(|line| !line.trim().is_empty());
    if !reason.clone().any(|line| {
        !line.trim().is_empty() && !line.contains("-by:") && !line.starts_with("Patch-")
    }) {
        wrong("its header does not say why it is needed".into());
    }
    if patch.files.is_empty() {
        wrong("it changes nothing".into());
    }
    for file in &patch.files {
        if file.created {
            wrong(format!(
                "it creates {}; new files belong into rust-syscall/",
                file.path
            ));
        }
        if file.deleted {
            wrong(format!("it deletes {}", file.path));
        }
    }
    problems
}

/// Lines of C added by series and overlay.
fn c_lines(series: &Series, overlay: &[OverlayFile]) -> Result<usize> {
    let is_c = |path: &str| {
        Path::new(path)
            .extension()
            .is_some_and(|ext| ext == "c" || ext == "h" || ext == "S")
    };
    let patched: usize = series
        .patches
        .iter()
        .flat_map(|patch| &patch.files)
        .filter(|file| is_c(&file.path))
        .map(|file| file.added)
        .sum();
    let mut laid_in = 0;
    for file in overlay.iter().filter(|file| is_c(&file.to)) {
        laid_in += read_text(&file.from)?.lines().count();
    }
    Ok(patched + laid_in)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANGE: &str = "--- a/kernel/fork.c\n+++ b/kernel/fork.c\n@@ -1 +1,2 @@\n one\n+two\n";
    const HEADER: &str =
        "From: A <a@b.invalid>\nSubject: fork: count\n\nRestart needs to know.\n\n\
                          Signed-off-by: A <a@b.invalid>\nPatch-mainline: never\n---\n";

    fn problems(name: &str, text: &str) -> Vec<String> {
        lint_patch(&Patch::parse(name, text).unwrap())
    }

    #[test]
    fn a_sound_patch_passes() {
        assert_eq!(
            problems("100-fork.patch", &format!("{HEADER}{CHANGE}")),
            Vec::<String>::new()
        );
    }

    #[test]
    fn every_broken_rule_is_named() {
        let text = "Subject: x\n\nSigned-off-by: A\n--- /dev/null\n+++ b/kernel/new.c\n@@ -0,0 +1 @@\n+x\n";
        insta::assert_snapshot!(problems("fork.patch", text).join("\n"), @r#"
        fork.patch: its name is not NNN-what-it-does.patch
        fork.patch: its header has no "From:"
        fork.patch: its header has no "Patch-mainline:"
        fork.patch: its header does not say why it is needed
        fork.patch: it creates kernel/new.c; new files belong into rust-syscall/
        "#);
    }
}
