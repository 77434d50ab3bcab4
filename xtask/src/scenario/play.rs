// SPDX-License-Identifier: GPL-2.0-only

//! A scenario from its first step to its judgement: steps, artifacts, what it
//! left in the guest, what the kernel log says.

use std::path::Path;
use std::time::{Duration, Instant};

use guest::protocol::{Answer, Op, Task, LEAK_AGE};

use crate::error::{AtPath, Error, Result};
use crate::layout::{copy_whole, write_whole};
use crate::qemu::args::CONSOLE_LOG;
use crate::qemu::console::Finding;
use crate::qemu::guest::{Guest, Halt};
use crate::report::timeline::Restarts;
use crate::scenario::case::{Bench, Case, StepResult, Stop};
use crate::scenario::order;
use crate::scenario::step::Step;
use crate::scenario::steps::{perform, title};
use crate::scenario::verdict::{Judgement, Verdict};
use crate::scenario::Scenario;

/// kmemleak's report in a scenario's folder.
const LEAKS: &str = "leaks.txt";
/// What looking for leaks may take.
const LEAKS_TIME: Duration = Duration::from_secs(20);

/// What came of a scenario.
pub struct Played {
    /// How it ended, and why.
    pub judgement: Judgement,
    /// How long its steps took.
    pub elapsed: Duration,
    /// The guest, if it can be used again.
    pub guest: Option<Guest>,
}

/// Runs a scenario on a guest; chance in it follows `seed`. `watch` sees each step's number, from 0, and title;
/// `rest` waits, while the guest has nothing to do.
pub fn play(
    scenario: &Scenario,
    bench: &Bench,
    seed: u64,
    folder: &Path,
    mut guest: Guest,
    watch: &dyn Fn(usize, &str),
    rest: &dyn Fn(Duration),
) -> Result<Played> {
    let started = Instant::now();
    guest.console().advance()?;
    guest.console().begin();
    let log_start = guest.console().offset();
    let seen = guest.console().advance()?.len();
    let mut case = Case::new(scenario, bench, seed, folder, guest)?;
    let mut judgement = match missing(&case) {
        Some(why) => Judgement::skip(why),
        None => run_steps(&mut case, watch),
    };
    let elapsed = started.elapsed();
    let mut alive = judgement.verdict.leaves_guest_sound() || judgement.verdict == Verdict::Timeout;
    let (mut taint, mut leaks, mut breach) = (0, String::new(), None);
    if alive {
        match clean_up(&mut case, &judgement, rest) {
            Ok(left) => {
                taint = left.taint;
                leaks = left.leaks;
                if judgement.verdict.is_good() && !left.tasks.is_empty() {
                    let words = task_words(&left.tasks);
                    judgement = Judgement::fail(format!("tasks were left behind: {words}"));
                }
                breach = left.breach;
            }
            Err(stop) => {
                alive = false;
                let late = judgement_of(stop, false);
                if judgement.verdict.is_good() {
                    judgement = Judgement {
                        why: format!("cleaning up: {}", late.why),
                        ..late
                    };
                }
            }
        }
    }
    // A guest that was booted on the way has a log of its own.
    let (log_start, seen) = if case.reboots > 0 {
        (0, 0)
    } else {
        (log_start, seen)
    };
    if case.guest.is_none() {
        keep_last_log(folder, case.reboots)?;
    }
    let (findings, guest) = end_log(case.guest.take(), folder, log_start, seen)?;
    let sound = alive
        && taint == 0
        && findings.is_empty()
        && case.reboots == 0
        && judgement.verdict.leaves_guest_sound();
    let judgement = judgement
        .with_log(&findings, taint)
        .against(scenario.file.expect_verdict, &scenario.file.expect_why);
    let judgement = with_leaks(judgement, &leaks, taint, folder)?;
    let judgement = breach.into_iter().fold(judgement, Judgement::spoilt);
    let guest = guest.filter(|_| sound && !scenario.file.fresh_guest);
    Ok(Played {
        judgement,
        elapsed,
        guest,
    })
}

/// What the scenario needs and the guest does not have.
fn missing(case: &Case) -> Option<&'static str> {
    if !case.bench.plain {
        return None;
    }
    let has = case
        .guest
        .as_ref()
        .is_some_and(|guest| guest.hello().syscalls);
    let needs = case.scenario.file.step.iter().any(Step::needs_syscalls);
    (needs && !has).then_some("this kernel has no checkpoint and restart")
}

