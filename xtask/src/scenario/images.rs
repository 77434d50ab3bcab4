// SPDX-License-Identifier: GPL-2.0-only

//! The steps that make, restart and damage images.

use std::time::{Duration, Instant};

use guest::protocol::{Answer, Op};

use crate::error::AtPath;
use crate::scenario::case::{fail, flat, unexpected, Case, StepResult, Stop};
use crate::scenario::damage;
use crate::scenario::difference::differences;
use crate::scenario::step::{
    Checkpoint, CompareImages, Damage, EditImage, Fails, ForEachRecord, Mode, Pids, Restart, Spawn,
    Then,
};
use crate::scenario::steps::{plain, start, wait, Ended};
use crate::scenario::trees::tree_of;
use crate::scenario::verdict::{Judgement, Verdict};

/// What `mktree` says once every task runs.
const RESTARTED: &str = "restarted ";
/// Exit statuses of `mktree` by which it refuses an image: unreadable, or not restarted by the kernel.
const REFUSALS: [i32; 2] = [2, 3];
/// How long the tasks of a refused tree may take to be gone.
const BURIAL: Duration = Duration::from_secs(2);

/// See [`crate::scenario::step::Step::Checkpoint`].
pub fn checkpoint(case: &mut Case, step: &Checkpoint) -> StepResult {
    let limit = case.limit(step.timeout_s)?;
    let program = case.program(&step.of)?;
    let tasks = case.tasks()?;
    let root = tree_of(&tasks, &step.of, &program)?[0].pid;
    let name = format!("checkpoint-{}", case.programs.len() + 1);
    let then = match step.then {
        Then::Kill => "--kill",
        Then::LeaveRunning => "--leave-running",
    };
    let log = format!("{name}.log");
    let argv = ["checkpoint", then, "--log", &log, &root.to_string()]
        .map(str::to_string)
        .to_vec();
    start(
        case,
        &Spawn {
            stdout: Some(step.image.clone()),
            ..plain(&name, argv)
        },
        false,
    )?;
    let ended = wait(case, &name, limit)?;
    case.images.insert(step.image.clone());
    match &step.fails {
        Some(fails) => refused(case, &name, "checkpoint", &ended, fails),
        None if ended.signal.is_none() && ended.code == 0 => {
            if step.then == Then::Kill {
                gone(case, &step.of)?;
            }
            Ok(())
        }
        None => {
            let words = case.words_of(&name)?;
            fail(format!(
                "checkpoint of {}: {}{words}",
                step.of,
                ended.words()
            ))
        }
    }
}

/// The tree was killed: collects its root, which /init may be the parent of.
fn gone(case: &mut Case, name: &str) -> StepResult {
    let limit = case.limit(None)?;
    wait(case, name, limit).map(drop)
}

/// A refusal must be one line, and have the status and the words that are expected.
fn refused(case: &mut Case, name: &str, what: &str, ended: &Ended, fails: &Fails) -> StepResult {
    let mut said = case.text(&format!("{name}.err"))?.unwrap_or_default();
    let lines = said.lines().count();
    said.push_str(&case.text(&format!("{name}.log"))?.unwrap_or_default());
    let shown = said.trim().replace('\n', " | ");
    let good = match fails.status {
        Some(status) => ended.code == status,
        None => ended.code != 0,
    };
    if ended.signal.is_some() || !good {
        let expected = fails
            .status
            .map_or("a status other than 0".to_string(), |status| {
                format!("status {status}")
            });
        return fail(format!(
            "{what} must be refused: expected {expected}, found {}; it says: {shown}",
            ended.words()
        ));
    }
    match fails.says.iter().find(|text| !said.contains(text.as_str())) {
        Some(text) => fail(format!(
            "{what} must be refused with \"{text}\"; it says: {shown}"
        )),
        None if lines != 1 => fail(format!(
            "{what} must be refused in one line on stderr, found {lines}; it says: {shown}"
        )),
        None => Ok(()),
    }
}

