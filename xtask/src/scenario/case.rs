// SPDX-License-Identifier: GPL-2.0-only

//! One scenario on one guest: its deadlines, the programs it has started and
//! what it keeps. Owns the talk with the guest; the steps are in `steps`,
//! `trees` and `images`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use guest::protocol::{Answer, Op, Task};

use crate::error::{AtPath, Error};
use crate::layout::create_dir;
use crate::qemu::guest::{Guest, Halt, Limit};
use crate::qemu::BootSpec;
use crate::scenario::step::{ExpectFile, Step, WaitFor};
use crate::scenario::tree::Remembered;
use crate::scenario::verdict::{Judgement, Verdict};
use crate::scenario::Scenario;

/// What a step may take on a plain guest under TCG when its file says nothing.
const STEP_LIMIT: Duration = Duration::from_secs(20);
/// What the guest may take to answer, on top of what it was asked to wait.
const ANSWER_MARGIN: Duration = Duration::from_secs(8);
/// Longest text that is read from a guest's file.
const TEXT_LIMIT: u64 = 1 << 20;
/// Largest image that a failed scenario leaves in the run's folder.
const IMAGE_LIMIT: u64 = 64 << 20;

/// Why a scenario does not go on.
#[derive(Debug)]
pub enum Stop {
    /// It has been judged.
    Judged(Judgement),
    /// Its guest is of no more use.
    Halted(Halt),
}

impl From<Halt> for Stop {
    fn from(halt: Halt) -> Stop {
        Stop::Halted(halt)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Halted(Halt::Lab(error))
    }
}

/// Result of a step.
pub type StepResult<T = ()> = Result<T, Stop>;

/// The end of a scenario whose expectation did not hold.
pub fn fail<T>(why: impl Into<String>) -> StepResult<T> {
    Err(Stop::Judged(Judgement::fail(why)))
}

/// How to boot a guest, and how slow guests are here.
#[derive(Debug, Clone)]
pub struct Bench {
    /// What is booted.
    pub spec: BootSpec,
    /// What a boot may take.
    pub boot_limit: Limit,
    /// Factor on every deadline, at least 1.
    pub scale: f64,
    /// Whether the kernel is one as it is published: that it has no checkpoint and restart is no fault
    /// then.
    pub plain: bool,
}

/// A program that the scenario has started.
#[derive(Debug, Clone)]
pub struct Program {
    /// Its pid as /init sees it.
    pub pid: i32,
    /// What it was started as.
    pub argv: Vec<String>,
}

/// A scenario that is being run.
pub struct Case<'a> {
    /// What is run.
    pub scenario: &'a Scenario,
    /// How to boot another guest.
    pub bench: &'a Bench,
    /// What chance in it follows.
    pub seed: u64,
    /// Where the scenario's artifacts go.
    pub folder: PathBuf,
    /// The guest; none between two.
    pub guest: Option<Guest>,
    /// Programs started, by name.
    pub programs: BTreeMap<String, Program>,
    /// Snapshots, by name.
    pub snapshots: BTreeMap<String, Vec<Remembered>>,
    /// Files whose text is kept.
    pub texts: BTreeSet<String>,
    /// Images made so far.
    pub images: BTreeSet<String>,
    /// Guests booted on the way, for their folders' names.
    pub reboots: u32,
    deadline: Instant,
}

impl<'a> Case<'a> {
    /// A scenario about to be run on a booted guest.
    pub fn new(
        scenario: &'a Scenario,
        bench: &'a Bench,
        seed: u64,
        folder: &Path,
        guest: Guest,
    ) -> Result<Self, Error> {
        create_dir(folder)?;
        let limit = Duration::from_secs(scenario.file.timeout_s).mul_f64(bench.scale);
        Ok(Case {
            scenario,
            bench,
            seed,
            folder: folder.to_path_buf(),
            guest: Some(guest),
            programs: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            texts: BTreeSet::new(),
            images: BTreeSet::new(),
            reboots: 0,
            deadline: Instant::now() + limit,
        })
    }

    /// The guest, or the error that there is none.
    pub fn guest(&mut self) -> Result<&mut Guest, Halt> {
        self.guest
            .as_mut()
            .ok_or_else(|| Error::lab("running a scenario", "its guest is gone").into())
    }