fn run_steps(case: &mut Case, watch: &dyn Fn(usize, &str)) -> Judgement {
    let scenario = case.scenario;
    for (number, step) in scenario.file.step.iter().enumerate() {
        let title = title(step);
        watch(number, &title);
        if let Err(stop) = perform(case, step) {
            let judgement = judgement_of(stop, matches!(step, Step::Reboot(_)));
            let why = format!(
                "step {} of {}, {title}: {}",
                number + 1,
                scenario.file.step.len(),
                judgement.why
            );
            return Judgement { why, ..judgement };
        }
    }
    Judgement::pass()
}

fn judgement_of(stop: Stop, booting: bool) -> Judgement {
    match stop {
        Stop::Judged(judgement) => judgement,
        Stop::Halted(halt) => Judgement::of_halt(&halt, booting),
    }
}

/// What a scenario left in the guest.
struct Left {
    tasks: Vec<Task>,
    taint: u64,
    /// kmemleak's report, empty if there is nothing to report.
    leaks: String,
    /// How a restart broke the rules, if one did.
    breach: Option<String>,
}

/// Keeps what was written, and has the guest remove what is left and look for what is lost.
fn clean_up(case: &mut Case, judgement: &Judgement, rest: &dyn Fn(Duration)) -> StepResult<Left> {
    case.keep_artifacts(!judgement.verdict.is_good())?;
    let time = Duration::from_secs(10).mul_f64(case.bench.scale);
    let (tasks, taint, breach) = match case.ask_within(Op::Reset, time)? {
        Answer::Leftovers {
            tasks,
            taint,
            restarts,
            restarts_lost,
        } => {
            let all = Restarts::of(&restarts, restarts_lost);
            all.write(&case.folder)?;
            let breach = order::breach(&all).or_else(|| never_left(&all, taint));
            (tasks, taint, breach)
        }
        other => return super::case::unexpected("cleaning up the guest", &other),
    };
    let mut leaks = String::new();
    if case.guest()?.hello().finds_leaks {
        let time = LEAKS_TIME.mul_f64(case.bench.scale);
        match case.ask_within(Op::NoteMemory, time)? {
            Answer::Done => rest(LEAK_AGE),
            other => return super::case::unexpected("noting what memory there is", &other),
        }
        leaks = match case.ask_within(Op::Leaks, time)? {
            Answer::Text { text, .. } => text,
            other => return super::case::unexpected("looking for leaks", &other),
        };
    }
    Ok(Left {
        tasks,
        taint,
        leaks,
        breach,
    })
}

/// Who has not left a restart, though the guest has seen all tasks go. One that died inside the kernel could not.
fn never_left(all: &Restarts, taint: u64) -> Option<String> {
    match taint & TAINT_DIE {
        0 => order::never_left(all),
        _ => None,
    }
}

/// Memory that the kernel lost is a failure of its own, whatever else was found or expected; the report
/// goes into the scenario's folder. What a task held that died inside the kernel nobody can give back.
fn with_leaks(judgement: Judgement, leaks: &str, taint: u64, folder: &Path) -> Result<Judgement> {
    if leaks.is_empty() {
        return Ok(judgement);
    }
    write_whole(&folder.join(LEAKS), leaks.as_bytes())?;
    match taint & TAINT_DIE {
        0 => Ok(judgement.spoilt(leak_words(leaks))),
        _ => Ok(judgement),
    }
}

/// The kernel's mark of an oops (TAINT_DIE).
const TAINT_DIE: u64 = 1 << 7;

/// Frames of a backtrace that are told.
const FRAMES: usize = 4;

/// How many objects a report of kmemleak is about, and who allocated the first of them: in the first
/// scenario of a guest that may have been the boot, whose tasks are `swapper` and `init`.
fn leak_words(report: &str) -> String {
    let is_head = |line: &&str| line.starts_with("unreferenced object");
    let count = report.lines().filter(is_head).count();
    let trace = report
        .lines()
        .skip_while(|line| !line.trim_start().starts_with("backtrace"))
        .skip(1)
        .take_while(|line| line.starts_with(' '));
    let names = trace.map(|line| {
        let symbol = line.trim().split('+').next().unwrap_or_default();
        // The alternate form leaves out the hash.
        format!("{:#}", rustc_demangle::demangle(symbol))
    });
    // Who asked the allocator is of interest, not how it works.
    let callers = names.skip_while(|name| name.contains("alloc"));
    let frames: Vec<String> = callers.take(FRAMES).collect();
    format!(
        "the kernel lost memory: {count} objects, the first by {} ({LEAKS} has all of kmemleak's report)",
        frames.join(" < ")
    )
}

