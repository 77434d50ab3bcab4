// SPDX-License-Identifier: GPL-2.0-only

//! `lab run`, from top to bottom: scenarios, plan, build, guests, report.

pub mod folder;
pub mod lines;
pub mod preview;
pub mod queue;
pub mod select;
pub mod worker;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::arch::Arch;
use crate::error::{Error, Result};
use crate::event::{Event, Sink};
use crate::exec;
use crate::flags;
use crate::initramfs::{debian, pack};
use crate::pipeline::{self, Prepared};
use crate::plan::Plan;
use crate::qemu::{accel, Accelerator, BootSpec};
use crate::report::terminal::Terminal;
use crate::report::{self, record::Recorder};
use crate::report::{CaseId, MachineReport, Part, RunEvent, RunHead};
use crate::run::folder::RunFolder;
use crate::run::queue::{Effort, Job, Queue};
use crate::run::select::{choose, Chosen};
use crate::scenario::{self, Scenario};
use crate::session::Session;

/// Runs scenarios; the process's exit code.
pub fn run(session: &Session, flags: &flags::Run) -> Result<i32> {
    let scenarios = scenario::select(&session.layout, &flags.scenarios, &flags.files)?;
    let mut plan = session.plan(&flags.target)?;
    let chosen = choose(&scenarios, &plan.arches, flags.partition)?;
    // Nothing is built for an architecture that a part of a run has no scenarios of.
    plan.arches
        .retain(|arch| chosen.iter().any(|(_, of)| of == arch));
    let effort = effort(flags);
    let terminal = Terminal::new();
    let ready = prepare(session, &plan, &chosen, &terminal)?;
    let mut jobs = jobs(&ready, &plan, &chosen);
    for job in &mut jobs {
        job.spec.dump_memory = flags.dump_memory;
    }
    let recorder = Recorder::create(&ready.folder.path, &terminal)?;
    let usual = session.host.guests_at_once(plan.machine.memory_mib);
    let width = flags.jobs.unwrap_or(usual);
    let part = part(&plan, flags);
    let ended = play_all(&ready, jobs, effort, width, part, &recorder);
    let cut = ended.as_ref().err().map(ToString::to_string);
    recorder.emit(Event::Run(RunEvent::End { cut }));
    let report = recorder.finish()?;
    // Of a run that was cut short as well: what it has seen is not lost.
    terminal.summary(&report, &|path| session.layout.show(path).to_string());
    let runs = session.layout.runs();
    let write = || report::write_all(&report, Some(&report.folder), &flags.outputs, &runs);
    ended.and(write())?;
    // With the reports safe, there is time for what makes them better.
    if lines::add(&plan, &report, &terminal)? {
        write()?;
    }
    Ok(report.exit_code())
}

/// Which part of what a run is, if it was divided.
fn part(plan: &Plan, flags: &flags::Run) -> Option<Part> {
    let partition = flags.partition?;
    let arches: Vec<&str> = flags
        .target
        .arch
        .arches()
        .iter()
        .map(|arch| arch.name())
        .collect();
    let mut words = vec![
        arches.join("+"),
        plan.kernel.name.clone(),
        plan.machine_name.clone(),
    ];
    words.extend(flags.scenarios.iter().cloned());
    words.extend(flags.files.iter().map(|file| file.display().to_string()));
    Some(Part {
        index: partition.index,
        count: partition.count,
        of: words.join(" "),
    })
}

/// How often each scenario is run.
fn effort(flags: &flags::Run) -> Effort {
    Effort {
        rounds: match (flags.repeat, flags.until_fail) {
            (Some(rounds), _) => Some(rounds),
            (None, false) => Some(1),
            (None, true) => None,
        },
        retries: flags.retries,
        until_fail: flags.until_fail,
        seed: flags.seed.unwrap_or_else(select::chance),
    }
}

