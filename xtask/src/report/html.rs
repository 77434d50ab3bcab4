// SPDX-License-Identifier: GPL-2.0-only

//! A run as one HTML page that needs nothing else: what failed and why, each scenario on each machine with
//! its time beside those of earlier runs. The page itself is `templates/report.html`.

mod matrix;
mod timeline;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use askama::Template;

use crate::error::{Error, Result};
use crate::report::evidence::{telling_lines, Evidence};
use crate::report::history::History;
use crate::report::{CaseId, Outcome, RunReport, ScenarioReport};
use crate::run::folder::stamp;
use crate::scenario::verdict::Verdict;

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
    columns: Vec<matrix::Column>,
    rows: Vec<matrix::Row>,
}

struct Total {
    word: String,
    class: &'static str,
    count: usize,
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
        columns: run.machines.iter().map(matrix::column).collect(),
        rows: matrix::rows(run, &outcomes, &failures, &restarts, history),
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
    use crate::report::tests::{report, result};

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
    fn times_are_said_as_people_say_them() {
        assert_eq!(shown_time(1_795_464_900), "2026-11-23 20:15:00 UTC");
        assert_eq!(shown_duration(Duration::from_millis(1_250)), "1.2 s");
        assert_eq!(shown_duration(Duration::from_secs(150)), "2 min 30 s");
    }
}
