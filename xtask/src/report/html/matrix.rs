// SPDX-License-Identifier: GPL-2.0-only

//! The matrix of a run's page: what came of each scenario on each machine, and how its time changed.

use super::{class, place_of, timeline, Failure};
use crate::report::history::{times, History};
use crate::report::{CaseId, MachineReport, Outcome, RunReport};
use crate::scenario::verdict::Verdict;

/// Least part by which a time has to differ from the usual one to be told.
const NOTABLE: f64 = 0.25;
/// Times below are noise, in seconds.
const MEASURABLE: f64 = 0.05;
/// Width and height of the picture of earlier times.
const SPARK: (f64, f64) = (64.0, 16.0);

/// A machine, over the cells of what was run on it.
pub struct Column {
    pub arch: &'static str,
    pub kernel: String,
    pub release: String,
    pub hash: String,
    pub machine: String,
    pub cpu: String,
    pub accel: &'static str,
    pub why: String,
    pub boot: String,
}

/// A scenario.
pub struct Row {
    pub scenario: String,
    pub cells: Vec<Option<Cell>>,
}

/// What came of a scenario on a machine, in all rounds.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    pub class: &'static str,
    pub word: String,
    pub time: String,
    pub change: String,
    pub change_class: &'static str,
    /// Points of the line of earlier times; empty without any.
    pub spark: String,
    pub last_x: String,
    pub last_y: String,
    /// The failure that it is told in; empty for none.
    pub anchor: String,
    /// Where its restarts are drawn; empty for none.
    pub restarts: String,
}

/// The head of a machine's column.
pub fn column(machine: &MachineReport) -> Column {
    Column {
        arch: machine.arch.name(),
        kernel: machine.kernel.clone(),
        release: machine.kernel_release.clone(),
        hash: machine.kernel_sha256.chars().take(16).collect(),
        machine: machine.machine.clone(),
        cpu: machine.cpu.clone(),
        accel: machine.accel.name(),
        why: machine.why.clone(),
        boot: machine
            .boot_s
            .map_or(String::new(), |time| format!("{time:.2} s")),
    }
}

/// The rows, by the names of scenarios.
pub fn rows(
    run: &RunReport,
    outcomes: &[Outcome<'_>],
    failures: &[Failure],
    restarts: &[timeline::Group],
    history: &History,
) -> Vec<Row> {
    let mut names: Vec<&str> = outcomes
        .iter()
        .map(|outcome| outcome.last.case.scenario.as_str())
        .collect();
    names.sort_unstable();
    names.dedup();
    let times = times(run);
    let cells = |name: &str| -> Vec<Option<Cell>> {
        let cell = |machine: &MachineReport| {
            let of = |outcome: &&Outcome<'_>| {
                outcome.last.case.scenario == name && outcome.last.case.is_on(machine)
            };
            let outcomes: Vec<&Outcome<'_>> = outcomes.iter().filter(of).collect();
            let first = outcomes.first()?;
            let case = CaseId {
                round: 1,
                ..first.last.case.clone()
            };
            let place = place_of(&case);
            let is_here = |scenario: &str, machine: &str| scenario == name && machine == place;
            let failure = failures
                .iter()
                .find(|one| is_here(&one.scenario, &one.machine));
            let drawn = restarts
                .iter()
                .find(|one| is_here(&one.scenario, &one.machine));
            Some(Cell {
                anchor: failure.map_or(String::new(), |one| one.anchor.clone()),
                restarts: drawn.map_or(String::new(), |one| one.anchor.clone()),
                ..cell(&outcomes, times.get(&case).copied(), history.of_case(&case))
            })
        };
        run.machines.iter().map(cell).collect()
    };
    names
        .into_iter()
        .map(|name| Row {
            scenario: name.to_string(),
            cells: cells(name),
        })
        .collect()
}

