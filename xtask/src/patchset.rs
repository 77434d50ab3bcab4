// SPDX-License-Identifier: GPL-2.0-only

//! The kernel series: read, applied, checked.

pub mod base;
pub mod check;
pub mod checkpatch;
pub mod commit;
pub mod cover;
pub mod diff;
pub mod export;
pub mod git;
pub mod header;
pub mod list;
pub mod mail;
pub mod misfit;
pub mod new;
pub mod number;
pub mod origin;
pub mod overlay;
pub mod packed;
pub mod parts;
pub mod paths;
pub mod prefix;
pub mod rebase;
pub mod refresh;
pub mod said;
pub mod series;
pub mod staging;
pub mod unseen;
pub mod wellformed;

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::event::Sink;
use crate::kernel::{source, tree};
use crate::plan::Plan;

/// The cover letter, beside the series.
const COVER: &str = "cover-letter";

/// Makes a git tree of the plan's source, the overlay and the series in `dir`; gives its last commit.
/// The caller holds the lock.
pub fn apply_to(plan: &Plan, dir: &Path, upto: Option<&str>, sink: &dyn Sink) -> Result<String> {
    with_contents(plan, true, sink, |contents| {
        git::apply(contents, dir, upto, sink)
    })
}

/// Writes the series as mails into `out`; gives their paths. The caller holds the lock.
pub fn export_to(
    plan: &Plan,
    out: &Path,
    version: u32,
    cover: Option<&Path>,
    sink: &dyn Sink,
) -> Result<Vec<PathBuf>> {
    // The project's own tells of the overlay.
    let usual = match &plan.kernel.overlay {
        Some(_) => overlay::beside(COVER, plan.series()?, &plan.layout.series()),
        None => plan.series()?.join(COVER),
    };
    if cover.is_none() && !usual.is_file() {
        let found = format!("there is no cover letter in {}", usual.display());
        return Err(Error::usage("exporting the series", found)
            .hint("write one there, or name one by --cover: a subject, an empty line, the text"));
    }
    let cover = cover::Cover::read(cover.unwrap_or(&usual))?;
    let scratch = plan.layout.scratch("export")?;
    with_contents(plan, false, sink, |contents| {
        export::export(contents, &cover, version, out, scratch.path(), sink)
    })
}

/// Carries the series of `from` to the source of `onto`, in a git tree in `dir`; the patches that changed
/// nothing there any more.
/// The caller holds the lock.
pub fn rebase_to(from: &Plan, onto: &Plan, dir: &Path, sink: &dyn Sink) -> Result<Vec<String>> {
    let layout = &from.layout;
    let own = layout.series();
    let series = series::Series::read(from.series()?)?;
    let onto_dir = onto.series()?;
    let bare = series::Series {
        dir: onto_dir.to_path_buf(),
        ..series::Series::none()
    };
    let source = source::fetch(onto, sink)?;
    base::refuse_shared(onto, &source.version)?;
    // The files as they were before each patch make three-way merges of what does not fit. A source that
    // has moved on under its name is no longer there.
    let before = layout.scratch("rebase")?;
    let had = match from.kernel.source_name == onto.kernel.source_name {
        true => None,
        false => {
            let source = source::fetch(from, sink)?;
            let state = tree::State::open(layout, &from.kernel.tree_name, &source, sink)?;
            state.stage_pristine(&series, before.path())?;
            Some(before.path())
        }
    };
    let overlay = tree::overlay_of(onto)?;
    let contents = git::Contents {
        source: &source,
        overlay: &overlay,
        division: &overlay::Division::of(&overlay, onto_dir, &own)?,
        series: &bare,
        layout,
        named: true,
        base: Some(source.version.clone()),
    };
    rebase::rebase(&series, had, &contents, dir, sink)
}

fn with_contents<T>(
    plan: &Plan,
    named: bool,
    sink: &dyn Sink,
    act: impl FnOnce(&git::Contents<'_>) -> Result<T>,
) -> Result<T> {
    let dir = plan.series()?;
    let overlay = tree::overlay_of(plan)?;
    act(&git::Contents {
        source: &source::fetch(plan, sink)?,
        overlay: &overlay,
        division: &overlay::Division::of(&overlay, dir, &plan.layout.series())?,
        series: &series::Series::read(dir)?,
        layout: &plan.layout,
        named,
        base: None,
    })
}