/// What the guests are booted from, in the run's own folder: nobody else's build can change it.
pub struct Ready {
    /// Where the run's artifacts go.
    pub folder: RunFolder,
    /// By architecture.
    pub guests: BTreeMap<Arch, ReadyGuest>,
    /// What is said of the guests.
    pub machines: Vec<MachineReport>,
    /// When it was begun, in seconds since 1970.
    pub started: u64,
    /// Factor on every deadline.
    pub slowdown: f64,
    /// Whether the kernel is one as it is published.
    pub plain: bool,
}

/// What the guests of one architecture are booted from.
pub struct ReadyGuest {
    /// The guest that a scenario without wishes gets.
    pub spec: BootSpec,
    /// Packages and programs of scenarios: the initramfs that holds them, by scenario.
    pub initramfs: BTreeMap<String, std::path::PathBuf>,
}

/// Builds what is not up to date and collects it in a fresh run folder.
pub fn prepare(
    session: &Session,
    plan: &Plan,
    chosen: &[Chosen<'_>],
    sink: &dyn Sink,
) -> Result<Ready> {
    let _lock = session.make_ready(plan, sink)?;
    let started = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_secs());
    let mut ready = Ready {
        folder: RunFolder::create(&session.layout, started)?,
        started,
        guests: BTreeMap::new(),
        machines: Vec::new(),
        slowdown: plan.kernel.slowdown,
        plain: plan.kernel.is_plain(),
    };
    for prepared in pipeline::prepare(plan, sink)? {
        let arch = prepared.arch;
        let mut spec = ready.folder.take_in(plan, &prepared)?;
        let choice = accel::choose(&session.layout, plan.accel, &spec)?;
        spec.accel = choice.accel;
        ready
            .machines
            .push(machine_report(plan, &prepared, &spec, choice.why));
        let mut initramfs = BTreeMap::new();
        for (scenario, _) in chosen.iter().filter(|(_, of)| *of == arch) {
            if let Some(path) = extended_initramfs(plan, &ready.folder, &spec, scenario, sink)? {
                initramfs.insert(scenario.name.clone(), path);
            }
        }
        ready.guests.insert(arch, ReadyGuest { spec, initramfs });
    }
    Ok(ready)
}

fn machine_report(plan: &Plan, prepared: &Prepared, spec: &BootSpec, why: String) -> MachineReport {
    MachineReport {
        arch: prepared.arch,
        accel: spec.accel,
        why,
        kernel: plan.kernel.name.clone(),
        kernel_release: prepared.kernel.release.clone(),
        kernel_sha256: prepared.kernel.image_sha256.clone(),
        kernel_cc: prepared.kernel.cc.clone(),
        initramfs_sha256: prepared.initramfs_sha256.clone(),
        machine: plan.machine_name.clone(),
        cpu: spec.cpu.clone(),
        boot_s: None,
    }
}

/// The initramfs with a scenario's packages and programs in it; `None` if it wishes for none.
pub fn extended_initramfs(
    plan: &Plan,
    folder: &RunFolder,
    spec: &BootSpec,
    scenario: &Scenario,
    sink: &dyn Sink,
) -> Result<Option<std::path::PathBuf>> {
    let file = &scenario.file;
    if file.packages.is_empty() && file.program.is_empty() {
        return Ok(None);
    }
    let mut parts = vec![spec.initramfs.clone()];
    if !file.packages.is_empty() {
        parts.push(debian::packages_archive(
            plan,
            spec.arch,
            &file.packages,
            sink,
        )?);
    }
    if !file.program.is_empty() {
        let base = scenario.path.parent().unwrap_or(Path::new("."));
        let files: Vec<pack::ExtraFile> = file
            .program
            .iter()
            .filter_map(|program| {
                let from = program.from.get(spec.arch)?;
                Some(pack::ExtraFile {
                    from: base.join(from),
                    to: program.to.clone(),
                })
            })
            .collect();
        let out = folder
            .arch(spec.arch)
            .join(format!("programs-{}.cpio", scenario.name));
        pack::pack_extra(spec.arch, &files, &out)?;
        parts.push(out);
    }
    // Scenarios with the same packages and no programs of their own share the archive.
    let name = match file.program.is_empty() {
        true => format!("initramfs-{}.cpio", file.packages.join("+")),
        false => format!("initramfs-{}.cpio", scenario.name),
    };
    let out = folder.arch(spec.arch).join(name);
    if !out.exists() {
        pack::join(
            &parts.iter().map(|part| part.as_path()).collect::<Vec<_>>(),
            &out,
        )?;
    }
    Ok(Some(out))
}

