// SPDX-License-Identifier: GPL-2.0-only

//! The rules of the series: it applies cleanly, says why it is there, edits
//! only what exists, and the C in it stays small. The overlay overwrites nothing.

use std::fmt;
use std::path::Path;

use crate::error::{Error, Kind, Result};
use crate::event::Sink;
use crate::kernel::source;
use crate::kernel::tree::{overlay_of, OverlayFile, State};
use crate::layout::{read_written, Layout};
use crate::patchset::checkpatch;
use crate::patchset::commit::misread;
use crate::patchset::git::{apply_without_files, Contents};
use crate::patchset::header::{identity, is_separator, message, without_tags};
use crate::patchset::overlay::{self, Division};
use crate::patchset::prefix::{self, Built};
use crate::patchset::series::{is_patch_name, Patch, Series};
use crate::plan::Plan;

/// Added lines of C (and its headers and assembly) have to stay below this where there is an overlay: the rest is Rust.
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
    /// Hunks that fit elsewhere than they say, in a source that the series was not made for.
    pub offsets: Vec<String>,
    /// The version that it was made for.
    pub base: String,
    /// Builds of its prefixes, if they were wanted.
    pub built: Option<Built>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} patches apply to {}, {} files laid over it, {} lines of C",
            self.patches, self.source, self.overlay_files, self.c_lines
        )?;
        if self.overlay_files > 0 {
            write!(f, " of at most {LINE_LIMIT}")?;
        }
        if !self.offsets.is_empty() {
            write!(f, "\nmade for {}, so these lie elsewhere:", self.base)?;
        }
        for line in &self.offsets {
            write!(f, "\n  {line}")?;
        }
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
    let mut problems = lint(&series, &overlay, layout)?;
    let source = source::fetch(plan, sink)?;
    let state = State::open(layout, &plan.kernel.tree_name, &source, sink)?;
    problems.extend(state.overwritten(&overlay, &series.created())?);
    problems.extend(checkpatch::problems(
        &layout.tree(&plan.kernel.tree_name),
        &series,
        &overlay,
    )?);
    let division = match Division::of(&overlay, &series.dir, &layout.series()) {
        Ok(division) => {
            problems.extend(lint_division(&division));
            problems.extend(division.divide(&overlay).err().map(|err| err.to_string()));
            division
        }
        Err(err) => {
            problems.push(err.to_string());
            Division::default()
        }
    };
    let scratch = layout.scratch("check")?;
    let mut offsets = Vec::new();
    let staged = state.stage_pristine(&series, scratch.path());
    match staged.and_then(|()| series.apply(scratch.path(), &source.told())) {
        Ok(found) if series.base == source.version => problems.extend(found),
        Ok(found) => offsets = found,
        Err(err) => problems.push(fault(err)?),
    }
    let c_lines = c_lines(&series, &overlay)?;
    if c_lines > LINE_LIMIT && !overlay.is_empty() {
        problems.push(format!(
            "{c_lines} lines of C are added; the limit is {LINE_LIMIT}"
        ));
    }
    if problems.is_empty() {
        // What is left is what only git does not take.
        let contents = Contents {
            source: &source,
            overlay: &overlay,
            division: &division,
            series: &series,
            layout,
            named: true,
            base: None,
        };
        let dir = layout.scratch("check-tree")?;
        let made = apply_without_files(&contents, &dir.path().join("tree"), sink);
        problems.extend(made.err().map(fault).transpose()?);
    }
    if !problems.is_empty() {
        return Err(Error::build(
            format!("checking the kernel series against {}", source.told()),
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
        source: source.told(),
        offsets,
        base: series.base,
        built,
    })
}

/// A failure as a fault of the series, in words, if it is one.
fn fault(err: Error) -> Result<String> {
    match err.kind() {
        Kind::Usage | Kind::Build => Ok(err.to_string()),
        _ => Err(err),
    }
}

