// SPDX-License-Identifier: GPL-2.0-only

//! A run as one HTML page that needs nothing else: what failed and why, each scenario on each machine with
//! its time beside those of earlier runs. The page itself is `templates/report.html`.

mod timeline;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use askama::Template;

use crate::error::{Error, Result};
use crate::report::evidence::{telling_lines, Evidence};
use crate::report::history::History;
use crate::report::{CaseId, MachineReport, Outcome, RunReport, ScenarioReport};
use crate::run::folder::stamp;
use crate::scenario::verdict::Verdict;

/// Least part by which a time has to differ from the usual one to be told.
const NOTABLE: f64 = 0.25;
/// Times below are noise, in seconds.
const MEASURABLE: f64 = 0.05;
/// Width and height of the picture of earlier times.
const SPARK: (f64, f64) = (64.0, 16.0);

#[derive(Template)]
#[template(path = "report.html")]
struct Page {
    title: String,
    headline: String,
    id: String,
    started: String,
    elapsed: String,
    seed: u64,
    totals: Vec<Total>,
    cut: Option<String>,
    unfinished: Vec<String>,
    failures: Vec<Failure>,
    restarts: Vec<timeline::Group>,
    columns: Vec<Column>,
    rows: Vec<Row>,
}

struct Total {
    word: String,
    class: &'static str,
    count: usize,
}

struct Column {
    arch: &'static str,
    kernel: String,
    release: String,
    hash: String,
    machine: String,
    cpu: String,
    accel: &'static str,
    why: String,
    boot: String,
}

struct Row {
    scenario: String,
    cells: Vec<Option<Cell>>,
}

/// What came of a scenario on a machine, in all rounds.
#[derive(Debug, Clone, PartialEq)]
struct Cell {
    class: &'static str,
    word: String,
    time: String,
    change: String,
    change_class: &'static str,
    /// Points of the line of earlier times; empty without any.
    spark: String,
    last_x: String,
    last_y: String,
    /// The failure that it is told in; empty for none.
    anchor: String,
    /// Where its restarts are drawn; empty for none.
    restarts: String,
}

struct Failure {
    anchor: String,
    class: &'static str,
    word: String,
    scenario: String,
    machine: String,
    round: String,
    why: String,
    lines: Vec<String>,
    output: String,
    log: String,
    folder: String,
    link: String,
    seed: u64,
}

/// The page of a run. Links to artifacts are relative to `place`, the folder that the page goes to.
pub fn text(run: &RunReport, history: &History, place: &Path) -> Result<String> {
    let outcomes = run.outcomes();
    let bad = outcomes
        .iter()
        .filter(|outcome| !outcome.last.verdict.is_good());
    let flaky = outcomes.iter().filter(|outcome| outcome.is_flaky());
    let mut failures = Vec::new();
    let mut failed: Vec<&ScenarioReport> = Vec::new();
    for outcome in bad.chain(flaky) {
        // Of what came right at last, the tries that failed are of interest.
        let told = match outcome.is_flaky() {
            true => outcome.earlier.as_slice(),
            false => std::slice::from_ref(&outcome.last),
        };
        for result in told {
            failures.push(failure(run, outcome, result, failures.len(), place));
            failed.push(result);
        }
    }
    let all = failed
        .into_iter()
        .chain(outcomes.iter().map(|outcome| outcome.last));
    let restarts = timeline::groups(run, all);
    let page = Page {
        title: format!("restart lab: {}", headline(run, &outcomes)),
        headline: headline(run, &outcomes),
        id: run.id.clone(),
        started: shown_time(run.started),
        elapsed: shown_duration(run.elapsed),
        seed: run.seed,
        totals: totals(&outcomes),
        cut: run.cut.clone(),
        unfinished: run.unfinished.iter().map(CaseId::shown).collect(),
        columns: run.machines.iter().map(column).collect(),
        rows: rows(run, &outcomes, &failures, &restarts, history),
        failures,
        restarts,
    };
    page.render()
        .map_err(|err| Error::lab("writing an HTML report", err.to_string()))
}

