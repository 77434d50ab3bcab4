// SPDX-License-Identifier: GPL-2.0-only

//! The kernel series: read, applied, checked.

pub mod check;
pub mod commit;
pub mod git;
pub mod number;
pub mod origin;
pub mod overlay;
pub mod refresh;
pub mod series;

use std::path::Path;

use crate::error::Result;
use crate::event::Sink;
use crate::kernel::{source, tree};
use crate::plan::Plan;

/// Makes a git tree of the plan's source, the overlay and the series in `dir`; gives its last commit.
/// The caller holds the lock.
pub fn apply_to(plan: &Plan, dir: &Path, upto: Option<&str>, sink: &dyn Sink) -> Result<String> {
    let dir_of_series = plan.layout.series();
    let contents = git::Contents {
        source: &source::fetch(plan, sink)?,
        overlay: &tree::overlay_files(&plan.layout)?,
        division: &overlay::Division::read(&dir_of_series)?,
        series: &series::Series::read(&dir_of_series)?,
        root: plan.layout.root(),
    };
    git::apply(&contents, dir, upto, sink)
}
