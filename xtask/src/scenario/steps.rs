// SPDX-License-Identifier: GPL-2.0-only

//! The steps that start, signal, wait for and judge programs and files. What
//! concerns images and trees is in `images` and `trees`.

use std::time::Duration;

use guest::protocol::{Answer, Op, Target, SCALE, SEED};

use crate::scenario::case::{fail, flat, unexpected, Case, Program, StepResult, Stop};
use crate::scenario::check::{signal_name, signal_number};
use crate::scenario::expect::{judge_text, last_lines, unlike};
use crate::scenario::step::{Run, Signal, Spawn, Step, WaitFor, Whom};
use crate::scenario::trees::tree_of;
use crate::scenario::verdict::{Judgement, Verdict};

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Exit code, if no signal killed it.
    pub code: i32,
    /// The signal that killed it.
    pub signal: Option<i32>,
    /// Milliseconds from its start to its end.
    pub elapsed_ms: u64,
}

impl Ended {
    /// "exit code 3" or "SIGSEGV".
    pub fn words(&self) -> String {
        self.signal
            .map_or_else(|| format!("exit code {}", self.code), signal_name)
    }
}

/// Does one step.
pub fn perform(case: &mut Case, step: &Step) -> StepResult {
    match step {
        Step::Spawn(step) => spawn(case, step),
        Step::Run(step) => run(case, step),
        Step::WaitFor(step) => wait_for(case, step),
        Step::SleepMs(time) => {
            let time = Duration::from_millis(*time).min(case.limit(None)?);
            Ok(case.guest()?.rest(time)?)
        }
        Step::Signal(step) => signal(case, step),
        Step::ExpectExit(step) => super::expect::expect_exit(case, step),
        Step::ExpectFile(step) => super::expect::expect_file(case, step),
        Step::ExpectTasks(step) => super::expect::expect_tasks(case, step),
        Step::Checkpoint(step) => super::images::checkpoint(case, step),
        Step::Restart(step) => super::images::restart(case, step),
        Step::ForEachRecord(step) => super::images::for_each_record(case, step),
        Step::EditImage(step) => super::images::edit(case, step),
        Step::CompareImages(step) => super::images::compare(case, step),
        Step::Snapshot(step) => super::trees::snapshot(case, step),
        Step::Compare(step) => super::trees::compare(case, step),
        Step::Reboot(step) => super::reboot::reboot(case, step),
        Step::Write(step) => match case.ask(Op::Write {
            path: step.file.clone(),
            text: step.text.clone(),
        })? {
            Answer::Done => Ok(()),
            other => unexpected(&format!("writing {}", step.file), &other),
        },
        Step::Keep(path) => {
            let (to, limit) = (case.folder.join(flat(path)), case.transfer_limit());
            match case.guest()?.fetch(path, &to, limit)? {
                Ok(_) => Ok(()),
                Err(why) => fail(format!("keeping {path}: {why}")),
            }
        }
    }
}

/// A step in a few words, for progress and failures.
pub fn title(step: &Step) -> String {
    match step {
        Step::Spawn(step) => format!("spawn {}", step.argv.join(" ")),
        Step::Run(step) => format!("run {}", step.argv.join(" ")),
        Step::WaitFor(step) => format!("wait for \"{}\" in {}", step.text, step.file),
        Step::SleepMs(time) => format!("sleep {time} ms"),
        Step::Signal(step) => format!("signal {} to {}", step.signal, step.to),
        Step::Checkpoint(step) => format!("checkpoint {} to {}", step.of, step.image),
        Step::Restart(step) => format!("restart {} as {}", step.image, step.name),
        Step::ExpectExit(step) => format!("expect the end of {}", step.of),
        Step::ExpectFile(step) => format!("expect file {}", step.file),
        Step::ExpectTasks(step) => format!("expect {} tasks {}", step.count, step.comm),
        Step::Snapshot(step) => format!("snapshot of {}", step.of),
        Step::Compare(step) => format!("compare {} with {}", step.of, step.with),
        Step::ForEachRecord(step) => format!("each record of {}", step.image),
        Step::EditImage(step) => format!("edit {} to {}", step.image, step.to),
        Step::CompareImages(step) => format!("compare {} with {}", step.image, step.with),
        Step::Reboot(_) => "reboot".to_string(),
        Step::Write(step) => format!("write {}", step.file),
        Step::Keep(path) => format!("keep {path}"),
    }
}

fn spawn(case: &mut Case, step: &Spawn) -> StepResult {
    start(case, step, true)
}