fn mktree(name: &str, pids: Pids, mode: Mode, options: &[String]) -> Vec<String> {
    let pids = match pids {
        Pids::Original => "--pids",
        Pids::New => "--no-pids",
    };
    let mode = match mode {
        Mode::Coordinator => "--coordinator",
        Mode::Root => "--root",
    };
    let mut argv: Vec<String> = ["mktree", pids, mode, "--copy-status", "--log"]
        .map(str::to_string)
        .to_vec();
    argv.push(format!("{name}.log"));
    argv.extend(options.iter().cloned());
    argv
}

/// See [`crate::scenario::step::Step::Restart`].
pub fn restart(case: &mut Case, step: &Restart) -> StepResult {
    let limit = case.limit(step.timeout_s)?;
    let argv = mktree(&step.name, step.pids, step.mode, &step.options);
    let spawn = Spawn {
        stdin: Some(step.image.clone()),
        uid: step.uid,
        ..plain(&step.name, argv)
    };
    start(case, &spawn, true)?;
    match (outcome(case, &step.name, limit)?, &step.fails) {
        (Outcome::Runs, None) => Ok(()),
        (Outcome::Runs, Some(_)) => fail("restart must be refused, and the tree runs".to_string()),
        (Outcome::Ended(ended), Some(fails)) => refused(case, &step.name, "restart", &ended, fails),
        (Outcome::Ended(ended), None) => {
            let words = case.words_of(&step.name)?;
            fail(format!(
                "the tree was not restarted: mktree: {}{words}",
                ended.words()
            ))
        }
    }
}

/// What became of a restart.
enum Outcome {
    /// `mktree` says that the tree runs.
    Runs,
    /// `mktree` has ended without having said so.
    Ended(Ended),
}

/// Waits until it is known what becomes of a restart.
fn outcome(case: &mut Case, name: &str, limit: Duration) -> StepResult<Outcome> {
    let said = Op::WaitFor {
        path: format!("{name}.out"),
        text: RESTARTED.to_string(),
        count: 1,
        writers: vec![name.to_string()],
        timeout_ms: limit.as_millis() as u64,
    };
    match case.ask_within(said, limit)? {
        Answer::Done => return Ok(Outcome::Runs),
        Answer::Over => {}
        Answer::Failed { timeout: true, .. } => {
            let words = case.words_of(name)?;
            let why = format!(
                "the tree was not restarted within {:.1} s{words}",
                limit.as_secs_f64()
            );
            return Err(Stop::Judged(Judgement::new(Verdict::Timeout, why)));
        }
        other => return unexpected("waiting for the restart", &other),
    }
    let end = Op::Wait {
        name: name.to_string(),
        timeout_ms: 0,
    };
    match case.ask(end)? {
        Answer::Exited {
            code,
            signal,
            elapsed_ms,
        } => Ok(Outcome::Ended(Ended {
            code,
            signal,
            elapsed_ms,
        })),
        other => unexpected("waiting for mktree's end", &other),
    }
}

/// See [`crate::scenario::step::Step::ForEachRecord`].
pub fn for_each_record(case: &mut Case, step: &ForEachRecord) -> StepResult {
    let image = fetch(case, &step.image)?;
    let records = match damage::extents(&image) {
        Ok(records) => records,
        Err(err) => return fail(format!("{}: {err}", step.image)),
    };
    let mut order: Vec<usize> = (0..records.len()).collect();
    if step.damage == Damage::Truncate {
        // What is cut off does not come back.
        order.reverse();
    }
    for number in order {
        let record = &records[number];
        let (undo, what) = match step.damage {
            Damage::Flip => {
                let (offset, xor) = damage::byte_to_flip(record, number as u64);
                let flip = Op::Tamper {
                    path: step.image.clone(),
                    offset,
                    xor,
                };
                (Some(flip), format!("byte {offset} flipped by {xor:#04x}"))
            }
            Damage::Truncate => (
                None,
                format!("cut at byte {}", damage::cut_at(record, number as u64)),
            ),
        };
        let done = match &undo {
            Some(flip) => flip.clone(),
            None => Op::Truncate {
                path: step.image.clone(),
                len: damage::cut_at(record, number as u64),
            },
        };
        change(case, done)?;
        let what = format!("record {number} ({}), {what}", record.kind.name());
        must_refuse(case, step, number, &what)?;
        if let Some(flip) = undo {
            change(case, flip)?;
        }
    }
    Ok(())
}

