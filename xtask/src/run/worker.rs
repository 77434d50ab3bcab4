// SPDX-License-Identifier: GPL-2.0-only

//! One place for a guest: boots what the next job wants, runs the job, keeps
//! the guest for the next if it is still sound.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::arch::Arch;
use crate::error::{Error, Result};
use crate::event::{Event, Sink};
use crate::exec;
use crate::layout::{copy_whole, create_dir, write_whole};
use crate::qemu::args::CONSOLE_LOG;
use crate::qemu::guest::{Guest, Halt, Limit};
use crate::report::{folder_of, RunEvent, ScenarioReport};
use crate::repro;
use crate::run::queue::{Job, Queue, Taken};
use crate::run::{reference_boot, Ready};
use crate::scenario::case::Bench;
use crate::scenario::play::{interruption, not_booted, play, Played};
use crate::scenario::verdict::{Judgement, Verdict};

/// What a boot may take at most, on a plain kernel; nothing is known of the machine before the first.
const BOOT_LIMIT: Duration = Duration::from_secs(30);
/// The most by which deadlines grow with the measured boot.
const SCALE_LIMIT: f64 = 20.0;

/// A guest that waits for its next job.
struct Kept {
    guest: Guest,
    bench: Bench,
}

/// Takes jobs until none is left; `guests` counts those that were booted.
pub fn work(
    worker: usize,
    ready: &Ready,
    queue: &Queue,
    guests: &AtomicUsize,
    sink: &dyn Sink,
) -> Result<()> {
    let mut kept = None;
    while let Some(job) = queue.take(kept.as_ref().map(|kept: &Kept| &kept.bench.spec)) {
        // Closed while the job still holds its processors: whoever waits for them finds nothing to do.
        let done = work_on(worker, &job, kept, ready, guests, sink);
        let (good, guest) = done.inspect_err(|_| queue.close())?;
        if !good {
            queue.failed(&job);
        }
        kept = guest;
    }
    Ok(())
}

/// Does one job, on the guest of the last one if it fits. Whether it went well, and the guest, if it can be
/// used again.
fn work_on(
    worker: usize,
    job: &Taken<'_>,
    kept: Option<Kept>,
    ready: &Ready,
    guests: &AtomicUsize,
    sink: &dyn Sink,
) -> Result<(bool, Option<Kept>)> {
    let fits = |kept: &Kept| kept.bench.spec == job.spec && !job.scenario.file.fresh_guest;
    // The old guest ends before a new one begins: both would share a processor.
    let guest = kept.filter(fits);
    let folder = ready.folder.path.join(folder_of(&job.case, job.attempt));
    sink.emit(Event::Run(RunEvent::ScenarioBegin {
        worker,
        case: job.case.clone(),
    }));
    let started = Instant::now();
    let boots = usize::from(guest.is_none());
    let number = guests.fetch_add(boots, Ordering::Relaxed) + boots;
    let guest = match guest {
        Some(guest) => Ok(guest),
        None => boot(worker, ready, job, number, sink),
    };
    let (played, bench) = match guest {
        Ok(guest) => play_one(worker, ready, job, guest, &folder, sink)?,
        Err(halt) => {
            let judgement = not_booted(&job.scenario, &interruption(halt)?);
            keep_boot_log(ready, job, number, &folder)?;
            (
                Played {
                    judgement,
                    elapsed: started.elapsed(),
                    guest: None,
                },
                None,
            )
        }
    };
    if exec::interrupted() {
        return Err(Error::interrupted("running scenarios"));
    }
    let result = report(job, &folder, &played.judgement, played.elapsed)?;
    repro::write(job, result.verdict, &folder, ready)?;
    let good = result.verdict.is_good();
    sink.emit(Event::Run(RunEvent::ScenarioEnd { worker, result }));
    let kept = played.guest.zip(bench);
    Ok((good, kept.map(|(guest, bench)| Kept { guest, bench })))
}

