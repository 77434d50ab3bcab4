// SPDX-License-Identifier: GPL-2.0-only

//! `lab run`, from top to bottom: scenarios, plan, build, guests, report.

pub mod folder;
pub mod queue;
pub mod worker;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::arch::Arch;
use crate::error::{Error, Result};
use crate::event::{Event, Sink};
use crate::exec;
use crate::flags;
use crate::initramfs::{debian, pack};
use crate::layout::write_whole;
use crate::pipeline::{self, Prepared};
use crate::plan::Plan;
use crate::qemu::{accel, Accelerator, BootSpec};
use crate::report::terminal::Terminal;
use crate::report::{json, junit, MachineReport, RunEvent, RunReport};
use crate::run::folder::RunFolder;
use crate::run::queue::{Job, Queue};
use crate::scenario::{self, Scenario};
use crate::session::Session;

/// Runs scenarios; the process's exit code.
pub fn run(session: &Session, flags: &flags::Run) -> Result<i32> {
    let scenarios = scenario::select(&session.layout, &flags.scenarios, &flags.files)?;
    let plan = session.plan(&flags.target)?;
    let terminal = Terminal::new();
    let ready = prepare(session, &plan, &scenarios, &terminal)?;
    let jobs = jobs(&ready, &plan, &scenarios, flags)?;
    let report = play_all(
        &ready,
        jobs,
        flags.jobs.unwrap_or(session.host.cpus),
        &terminal,
    )?;
    write_reports(&report, flags)?;
    terminal.summary(&report, &|path| session.layout.show(path).to_string());
    Ok(report.exit_code())
}