fn change(case: &mut Case, op: Op) -> StepResult {
    match case.ask(op)? {
        Answer::Done => Ok(()),
        other => unexpected("damaging an image", &other),
    }
}

/// Restarts a damaged image: a clear refusal that names the record, and no task left.
fn must_refuse(case: &mut Case, step: &ForEachRecord, number: usize, what: &str) -> StepResult {
    let limit = case.limit(None)?;
    let name = format!("damaged-{number}");
    let argv = mktree(&name, step.pids, step.mode, &[]);
    start(
        case,
        &Spawn {
            stdin: Some(step.image.clone()),
            ..plain(&name, argv)
        },
        false,
    )?;
    let ended = wait(case, &name, limit)?;
    let said = case.text(&format!("{name}.err"))?.unwrap_or_default();
    if ended.signal.is_some() || !REFUSALS.contains(&ended.code) {
        let words = case.words_of(&name)?;
        return fail(format!(
            "{what}: expected status 2 or 3 of mktree, found {}{words}",
            ended.words()
        ));
    }
    if !said.contains(&format!("record {number} ")) {
        return fail(format!(
            "{what}: mktree must name record {number}; it says: {}",
            said.trim()
        ));
    }
    no_task(case, &step.comm, what)
}

fn no_task(case: &mut Case, comm: &str, what: &str) -> StepResult {
    let deadline = Instant::now() + BURIAL.mul_f64(case.bench.scale);
    loop {
        let tasks = case.tasks()?;
        let left = tasks
            .iter()
            .filter(|task| task.comm == comm || task.comm == "mktree")
            .count();
        if left == 0 {
            return Ok(());
        }
        if Instant::now() > deadline {
            return fail(format!(
                "{what}: {left} tasks of the refused tree are still there"
            ));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// See [`crate::scenario::step::Step::EditImage`].
pub fn edit(case: &mut Case, step: &EditImage) -> StepResult {
    let image = fetch(case, &step.image)?;
    let changed = match damage::change(&image, step.change) {
        Ok(changed) => changed,
        Err(why) => return fail(format!("{}: {why}", step.image)),
    };
    let from = case.folder.join(flat(&step.to));
    std::fs::write(&from, changed).at("writing", &from)?;
    let limit = case.transfer_limit();
    match case.guest()?.store(&from, &step.to, 0o600, limit)? {
        Ok(()) => Ok(()),
        Err(why) => fail(format!("storing {}: {why}", step.to)),
    }
}

/// See [`crate::scenario::step::Step::CompareImages`].
pub fn compare(case: &mut Case, step: &CompareImages) -> StepResult {
    let (image, other) = (fetch(case, &step.image)?, fetch(case, &step.with)?);
    match differences(&image, &other, &step.except) {
        Err(why) => fail(why),
        Ok(found) if found.is_empty() => Ok(()),
        Ok(found) => fail(format!("the images differ:\n{}", found.join("\n"))),
    }
}

fn fetch(case: &mut Case, path: &str) -> StepResult<Vec<u8>> {
    let (to, limit) = (case.folder.join(flat(path)), case.transfer_limit());
    match case.guest()?.fetch(path, &to, limit)? {
        Ok(_) => Ok(std::fs::read(&to).at("reading", &to)?),
        Err(why) => fail(format!("fetching {path}: {why}")),
    }
}
