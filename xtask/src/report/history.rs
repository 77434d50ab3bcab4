// SPDX-License-Identifier: GPL-2.0-only

//! What scenarios took in earlier runs on this machine, out of the reports in their folders.

use std::collections::BTreeMap;
use std::path::Path;

use crate::report::{CaseId, RunReport};
use crate::scenario::verdict::Verdict;

/// Runs that are looked at, the newest first.
const RUNS: usize = 8;
/// The report in a run's folder.
const REPORT: &str = "report.json";

/// Times of scenarios that passed, in seconds, one for each earlier run, the oldest first.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct History {
    times: BTreeMap<CaseId, Vec<f64>>,
}

/// The case without its round: what is compared from run to run.
fn key(case: &CaseId) -> CaseId {
    CaseId {
        round: 1,
        ..case.clone()
    }
}

/// The time of each case that passed, in seconds: of several rounds the median.
pub fn times(report: &RunReport) -> BTreeMap<CaseId, f64> {
    let mut all: BTreeMap<CaseId, Vec<f64>> = BTreeMap::new();
    for outcome in report.outcomes() {
        if outcome.last.verdict == Verdict::Pass {
            let time = outcome.last.elapsed.as_secs_f64();
            all.entry(key(&outcome.last.case)).or_default().push(time);
        }
    }
    let median = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    all.into_iter()
        .map(|(case, times)| (case, median(times)))
        .collect()
}

impl History {
    /// Of runs given from the newest to the oldest.
    pub fn of(runs: &[RunReport]) -> History {
        let mut history = History::default();
        for run in runs.iter().rev() {
            for (case, time) in times(run) {
                history.times.entry(case).or_default().push(time);
            }
        }
        history
    }

    /// Reads the newest runs below a folder that began before `report`; what is no report of a run is left out.
    pub fn read(runs: &Path, report: &RunReport) -> History {
        let entries = std::fs::read_dir(runs).into_iter().flatten().flatten();
        // A run's name begins with its time; `latest` is a link to one of them.
        let mut names: Vec<String> = entries
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        let earlier = names.iter().rev().filter_map(|name| {
            let text = std::fs::read(runs.join(name).join(REPORT)).ok()?;
            let run: RunReport = serde_json::from_slice(&text).ok()?;
            (run.started < report.started && run.id != report.id).then_some(run)
        });
        let earlier: Vec<RunReport> = earlier.take(RUNS).collect();
        History::of(&earlier)
    }

    /// What a case took in earlier runs.
    pub fn of_case(&self, case: &CaseId) -> &[f64] {
        self.times.get(&key(case)).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::Arch;
    use crate::report::tests::{case, report, result};
    use std::time::Duration;

    fn run(id: &str, started: u64, seconds: u64) -> RunReport {
        let mut passed = result("tree", Arch::Arm64, Verdict::Pass);
        passed.elapsed = Duration::from_secs(seconds);
        let failed = result("self", Arch::Arm64, Verdict::Fail);
        let mut run = report(id, vec![passed, failed]);
        run.started = started;
        run
    }

    #[test]
    fn only_earlier_runs_and_what_passed_in_them_count() {
        let dir = tempfile::tempdir().unwrap();
        for run in [run("a", 10, 1), run("b", 20, 2), run("c", 40, 9)] {
            let folder = dir.path().join(&run.id);
            std::fs::create_dir(&folder).unwrap();
            let text = serde_json::to_vec(&run).unwrap();
            std::fs::write(folder.join(REPORT), text).unwrap();
        }
        std::fs::create_dir(dir.path().join("x")).unwrap();
        std::fs::write(dir.path().join("x").join(REPORT), "{}").unwrap();
        let history = History::read(dir.path(), &run("d", 30, 3));
        assert_eq!(history.of_case(&case("tree", Arch::Arm64)), [1.0, 2.0]);
        assert!(history.of_case(&case("self", Arch::Arm64)).is_empty());
        assert!(history.of_case(&case("tree", Arch::X86_64)).is_empty());
    }

    #[test]
    fn of_several_rounds_the_median_counts() {
        let mut run = run("a", 10, 1);
        for (round, seconds) in [(2, 5), (3, 2)] {
            let mut again = run.results[0].clone();
            again.case.round = round;
            again.elapsed = Duration::from_secs(seconds);
            run.results.push(again);
        }
        assert_eq!(times(&run)[&case("tree", Arch::Arm64)], 2.0);
    }
}
