// SPDX-License-Identifier: GPL-2.0-only

//! What does not fit together inside a scenario file: names used before they
//! are given, empty command lines, signals that nobody knows. Pure.

use std::collections::BTreeSet;

use crate::arch::Arch;
use crate::config::{undefined, CPUS};
use crate::scenario::file::{Cpus, PerArch, ScenarioFile};
use crate::scenario::step::Step;

/// Signals by name, with the number that both architectures give them.
const SIGNALS: &[(&str, i32)] = &[
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("CHLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("SYS", 31),
];

/// The number of a signal.
pub fn signal_number(name: &str) -> Option<i32> {
    SIGNALS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, number)| *number)
}

/// The name of a signal, `SIG` in front.
pub fn signal_name(number: i32) -> String {
    let known = SIGNALS.iter().find(|(_, known)| *known == number);
    known.map_or_else(
        || format!("signal {number}"),
        |(name, _)| format!("SIG{name}"),
    )
}

/// Everything that is wrong.
pub fn problems(scenario: &ScenarioFile) -> Vec<String> {
    let mut problems = Vec::new();
    if scenario.arch.is_empty() {
        problems.push("arch names no architecture".to_string());
    }
    if scenario.step.is_empty() {
        problems.push("there is no step".to_string());
    }
    if !(1..=3600).contains(&scenario.timeout_s) {
        problems.push(format!(
            "timeout-s {} is not in 1..3600",
            scenario.timeout_s
        ));
    }
    if scenario
        .boot_timeout_s
        .is_some_and(|seconds| !(1..=600).contains(&seconds))
    {
        problems.push("boot-timeout-s is not in 1..600".to_string());
    }
    let cpus = scenario.cpus.as_ref().map(Cpus::numbers);
    if cpus.is_some_and(|cpus| cpus.is_empty() || cpus.iter().any(|cpus| !CPUS.contains(cpus))) {
        problems.push(format!(
            "cpus is not a number in {}..{}, or some of them",
            CPUS.start(),
            CPUS.end()
        ));
    }
    if scenario
        .memory_mib
        .is_some_and(|mib| !(128..=65536).contains(&mib))
    {
        problems.push("memory-mib is not in 128..65536".to_string());
    }
    if scenario
        .console_mib
        .is_some_and(|mib| !(1..=4096).contains(&mib))
    {
        problems.push("console-mib is not in 1..4096".to_string());
    }
    for (at, program) in scenario.program.iter().enumerate() {
        let missing: Vec<&str> = scenario
            .arch
            .iter()
            .filter(|arch| program.from.get(**arch).is_none())
            .map(|arch| arch.name())
            .collect();
        if !missing.is_empty() {
            problems.push(format!(
                "program {}: from has no path for {}",
                at + 1,
                missing.join(", ")
            ));
        }
        if matches!(&program.from, PerArch::Each(paths) if paths.is_empty())
            || !program.to.starts_with('/')
        {
            problems.push(format!(
                "program {}: to \"{}\" is not an absolute path",
                at + 1,
                program.to
            ));
        }
    }
    let mut names = Names::default();
    for (at, step) in scenario.step.iter().enumerate() {
        let found = names.check(step, &scenario.arch);
        problems.extend(
            found
                .into_iter()
                .map(|problem| format!("step {}: {problem}", at + 1)),
        );
    }
    problems
}

/// Names given so far.
#[derive(Default)]
struct Names {
    programs: BTreeSet<String>,
    snapshots: BTreeSet<String>,
}

