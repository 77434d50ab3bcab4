// SPDX-License-Identifier: GPL-2.0-only

//! What happens in a run, as a stream of events, and what is known of the run when it is over, which is
//! made of that stream and of nothing else. Who shows and records it is in the modules below: the only
//! ones that print.

pub mod evidence;
pub mod fold;
pub mod history;
pub mod html;
pub mod json;
pub mod junit;
pub mod ktap;
pub mod merge;
pub mod record;
pub mod rejoin;
pub mod terminal;
pub mod timeline;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::arch::Arch;
use crate::error::{AtPath, Result};
use crate::flags::Outputs;
use crate::layout::write_whole;
use crate::qemu::args::CONSOLE_LOG;
use crate::qemu::Accelerator;
use crate::scenario::verdict::Verdict;

/// Something that happened in a run, after everything was built.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum RunEvent {
    /// The run begins.
    Begin(RunHead),
    /// A guest is being booted.
    Boot {
        /// Which of the guests that run at once.
        worker: usize,
        /// Its architecture.
        arch: Arch,
    },
    /// A guest's `/init` has answered.
    Booted {
        /// On which guest.
        worker: usize,
        /// Its architecture.
        arch: Arch,
        /// From the start of QEMU to the answer.
        #[serde(rename = "boot_s", with = "seconds")]
        boot: Duration,
    },
    /// A scenario begins.
    ScenarioBegin {
        /// On which guest.
        worker: usize,
        /// The scenario, and where and how often it is run.
        case: CaseId,
    },
    /// A scenario goes on.
    ScenarioStep {
        /// On which guest.
        worker: usize,
        /// Number of the step, from 0.
        number: usize,
        /// Steps in all.
        count: usize,
        /// The step.
        title: String,
    },
    /// A scenario has ended.
    ScenarioEnd {
        /// On which guest.
        worker: usize,
        /// What came of it.
        result: ScenarioReport,
    },
    /// A guest is not used any more.
    Idle {
        /// Which.
        worker: usize,
    },
    /// The run is over.
    End {
        /// Why it was cut short: the lab's own failure, or the user's wish.
        cut: Option<String>,
    },
}

/// What is known of a run before anything of it has happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunHead {
    /// Its id, which is its folder's name.
    pub id: String,
    /// Its folder, on the machine that it ran on.
    pub folder: PathBuf,
    /// When it began, in seconds since 1970.
    pub started: u64,
    /// Scenarios to be run, one for each architecture and repetition; none if they are repeated without end.
    pub total: Option<usize>,
    /// What all chance in the run follows.
    pub seed: u64,
    /// Which part of what this is, if the run was divided.
    #[serde(default)]
    pub part: Option<Part>,
    /// Who runs the guests' instructions, and why.
    pub machines: Vec<MachineReport>,
}

/// A part of a run that was divided.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Part {
    /// Which, from 1.
    pub index: u32,
    /// Of how many.
    pub count: u32,
    /// What was divided: the same in all parts.
    pub of: String,
}

/// One scenario on one machine, once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CaseId {
    /// The scenario.
    pub scenario: String,
    /// The architecture.
    pub arch: Arch,
    /// The kernel's name in `lab.toml`.
    pub kernel: String,
    /// The machine's name in `lab.toml`.
    pub machine: String,
    /// Which repetition, from 1.
    pub round: u32,
}

impl CaseId {
    /// Architecture, scenario and, of several, the round, for a line of text.
    pub fn shown(&self) -> String {
        let round = match self.round {
            1 => String::new(),
            round => format!(" (round {round})"),
        };
        format!("{:<6} {}{round}", self.arch.name(), self.scenario)
    }

    /// Whether it was run on this machine.
    pub fn is_on(&self, machine: &MachineReport) -> bool {
        (self.arch, &self.kernel, &self.machine)
            == (machine.arch, &machine.kernel, &machine.machine)
    }
}

/// What came of a scenario on one architecture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScenarioReport {
    /// The scenario, and where and how often it was run.
    #[serde(flatten)]
    pub case: CaseId,
    /// Which try at it, from 1; each but the last one failed.
    pub attempt: u32,
    /// How it ended.
    pub verdict: Verdict,
    /// Why, if it is not pass.
    pub why: String,
    /// How long its steps took.
    #[serde(rename = "elapsed_s", with = "seconds")]
    pub elapsed: Duration,
    /// What chance in it followed.
    pub seed: u64,
    /// Its artifacts, below the run's folder.
    pub folder: PathBuf,
}

