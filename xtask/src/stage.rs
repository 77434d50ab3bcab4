// SPDX-License-Identifier: GPL-2.0-only

//! A stage of the pipeline: skipped when its stamp fits, announced and recorded when not.

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::de::DeserializeOwned;
use serde::Serialize;

use crate::error::Result;
use crate::event::{Event, Sink, Step};
use crate::stamp::{self, Freshness, Inputs};

/// What a stage is and depends on.
pub struct Cached<'a> {
    /// What it is called.
    pub step: Step,
    /// Its stamp.
    pub stamp: PathBuf,
    /// What it depends on.
    pub inputs: &'a Inputs,
    /// Who hears of it.
    pub sink: &'a dyn Sink,
}

impl Cached<'_> {
    /// What the stage made last time, if nothing that it depends on has changed since; else `work` makes it.
    /// `outputs` names the files that belong to it: the stamp does not fit when one of them is gone or changed.
    pub fn get<T, O, W>(self, outputs: O, work: W) -> Result<T>
    where
        T: Serialize + DeserializeOwned,
        O: FnOnce(&T) -> Vec<PathBuf>,
        W: FnOnce() -> Result<T>,
    {
        let Cached {
            step,
            stamp,
            inputs,
            sink,
        } = self;
        let why = match stamp::check(&stamp, inputs) {
            Freshness::Fresh(made) => {
                sink.emit(Event::StepFresh { step });
                return Ok(made);
            }
            Freshness::Stale(why) => why,
        };
        announced(step, why, sink, || {
            // Before anything is touched: what a cut run leaves must not be believed.
            stamp::forget(&stamp)?;
            let made = work()?;
            let outputs = outputs(&made);
            let outputs: Vec<&Path> = outputs.iter().map(PathBuf::as_path).collect();
            stamp::record(&stamp, inputs, &outputs, &made)?;
            Ok(made)
        })
    }
}

/// Says that a step begins and why, does its work, and says how long it took; of a failure the error tells.
pub fn announced<T>(
    step: Step,
    why: String,
    sink: &dyn Sink,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    sink.emit(Event::StepBegin { step, why });
    let start = Instant::now();
    let made = work()?;
    sink.emit(Event::StepEnd {
        step,
        elapsed: start.elapsed(),
    });
    Ok(made)
}
