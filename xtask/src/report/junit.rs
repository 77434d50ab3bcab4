// SPDX-License-Identifier: GPL-2.0-only

//! A run as JUnit XML: a suite for each machine, a test case for each scenario with all tries at it, what
//! its programs wrote, and its kernel log.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestRerun, TestSuite};

use crate::error::{Error, Result};
use crate::report::evidence::Evidence;
use crate::report::{CaseId, MachineReport, Outcome, RunReport, ScenarioReport};
use crate::scenario::verdict::Verdict;

/// The report's text; `evidence` gives what a scenario has left.
pub fn text(run: &RunReport, evidence: &dyn Fn(&ScenarioReport) -> Evidence) -> Result<String> {
    let mut report = Report::new("restart-lab");
    report.set_time(run.elapsed);
    let outcomes = run.outcomes();
    for machine in &run.machines {
        let of = |outcome: &&Outcome<'_>| outcome.last.case.is_on(machine);
        let outcomes: Vec<&Outcome<'_>> = outcomes.iter().filter(of).collect();
        let mut suite = suite(run, machine);
        suite.set_time(time(&outcomes));
        let cases = outcomes
            .iter()
            .map(|outcome| test_case(run, outcome, evidence));
        suite.add_test_cases(cases);
        let at_work = run.unfinished.iter().filter(|case| case.is_on(machine));
        suite.add_test_cases(at_work.map(|case| {
            let why = run.cut.as_deref().unwrap_or("it has not ended");
            let class = class_name(case);
            error_case(&case.scenario, &class, why)
        }));
        report.add_test_suite(suite);
    }
    if let Some(why) = &run.cut {
        // What did not run is no test case: the run itself is one that failed.
        let mut suite = TestSuite::new("the run");
        suite.add_test_case(error_case("run", "lab", why));
        report.add_test_suite(suite);
    }
    report
        .to_string()
        .map_err(|err| Error::lab("writing a JUnit report", err.to_string()))
}

fn error_case(name: &str, class: &str, why: &str) -> TestCase {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    status.set_type("cut").set_message(why);
    let mut case = TestCase::new(name, status);
    case.set_classname(class);
    case
}

/// What tells cases of one name apart.
fn class_name(case: &CaseId) -> String {
    let words = [case.arch.name(), &case.kernel, &case.machine];
    format!("lab.{}", words.map(|word| word.replace('.', "_")).join("."))
}

fn suite(run: &RunReport, machine: &MachineReport) -> TestSuite {
    let mut suite = TestSuite::new(machine.shown());
    let seed = run.seed.to_string();
    for (name, value) in [
        ("run", run.id.as_str()),
        ("seed", &seed),
        ("kernel", &machine.kernel_release),
        ("kernel-sha256", &machine.kernel_sha256),
        ("kernel-cc", &machine.kernel_cc),
        ("initramfs-sha256", &machine.initramfs_sha256),
        ("cpu", &machine.cpu),
        ("accel", machine.accel.name()),
    ] {
        suite.add_property((name, value));
    }
    suite
}

fn time(outcomes: &[&Outcome<'_>]) -> Duration {
    outcomes.iter().map(|outcome| outcome.last.elapsed).sum()
}

fn kind(verdict: Verdict) -> Option<NonSuccessKind> {
    match verdict {
        Verdict::Pass | Verdict::Skip => None,
        Verdict::HostError | Verdict::QemuDied => Some(NonSuccessKind::Error),
        _ => Some(NonSuccessKind::Failure),
    }
}

fn test_case(
    run: &RunReport,
    outcome: &Outcome<'_>,
    evidence: &dyn Fn(&ScenarioReport) -> Evidence,
) -> TestCase {
    let result = outcome.last;
    let mut status = match (kind(result.verdict), result.verdict) {
        (Some(kind), _) => TestCaseStatus::non_success(kind),
        (None, Verdict::Skip) => TestCaseStatus::skipped(),
        (None, _) => TestCaseStatus::success(),
    };
    if result.verdict != Verdict::Pass {
        status.set_type(result.verdict.word());
        status.set_message(summary(result));
    }
    if !result.verdict.is_good() {
        status.set_description(description(run, result));
    }
    for earlier in &outcome.earlier {
        status.add_rerun(rerun(run, earlier, evidence(earlier)));
    }
    let name = match result.case.round {
        1 => result.case.scenario.clone(),
        round => format!("{} (round {round})", result.case.scenario),
    };
    let mut case = TestCase::new(name, status);
    case.set_classname(class_name(&result.case));
    case.set_time(result.elapsed);
    let seed = result.seed.to_string();
    case.add_property(("seed", seed.as_str()));
    let Evidence { output, log } = evidence(result);
    if !output.is_empty() {
        case.set_system_out(output);
    }
    // The log of what went well is in the run's folder, and of no interest to who reads this.
    if !log.is_empty() && !result.verdict.is_good() {
        case.set_system_err(log);
    }
    case
}

fn summary(result: &ScenarioReport) -> &str {
    result.why.lines().next().unwrap_or_default()
}

fn description(run: &RunReport, result: &ScenarioReport) -> String {
    format!(
        "{}\nartifacts: {}\nkernel log: {}",
        result.why,
        run.folder_of(result).display(),
        run.folder.join(result.console()).display()
    )
}

fn rerun(run: &RunReport, earlier: &ScenarioReport, evidence: Evidence) -> TestRerun {
    let mut rerun = TestRerun::new(kind(earlier.verdict).unwrap_or(NonSuccessKind::Failure));
    rerun.set_type(earlier.verdict.word());
    rerun.set_message(summary(earlier));
    rerun.set_description(description(run, earlier));
    rerun.set_time(earlier.elapsed);
    rerun.set_system_out(evidence.output);
    rerun.set_system_err(evidence.log);
    rerun
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::Arch;
    use crate::report::tests::{report, result};

    #[test]
    fn a_run_that_was_cut_has_errors() {
        let mut run = report("1", vec![result("self", Arch::X86_64, Verdict::Pass)]);
        run.cut = Some("the lab was killed".into());
        run.unfinished = vec![crate::report::tests::case("tree", Arch::Arm64)];
        let text = text(&run, &|_| Evidence::default()).unwrap();
        assert!(
            text.contains("tests=\"3\" skipped=\"0\" failures=\"0\" errors=\"2\""),
            "{text}"
        );
        assert_eq!(text.matches("the lab was killed").count(), 2, "{text}");
    }

    #[test]
    fn failures_carry_their_verdict_reason_output_and_log() {
        let a = Arch::Arm64;
        let mut bad = result("futex", a, Verdict::Oops);
        bad.why = "BUG: <bad>\nsecond line".into();
        let mut flaky = result("self", a, Verdict::Pass);
        flaky.attempt = 2;
        let run = report(
            "1",
            vec![
                result("self", a, Verdict::Fail),
                flaky,
                bad,
                result("python", a, Verdict::Skip),
            ],
        );
        let evidence = |result: &ScenarioReport| Evidence {
            output: format!("== {}.out\n\u{1}out\n", result.case.scenario),
            log: "kernel <log>\n".into(),
        };
        let text = text(&run, &evidence).unwrap();
        // The only line that differs from run to run.
        let stable: Vec<&str> = text
            .lines()
            .filter(|line| !line.contains("<testsuites"))
            .collect();
        insta::assert_snapshot!(stable.join("\n"));
        assert_eq!(run.exit_code(), 1);
    }
}
