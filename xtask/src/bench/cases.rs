// SPDX-License-Identifier: GPL-2.0-only

//! `lab bench cases`: what a case costs on top of the time in its guest, when many short ones share one:
//! cleaning the guest up, keeping artifacts, judging the log, writing the bundle and the record.

use std::slice;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::arch::Arch;
use crate::bench::{median, passed};
use crate::error::Result;
use crate::event::Event;
use crate::flags;
use crate::plan::Plan;
use crate::report::RunEvent;
use crate::run::Ready;
use crate::scenario::Scenario;

/// Cases that are run where nothing is said.
pub const CASES: u32 = 200;

/// Numbers of one architecture, in milliseconds.
#[derive(Debug, Serialize)]
pub struct Numbers {
    arch: Arch,
    cases: u32,
    /// What a case took in the guest, the median.
    guest_ms: f64,
    /// What it took on top, the mean: all that is neither in a guest nor in its boot.
    added_ms: f64,
}

/// Runs the scenario again and again on one guest.
pub fn measure(
    plan: &Plan,
    flags: &flags::Bench,
    ready: &Ready,
    arch: Arch,
    scenario: &Scenario,
) -> Result<Numbers> {
    let cases = flags.repeat.unwrap_or(CASES).max(1);
    let boots = Mutex::new(Duration::ZERO);
    let watch = |event: Event| {
        if let Event::Run(RunEvent::Booted { boot, .. }) = event {
            *boots
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner()) += boot;
        }
    };
    let began = Instant::now();
    let report = passed(plan, ready, arch, slice::from_ref(scenario), cases, &watch)?;
    let all = began.elapsed();
    let times: Vec<Duration> = report.results.iter().map(|result| result.elapsed).collect();
    let in_guests: Duration = times.iter().sum();
    let boots = boots
        .into_inner()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let added = all.saturating_sub(in_guests).saturating_sub(boots);
    Ok(Numbers {
        arch,
        cases,
        guest_ms: median(times) * 1000.0,
        added_ms: added.as_secs_f64() * 1000.0 / f64::from(cases),
    })
}

/// A line for people.
pub fn text(numbers: &Numbers) -> String {
    format!(
        "{:<7} {} cases: {:.1} ms each in the guest (median), {:.1} ms each on top (mean)\n",
        numbers.arch, numbers.cases, numbers.guest_ms, numbers.added_ms
    )
}