fn headline(run: &RunReport, outcomes: &[Outcome<'_>]) -> String {
    let bad = |outcome: &&Outcome<'_>| !outcome.last.verdict.is_good();
    let passed = |outcome: &&Outcome<'_>| outcome.last.verdict == Verdict::Pass;
    let passed = outcomes.iter().filter(passed).count();
    match (outcomes.iter().filter(bad).count(), &run.cut) {
        (0, None) if passed == outcomes.len() => format!("all {passed} scenarios passed"),
        (0, None) => format!(
            "{passed} of {} scenarios passed, the rest was skipped",
            outcomes.len()
        ),
        (0, Some(_)) => format!("cut short after {} scenarios", outcomes.len()),
        (count, _) => format!("{count} of {} scenarios failed", outcomes.len()),
    }
}

fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "good",
        Verdict::Skip => "odd",
        _ => "bad",
    }
}

fn totals(outcomes: &[Outcome<'_>]) -> Vec<Total> {
    let mut counts: BTreeMap<Verdict, usize> = BTreeMap::new();
    for outcome in outcomes {
        *counts.entry(outcome.last.verdict).or_default() += 1;
    }
    let total = |(verdict, count): (Verdict, usize)| Total {
        word: verdict.to_string(),
        class: class(verdict),
        count,
    };
    let flaky = outcomes.iter().filter(|outcome| outcome.is_flaky()).count();
    let flaky = (flaky > 0).then(|| Total {
        word: "flaky".to_string(),
        class: "odd",
        count: flaky,
    });
    counts.into_iter().map(total).chain(flaky).collect()
}

fn column(machine: &MachineReport) -> Column {
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

/// Where a case was run, in words.
fn place_of(case: &CaseId) -> String {
    format!(
        "{}, kernel {}, machine {}",
        case.arch, case.kernel, case.machine
    )
}

fn failure(
    run: &RunReport,
    outcome: &Outcome<'_>,
    result: &ScenarioReport,
    number: usize,
    place: &Path,
) -> Failure {
    let folder = run.folder_of(result);
    let evidence = Evidence::read(&folder);
    let (case, flaky) = (&result.case, outcome.is_flaky());
    let mut round = match case.round {
        1 => String::new(),
        round => format!(", round {round}"),
    };
    if result.attempt > 1 || flaky {
        round.push_str(&format!(", try {}", result.attempt));
    }
    Failure {
        anchor: format!("failure-{number}"),
        class: if flaky { "odd" } else { "bad" },
        word: match flaky {
            true => format!("{}, then passed", result.verdict),
            false => result.verdict.to_string(),
        },
        scenario: case.scenario.clone(),
        machine: place_of(case),
        round,
        why: result.why.clone(),
        lines: telling_lines(&run.folder.join(result.console())),
        output: evidence.output,
        log: evidence.log,
        link: folder
            .strip_prefix(place)
            .unwrap_or(&folder)
            .display()
            .to_string(),
        folder: folder.display().to_string(),
        seed: result.seed,
    }
}

fn rows(
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
    let times = crate::report::history::times(run);
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

/// "2026-11-26 14:03:05 UTC".
fn shown_time(seconds: u64) -> String {
    let text = stamp(seconds);
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default().to_string();
    format!(
        "{}-{}-{} {}:{}:{} UTC",
        part(0, 4),
        part(4, 6),
        part(6, 8),
        part(9, 11),
        part(11, 13),
        part(13, 15)
    )
}

fn shown_duration(time: Duration) -> String {
    match time.as_secs() {
        0..60 => format!("{:.1} s", time.as_secs_f64()),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod browser;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::Arch;
    use crate::report::tests::{case, report, result};

    #[test]
    fn what_a_guest_says_is_text_and_never_markup() {
        let mut bad = result("futex", Arch::Arm64, Verdict::Oops);
        bad.why = "<script>alert(1)</script> & \"more\"".into();
        let text = text(
            &report("1", vec![bad]),
            &History::default(),
            Path::new("/runs/1"),
        )
        .unwrap();
        assert!(!text.contains("<script>alert"), "{text}");
        assert!(text.contains("script&#62;alert(1)") || text.contains("&lt;script&gt;alert(1)"));
        assert!(text.contains("<a href=\"arm64/futex\">artifacts</a>"));
        assert!(text.contains("1 of 1 scenarios failed"));
    }

    #[test]
    fn the_page_needs_nothing_from_elsewhere() {
        let page = include_str!("../../templates/report.html");
        for outside in ["http:", "https:", "src=", "@import", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
    }

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

    #[test]
    fn times_are_said_as_people_say_them() {
        assert_eq!(shown_time(1_795_464_900), "2026-11-23 20:15:00 UTC");
        assert_eq!(shown_duration(Duration::from_millis(1_250)), "1.2 s");
        assert_eq!(shown_duration(Duration::from_secs(150)), "2 min 30 s");
    }
}
