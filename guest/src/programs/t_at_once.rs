// SPDX-License-Identifier: GPL-2.0-only

//! Many restarts of one tree at once, with delays: each in a pid namespace of
//! its own, or beside each other in the caller's. None can end before all have begun.
//!
//! Arguments: STATUS IMAGE COMM TASKS COUNT --pids|--no-pids [SEED]

use crate::knobs;
use crate::restarts::{ended, patience, Mode, Tree};
use crate::stage::{self, Stage};
use crate::wait;
use checkpoint::restart::Point;
use std::process::ExitCode;

/// Longest delay at a point, so that the restarts mix.
const DELAY_US: u32 = 3_000;

fn run(stage: &Stage) -> Result<(), String> {
    let [image, comm, ..] = &stage.args[..] else {
        return Err("arguments: STATUS IMAGE COMM TASKS COUNT --pids|--no-pids [SEED]".into());
    };
    let mut tree = Tree::new(image, comm, stage.number(2, 1)?)?;
    let count = stage.number(3, 2)?;
    match stage.args.get(4).map(String::as_str) {
        Some("--pids") => {}
        Some("--no-pids") => tree = tree.beside(),
        other => return Err(format!("expected --pids or --no-pids, found {other:?}")),
    }
    for mode in [Mode::Coordinator, Mode::Root] {
        // Every root is held once it is in, so that no restart ends before all have begun.
        knobs::hold(0, Point::Entered as u32)?;
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(tree.start(mode)?);
        }
        let mut begun = 0;
        let at_once = wait::answer(patience(), || {
            begun = knobs::contexts()?;
            Ok((begun == count).then_some(()))
        })?;
        at_once.ok_or_else(|| format!("{mode:?}: restarts at once: expected {count}, found {begun}"))?;
        knobs::release()?;
        for (number, mktree) in all.iter_mut().enumerate() {
            if !ended(mktree)? {
                return Err(format!("{mode:?}: restart {number} of {count} failed"));
            }
        }
        let expected = count as usize * tree.tasks as usize;
        stage::expect("tasks of all restarts", expected, tree.running()?)?;
        tree.end()?;
        tree.restart_well(mode)?;
    }
    Ok(())
}

/// Runs with the arguments of the process.
pub fn main() -> ExitCode {
    stage::run(|stage| knobs::delayed(stage, DELAY_US, 5, || run(stage)))
}
