// SPDX-License-Identifier: GPL-2.0-only

//! `lab bench restart`: what it takes to save a tree and to restart it, by the number of its tasks and by their memory.
//! `bench_restart` measures, in the guest; here is what is measured.

use std::path::Path;

use guest::bench::Sample;
use serde::Serialize;

use crate::arch::Arch;
use crate::bench::{middle, passed};
use crate::error::{AtPath, Error, Result};
use crate::event::Event;
use crate::flags;
use crate::layout::write_whole;
use crate::plan::Plan;
use crate::report::{RunEvent, ScenarioReport};
use crate::run::Ready;
use crate::scenario::Scenario;

/// How often each tree is measured where nothing is said.
pub const REPEAT: u32 = 3;
/// Seconds that the rounds of one tree may take.
const PATIENCE: u32 = 3600;
/// Memory of the guest, in MiB: of the largest tree there is one, and its image.
const MEMORY: u32 = 4096;
/// What is said in the guest, and kept.
const SAID: &str = "bench.out";

/// A tree that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Shape {
    tasks: u32,
    /// Of each task; 0: one page.
    mib: u32,
}

const fn tree(tasks: u32, mib: u32) -> Shape {
    Shape { tasks, mib }
}

/// What is measured, in this order: trees that grow by tasks alone, by memory alone, and by both.
const SHAPES: [Shape; 13] = [
    tree(1, 0),
    tree(4, 0),
    tree(16, 0),
    tree(64, 0),
    tree(256, 0),
    tree(1024, 0),
    tree(1, 1),
    tree(1, 16),
    tree(1, 128),
    tree(1, 1024),
    tree(8, 1),
    tree(64, 1),
    tree(8, 64),
];

impl Shape {
    /// The name of its scenario.
    fn name(self) -> String {
        format!("bench-restart-{}x{}", self.tasks, self.mib)
    }
}

/// Numbers of one tree: medians, in milliseconds, from the start of the program that does it to its end.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    #[serde(flatten)]
    shape: Shape,
    save_ms: f64,
    restart_ms: f64,
}

/// Numbers of one architecture.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Numbers {
    arch: Arch,
    accel: &'static str,
    repeat: u32,
    rows: Vec<Row>,
}

fn rounds(repeat: Option<u32>) -> u32 {
    repeat.unwrap_or(REPEAT).max(1)
}

/// The scenarios that measure, one for each tree, so often. Their files are in `dir`, for bundles to take.
pub fn scenarios(dir: &Path, repeat: Option<u32>) -> Result<Vec<Scenario>> {
    let repeat = rounds(repeat);
    let mut scenarios = Vec::new();
    for shape in SHAPES {
        let Shape { tasks, mib } = shape;
        let text = format!(
            r#"
description = "saving and restarting {tasks} tasks of {mib} MiB, timed"
memory-mib = {MEMORY}
timeout-s = {PATIENCE}

[[step]]
spawn = {{ name = "bench", argv = ["bench_restart", "{repeat}", "{tasks}", "{mib}"] }}

[[step]]
expect-exit = {{ of = "bench", timeout-s = {PATIENCE} }}

[[step]]
keep = "{SAID}"
"#
        );
        let path = dir.join(format!("{}.toml", shape.name()));
        write_whole(&path, text.as_bytes())?;
        scenarios.extend(Scenario::read(&path, &path.display().to_string())?);
    }
    Ok(scenarios)
}

/// Measures one architecture.
pub fn measure(
    plan: &Plan,
    flags: &flags::Bench,
    ready: &Ready,
    arch: Arch,
    scenarios: &[Scenario],
) -> Result<Numbers> {
    // It takes minutes: whoever waits sees at which tree it is.
    let watch = |event: Event| {
        if let Event::Run(RunEvent::ScenarioBegin { case, .. }) = event {
            eprintln!("{arch}: {}", case.scenario);
        }
    };
    let report = passed(plan, ready, arch, scenarios, 1, &watch)?;
    let rows = SHAPES.into_iter().map(|shape| {
        let is_its = |result: &&ScenarioReport| result.case.scenario == shape.name();
        let result = report.results.iter().find(is_its);
        let result =
            result.ok_or_else(|| Error::lab("measuring restarts", "a tree was left out"))?;
        let path = ready.folder.path.join(&result.folder).join(SAID);
        let text = std::fs::read_to_string(&path).at("reading", &path)?;
        row(shape, &text)
    });
    Ok(Numbers {
        arch,
        accel: ready.guests[&arch].spec.accel.name(),
        repeat: rounds(flags.repeat),
        rows: rows.collect::<Result<_>>()?,
    })
}

/// The numbers of a tree out of what was said of it.
fn row(shape: Shape, text: &str) -> Result<Row> {
    let bad = |why: String| Error::lab(format!("reading what {} took", shape.name()), why);
    let samples: Vec<Sample> = text
        .lines()
        .map(|line| serde_json::from_str(line).map_err(|err| bad(format!("{line:?}: {err}"))))
        .collect::<Result<_>>()?;
    let save_ms = middle(samples.iter().map(|sample| sample.save_ms));
    let restart_ms = middle(samples.iter().map(|sample| sample.restart_ms));
    let (Some(save_ms), Some(restart_ms)) = (save_ms, restart_ms) else {
        return Err(bad("nothing was measured".into()));
    };
    Ok(Row {
        shape,
        save_ms,
        restart_ms,
    })
}

/// A line for each tree.
pub fn text(numbers: &Numbers) -> String {
    let Numbers { arch, accel, .. } = numbers;
    let head = format!(
        "{arch} {accel}: to save a tree and to restart it, in ms (medians of {})\n",
        numbers.repeat
    );
    numbers
        .rows
        .iter()
        .fold(head, |text, row| text + &line(row))
}

fn line(row: &Row) -> String {
    let Shape { tasks, mib } = row.shape;
    let memory = match mib {
        0 => "page".to_string(),
        mib => format!("{mib} MiB"),
    };
    format!(
        "{tasks:>6} x {memory:<8} {:>9.1} {:>9.1}\n",
        row.save_ms, row.restart_ms
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn said(save: f64, restart: f64) -> String {
        format!("{{\"save_ms\":{save},\"restart_ms\":{restart}}}\n")
    }

    #[test]
    fn each_tree_has_a_scenario_that_the_lab_takes() {
        let dir = tempfile::tempdir().unwrap();
        let names: BTreeSet<String> = scenarios(dir.path(), None)
            .unwrap()
            .into_iter()
            .map(|scenario| scenario.name)
            .collect();
        assert_eq!(names, SHAPES.map(Shape::name).into());
        assert_eq!(names.len(), SHAPES.len());
    }

    #[test]
    fn a_row_has_the_median_of_each() {
        let text = said(30.0, 1.0) + &said(10.0, 9.0) + &said(20.0, 5.0);
        let row = row(tree(8, 64), &text).unwrap();
        assert_eq!((row.save_ms, row.restart_ms), (20.0, 5.0));
        let line = line(&row);
        assert!(line.contains("8 x 64 MiB"), "{line}");
    }

    #[test]
    fn what_was_not_measured_is_told() {
        for text in ["", "{}", "bench_restart: round 0"] {
            assert!(row(tree(1, 1), text).is_err(), "{text:?}");
        }
    }
}
