// SPDX-License-Identifier: GPL-2.0-only

//! `lab bench`: the lab measured, each time against a peer or the bare limit in the same run.

pub mod boot;
pub mod build;
pub mod cases;
pub mod restart;

use std::time::Duration;

use serde::Serialize;

use crate::arch::Arch;
use crate::error::{Error, Result, EXIT_PASSED};
use crate::event::Sink;
use crate::flags::{self, Measurement};
use crate::layout::write_whole;
use crate::plan::Plan;
use crate::report::record::Recorder;
use crate::report::terminal::Terminal;
use crate::report::{RunReport, ScenarioReport};
use crate::run::queue::Effort;
use crate::run::select::Chosen;
use crate::run::{self, Ready};
use crate::scenario::verdict::Verdict;
use crate::scenario::{self, Scenario};
use crate::session::Session;

/// The name of a scenario that asks as little of a guest as can be.
const LEAST: &str = "boot";

/// Measures; the process's exit code.
pub fn run(session: &Session, flags: &flags::Bench) -> Result<i32> {
    let plan = session.plan(&flags.target)?;
    match flags.what {
        Measurement::Boot => with_least(
            session,
            flags,
            &plan,
            boot::text,
            |ready, arch, scenario| boot::measure(session, flags, ready, arch, scenario),
        ),
        Measurement::Cases => with_least(
            session,
            flags,
            &plan,
            cases::text,
            |ready, arch, scenario| cases::measure(&plan, flags, ready, arch, scenario),
        ),
        Measurement::Restart => {
            let trees = restart::scenarios(&session.layout.lab().join("bench"), flags.repeat)?;
            in_guests(
                session,
                flags,
                &plan,
                &trees,
                restart::text,
                |ready, arch| restart::measure(&plan, flags, ready, arch, &trees),
            )
        }
        Measurement::Build => {
            let sink = Terminal::new();
            let _lock = session.make_ready(&plan, &sink)?;
            let bench = build::Bench::new(&plan, &sink)?;
            let arches = plan.arches.iter();
            let measured = arches.map(|arch| bench.measure(flags, *arch));
            let told = tell(flags, build::text, measured);
            bench.clean()?;
            told
        }
    }
}

/// Measures the scenario that asks least on guests of all architectures.
fn with_least<N: Serialize>(
    session: &Session,
    flags: &flags::Bench,
    plan: &Plan,
    text: fn(&N) -> String,
    measure: impl Fn(&Ready, Arch, &Scenario) -> Result<N>,
) -> Result<i32> {
    let scenarios = scenario::select(&session.layout, &[LEAST.to_string()], &[])?;
    let least = scenarios
        .first()
        .ok_or_else(|| Error::lab("measuring", "the scenario is gone"))?;
    in_guests(session, flags, plan, &scenarios, text, |ready, arch| {
        measure(ready, arch, least)
    })
}

/// Measures on guests of all architectures, made ready for the scenarios.
fn in_guests<N: Serialize>(
    session: &Session,
    flags: &flags::Bench,
    plan: &Plan,
    scenarios: &[Scenario],
    text: fn(&N) -> String,
    measure: impl Fn(&Ready, Arch) -> Result<N>,
) -> Result<i32> {
    let chosen = run::select::choose(scenarios, &plan.arches, None)?;
    let ready = run::prepare(session, plan, &chosen, &Terminal::new())?;
    let arches = plan.arches.iter();
    tell(flags, text, arches.map(|arch| measure(&ready, *arch)))
}

/// Runs the scenarios so often, on one guest at a time; what came of it, if all of it passed.
fn passed(
    plan: &Plan,
    ready: &Ready,
    arch: Arch,
    scenarios: &[Scenario],
    rounds: u32,
    watch: &dyn Sink,
) -> Result<RunReport> {
    let effort = Effort {
        rounds: Some(rounds),
        retries: 0,
        until_fail: false,
        seed: 1,
    };
    let recorder = Recorder::create(&ready.folder.path, watch)?;
    let chosen: Vec<Chosen<'_>> = scenarios.iter().map(|scenario| (scenario, arch)).collect();
    let jobs = run::jobs(ready, plan, &chosen);
    run::play_all(ready, jobs, effort, 1, None, &recorder)?;
    let report = recorder.finish()?;
    let is_bad = |result: &&ScenarioReport| result.verdict != Verdict::Pass;
    match report.results.iter().find(is_bad) {
        None => Ok(report),
        Some(bad) => {
            let what = format!("measuring {} on {arch}", bad.case.scenario);
            let why = format!("{}: {}", bad.verdict, bad.why);
            let folder = ready.folder.path.join(&bad.folder);
            let hint = format!("what was said is in {}", folder.display());
            Err(Error::lab(what, why).hint(hint))
        }
    }
}

/// Prints each number as it comes, and writes all where the user wants them.
fn tell<N: Serialize>(
    flags: &flags::Bench,
    text: fn(&N) -> String,
    measured: impl Iterator<Item = Result<N>>,
) -> Result<i32> {
    let mut all = Vec::new();
    for numbers in measured {
        let numbers = numbers?;
        print!("{}", text(&numbers));
        all.push(numbers);
    }
    if let Some(path) = &flags.json {
        let json = serde_json::to_vec_pretty(&all)
            .map_err(|err| Error::lab("writing numbers", err.to_string()))?;
        write_whole(path, &json)?;
    }
    Ok(EXIT_PASSED)
}

/// The median, in seconds; 0 of nothing.
fn median(times: Vec<Duration>) -> f64 {
    middle(times.iter().map(Duration::as_secs_f64)).unwrap_or(0.0)
}

/// The median; `None` of nothing.
fn middle(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