fn task_words(tasks: &[Task]) -> String {
    tasks
        .iter()
        .map(|task| format!("{} ({}, {})", task.pid, task.comm, task.state))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The scenario's part of the kernel log goes into its folder; what it holds beyond the `seen` first findings.
fn end_log(
    guest: Option<Guest>,
    folder: &Path,
    start: u64,
    seen: usize,
) -> Result<(Vec<Finding>, Option<Guest>)> {
    let Some(mut guest) = guest else {
        return Ok((Vec::new(), None));
    };
    let findings = guest
        .console()
        .advance()?
        .iter()
        .skip(seen)
        .cloned()
        .collect();
    let part = guest.console().since(start)?;
    let to = folder.join(CONSOLE_LOG);
    std::fs::write(&to, part).at("writing", &to)?;
    Ok((findings, Some(guest)))
}

/// The log of the last guest that a scenario tried to boot.
fn keep_last_log(folder: &Path, reboots: u32) -> Result<()> {
    let log = folder.join(format!("reboot-{reboots}")).join(CONSOLE_LOG);
    match log.exists() {
        true => copy_whole(&log, &folder.join(CONSOLE_LOG)),
        false => Ok(()),
    }
}

/// The judgement of a scenario whose guest did not boot.
pub fn not_booted(scenario: &Scenario, halt: &Halt) -> Judgement {
    Judgement::of_halt(halt, true).against(scenario.file.expect_verdict, &scenario.file.expect_why)
}

/// The user's wish to stop, if that is why a guest halted.
pub fn interruption(halt: Halt) -> std::result::Result<Halt, Error> {
    match halt {
        Halt::Lab(error) if error.kind() == crate::error::Kind::Interrupted => Err(error),
        other => Ok(other),
    }
}

#[cfg(test)]
mod tests {
    use super::{leak_words, never_left, with_leaks, Judgement, Restarts, LEAKS, TAINT_DIE};
    use crate::report::timeline::tests::words;

    #[test]
    fn who_never_left_counts_unless_a_task_died_inside_the_kernel() {
        let mut moments = words(4);
        moments.pop();
        let all = Restarts::of(&moments, 0);
        assert_eq!(never_left(&all, TAINT_DIE), None);
        assert!(never_left(&all, 1 << 9).is_some());
    }

    #[test]
    fn leaks_count_unless_a_task_died_with_what_it_held() {
        let dir = tempfile::tempdir().unwrap();
        let judged =
            |taint| with_leaks(Judgement::pass(), "unreferenced object", taint, dir.path());
        assert_eq!(judged(TAINT_DIE).unwrap(), Judgement::pass());
        assert!(dir.path().join(LEAKS).exists());
        assert!(!judged(1 << 9).unwrap().verdict.is_good());
    }

    #[test]
    fn leaks_are_told_by_their_number_and_who_allocated_the_first() {
        let report = "unreferenced object 0xffff888006525100 (size 192):
  comm \"mktree\", pid 41, jiffies 4294894625
  hex dump (first 32 bytes):
    00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  ................
  backtrace (crc 0):
    kmemleak_alloc+0x23/0x30
    krealloc_noprof+0x77/0x110
    rust_helper_krealloc+0x9/0x10
    _RNvMNtNtCsl7L7n58I0Vr_6kernel5alloc9allocatorNtB2_11ReallocFunc4call+0x50/0x70
    _RNvMs_NtNtCsgezwNPMtUdl_7cr_main4glue7monitorNtB4_7Context7publish+0x5a/0x1560
    rust_restart+0x3a73/0x3d50
unreferenced object 0xffff888006525200 (size 64):
  comm \"mktree\", pid 41, jiffies 4294894625
";
        assert_eq!(
            leak_words(report),
            "the kernel lost memory: 2 objects, the first by \
             <cr_main::glue::monitor::Context>::publish < rust_restart \
             (leaks.txt has all of kmemleak's report)"
        );
    }
}