fn boot(
    worker: usize,
    ready: &Ready,
    job: &Job,
    number: usize,
    sink: &dyn Sink,
) -> std::result::Result<Kept, Halt> {
    let spec = &job.spec;
    sink.emit(Event::Run(RunEvent::Boot {
        worker,
        arch: spec.arch,
    }));
    let folder = guest_folder(ready, spec.arch, number);
    let boot_limit = boot_limit(job.scenario.file.boot_timeout_s, ready.slowdown);
    let guest = Guest::boot(spec, &folder, boot_limit)?;
    let boot = guest.hello().boot;
    sink.emit(Event::Run(RunEvent::Booted {
        worker,
        arch: spec.arch,
        boot,
    }));
    let measured = boot.as_secs_f64() / reference_boot(spec.arch, spec.accel).as_secs_f64();
    let scale = measured.max(ready.slowdown).clamp(1.0, SCALE_LIMIT);
    Ok(Kept {
        guest,
        bench: Bench {
            spec: spec.clone(),
            boot_limit,
            scale,
            plain: ready.plain,
        },
    })
}

/// What a boot may take: what the scenario says, in seconds, on a kernel that takes so many times as long.
fn boot_limit(own: Option<u64>, slowdown: f64) -> Limit {
    Limit {
        own: own.map_or(BOOT_LIMIT, Duration::from_secs),
        times: slowdown,
    }
}

/// The log of the guest that did not boot goes to the scenario that wanted it.
fn keep_boot_log(ready: &Ready, job: &Job, number: usize, folder: &Path) -> Result<()> {
    let log = guest_folder(ready, job.spec.arch, number).join(CONSOLE_LOG);
    match log.exists() {
        true => copy_whole(&log, &folder.join(CONSOLE_LOG)),
        false => Ok(()),
    }
}

fn guest_folder(ready: &Ready, arch: Arch, number: usize) -> PathBuf {
    ready.folder.arch(arch).join(format!("guest-{number}"))
}

fn play_one(
    worker: usize,
    ready: &Ready,
    job: &Taken<'_>,
    kept: Kept,
    folder: &Path,
    sink: &dyn Sink,
) -> Result<(Played, Option<Bench>)> {
    let scenario = job.scenario.with_seed(job.seed)?;
    let count = scenario.file.step.len();
    let watch = |number: usize, title: &str| {
        sink.emit(Event::Run(RunEvent::ScenarioStep {
            worker,
            number,
            count,
            title: title.to_string(),
        }));
    };
    let Kept { guest, bench } = kept;
    // Its guest may have been booted for another.
    let bench = Bench {
        boot_limit: boot_limit(job.scenario.file.boot_timeout_s, ready.slowdown),
        ..bench
    };
    let rest = |time| job.rest(time);
    let played = play(&scenario, &bench, job.seed, folder, guest, &watch, &rest)?;
    Ok((played, Some(bench)))
}

fn report(
    job: &Job,
    folder: &Path,
    judgement: &Judgement,
    elapsed: Duration,
) -> Result<ScenarioReport> {
    create_dir(folder)?;
    if !judgement.verdict.is_good() || judgement.verdict == Verdict::Skip {
        write_whole(
            &folder.join("why.txt"),
            format!("{}: {}\n", judgement.verdict, judgement.why).as_bytes(),
        )?;
    }
    Ok(ScenarioReport {
        case: job.case.clone(),
        attempt: job.attempt,
        verdict: judgement.verdict,
        why: judgement.why.clone(),
        elapsed,
        seed: job.seed,
        folder: folder_of(&job.case, job.attempt),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_says_what_its_boot_may_take_and_the_kernel_how_much_longer() {
        assert_eq!(boot_limit(Some(5), 1.0).whole(), Duration::from_secs(5));
        assert_eq!(boot_limit(Some(5), 8.0).whole(), Duration::from_secs(40));
        assert_eq!(boot_limit(None, 2.0).whole(), BOOT_LIMIT * 2);
    }
}