/// Each case with the guest it wants.
pub fn jobs(ready: &Ready, plan: &Plan, chosen: &[Chosen<'_>]) -> Vec<Job> {
    let job = |(scenario, arch): &Chosen<'_>| {
        let guest = ready.guests.get(arch)?;
        let mut spec = guest.spec.clone();
        let file = &scenario.file;
        spec.memory_mib = spec.memory_mib.max(file.memory_mib.unwrap_or(0));
        spec.cpus = scenario.cpus.unwrap_or(spec.cpus);
        if let Some(cpu) = file.cpu.get(arch) {
            spec.cpu = cpu.clone();
        }
        spec.console_mib = file.console_mib.unwrap_or(spec.console_mib);
        spec.append.extend(file.append.iter().cloned());
        if let Some(initramfs) = guest.initramfs.get(&scenario.name) {
            spec.initramfs = initramfs.clone();
        }
        Some(Job {
            scenario: (*scenario).clone(),
            spec,
            case: CaseId {
                scenario: scenario.name.clone(),
                arch: *arch,
                kernel: plan.kernel.name.clone(),
                machine: plan.machine_name.clone(),
                round: 1,
            },
            attempt: 1,
            seed: 0,
        })
    };
    chosen.iter().filter_map(job).collect()
}

/// Runs the jobs on at most `width` guests at once, and on no more virtual processors than so many
/// guests of the usual size have. What comes of them goes to `sink`.
pub fn play_all(
    ready: &Ready,
    jobs: Vec<Job>,
    effort: Effort,
    width: usize,
    part: Option<Part>,
    sink: &dyn Sink,
) -> Result<()> {
    let usual = ready.guests.values().map(|guest| guest.spec.cpus).max();
    let cpus = usual.unwrap_or(1).max(1) * width.max(1) as u32;
    let most = jobs.len() * effort.rounds.map_or(width, |rounds| rounds as usize);
    let queue = Queue::new(jobs, cpus, effort);
    sink.emit(Event::Run(RunEvent::Begin(RunHead {
        id: ready.folder.id.clone(),
        folder: ready.folder.path.clone(),
        started: ready.started,
        total: queue.total(),
        seed: effort.seed,
        part,
        machines: ready.machines.clone(),
    })));
    let guests = AtomicUsize::new(0);
    let errors: Vec<Error> = std::thread::scope(|scope| {
        let begin = |worker: usize| {
            let (queue, guests) = (&queue, &guests);
            scope.spawn(move || {
                let done = worker::work(worker, ready, queue, guests, sink);
                sink.emit(Event::Run(RunEvent::Idle { worker }));
                done
            })
        };
        let workers: Vec<_> = (0..width.clamp(1, most.max(1))).map(begin).collect();
        let ends = workers.into_iter().map(|worker| {
            // What a worker has panicked about is on the terminal.
            let lost = |_| {
                Err(Error::lab(
                    "running scenarios",
                    "the lab has a fault: a worker panicked",
                ))
            };
            worker.join().unwrap_or_else(lost)
        });
        ends.filter_map(Result::err).collect()
    });
    if exec::interrupted() {
        return Err(Error::interrupted("running scenarios"));
    }
    errors.into_iter().next().map_or(Ok(()), Err)
}

/// How long a plain guest takes to `/init` on two cores under TCG; deadlines grow with the real time over this.
pub fn reference_boot(arch: Arch, accel: Accelerator) -> Duration {
    match (arch, accel) {
        (_, Accelerator::Kvm) => Duration::from_millis(500),
        (Arch::X86_64, Accelerator::Tcg) => Duration::from_millis(1000),
        (Arch::Arm64, Accelerator::Tcg) => Duration::from_millis(700),
    }
}
