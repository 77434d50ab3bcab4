// SPDX-License-Identifier: GPL-2.0-only

//! Many restarts of one tree at once, with delays: each in a pid namespace of
//! its own, or beside each other in the caller's.
//!
//! Arguments: STATUS IMAGE COMM TASKS COUNT [--no-pids]

use crate::knobs;
use crate::restarts::{ended, Mode, Tree};
use crate::stage::{self, Stage};
use std::process::ExitCode;

/// Longest delay at a point, so that the restarts mix.
const DELAY_US: u32 = 3_000;

fn run(stage: &Stage) -> Result<(), String> {
    let [image, comm, ..] = &stage.args[..] else {
        return Err("arguments: expected STATUS IMAGE COMM TASKS COUNT [--no-pids]".into());
    };
    let mut tree = Tree::new(image, comm, stage.number(2, 1)?)?;
    let count = stage.number(3, 2)?;
    if stage.args.iter().any(|arg| arg == "--no-pids") {
        tree = tree.beside();
    }
    knobs::open()?;
    for mode in [Mode::Coordinator, Mode::Root] {
        knobs::delay(DELAY_US, count)?;
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(tree.start(mode)?);
        }
        for (number, mktree) in all.iter_mut().enumerate() {
            if !ended(mktree)? {
                return Err(format!("{mode:?}: restart {number} of {count} failed"));
            }
        }
        let expected = count as usize * tree.tasks as usize;
        stage::expect("tasks of all restarts", expected, tree.running()?)?;
        tree.end()?;
        knobs::delay(0, 0)?;
        tree.restart_well(mode)?;
    }
    Ok(())
}

/// Runs with the arguments of the process.
pub fn main() -> ExitCode {
    stage::run(|stage| {
        let done = run(stage);
        knobs::rest();
        done
    })
}
