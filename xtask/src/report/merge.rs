// SPDX-License-Identifier: GPL-2.0-only

//! Several runs joined into one: the shards of a run that was divided, or runs of other kernels and
//! machines. Refuses what would make the sum say something that no run has seen.

use std::collections::BTreeSet;

use crate::error::{Error, Result};
use crate::report::{MachineReport, Part, RunReport};

const DOING: &str = "joining runs";

/// One report of several.
pub fn merge(runs: Vec<RunReport>) -> Result<RunReport> {
    let mut runs = runs.into_iter().map(with_own_folders);
    let mut all = runs
        .next()
        .ok_or_else(|| Error::usage(DOING, "there is none"))?;
    for run in runs {
        for machine in &run.machines {
            take_machine(&mut all, machine, &run.id)?;
        }
        for result in &run.results {
            let same = |other: &&crate::report::ScenarioReport| {
                (&other.case, other.attempt) == (&result.case, result.attempt)
            };
            if all.results.iter().any(|other| same(&other)) {
                let case = &result.case;
                return Err(Error::usage(
                    DOING,
                    format!(
                        "{} on {}, kernel {}, machine {}, round {} is in {} and in {}",
                        case.scenario,
                        case.arch,
                        case.kernel,
                        case.machine,
                        case.round,
                        all.id,
                        run.id
                    ),
                )
                .hint("shards are made by --partition 1/N to N/N of the same run"));
            }
        }
        all.id = format!("{} {}", all.id, run.id);
        all.started = all.started.min(run.started);
        all.elapsed += run.elapsed;
        all.results.extend(run.results);
        all.unfinished.extend(run.unfinished);
        all.cut = all.cut.or(run.cut);
        all.parts.extend(run.parts);
    }
    let missing = missing(&all.parts);
    if !missing.is_empty() {
        let why = format!("not all parts are here: {}", missing.join(", "));
        all.cut = Some(all.cut.map_or(why.clone(), |cut| format!("{cut}; {why}")));
    }
    Ok(all)
}

/// The parts that are not there, of all that one of is, in words.
fn missing(parts: &[Part]) -> Vec<String> {
    let mut missing = BTreeSet::new();
    for part in parts {
        for index in 1..=part.count {
            let wanted = Part {
                index,
                ..part.clone()
            };
            if !parts.contains(&wanted) {
                missing.insert(wanted);
            }
        }
    }
    let words = |part: &Part| format!("{}/{} of {}", part.index, part.count, part.of);
    missing.iter().map(words).collect()
}

/// Artifacts are in the folder of the run that they are of.
fn with_own_folders(mut run: RunReport) -> RunReport {
    for result in &mut run.results {
        result.folder = run.folder.join(&result.folder);
    }
    run
}

fn take_machine(all: &mut RunReport, machine: &MachineReport, id: &str) -> Result<()> {
    let name = |machine: &MachineReport| {
        (
            machine.arch,
            machine.kernel.clone(),
            machine.machine.clone(),
        )
    };
    let Some(same) = all
        .machines
        .iter()
        .find(|other| name(other) == name(machine))
    else {
        all.machines.push(machine.clone());
        return Ok(());
    };
    for (what, one, other) in [
        ("kernel image", &same.kernel_sha256, &machine.kernel_sha256),
        (
            "initramfs",
            &same.initramfs_sha256,
            &machine.initramfs_sha256,
        ),
        ("CPU model", &same.cpu, &machine.cpu),
    ] {
        if one != other {
            return Err(Error::usage(
                DOING,
                format!(
                    "{} of {} and of {id} booted different things under one name ({} {}, machine {}): {what} {one} and {other}",
                    "the guests", all.id, machine.arch, machine.kernel, machine.machine
                ),
            )
            .hint("run the shards from the same commit, with the same tools"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::Arch;
    use crate::report::tests::{report, result};
    use crate::scenario::verdict::Verdict;

    #[test]
    fn shards_make_the_whole() {
        let (x, a) = (Arch::X86_64, Arch::Arm64);
        let one = report("1", vec![result("self", x, Verdict::Pass)]);
        let two = report(
            "2",
            vec![
                result("self", a, Verdict::Pass),
                result("tree", x, Verdict::Fail),
            ],
        );
        let all = merge(vec![one, two]).unwrap();
        assert_eq!((all.id.as_str(), all.results.len()), ("1 2", 3));
        assert_eq!(all.exit_code(), 1);
        assert_eq!(all.results[2].folder.to_str(), Some("/runs/2/x86_64/tree"));
    }

    #[test]
    fn a_part_that_is_missing_makes_it_a_run_that_was_cut() {
        let part = |index: u32| {
            let mut run = report(&index.to_string(), vec![]);
            run.parts = vec![Part {
                index,
                count: 3,
                of: "arm64".into(),
            }];
            run
        };
        let two = merge(vec![part(1), part(3)]).unwrap();
        let why = two.cut.clone().unwrap();
        assert!(why.contains("2/3 of arm64"), "{why}");
        assert_eq!(two.exit_code(), 5);
        assert_eq!(merge(vec![part(1), part(3), part(2)]).unwrap().cut, None);
    }

    #[test]
    fn the_same_case_twice_and_two_kernels_of_one_name_are_refused() {
        let run = |id: &str| report(id, vec![result("self", Arch::X86_64, Verdict::Pass)]);
        let error = merge(vec![run("1"), run("2")]).unwrap_err().to_string();
        assert!(error.contains("self on x86_64"), "{error}");
        let mut other = report("2", vec![]);
        other.machines[0].kernel_sha256 = "cc".into();
        let error = merge(vec![run("1"), other]).unwrap_err().to_string();
        assert!(error.contains("kernel image aa and cc"), "{error}");
        assert!(merge(vec![]).is_err());
    }
}