impl Names {
    fn check(&mut self, step: &Step, arches: &BTreeSet<Arch>) -> Vec<String> {
        match step {
            Step::Spawn(spawn) => self
                .give(&spawn.name)
                .into_iter()
                .chain(argv(&spawn.argv))
                .collect(),
            Step::Run(run) => argv(&run.argv),
            Step::Restart(restart) => self.give(&restart.name),
            Step::Checkpoint(checkpoint) => self.know(&checkpoint.of),
            Step::Signal(step) => self
                .know(&step.to)
                .into_iter()
                .chain(signal(&step.signal))
                .collect(),
            Step::ExpectExit(step) => {
                let both = step.code.is_some() && step.signal.is_some();
                let both = both.then(|| "expect-exit has both code and signal".to_string());
                self.know(&step.of)
                    .into_iter()
                    .chain(step.signal.as_deref().and_then(signal))
                    .chain(both)
                    .collect()
            }
            Step::Snapshot(step) => {
                self.snapshots.insert(step.name.clone());
                self.know(&step.of)
            }
            Step::Compare(step) => {
                let known: Vec<&str> = self.snapshots.iter().map(String::as_str).collect();
                let missing = !self.snapshots.contains(&step.with);
                let missing = missing.then(|| undefined("snapshot", &step.with, &known));
                self.know(&step.of).into_iter().chain(missing).collect()
            }
            Step::Reboot(step) => {
                self.programs.clear();
                let partial =
                    !step.cpu.is_empty() && !arches.iter().all(|arch| step.cpu.contains_key(arch));
                partial
                    .then(|| {
                        "reboot: cpu does not name a model for every architecture of the scenario"
                            .to_string()
                    })
                    .into_iter()
                    .collect()
            }
            Step::WaitFor(step) if step.text.is_empty() => {
                vec!["wait-for: text is empty".to_string()]
            }
            Step::WaitFor(_)
            | Step::SleepMs(_)
            | Step::ExpectFile(_)
            | Step::ExpectTasks(_)
            | Step::ForEachRecord(_)
            | Step::EditImage(_)
            | Step::CompareImages(_)
            | Step::Write(_)
            | Step::Keep(_) => Vec::new(),
        }
    }

    fn give(&mut self, name: &str) -> Vec<String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || !name.chars().all(plain) {
            return vec![format!(
                "name \"{name}\": only letters, digits, '_' and '-' are possible"
            )];
        }
        if !self.programs.insert(name.to_string()) {
            return vec![format!("name \"{name}\" is given twice")];
        }
        Vec::new()
    }

    fn know(&self, name: &str) -> Vec<String> {
        if self.programs.contains(name) {
            return Vec::new();
        }
        let known: Vec<&str> = self.programs.iter().map(String::as_str).collect();
        vec![undefined("program", name, &known)]
    }
}

fn argv(argv: &[String]) -> Vec<String> {
    match argv.first() {
        Some(program) if !program.is_empty() => Vec::new(),
        _ => vec!["argv names no program".to_string()],
    }
}

fn signal(name: &str) -> Option<String> {
    let known: Vec<&str> = SIGNALS.iter().map(|(name, _)| *name).collect();
    signal_number(name)
        .is_none()
        .then(|| undefined("signal", name, &known))
}

#[cfg(test)]
mod tests {
    use crate::scenario::file::ScenarioFile;

    fn error(text: &str) -> String {
        ScenarioFile::parse("x.toml", text).unwrap_err().to_string()
    }

    #[test]
    fn unknown_keys_and_steps_come_with_a_suggestion() {
        insta::assert_snapshot!(error("description = 'x'\ntimeout = 3\nstep = []\n"));
        insta::assert_snapshot!(error(
            "description = 'x'\n[[step]]\nspwan = { name = 'a', argv = ['b'] }\n"
        ));
    }

    #[test]
    fn all_problems_are_reported_at_once() {
        insta::assert_snapshot!(error(
            "description = 'x'\ntimeout-s = 0\n\
             [[step]]\nspawn = { name = 'tree', argv = [] }\n\
             [[step]]\nsignal = { to = 'treee', signal = 'TREM' }\n\
             [[step]]\ncompare = { of = 'tree', with = 'before' }\n"
        ));
    }

    #[test]
    fn a_good_file_is_read() {
        let text = "description = 'x'\n[[step]]\nspawn = { name = 'a', argv = ['/bin/true'] }\n\
                    [[step]]\nexpect-exit = { of = 'a' }\n[[step]]\nsleep-ms = 5\n";
        assert_eq!(ScenarioFile::parse("x.toml", text).unwrap().step.len(), 3);
    }
}
