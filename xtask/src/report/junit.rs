// SPDX-License-Identifier: GPL-2.0-only

//! A run as JUnit XML: a suite for each architecture.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use crate::error::{Error, Result};
use crate::report::{RunReport, ScenarioReport};
use crate::scenario::verdict::Verdict;

/// The report's text.
pub fn text(run: &RunReport) -> Result<String> {
    let mut report = Report::new("restart-lab");
    report.set_time(run.elapsed);
    for machine in &run.machines {
        let mut suite = TestSuite::new(machine.arch.name());
        for (name, value) in [
            ("run", &run.id),
            ("kernel", &machine.kernel_release),
            ("kernel-sha256", &machine.kernel_sha256),
            ("initramfs-sha256", &machine.initramfs_sha256),
            ("cpu", &machine.cpu),
        ] {
            suite.add_property((name, value.as_str()));
        }
        suite.add_property(("accel", machine.accel.name()));
        let results = run
            .results
            .iter()
            .filter(|result| result.arch == machine.arch);
        suite.add_test_cases(results.map(test_case));
        report.add_test_suite(suite);
    }
    report
        .to_string()
        .map_err(|err| Error::lab("writing a JUnit report", err.to_string()))
}

fn test_case(result: &ScenarioReport) -> TestCase {
    let mut status = match result.verdict {
        Verdict::Pass => TestCaseStatus::success(),
        Verdict::Skip => TestCaseStatus::skipped(),
        Verdict::HostError | Verdict::QemuDied => {
            TestCaseStatus::non_success(NonSuccessKind::Error)
        }
        _ => TestCaseStatus::non_success(NonSuccessKind::Failure),
    };
    if result.verdict != Verdict::Pass {
        status.set_type(result.verdict.word());
        status.set_message(result.why.lines().next().unwrap_or_default());
    }
    if !result.verdict.is_good() {
        status.set_description(format!(
            "{}\nartifacts: {}\nkernel log: {}",
            result.why,
            result.folder.display(),
            result.console.display()
        ));
    }
    let name = match result.round {
        1 => result.scenario.clone(),
        round => format!("{} (round {round})", result.scenario),
    };
    let mut case = TestCase::new(name, status);
    case.set_classname(format!("lab.{}", result.arch));
    case.set_time(result.elapsed);
    case
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::Arch;
    use crate::qemu::Accelerator;
    use crate::report::MachineReport;
    use std::time::Duration;

    #[test]
    fn failures_carry_their_verdict_and_reason() {
        let result = |scenario: &str, verdict, why: &str| ScenarioReport {
            scenario: scenario.into(),
            arch: Arch::Arm64,
            round: 1,
            verdict,
            why: why.into(),
            elapsed: Duration::from_millis(1500),
            folder: "/runs/1/arm64/x".into(),
            console: "/runs/1/arm64/x/console.log".into(),
        };
        let run = RunReport {
            id: "1".into(),
            folder: "/runs/1".into(),
            machines: vec![MachineReport {
                arch: Arch::Arm64,
                accel: Accelerator::Tcg,
                why: "asked for".into(),
                kernel: "6.12".into(),
                kernel_release: "6.12.1".into(),
                kernel_sha256: "aa".into(),
                initramfs_sha256: "bb".into(),
                cpu: "max".into(),
            }],
            boot_s: vec![],
            results: vec![
                result("self", Verdict::Pass, ""),
                result("futex", Verdict::Oops, "BUG: <bad>\nsecond line"),
                result("python", Verdict::Skip, "no network"),
            ],
            elapsed: Duration::from_secs(3),
        };
        let text = text(&run).unwrap();
        // The only line that differs from run to run.
        let stable: Vec<&str> = text
            .lines()
            .filter(|line| !line.contains("<testsuites"))
            .collect();
        insta::assert_snapshot!(stable.join("\n"));
        assert_eq!(run.exit_code(), 1);
    }
}
