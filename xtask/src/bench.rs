// SPDX-License-Identifier: GPL-2.0-only

//! `lab bench`: the lab measured, each time against a peer or the bare limit in the same run.

pub mod boot;
pub mod build;
pub mod cases;

use std::time::Duration;

use serde::Serialize;

use crate::arch::Arch;
use crate::error::{Error, Result, EXIT_PASSED};
use crate::flags::{self, Measurement};
use crate::layout::write_whole;
use crate::plan::Plan;
use crate::report::terminal::Terminal;
use crate::run::{self, Ready};
use crate::scenario::{self, Scenario};
use crate::session::Session;

/// The scenario that is measured: as little as a guest can be asked to do.
const SCENARIO: &str = "boot";

/// Measures; the process's exit code.
pub fn run(session: &Session, flags: &flags::Bench) -> Result<i32> {
    let plan = session.plan(&flags.target)?;
    match flags.what {
        Measurement::Boot => in_guests(
            session,
            flags,
            &plan,
            boot::text,
            |ready, arch, scenario| boot::measure(session, flags, ready, arch, scenario),
        ),
        Measurement::Cases => in_guests(
            session,
            flags,
            &plan,
            cases::text,
            |ready, arch, scenario| cases::measure(&plan, flags, ready, arch, scenario),
        ),
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

/// Measures the scenario on guests of all architectures.
fn in_guests<N: Serialize>(
    session: &Session,
    flags: &flags::Bench,
    plan: &Plan,
    text: fn(&N) -> String,
    measure: impl Fn(&Ready, Arch, &Scenario) -> Result<N>,
) -> Result<i32> {
    let scenarios = scenario::select(&session.layout, &[SCENARIO.to_string()], &[])?;
    let scenario = scenarios
        .first()
        .ok_or_else(|| Error::lab("measuring", "the scenario is gone"))?;
    let chosen = run::select::choose(&scenarios, &plan.arches, None)?;
    let ready = run::prepare(session, plan, &chosen, &Terminal::new())?;
    let arches = plan.arches.iter();
    tell(
        flags,
        text,
        arches.map(|arch| measure(&ready, *arch, scenario)),
    )
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

/// The median, in seconds.
fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times
        .get(times.len() / 2)
        .map_or(0.0, Duration::as_secs_f64)
}
