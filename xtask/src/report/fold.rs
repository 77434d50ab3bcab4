// SPDX-License-Identifier: GPL-2.0-only

//! From the events of a run to its report. Pure: a stream that was written down gives the same report as
//! the run itself, also one that ends in the middle because the lab was killed.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::arch::Arch;
use crate::report::{RunEvent, RunReport};

/// An event and when it happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stamped {
    /// Since the run began.
    #[serde(rename = "at_s", with = "super::seconds")]
    pub at: Duration,
    /// What happened.
    #[serde(flatten)]
    pub event: RunEvent,
}

/// The report of a run that had these events; `None` if it had not begun.
pub fn fold(events: &[Stamped]) -> Option<RunReport> {
    let head = events.iter().find_map(|stamped| match &stamped.event {
        RunEvent::Begin(head) => Some(head),
        _ => None,
    })?;
    let mut report = RunReport {
        id: head.id.clone(),
        folder: head.folder.clone(),
        started: head.started,
        seed: head.seed,
        machines: head.machines.clone(),
        parts: head.part.iter().cloned().collect(),
        results: Vec::new(),
        unfinished: Vec::new(),
        cut: Some("its record ends here: the lab was killed, or its machine stopped".to_string()),
        elapsed: events.last().map(|last| last.at).unwrap_or_default(),
    };
    let mut boots: BTreeMap<Arch, Vec<Duration>> = BTreeMap::new();
    let mut at_work = BTreeMap::new();
    for stamped in events {
        match &stamped.event {
            RunEvent::Booted { arch, boot, .. } => boots.entry(*arch).or_default().push(*boot),
            RunEvent::ScenarioBegin { worker, case } => {
                at_work.insert(*worker, case.clone());
            }
            RunEvent::ScenarioEnd { worker, result } => {
                at_work.remove(worker);
                report.results.push(result.clone());
            }
            RunEvent::End { cut } => report.cut = cut.clone(),
            RunEvent::Begin(_)
            | RunEvent::Boot { .. }
            | RunEvent::ScenarioStep { .. }
            | RunEvent::Idle { .. } => {}
        }
    }
    report.unfinished = at_work.into_values().collect();
    for machine in &mut report.machines {
        machine.boot_s = boots.get(&machine.arch).cloned().map(median);
    }
    Some(report)
}

/// The median of times, in seconds to the millisecond.
fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    let middle = times.get(times.len() / 2).copied().unwrap_or_default();
    (middle.as_secs_f64() * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{case, head, result};
    use crate::scenario::verdict::Verdict;

    fn events() -> Vec<Stamped> {
        let arch = Arch::Arm64;
        let boot = |ms| RunEvent::Booted {
            worker: 0,
            arch,
            boot: Duration::from_millis(ms),
        };
        let begin = |name: &str| RunEvent::ScenarioBegin {
            worker: 0,
            case: case(name, arch),
        };
        let end = |name: &str| RunEvent::ScenarioEnd {
            worker: 0,
            result: result(name, arch, Verdict::Pass),
        };
        let all = [
            RunEvent::Begin(head("1", &[arch])),
            RunEvent::Boot { worker: 0, arch },
            boot(700),
            begin("self"),
            end("self"),
            boot(500),
            boot(600),
            begin("tree"),
            RunEvent::ScenarioStep {
                worker: 0,
                number: 0,
                count: 2,
                title: "spawn \"tree\"".into(),
            },
            end("tree"),
            RunEvent::Idle { worker: 0 },
            RunEvent::End { cut: None },
        ];
        let stamp = |(at, event)| Stamped {
            at: Duration::from_millis(250 * at as u64),
            event,
        };
        all.into_iter().enumerate().map(stamp).collect()
    }

    #[test]
    fn a_stream_that_was_written_down_gives_the_same_report() {
        let events = events();
        let lines: Vec<String> = events
            .iter()
            .map(|event| serde_json::to_string(event).unwrap())
            .collect();
        assert!(lines[2].contains(r#""event":"booted""#), "{}", lines[2]);
        let read: Vec<Stamped> = lines
            .iter()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(read, events);
        let report = fold(&read).unwrap();
        assert_eq!(report.machines[0].boot_s, Some(0.6));
        assert_eq!((report.results.len(), report.cut.as_deref()), (2, None));
        assert_eq!(report.elapsed, Duration::from_millis(2750));
    }

    #[test]
    fn what_was_running_when_the_record_ends_is_told() {
        let report = fold(&events()[..9]).unwrap();
        assert_eq!(report.unfinished, [case("tree", Arch::Arm64)]);
        assert!(report.cut.is_some_and(|why| why.contains("killed")));
        assert_eq!(report.results.len(), 1);
        assert_eq!(fold(&[]), None);
    }
}