impl ScenarioReport {
    /// The kernel log, or its part of it, below the run's folder.
    pub fn console(&self) -> PathBuf {
        self.folder.join(CONSOLE_LOG)
    }
}

/// The guests of one architecture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MachineReport {
    /// The architecture.
    pub arch: Arch,
    /// Who runs the instructions.
    pub accel: Accelerator,
    /// Why.
    pub why: String,
    /// The kernel's name in `lab.toml`.
    pub kernel: String,
    /// The kernel's release and hash.
    pub kernel_release: String,
    /// Hash of the kernel's image.
    pub kernel_sha256: String,
    /// The compiler that built its C.
    #[serde(default)]
    pub kernel_cc: String,
    /// Hash of the initramfs.
    pub initramfs_sha256: String,
    /// The machine's name in `lab.toml`.
    pub machine: String,
    /// CPU model.
    pub cpu: String,
    /// Median time from QEMU's start to `/init` in seconds, once it is known.
    #[serde(default)]
    pub boot_s: Option<f64>,
}

impl MachineReport {
    /// Architecture, kernel and machine: what tells it from the others of a report.
    pub fn shown(&self) -> String {
        format!("{} {} {}", self.arch, self.kernel, self.machine)
    }
}

/// A whole run, or several joined into one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// Its id, which is its folder's name; of several, all of them.
    pub id: String,
    /// Its folder.
    pub folder: PathBuf,
    /// When it began, in seconds since 1970.
    pub started: u64,
    /// What all chance in the run follows.
    pub seed: u64,
    /// The guests.
    pub machines: Vec<MachineReport>,
    /// The parts that it is of a run that was divided, or of several.
    #[serde(default)]
    pub parts: Vec<Part>,
    /// What came of each scenario, each try at it, in the order of their ends.
    pub results: Vec<ScenarioReport>,
    /// Scenarios that had begun when the run was cut short.
    pub unfinished: Vec<CaseId>,
    /// Why it was cut short, if it was.
    pub cut: Option<String>,
    /// How long it all took, building not counted.
    #[serde(rename = "elapsed_s", with = "seconds")]
    pub elapsed: Duration,
}

/// All tries at one case.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome<'a> {
    /// The last one, which counts.
    pub last: &'a ScenarioReport,
    /// Those before it.
    pub earlier: Vec<&'a ScenarioReport>,
}

impl Outcome<'_> {
    /// Whether it came right after it had failed.
    pub fn is_flaky(&self) -> bool {
        self.last.verdict == Verdict::Pass && !self.earlier.is_empty()
    }
}

impl RunReport {
    /// Each case with all tries at it, in the order of the last ones.
    pub fn outcomes(&self) -> Vec<Outcome<'_>> {
        let mut tries: BTreeMap<&CaseId, Vec<usize>> = BTreeMap::new();
        for (at, result) in self.results.iter().enumerate() {
            tries.entry(&result.case).or_default().push(at);
        }
        let mut all: Vec<Vec<usize>> = tries.into_values().collect();
        all.sort_by_key(|tries| tries.last().copied());
        let outcome = |tries: Vec<usize>| {
            let (last, earlier) = tries.split_last()?;
            Some(Outcome {
                last: &self.results[*last],
                earlier: earlier.iter().map(|at| &self.results[*at]).collect(),
            })
        };
        all.into_iter().filter_map(outcome).collect()
    }

    /// The process's exit code; a run that was cut short has not passed.
    pub fn exit_code(&self) -> i32 {
        let last = self.outcomes();
        let own = self.cut.as_ref().map(|_| Verdict::HostError);
        Verdict::exit_code(last.iter().map(|outcome| outcome.last.verdict).chain(own))
    }

    /// The folder of a scenario's artifacts.
    pub fn folder_of(&self, result: &ScenarioReport) -> PathBuf {
        self.folder.join(&result.folder)
    }
}

