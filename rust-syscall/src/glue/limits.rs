// SPDX-License-Identifier: GPL-2.0-only

//! Resource limits: the RLIMITS record.

use super::failure::{Context, Failure};
use super::loader::Loader;
use super::saver::Saver;
use crate::image::header::Kind;
use crate::image::record::{Rlimit, Rlimits};
use kernel::current;
use kernel::rlimit::{self, Limit};
use kernel::task::Task;

/// Writes the task's limits.
pub(crate) fn save(task: &Task, out: &mut Saver) -> Result<(), Failure> {
    let mut limits = Rlimits::default();
    for (resource, to) in (0..).zip(limits.0.iter_mut()) {
        let limit = task
            .limit(resource)
            .doing_on("reading resource limit", resource.into())?;
        *to = Rlimit {
            cur: limit.cur,
            max: limit.max,
        };
    }
    out.put(&limits)
}

/// Sets the limits that differ, each with the checks of `setrlimit(2)`.
pub(crate) fn load(input: &mut Loader) -> Result<(), Failure> {
    let record = input.take(Kind::Rlimits)?;
    let limits: Rlimits = record.body(input.limits)?;
    for (resource, saved) in (0..).zip(limits.0) {
        let wanted = Limit {
            cur: saved.cur,
            max: saved.max,
        };
        let present = current!()
            .limit(resource)
            .doing_on("reading resource limit", resource.into())?;
        if wanted != present {
            rlimit::set(resource, wanted).doing_on("setting resource limit", resource.into())?;
        }
    }
    Ok(())
}
