// SPDX-License-Identifier: GPL-2.0-only

//! The bundle of a scenario: all that it takes to boot the same guest and do
//! the same steps again, and `lab repro`, which does it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{AtPath, Error, Result};
use crate::exec::tool;
use crate::flags;
use crate::layout::{read_written, resolve, write_whole, Layout};
use crate::qemu::args::argv;
use crate::qemu::guest::Guest;
use crate::qemu::program;
use crate::qemu::{clock, Accelerator, BootSpec};
use crate::report::MachineReport;
use crate::run::queue::Job;
use crate::run::Ready;
use crate::scenario::case::Bench;
use crate::scenario::play::{interruption, not_booted, play};
use crate::scenario::verdict::Verdict;
use crate::scenario::Scenario;

/// Name of the bundle's description, in the scenario's folder.
pub const BUNDLE: &str = "bundle.json";

/// What a boot may take when nothing is known of the machine.
const BOOT_LIMIT: Duration = Duration::from_secs(120);
/// Factor on every deadline of a repetition, which is for looking at, not for judging speed.
const SCALE: f64 = 8.0;

/// What a bundle says.
#[derive(Debug, Serialize, Deserialize)]
struct Bundle {
    scenario: String,
    verdict: Verdict,
    /// The scenario file, beside this one.
    file: String,
    /// The guest; its kernel and initramfs are named from the run's folder on, which may have been brought
    /// here from elsewhere.
    guest: BootSpec,
    /// Steps from the bundle's folder up to the run's.
    #[serde(default)]
    depth: usize,
    machine: Option<MachineReport>,
    /// What chance in it followed.
    #[serde(default)]
    seed: u64,
    /// Whether the kernel is one as it is published, which may lack the system calls.
    #[serde(default)]
    plain: bool,
    /// The command line of QEMU, to be run in a folder of its own.
    qemu: String,
}

/// Writes the bundle of a scenario that was run.
pub fn write(job: &Job, verdict: Verdict, folder: &Path, ready: &Ready) -> Result<()> {
    // Under its own name, which those of its cases begin with.
    let path = &job.scenario.path;
    let name = path.file_name().unwrap_or_default().display().to_string();
    let text = std::fs::read(path).at("reading", path)?;
    write_whole(&folder.join(&name), &text)?;
    let bundle = Bundle {
        scenario: job.scenario.name.clone(),
        verdict,
        seed: job.seed,
        file: name,
        guest: BootSpec {
            kernel: below(&ready.folder.path, &job.spec.kernel),
            initramfs: below(&ready.folder.path, &job.spec.initramfs),
            ..job.spec.clone()
        },
        depth: below(&ready.folder.path, folder).components().count(),
        machine: ready
            .machines
            .iter()
            .find(|machine| machine.arch == job.spec.arch)
            .cloned(),
        plain: ready.plain,
        qemu: tool("", &job.spec.qemu)
            .args(argv(&job.spec))
            .command_line(),
    };
    let text = serde_json::to_vec_pretty(&bundle)
        .map_err(|err| Error::lab("writing a bundle", err.to_string()))?;
    write_whole(&folder.join(BUNDLE), &text)
}

/// A path from a folder on, if it is below it.
fn below(folder: &Path, path: &Path) -> PathBuf {
    path.strip_prefix(folder).unwrap_or(path).to_path_buf()
}

/// Runs the scenario of a bundle again; the process's exit code.
pub fn run(flags: &flags::Repro) -> Result<i32> {
    let file = if flags.bundle.is_dir() {
        flags.bundle.join(BUNDLE)
    } else {
        flags.bundle.clone()
    };
    let folder = file.parent().unwrap_or(Path::new("."));
    let doing = format!("reading {}", file.display());
    let bundle: Bundle = serde_json::from_str(&read_written(&file)?).map_err(|err| {
        Error::usage(doing, err.to_string())
            .hint("a bundle is the folder of a scenario in target/lab/runs")
    })?;
    let path = folder.join(&bundle.file);
    let cases = Scenario::read(&path, &path.display().to_string())?;
    let is_it = |case: &&Scenario| case.name == bundle.scenario;
    let scenario = cases.iter().find(is_it).ok_or_else(|| {
        let doing = format!("reading {}", path.display());
        Error::usage(doing, format!("it has no case \"{}\"", bundle.scenario))
    })?;
    let scenario = scenario.with_seed(bundle.seed)?;
    let mut spec = bundle.guest;
    let place = resolve(folder)?;
    if let Some(run) = place.ancestors().nth(bundle.depth) {
        spec.kernel = run.join(&spec.kernel);
        spec.initramfs = run.join(&spec.initramfs);
    }
    for path in [&spec.kernel, &spec.initramfs] {
        if !path.is_file() {
            let doing = format!("repeating {}", bundle.scenario);
            return Err(
                Error::usage(doing, format!("there is no {}", path.display())).hint(
                    "a bundle needs the run's folder around it, with the kernel and the initramfs",
                ),
            );
        }
    }
    match flags.accel {
        flags::Accel::Auto => {}
        flags::Accel::Kvm => spec.accel = Accelerator::Kvm,
        flags::Accel::Tcg => spec.accel = Accelerator::Tcg,
    }
    spec.tsc_khz = clock::tsc_khz();
    spec.qemu = program::find(&Layout::find()?, spec.arch).ok_or_else(|| {
        Error::host(
            format!("looking for {}", spec.arch.qemu()),
            "this machine has none",
        )
        .hint("`cargo xtask lab setup` gets it")
    })?;
    let again = folder.join(format!("again-{}", std::process::id()));
    let judgement = match Guest::boot(&spec, &again.join("guest"), BOOT_LIMIT.into()) {
        Ok(guest) => {
            let bench = Bench {
                spec,
                boot_limit: BOOT_LIMIT.into(),
                scale: SCALE,
                plain: bundle.plain,
            };
            let count = scenario.file.step.len();
            let watch = |number: usize, title: &str| eprintln!("{}/{count} {title}", number + 1);
            play(
                &scenario,
                &bench,
                bundle.seed,
                &again,
                guest,
                &watch,
                &std::thread::sleep,
            )?
            .judgement
        }
        Err(halt) => not_booted(&scenario, &interruption(halt)?),
    };
    println!(
        "{} before, {} now: {}",
        bundle.verdict, judgement.verdict, bundle.scenario
    );
    if !judgement.why.is_empty() {
        println!("{}", judgement.why);
    }
    println!("artifacts: {}", again.display());
    Ok(Verdict::exit_code([judgement.verdict]))
}
