// SPDX-License-Identifier: GPL-2.0-only

//! Times what saves and restarts a tree, as a user would call it. After each restart the tree verifies its memory and
//! its pids, and nothing of it may be left.
//!
//! Arguments: ROUNDS TASKS MEGABYTES. Each task has so much memory, with 0 a page. Says a
//! [`crate::bench::Sample`] a line on stdout.

use crate::bench::Sample;
use crate::cli::{finish, Failure, USAGE};
use crate::init::spawn::{self, Command as Spawn};
use crate::procfs::{self, Stat};
use crate::restarts::bury;
use crate::tree;
use crate::wait;
use nix::sys::prctl;
use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

/// The tree's program, and the name of its tasks.
const TREE: &str = "t_mass";
/// What the tree says, in the working directory, as all of these.
const STATUS: &str = "bench.status";
/// The image.
const IMAGE: &str = "bench.ckpt";
/// What a program has said on stderr.
const ERRORS: &str = "bench.said";
/// Exit status: something did not go well.
const FAILED: u8 = 2;

/// What is asked for.
struct Request {
    rounds: u64,
    tasks: u64,
    megabytes: u64,
}

fn parse(args: &[String]) -> Result<Request, String> {
    let [rounds, tasks, megabytes] = args else {
        return Err("expected ROUNDS TASKS MEGABYTES".into());
    };
    let number = |text: &String| {
        let number = text.parse::<u64>();
        number.map_err(|err| format!("{text:?}: expected a number: {err}"))
    };
    Ok(Request {
        rounds: number(rounds)?,
        tasks: number(tasks)?,
        megabytes: number(megabytes)?,
    })
}

/// Milliseconds from the start of a program to its end, which must be a good one.
fn timed(command: &mut Command) -> Result<f64, String> {
    let errors = File::create(ERRORS).map_err(|err| format!("{ERRORS}: {err}"))?;
    let begun = Instant::now();
    let status = command.stderr(errors).status();
    let took = begun.elapsed().as_secs_f64() * 1000.0;
    let status = status.map_err(|err| format!("starting {command:?}: {err}"))?;
    if status.success() {
        return Ok(took);
    }
    let said = fs::read_to_string(ERRORS).unwrap_or_default();
    Err(format!("{command:?}: {status}: {}", said.trim()))
}

/// Saves the tree of `pid` and kills it.
fn save(pid: i32) -> Result<f64, String> {
    let image = File::create(IMAGE).map_err(|err| format!("{IMAGE}: {err}"))?;
    let mut command = Command::new("checkpoint");
    timed(command.args(["--kill", &pid.to_string()]).stdout(image))
}

/// Makes the saved tree anew.
fn restart() -> Result<f64, String> {
    let image = File::open(IMAGE).map_err(|err| format!("{IMAGE}: {err}"))?;
    let mut command = Command::new("mktree");
    // What it says of itself is none of ours.
    timed(command.arg("--no-wait").stdin(image).stdout(Stdio::null()))
}

/// The tasks of the tree, and what `mktree` has left to look after them.
fn found() -> Result<Vec<Stat>, String> {
    let mut tasks = procfs::stats().map_err(|err| format!("/proc: {err}"))?;
    tasks.retain(|task| [TREE, "mktree"].contains(&task.comm.as_str()));
    Ok(tasks)
}

/// Waits until nothing of the tree is left, and its pids are free.
fn gone() -> Result<(), String> {
    let mut left = Vec::new();
    let gone = wait::answer(tree::patience(), || {
        bury();
        left = found()?;
        Ok(left.is_empty().then_some(()))
    })?;
    gone.ok_or_else(|| format!("left behind: {left:?}"))
}

/// Waits until the tree says so.
fn said(word: &str) -> Result<(), String> {
    let answer = wait::answer(tree::patience(), || {
        let text = fs::read_to_string(STATUS).unwrap_or_default();
        if text.contains("fail") {
            return Err(format!("{TREE}: {}", text.trim()));
        }
        Ok(text.lines().any(|line| line == word).then_some(()))
    })?;
    answer.ok_or_else(|| format!("{TREE} has not said {word:?}"))
}

/// Tells the restarted tree, of so many tasks, to verify what it has and to end.
fn end(tasks: u64) -> Result<(), String> {
    let all: Vec<Stat> = found()?.into_iter().filter(|task| task.comm == TREE).collect();
    if all.len() as u64 != tasks {
        return Err(format!("tasks after the restart: expected {tasks}, found {}", all.len()));
    }
    let is_root = |task: &&Stat| !all.iter().any(|other| other.pid == task.ppid);
    let root = all.iter().find(is_root).ok_or("the tree has no root")?;
    let sent = kill(Pid::from_raw(root.pid), Signal::SIGTERM);
    sent.map_err(|err| format!("SIGTERM to the root {}: {err}", root.pid))?;
    said("pass")
}

fn round(request: &Request) -> Result<Sample, String> {
    // What the last round has left; there may be nothing.
    let _ = fs::remove_file(STATUS);
    let (tasks, megabytes) = (request.tasks.to_string(), request.megabytes.to_string());
    let pid = spawn::spawn(&Spawn {
        name: TREE.into(),
        argv: vec![TREE.into(), STATUS.into(), tasks, megabytes],
        cgroup: true,
        ..Spawn::default()
    })?;
    said("ready")?;
    let save_ms = save(pid)?;
    gone()?;
    let restart_ms = restart()?;
    end(request.tasks)?;
    gone()?;
    Ok(Sample {
        save_ms,
        restart_ms,
    })
}

fn measure(request: &Request) -> Result<(), String> {
    prctl::set_child_subreaper(true).map_err(|err| format!("PR_SET_CHILD_SUBREAPER: {err}"))?;
    // The first warms the caches and is not counted.
    for number in 0..=request.rounds {
        let sample = round(request).map_err(|why| format!("round {number}: {why}"))?;
        let line = serde_json::to_string(&sample).map_err(|err| err.to_string())?;
        if number > 0 {
            println!("{line}");
        }
    }
    Ok(())
}

/// Runs with the arguments of the process.
pub fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let request = parse(&args).map_err(|why| Failure::new(USAGE, why));
    finish(
        "bench_restart",
        request.and_then(|request| {
            let measured = measure(&request);
            measured.map(|()| 0).map_err(|why| Failure::new(FAILED, why))
        }),
    )
}