/// Starts a program under its name; `cgroup`: in a cgroup of that name.
pub fn start(case: &mut Case, step: &Spawn, cgroup: bool) -> StepResult {
    let ours = [
        (SCALE.to_string(), case.bench.scale.to_string()),
        (SEED.to_string(), case.seed.to_string()),
    ];
    let op = Op::Spawn {
        name: step.name.clone(),
        argv: step.argv.clone(),
        env: ours.into_iter().chain(step.env.clone()).collect(),
        cgroup,
        container: step.container,
        uid: step.uid,
        stdin: step.stdin.clone(),
        stdout: step.stdout.clone(),
    };
    match case.ask(op)? {
        Answer::Started { pid } => {
            case.programs.insert(
                step.name.clone(),
                Program {
                    pid,
                    argv: step.argv.clone(),
                },
            );
            Ok(())
        }
        other => unexpected(&format!("starting {}", step.argv.join(" ")), &other),
    }
}

/// A program to be started without anything special.
pub fn plain(name: &str, argv: Vec<String>) -> Spawn {
    Spawn {
        name: name.to_string(),
        argv,
        env: Default::default(),
        container: false,
        uid: None,
        stdin: None,
        stdout: None,
    }
}

/// Waits for a program's end.
pub fn wait(case: &mut Case, name: &str, limit: Duration) -> StepResult<Ended> {
    let op = Op::Wait {
        name: name.to_string(),
        timeout_ms: limit.as_millis() as u64,
    };
    match case.ask_within(op, limit)? {
        Answer::Exited {
            code,
            signal,
            elapsed_ms,
        } => Ok(Ended {
            code,
            signal,
            elapsed_ms,
        }),
        Answer::Failed { why, timeout: true } => {
            let words = case.words_of(name)?;
            let why = format!(
                "{name} has not ended within {:.1} s ({why}){words}",
                limit.as_secs_f64()
            );
            Err(Stop::Judged(Judgement::new(Verdict::Timeout, why)))
        }
        other => unexpected(&format!("waiting for {name}"), &other),
    }
}

fn run(case: &mut Case, step: &Run) -> StepResult {
    let name = format!("run-{}", case.programs.len() + 1);
    let limit = case.limit(step.timeout_s)?;
    start(
        case,
        &Spawn {
            uid: step.uid,
            ..plain(&name, step.argv.clone())
        },
        true,
    )?;
    let ended = wait(case, &name, limit)?;
    if ended.signal.is_some() || ended.code != step.code {
        let words = case.words_of(&name)?;
        return unlike(
            &ended,
            &format!(
                "expected exit code {}, found {}{words}",
                step.code,
                ended.words()
            ),
        );
    }
    let mut output = case.text(&format!("{name}.out"))?.unwrap_or_default();
    output.push_str(&case.text(&format!("{name}.err"))?.unwrap_or_default());
    judge_text(
        &format!("the output of {}", step.argv.join(" ")),
        &output,
        &step.has,
        &step.lacks,
        None,
    )
}

fn wait_for(case: &mut Case, step: &WaitFor) -> StepResult {
    case.texts.insert(step.file.clone());
    let limit = case.limit(step.timeout_s)?;
    let op = Op::WaitFor {
        path: step.file.clone(),
        text: step.text.clone(),
        count: step.count,
        writers: case.programs.keys().cloned().collect(),
        timeout_ms: limit.as_millis() as u64,
    };
    let (verdict, when) = match case.ask_within(op, limit)? {
        Answer::Done => return Ok(()),
        Answer::Over => (Verdict::Fail, "before all programs had ended".to_string()),
        Answer::Failed { timeout: true, .. } => (
            Verdict::Timeout,
            format!("within {:.1} s", limit.as_secs_f64()),
        ),
        other => return unexpected(&format!("waiting for \"{}\"", step.text), &other),
    };
    let found = case.text(&step.file)?;
    let found = found.map_or("there is no such file".to_string(), |text| {
        format!("it holds: {}", last_lines(&text))
    });
    let mut why = format!(
        "{} x \"{}\" did not appear {when}; {found}",
        step.count, step.text
    );
    for name in case.programs.keys().cloned().collect::<Vec<_>>() {
        why.push_str(&case.words_of(&name)?);
    }
    Err(Stop::Judged(Judgement::new(verdict, why)))
}

fn signal(case: &mut Case, step: &Signal) -> StepResult {
    let Some(number) = signal_number(&step.signal) else {
        return fail(format!("there is no signal {}", step.signal));
    };
    let program = case.program(&step.to)?;
    let tasks = case.tasks()?;
    let tree = tree_of(&tasks, &step.to, &program)?;
    let pids: Vec<i32> = match step.whom {
        Whom::Root => tree.iter().take(1).map(|task| task.pid).collect(),
        Whom::All => tree.iter().map(|task| task.pid).collect(),
    };
    for pid in pids {
        match case.ask(Op::Signal {
            target: Target::Pid(pid),
            signal: number,
        })? {
            Answer::Done => {}
            other => unexpected(&format!("sending SIG{} to task {pid}", step.signal), &other)?,
        }
    }
    Ok(())
}