/// What the guests are booted from, in the run's own folder: nobody else's build can change it.
pub struct Ready {
    /// Where the run's artifacts go.
    pub folder: RunFolder,
    /// By architecture.
    pub guests: BTreeMap<Arch, ReadyGuest>,
    /// What is said of the guests.
    pub machines: Vec<MachineReport>,
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
    scenarios: &[Scenario],
    sink: &dyn Sink,
) -> Result<Ready> {
    let _lock = session.make_ready(plan, sink)?;
    let folder = RunFolder::create(&session.layout)?;
    let mut ready = Ready {
        folder,
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
        for scenario in scenarios
            .iter()
            .filter(|scenario| scenario.file.arch.contains(&arch))
        {
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
        initramfs_sha256: prepared.initramfs_sha256.clone(),
        cpu: spec.cpu.clone(),
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

/// Each scenario on each architecture, with the guest it wants.
pub fn jobs(
    ready: &Ready,
    plan: &Plan,
    scenarios: &[Scenario],
    flags: &flags::Run,
) -> Result<Vec<Job>> {
    let mut jobs = Vec::new();
    for round in 1..=flags.repeat.max(1) {
        for scenario in scenarios {
            for (arch, guest) in ready
                .guests
                .iter()
                .filter(|(arch, _)| scenario.file.arch.contains(arch))
            {
                let mut spec = guest.spec.clone();
                let file = &scenario.file;
                spec.memory_mib = spec.memory_mib.max(file.memory_mib.unwrap_or(0));
                spec.cpus = scenario.cpus.unwrap_or(spec.cpus);
                if let Some(cpu) = file.cpu.get(arch) {
                    spec.cpu = cpu.clone();
                }
                if let Some(initramfs) = guest.initramfs.get(&scenario.name) {
                    spec.initramfs = initramfs.clone();
                }
                jobs.push(Job {
                    scenario: scenario.clone(),
                    spec,
                    round,
                });
            }
        }
    }
    if let Some(partition) = flags.partition {
        let (index, count) = (partition.index as usize, partition.count as usize);
        jobs = jobs
            .into_iter()
            .enumerate()
            .filter(|(at, _)| at % count == index - 1)
            .map(|(_, job)| job)
            .collect();
    }
    if jobs.is_empty() {
        let arches: Vec<&str> = plan.arches.iter().map(|arch| arch.name()).collect();
        return Err(Error::usage(
            "choosing scenarios",
            format!("none is left for {}", arches.join(", ")),
        )
        .hint("`cargo xtask lab list` shows which scenario is for which architecture"));
    }
    Ok(jobs)
}

/// Runs the jobs on at most `width` guests at once, and on no more virtual processors than so many
/// guests of the usual size have.
pub fn play_all(ready: &Ready, jobs: Vec<Job>, width: usize, sink: &dyn Sink) -> Result<RunReport> {
    let started = Instant::now();
    let total = jobs.len();
    sink.emit(Event::Run(RunEvent::Begin {
        total,
        machines: ready.machines.clone(),
    }));
    let usual = ready.guests.values().map(|guest| guest.spec.cpus).max();
    let cpus = usual.unwrap_or(1).max(1) * width.max(1) as u32;
    let queue = Queue::new(jobs, cpus);
    let width = width.clamp(1, total);
    let outcomes = Mutex::new(worker::Outcomes::default());
    let errors = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for worker in 0..width {
            let (queue, outcomes, errors) = (&queue, &outcomes, &errors);
            scope.spawn(move || {
                if let Err(error) = worker::work(worker, ready, queue, outcomes, sink) {
                    errors
                        .lock()
                        .unwrap_or_else(|poisoned| poisoned.into_inner())
                        .push(error);
                }
                sink.emit(Event::Run(RunEvent::Idle { worker }));
            });
        }
    });
    if exec::interrupted() {
        return Err(Error::interrupted("running scenarios"));
    }
    if let Some(error) = errors
        .into_inner()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
        .into_iter()
        .next()
    {
        return Err(error);
    }
    let outcomes = outcomes
        .into_inner()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    Ok(RunReport {
        id: ready.folder.id.clone(),
        folder: ready.folder.path.clone(),
        machines: ready.machines.clone(),
        boot_s: outcomes.boot_medians(),
        results: outcomes.results,
        elapsed: started.elapsed(),
    })
}

fn write_reports(report: &RunReport, flags: &flags::Run) -> Result<()> {
    let text = json::text(report)?;
    write_whole(&report.folder.join("report.json"), text.as_bytes())?;
    if let Some(path) = &flags.json {
        write_whole(path, text.as_bytes())?;
    }
    let text = junit::text(report)?;
    write_whole(&report.folder.join("junit.xml"), text.as_bytes())?;
    if let Some(path) = &flags.junit {
        write_whole(path, text.as_bytes())?;
    }
    Ok(())
}

/// `lab plan`: what a run would boot and do, as text.
pub fn plan_text(session: &Session, flags: &flags::Run) -> Result<String> {
    let scenarios = scenario::select(&session.layout, &flags.scenarios, &flags.files)?;
    let plan = session.plan(&flags.target)?;
    let mut text = format!(
        "kernel {} from {}; machine {}: {} processors, {} MiB\n",
        plan.kernel.name,
        plan.kernel.source_name,
        plan.machine_name,
        plan.machine.cpus,
        plan.machine.memory_mib
    );
    for arch in &plan.arches {
        let spec = folder::spec(
            &plan,
            *arch,
            Path::new("kernel"),
            Path::new("initramfs.cpio"),
        );
        let chosen = scenarios
            .iter()
            .filter(|scenario| scenario.file.arch.contains(arch));
        text.push_str(&format!(
            "{arch}: {} scenarios, {} {}\n",
            chosen.count(),
            spec.qemu.display(),
            crate::qemu::args::argv(&spec).join(" ")
        ));
    }
    text.push_str(&scenario::list_text(&scenarios));
    Ok(text)
}

/// How long a plain guest takes to `/init` on two cores under TCG; deadlines grow with the real time over this.
pub fn reference_boot(arch: Arch, accel: Accelerator) -> Duration {
    match (arch, accel) {
        (_, Accelerator::Kvm) => Duration::from_millis(500),
        (Arch::X86_64, Accelerator::Tcg) => Duration::from_millis(1000),
        (Arch::Arm64, Accelerator::Tcg) => Duration::from_millis(700),
    }
}
