// SPDX-License-Identifier: GPL-2.0-only

//! The kernel series: read, applied, checked.

pub mod check;
pub mod checkpatch;
pub mod commit;
pub mod export;
pub mod git;
pub mod new;
pub mod number;
pub mod origin;
pub mod overlay;
pub mod prefix;
pub mod refresh;
pub mod series;

use std::path::{Path, PathBuf};

use crate::error::Result;
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
    let usual = plan.series()?.join(COVER);
    let cover = export::Cover::read(cover.unwrap_or(&usual))?;
    let scratch = plan.layout.scratch("export")?;
    with_contents(plan, false, sink, |contents| {
        export::export(contents, &cover, version, out, scratch.path(), sink)
    })
}

fn with_contents<T>(
    plan: &Plan,
    named: bool,
    sink: &dyn Sink,
    act: impl FnOnce(&git::Contents<'_>) -> Result<T>,
) -> Result<T> {
    let dir = plan.series()?;
    act(&git::Contents {
        source: &source::fetch(plan, sink)?,
        overlay: &tree::overlay_of(plan)?,
        division: &overlay::Division::read(dir)?,
        series: &series::Series::read(dir)?,
        root: plan.layout.root(),
        named,
    })
}
