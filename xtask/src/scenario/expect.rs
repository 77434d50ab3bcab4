// SPDX-License-Identifier: GPL-2.0-only

//! The steps that judge: how programs ended, what files hold, which tasks are there.

use std::time::{Duration, Instant};

use crate::scenario::case::{fail, Case, StepResult, Stop};
use crate::scenario::check::signal_number;
use crate::scenario::step::{ExpectExit, ExpectFile, ExpectTasks};
use crate::scenario::steps::{wait, Ended};
use crate::scenario::verdict::{Judgement, Verdict};

/// How often something that is to come true is looked at.
const POLL: Duration = Duration::from_millis(20);

/// The judgement of a program that ended in another way than it should.
pub fn unlike(ended: &Ended, why: &str) -> StepResult {
    let verdict = if ended.signal.is_some() {
        Verdict::Signal
    } else {
        Verdict::Fail
    };
    Err(Stop::Judged(Judgement::new(verdict, why)))
}

/// See [`crate::scenario::step::Step`].
pub fn expect_exit(case: &mut Case, step: &ExpectExit) -> StepResult {
    let limit = case.limit(step.timeout_s)?;
    let ended = wait(case, &step.of, limit)?;
    let as_expected = match &step.signal {
        Some(name) => ended.signal == signal_number(name),
        None => ended.signal.is_none() && ended.code == step.code.unwrap_or(0),
    };
    if !as_expected {
        let expected = match &step.signal {
            Some(name) => format!("SIG{name}"),
            None => format!("exit code {}", step.code.unwrap_or(0)),
        };
        let mut words = case.words_of(&step.of)?;
        for file in case.texts.clone() {
            let text = case.text(&file)?.unwrap_or_default();
            let failures = text.lines().filter(|line| line.contains("fail"));
            words.extend(failures.map(|line| format!("\n{file}: {line}")));
        }
        return unlike(
            &ended,
            &format!(
                "expected {expected} of {}, found {}{words}",
                step.of,
                ended.words()
            ),
        );
    }
    match step.after_ms {
        Some(least) if ended.elapsed_ms < least => fail(format!(
            "{} ended after {} ms, expected at least {least} ms",
            step.of, ended.elapsed_ms
        )),
        _ => Ok(()),
    }
}

/// See [`crate::scenario::step::Step`].
pub fn expect_file(case: &mut Case, step: &ExpectFile) -> StepResult {
    let Some(bytes) = case.size(&step.file)? else {
        return fail(format!("{}: there is no such file", step.file));
    };
    let mib = bytes as f64 / (1 << 20) as f64;
    if step.max_mib.is_some_and(|most| mib > most as f64)
        || step.min_mib.is_some_and(|least| mib < least as f64)
    {
        let (least, most) = (
            step.min_mib.unwrap_or(0),
            step.max_mib.map_or("any".into(), |most| most.to_string()),
        );
        return fail(format!(
            "{}: expected {least} to {most} MiB, found {mib:.1} MiB",
            step.file
        ));
    }
    if step.has.is_empty() && step.lacks.is_empty() {
        return Ok(());
    }
    case.texts.insert(step.file.clone());
    let text = case.text(&step.file)?.unwrap_or_default();
    judge_text(&step.file, &text, &step.has, &step.lacks, step.count)
}

/// Judges what a text has and has not.
pub fn judge_text(
    what: &str,
    text: &str,
    has: &[String],
    lacks: &[String],
    count: Option<usize>,
) -> StepResult {
    for wanted in has {
        let found = text.matches(wanted.as_str()).count();
        let good = count.map_or(found > 0, |count| found == count);
        if !good {
            let expected = count.map_or(String::new(), |count| format!("{count} x "));
            return fail(format!(
                "{what}: expected {expected}\"{wanted}\", found {found}; it holds: {}",
                last_lines(text)
            ));
        }
    }
    match lacks
        .iter()
        .find(|unwanted| text.contains(unwanted.as_str()))
    {
        Some(unwanted) => fail(format!(
            "{what}: expected no \"{unwanted}\"; it holds: {}",
            last_lines(text)
        )),
        None => Ok(()),
    }
}

/// The last lines of a text, in one.
pub fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(8)..];
    if last.is_empty() {
        "nothing".to_string()
    } else {
        last.join(" | ")
    }
}

/// See [`crate::scenario::step::Step`].
pub fn expect_tasks(case: &mut Case, step: &ExpectTasks) -> StepResult {
    let limit = match step.timeout_s {
        Some(_) => case.limit(step.timeout_s)?,
        None => Duration::ZERO,
    };
    let deadline = Instant::now() + limit;
    loop {
        let tasks = case.tasks()?;
        let found = tasks.iter().filter(|task| task.comm == step.comm).count();
        if found == step.count {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return fail(format!(
                "expected {} tasks {}, found {found}",
                step.count, step.comm
            ));
        }
        std::thread::sleep(POLL);
    }
}