/// What can be checked without a kernel source: names, order, headers, kinds of change.
fn lint(series: &Series, overlay: &[OverlayFile], layout: &Layout) -> Result<Vec<String>> {
    let mut problems = overlay::patched(series, overlay, layout);
    let mut last = String::new();
    for patch in &series.patches {
        problems.extend(lint_patch(patch));
        // A series of another house has names and an order of its own.
        if overlay.is_empty() {
            continue;
        }
        problems.extend(lint_kind(patch));
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
    // What git writes below it says how much, not why, and is in no commit.
    let said = patch.header.lines().take_while(|line| !is_separator(line));
    let fields = said.clone().take_while(|line| !line.trim().is_empty());
    let filled = |line: &str, name: &str| {
        line.strip_prefix(name)
            .is_some_and(|rest| !rest.trim().is_empty())
    };
    for name in ["From:", "Subject:"] {
        if !fields.clone().any(|line| filled(line, name)) {
            wrong(format!("its header has no \"{name}\""));
        }
    }
    for name in ["Signed-off-by:", "Patch-mainline:"] {
        if !said.clone().any(|line| filled(line, name)) {
            wrong(format!("its message has no \"{name}\""));
        }
    }
    if let Ok((author, _)) = message(patch) {
        if identity(&author).is_none() {
            wrong(format!(
                "From: expected \"Name <address>\", found \"{author}\""
            ));
        }
    }
    let reason = said.skip_while(|line| !line.trim().is_empty());
    misread(reason.clone()).into_iter().for_each(&mut wrong);
    if !reason.clone().any(|line| {
        !line.trim().is_empty() && !line.contains("-by:") && !line.starts_with("Patch-")
    }) {
        wrong("its header does not say why it is needed".into());
    }
    if patch.files.is_empty() {
        wrong("it changes nothing".into());
    }
    problems
}

/// The rules for messages of the overlay's commits.
fn lint_division(division: &Division) -> Vec<String> {
    let mut problems = Vec::new();
    for commit in division.commits() {
        let subject = commit.subject.trim();
        let mut wrong =
            |what: &str| problems.push(format!("{}: \"{subject}\": {what}", overlay::FILE));
        if subject.is_empty() || subject.lines().count() > 1 {
            wrong("its subject is not one line");
        }
        if without_tags(subject) != subject {
            wrong("its subject begins with what mails put there, and commits do not have");
        }
        if commit.message.trim().is_empty() {
            wrong("its message does not say why it is needed");
        }
        misread(commit.message.lines())
            .iter()
            .for_each(|what| wrong(what));
    }
    problems
}

/// The rules where there is an overlay: what a patch is called, that new files are the overlay's, and that none goes or
/// changes its mode alone.
fn lint_kind(patch: &Patch) -> Vec<String> {
    let mut problems = Vec::new();
    if !is_patch_name(&patch.name) {
        problems.push(format!(
            "{}: its name is not NNN-what-it-does.patch",
            patch.name
        ));
    }
    problems.extend(overlay::unsuited(patch));
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
        laid_in += read_written(&file.from)?.lines().count();
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
        let patch = Patch::parse(name, text).unwrap();
        [lint_kind(&patch), lint_patch(&patch)].concat()
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
        fork.patch: it creates kernel/new.c; new files belong into rust-syscall/
        fork.patch: its header has no "From:"
        fork.patch: its message has no "Patch-mainline:"
        fork.patch: its header does not say why it is needed
        "#);
    }

    #[test]
    fn what_would_be_in_no_commit_does_not_count() {
        let mine = "Signed-off-by: A <a@b.invalid>\nPatch-mainline: never\n";
        let below = HEADER
            .replace(mine, "")
            .replace("---\n", &format!("---\n{mine}\n"));
        let in_body = HEADER.replace("Subject: fork: count\n\n", "\nSubject: fork: count\n");
        let nobody = HEADER.replace("A <a@b.invalid>\nSubject", "nobody\nSubject");
        let found =
            |header: &str| problems("100-fork.patch", &format!("{header}{CHANGE}")).join("\n");
        insta::assert_snapshot!(found(&below), @r#"
        100-fork.patch: its message has no "Signed-off-by:"
        100-fork.patch: its message has no "Patch-mainline:"
        "#);
        insta::assert_snapshot!(found(&in_body), @r#"
        100-fork.patch: its header has no "Subject:"
        100-fork.patch: git am would take the beginning of its message for a field of its own: Subject: fork: count
        "#);
        insta::assert_snapshot!(found(&nobody), @r#"100-fork.patch: From: expected "Name <address>", found "nobody""#);
        let encoded = HEADER.replace("From: A <", "From: =?UTF-8?q?J=C3=B6rg?= <");
        assert_eq!(found(&encoded), "");
    }

    #[test]
    fn messages_of_the_overlay_keep_the_same_rules() {
        let text = "[[commit]]\nsubject = 'mm: x'\nmessage = 'Why.'\nfiles = []\n\
                    [[commit]]\nsubject = ''\nmessage = '''\nFrom: X <x@y.invalid>\nWhy.\n---\nMore.'''\nfiles = []\n\
                    [[commit]]\nsubject = 'mm: y'\nmessage = ' '\nfiles = []\n";
        insta::assert_snapshot!(lint_division(&toml::from_str(text).unwrap()).join("\n"), @r#"
        overlay.toml: "": its subject is not one line
        overlay.toml: "": patch or git am would not take this for a line of its message: ---
        overlay.toml: "": git am would take the beginning of its message for a field of its own: From: X <x@y.invalid>
        overlay.toml: "mm: y": its message does not say why it is needed
        "#);
    }

    #[test]
    fn subjects_of_the_overlay_are_those_of_commits() {
        for subject in ["[PATCH] mm: x", "Re: mm: x"] {
            let text = format!("[[commit]]\nsubject = '{subject}'\nmessage = 'Why.'\nfiles = []\n");
            let found = lint_division(&toml::from_str(&text).unwrap()).join("\n");
            assert!(
                found.contains("begins with what mails put there"),
                "{found}"
            );
        }
    }

    #[test]
    fn a_change_of_a_mode_alone_is_told_of() {
        let turn = "diff --git a/run b/run\nold mode 100644\nnew mode 100755\n";
        assert_eq!(
            problems("100-run.patch", &format!("{HEADER}{turn}")),
            ["100-run.patch: it changes no line of run, but its mode"]
        );
        let lines = "diff --git a/run b/run\n--- a/run\n+++ b/run\n@@ -1 +1,2 @@\n one\n+two\n";
        let both = format!("{HEADER}{turn}{lines}");
        assert_eq!(problems("100-run.patch", &both), Vec::<String>::new());
        let copy = "diff --git a/run b/walk\nsimilarity index 100%\ncopy from run\ncopy to walk\n";
        assert_eq!(
            problems("100-run.patch", &format!("{HEADER}{copy}")),
            ["100-run.patch: it creates walk; new files belong into rust-syscall/"]
        );
    }

    #[test]
    fn a_diffstat_is_no_reason() {
        let header = HEADER.replace("Restart needs to know.\n\n", "");
        let stat = " kernel/fork.c | 1 +\n 1 file changed, 1 insertion(+)\n\n";
        assert_eq!(
            problems("100-fork.patch", &format!("{header}{stat}{CHANGE}")),
            ["100-fork.patch: its header does not say why it is needed"]
        );
    }

    #[test]
    fn messages_that_a_mail_reader_takes_otherwise_are_told_of() {
        for (line, what) in [
            ("Subject: other", "a field of its own: Subject: other"),
            (
                "from: X <x@y.invalid>",
                "a field of its own: from: X <x@y.invalid>",
            ),
            ("date: 2020", "a field of its own: date: 2020"),
            ("[PATCH] other", "a field of its own: [PATCH] other"),
            ("Index: fork.c", "a line of its message: Index: fork.c"),
        ] {
            let header = HEADER.replace("Restart needs", &format!("{line}\nRestart needs"));
            let found = problems("100-fork.patch", &format!("{header}{CHANGE}")).join("\n");
            assert!(
                found.ends_with(what) && found.lines().count() == 1,
                "{line}: {found}"
            );
        }
        let other = "From nobody Mon Sep 17 00:00:00 2001\nRestart needs";
        let text = HEADER.replace("Restart needs", other) + CHANGE;
        let refused = Patch::parse("100-fork.patch", &text).unwrap_err();
        assert!(refused.to_string().contains("another mail begins here"));
    }

    #[test]
    fn what_lies_elsewhere_is_told() {
        let report = Report {
            patches: 1,
            overlay_files: 0,
            c_lines: 1,
            source: "linux 1.1".into(),
            offsets: vec!["100-x.patch: Hunk #1 succeeded at 7 (offset 2 lines).".into()],
            base: "1.0".into(),
            built: None,
        };
        insta::assert_snapshot!(report, @r"
        1 patches apply to linux 1.1, 0 files laid over it, 1 lines of C
        made for 1.0, so these lie elsewhere:
          100-x.patch: Hunk #1 succeeded at 7 (offset 2 lines).
        ");
    }
}
