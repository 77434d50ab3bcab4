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
        let stamp = self.stamp.clone();
        self.get_keeping(outputs, || {
            // Before anything is touched: what a cut run leaves must not be believed.
            stamp::forget(&stamp)?;
            work()
        })
    }

    /// The same, for what cannot always be made again: a failure leaves what was made last, and its stamp. `work` sees
    /// to it that the stamp is forgotten before an output is touched.
    pub fn get_keeping<T, O, W>(self, outputs: O, work: W) -> Result<T>
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::event::{Silent, Stage};

    #[test]
    fn a_failure_leaves_what_was_made_only_where_that_is_wanted() {
        let dir = tempfile::tempdir().unwrap();
        let stamp = dir.path().join("stamp.json");
        let stage = |inputs| Cached {
            step: Step::once(Stage::Source),
            stamp: stamp.clone(),
            inputs,
            sink: &Silent,
        };
        let (first, mut second) = (Inputs::new(), Inputs::new());
        second.text("origin", "another");
        let fail = || Err(Error::host("fetching", "no network"));
        let none = |_: &u32| Vec::new();
        assert_eq!(stage(&first).get(none, || Ok(7)).unwrap(), 7);
        stage(&second).get_keeping(none, fail).unwrap_err();
        // It is not made again.
        assert_eq!(stage(&first).get_keeping(none, fail).unwrap(), 7);
        stage(&second).get(none, fail).unwrap_err();
        stage(&first).get(none, fail).unwrap_err();
    }
}