/// Writes a run's reports: each format into `folder`, and those that the user named to where they are wanted.
/// Earlier runs, for comparison, are looked for below `runs`.
pub fn write_all(
    report: &RunReport,
    folder: Option<&Path>,
    outputs: &Outputs,
    runs: &Path,
) -> Result<()> {
    let evidence = |result: &ScenarioReport| evidence::Evidence::read(&report.folder_of(result));
    // What cannot be written keeps nothing else from being.
    let mut written = Ok(());
    for (name, text, wanted) in [
        ("report.json", json::text(report)?, &outputs.json),
        ("junit.xml", junit::text(report, &evidence)?, &outputs.junit),
        ("report.ktap", ktap::text(report), &outputs.ktap),
    ] {
        let own = folder.map(|folder| folder.join(name));
        for path in own.iter().chain(wanted) {
            written = written.and(write_whole(path, text.as_bytes()));
        }
    }
    let history = history::History::read(runs, report);
    let own = folder.map(|folder| folder.join("report.html"));
    for path in own.iter().chain(&outputs.html) {
        let path = std::path::absolute(path).at("looking for", path)?;
        let place = path.parent().unwrap_or(&path);
        let text = html::text(report, &history, place)?;
        written = written.and(write_whole(&path, text.as_bytes()));
    }
    written
}

/// Where a case's artifacts go, below the run's folder.
pub fn folder_of(case: &CaseId, attempt: u32) -> PathBuf {
    let round = match case.round {
        1 => String::new(),
        round => format!("@{round}"),
    };
    let attempt = match attempt {
        1 => String::new(),
        attempt => format!("@try-{attempt}"),
    };
    Path::new(case.arch.name()).join(format!("{}{round}{attempt}", case.scenario))
}

/// A time in seconds, to the millisecond.
mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64((time.as_secs_f64() * 1000.0).round() / 1000.0)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        Duration::try_from_secs_f64(seconds).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    //! Small runs, for the tests of the modules below.

    use super::*;

    pub fn case(name: &str, arch: Arch) -> CaseId {
        CaseId {
            scenario: name.into(),
            arch,
            kernel: "6.12".into(),
            machine: "default".into(),
            round: 1,
        }
    }

    pub fn result(name: &str, arch: Arch, verdict: Verdict) -> ScenarioReport {
        let case = case(name, arch);
        ScenarioReport {
            folder: folder_of(&case, 1),
            case,
            attempt: 1,
            verdict,
            why: match verdict {
                Verdict::Pass => String::new(),
                verdict => format!("because of {verdict}"),
            },
            elapsed: Duration::from_millis(1500),
            seed: 5,
        }
    }

    pub fn head(id: &str, arches: &[Arch]) -> RunHead {
        let machine = |arch: &Arch| MachineReport {
            arch: *arch,
            accel: Accelerator::Tcg,
            why: "asked for".into(),
            kernel: "6.12".into(),
            kernel_release: "6.12.1".into(),
            kernel_sha256: "aa".into(),
            kernel_cc: "gcc 12".into(),
            initramfs_sha256: "bb".into(),
            machine: "default".into(),
            cpu: "max".into(),
            boot_s: None,
        };
        RunHead {
            id: id.into(),
            folder: format!("/runs/{id}").into(),
            started: 1_795_464_900,
            total: Some(3),
            seed: 5,
            part: None,
            machines: arches.iter().map(machine).collect(),
        }
    }

    pub fn report(id: &str, results: Vec<ScenarioReport>) -> RunReport {
        let head = head(id, &Arch::ALL);
        RunReport {
            id: head.id,
            folder: head.folder,
            started: head.started,
            seed: head.seed,
            machines: head.machines,
            parts: vec![],
            results,
            unfinished: vec![],
            cut: None,
            elapsed: Duration::from_secs(3),
        }
    }

    #[test]
    fn only_the_last_try_counts() {
        let x = Arch::X86_64;
        let again = |verdict| ScenarioReport {
            attempt: 2,
            ..result("self", x, verdict)
        };
        let failed = result("self", x, Verdict::Fail);
        let flaky = report("1", vec![failed.clone(), again(Verdict::Pass)]);
        assert_eq!(flaky.exit_code(), 0);
        let outcomes = flaky.outcomes();
        assert!(outcomes.len() == 1 && outcomes[0].is_flaky());
        let mut bad = report("1", vec![failed, again(Verdict::Oops)]);
        assert_eq!((bad.exit_code(), bad.outcomes()[0].is_flaky()), (1, false));
        bad.cut = Some("its machine stopped".into());
        assert_eq!(bad.exit_code(), 5);
    }

    #[test]
    fn each_round_and_try_has_a_folder_of_its_own() {
        let mut case = case("tree", Arch::Arm64);
        assert_eq!(folder_of(&case, 1), Path::new("arm64/tree"));
        case.round = 3;
        assert_eq!(folder_of(&case, 2), Path::new("arm64/tree@3@try-2"));
    }
}