/// A cell of the matrix: the worst of all rounds, the median time of those that passed, and what it was before.
fn cell(outcomes: &[&Outcome<'_>], time: Option<f64>, earlier: &[f64]) -> Cell {
    let bad = |outcome: &&&Outcome<'_>| !outcome.last.verdict.is_good();
    let good = outcomes.len() - outcomes.iter().filter(bad).count();
    // The lab's own failures, and what ended a guest, come after what left it sound.
    let verdicts = outcomes.iter().map(|outcome| outcome.last.verdict);
    let worst = verdicts.max_by_key(|verdict| (!verdict.is_good(), *verdict));
    let worst = worst.unwrap_or(Verdict::Pass);
    let flaky = outcomes.iter().any(|outcome| outcome.is_flaky());
    let mut word = match (worst, flaky) {
        (Verdict::Pass, true) => "flaky".to_string(),
        (verdict, _) => verdict.to_string(),
    };
    if outcomes.len() > 1 {
        word.push_str(&format!(" {good}/{}", outcomes.len()));
    }
    let (change, change_class) = change(time, earlier);
    let (spark, last_x, last_y) = match time {
        Some(time) if !earlier.is_empty() => spark(earlier, time),
        _ => Default::default(),
    };
    Cell {
        class: match (worst, flaky) {
            (Verdict::Pass, true) => "odd",
            (verdict, _) => class(verdict),
        },
        word,
        time: time.map_or(String::new(), |time| format!("{time:.2} s")),
        change,
        change_class,
        spark,
        last_x,
        last_y,
        anchor: String::new(),
        restarts: String::new(),
    }
}

/// "+40 %" if a time differs notably from the median of the earlier ones, and how it is to be seen.
fn change(time: Option<f64>, earlier: &[f64]) -> (String, &'static str) {
    let mut sorted = earlier.to_vec();
    sorted.sort_by(f64::total_cmp);
    let usual = sorted.get(sorted.len() / 2).copied();
    let (Some(time), Some(usual)) = (time, usual) else {
        return Default::default();
    };
    let part = time / usual.max(f64::MIN_POSITIVE) - 1.0;
    match part.abs() >= NOTABLE && (time - usual).abs() >= MEASURABLE {
        true => (
            format!("{:+.0} %", part * 100.0),
            if part > 0.0 { "odd" } else { "good" },
        ),
        false => Default::default(),
    }
}

/// The points of a line through the earlier times to this one, and where it ends.
fn spark(earlier: &[f64], time: f64) -> (String, String, String) {
    let all: Vec<f64> = earlier.iter().copied().chain([time]).collect();
    let most = all.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let (width, height) = (SPARK.0 - 6.0, SPARK.1 - 6.0);
    let step = width / (all.len() - 1).max(1) as f64;
    let point = |(at, time): (usize, &f64)| {
        (
            format!("{:.1}", 3.0 + at as f64 * step),
            format!("{:.1}", 3.0 + height * (1.0 - time / most)),
        )
    };
    let points: Vec<(String, String)> = all.iter().enumerate().map(point).collect();
    let line: Vec<String> = points.iter().map(|(x, y)| format!("{x},{y}")).collect();
    let (x, y) = points.last().cloned().unwrap_or_default();
    (line.join(" "), x, y)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::Arch;
    use crate::report::tests::{case, report, result};

    #[test]
    fn of_several_rounds_the_worst_is_shown_with_their_number() {
        let mut second = result("tree", Arch::Arm64, Verdict::Warn);
        second.case.round = 2;
        let run = report(
            "1",
            vec![result("tree", Arch::Arm64, Verdict::Pass), second],
        );
        let outcomes = run.outcomes();
        let all: Vec<&Outcome<'_>> = outcomes.iter().collect();
        let cell = cell(&all, Some(1.5), &[1.0, 1.0, 1.0]);
        assert_eq!((cell.word.as_str(), cell.class), ("warn 1/2", "bad"));
        assert_eq!((cell.change.as_str(), cell.change_class), ("+50 %", "odd"));
        assert!(cell
            .spark
            .ends_with(&format!("{},{}", cell.last_x, cell.last_y)));
        let history = History::of(std::slice::from_ref(&run));
        assert_eq!(history.of_case(&case("tree", Arch::Arm64)), [1.5]);
    }

    #[test]
    fn small_changes_are_not_told() {
        assert_eq!(change(Some(1.2), &[1.0]).0, "");
        assert_eq!(change(Some(0.04), &[0.01]).0, "");
        assert_eq!(change(Some(0.5), &[1.0]), ("-50 %".into(), "good"));
        assert_eq!(change(None, &[1.0]).0, "");
    }
}
