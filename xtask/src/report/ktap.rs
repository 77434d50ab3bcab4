// SPDX-License-Identifier: GPL-2.0-only

//! A run as KTAP (Documentation/dev-tools/ktap.rst): a test for each machine, with its scenarios in it.

use std::fmt::Write;

use crate::report::{CaseId, Outcome, RunReport};
use crate::scenario::verdict::Verdict;

/// The report's text.
pub fn text(run: &RunReport) -> String {
    let outcomes = run.outcomes();
    let mut text = format!("KTAP version 1\n1..{}\n", run.machines.len());
    for (at, machine) in run.machines.iter().enumerate() {
        let of: Vec<&Outcome<'_>> = outcomes
            .iter()
            .filter(|outcome| outcome.last.case.is_on(machine))
            .collect();
        let name = machine.shown();
        let cut: Vec<&CaseId> = run
            .unfinished
            .iter()
            .filter(|case| case.is_on(machine))
            .collect();
        let count = of.len() + cut.len();
        let mut inner = format!("KTAP version 1\n# Subtest: {name}\n1..{count}\n");
        for (at, outcome) in of.iter().enumerate() {
            case(&mut inner, at + 1, outcome);
        }
        for (at, case) in cut.iter().enumerate() {
            let number = of.len() + at + 1;
            let _ = writeln!(
                inner,
                "not ok {number} {} # cut",
                case.scenario.replace('#', "_")
            );
        }
        for line in inner.lines() {
            let _ = writeln!(text, "  {line}");
        }
        let good = cut.is_empty() && of.iter().all(|outcome| outcome.last.verdict.is_good());
        let _ = writeln!(text, "{} {} {name}", word(good), at + 1);
    }
    if let Some(why) = &run.cut {
        let _ = writeln!(text, "Bail out! {}", why.replace('\n', " "));
    }
    text
}

fn word(good: bool) -> &'static str {
    match good {
        true => "ok",
        false => "not ok",
    }
}

fn case(text: &mut String, number: usize, outcome: &Outcome<'_>) {
    let result = outcome.last;
    for line in result.why.lines() {
        // What follows `#` is a diagnostic line of the test below it.
        let _ = writeln!(text, "# {line}");
    }
    let name = result.case.scenario.replace('#', "_");
    let round = match result.case.round {
        1 => String::new(),
        round => format!(" round {round}"),
    };
    let rest = match result.verdict {
        Verdict::Skip => format!(" # SKIP {}", result.why.lines().next().unwrap_or_default()),
        Verdict::Pass if outcome.is_flaky() => {
            format!(" # flaky: try {}", result.attempt)
        }
        Verdict::Pass => String::new(),
        verdict => format!(" # {verdict}"),
    };
    let good = word(result.verdict.is_good());
    let _ = writeln!(text, "{good} {number} {name}{round}{rest}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::Arch;
    use crate::report::tests::{report, result};

    #[test]
    fn a_run_that_was_cut_is_not_ok() {
        let x = Arch::X86_64;
        let mut run = report("1", vec![result("self", x, Verdict::Pass)]);
        run.cut = Some("the lab was killed".into());
        run.unfinished = vec![crate::report::tests::case("tree", x)];
        let text = text(&run);
        assert!(
            text.contains("  not ok 2 tree # cut\nnot ok 1 x86_64"),
            "{text}"
        );
        assert!(text.ends_with("Bail out! the lab was killed\n"), "{text}");
    }

    #[test]
    fn a_machine_is_a_test_with_its_scenarios_in_it() {
        let x = Arch::X86_64;
        let mut flaky = result("self", x, Verdict::Pass);
        flaky.attempt = 2;
        let run = report(
            "1",
            vec![
                result("self", x, Verdict::Fail),
                flaky,
                result("futex", x, Verdict::Oops),
                result("python", x, Verdict::Skip),
            ],
        );
        insta::assert_snapshot!(text(&run), @r"
        KTAP version 1
        1..2
          KTAP version 1
          # Subtest: x86_64 6.12 default
          1..3
          ok 1 self # flaky: try 2
          # because of oops
          not ok 2 futex # oops
          # because of skip
          ok 3 python # SKIP because of skip
        not ok 1 x86_64 6.12 default
          KTAP version 1
          # Subtest: arm64 6.12 default
          1..0
        ok 2 arm64 6.12 default
        ");
    }
}