    /// What a step may take: its own limit or the usual one, scaled, within what is left of the scenario's time.
    pub fn limit(&self, timeout_s: Option<u64>) -> StepResult<Duration> {
        let own = timeout_s
            .map_or(STEP_LIMIT, Duration::from_secs)
            .mul_f64(self.bench.scale);
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let all = self.scenario.file.timeout_s as f64 * self.bench.scale;
            let why = format!("the scenario has taken more than {all:.0} s");
            return Err(Stop::Judged(Judgement::new(Verdict::Timeout, why)));
        }
        Ok(own.min(left))
    }

    /// Asks the guest for something it is expected to do at once.
    pub fn ask(&mut self, op: Op) -> StepResult<Answer> {
        self.ask_within(op, Duration::ZERO)
    }

    /// Asks the guest for something that may take it `time`.
    pub fn ask_within(&mut self, op: Op, time: Duration) -> StepResult<Answer> {
        let limit = time + ANSWER_MARGIN.mul_f64(self.bench.scale);
        Ok(self.guest()?.ask(op, limit)?)
    }

    /// How long the guest may say nothing while it sends or takes a file.
    pub fn transfer_limit(&self) -> Duration {
        ANSWER_MARGIN.mul_f64(self.bench.scale)
    }

    /// Every task of the guest.
    pub fn tasks(&mut self) -> StepResult<Vec<Task>> {
        match self.ask(Op::Tasks)? {
            Answer::Tasks { tasks } => Ok(tasks),
            other => unexpected("listing tasks", &other),
        }
    }

    /// The text of a file, if it can be read.
    pub fn text(&mut self, path: &str) -> StepResult<Option<String>> {
        match self.ask(Op::Read {
            path: path.to_string(),
            max: TEXT_LIMIT,
        })? {
            Answer::Text { text, .. } => Ok(Some(text)),
            Answer::Failed { .. } => Ok(None),
            other => unexpected("reading a file", &other),
        }
    }

    /// A program that was started, by its name.
    pub fn program(&self, name: &str) -> StepResult<Program> {
        match self.programs.get(name) {
            Some(program) => Ok(program.clone()),
            None => fail(format!("no program \"{name}\" was started in this guest")),
        }
    }

    /// The last lines that a program wrote, for a failure's text.
    pub fn words_of(&mut self, name: &str) -> StepResult<String> {
        let mut words = String::new();
        for file in [
            format!("{name}.err"),
            format!("{name}.log"),
            format!("{name}.out"),
        ] {
            let text = self.text(&file)?.unwrap_or_default();
            let lines: Vec<&str> = text
                .lines()
                .filter(|line| !line.trim().is_empty())
                .collect();
            for line in &lines[lines.len().saturating_sub(4)..] {
                words.push_str(&format!("\n{file}: {line}"));
            }
        }
        Ok(words)
    }

    /// Copies what the scenario has written into its folder: texts always, images when it failed.
    pub fn keep_artifacts(&mut self, failed: bool) -> StepResult {
        let mut texts: BTreeSet<String> = self.texts.clone();
        // Those of steps that were not reached may tell why.
        texts.extend(
            self.scenario
                .file
                .step
                .iter()
                .filter_map(|step| match step {
                    Step::WaitFor(WaitFor { file, .. })
                    | Step::ExpectFile(ExpectFile { file, .. }) => Some(file.clone()),
                    _ => None,
                }),
        );
        for name in self.programs.keys() {
            texts.extend(["out", "err", "log"].map(|end| format!("{name}.{end}")));
        }
        let files = self.folder.join("files");
        for path in texts {
            let Some(text) = self.text(&path)?.filter(|text| !text.is_empty()) else {
                continue;
            };
            create_dir(&files)?;
            let to = files.join(flat(&path));
            std::fs::write(&to, text).at("writing", &to)?;
        }
        if !failed {
            return Ok(());
        }
        for image in self.images.clone() {
            let to = self.folder.join(flat(&image));
            let limit = self.transfer_limit();
            let size = self.size(&image)?;
            if !to.exists() && size.is_some_and(|size| size <= IMAGE_LIMIT) {
                // An image that cannot be had any more is no reason to say less about the failure.
                let _ = self.guest()?.fetch(&image, &to, limit)?;
            }
        }
        Ok(())
    }

    /// The size of a file in bytes, if it is there.
    pub fn size(&mut self, path: &str) -> StepResult<Option<u64>> {
        match self.ask(Op::Size {
            path: path.to_string(),
        })? {
            Answer::Size { bytes } => Ok(Some(bytes)),
            Answer::Failed { .. } => Ok(None),
            other => unexpected("asking for a file's size", &other),
        }
    }
}

/// A guest's path as the name of one file.
pub fn flat(path: &str) -> String {
    path.trim_start_matches('/').replace('/', "_")
}

/// The guest answered something else than what the request calls for.
pub fn unexpected<T>(doing: &str, answer: &Answer) -> StepResult<T> {
    match answer {
        Answer::Failed { why, timeout: true } => Err(Stop::Judged(Judgement::new(
            Verdict::Timeout,
            format!("{doing}: {why}"),
        ))),
        Answer::Failed {
            why,
            timeout: false,
        } => fail(format!("{doing}: {why}")),
        other => Err(Error::lab(doing, format!("the guest answered {other:?}")).into()),
    }
}
