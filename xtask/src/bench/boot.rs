// SPDX-License-Identifier: GPL-2.0-only

//! `lab bench boot`: what the lab costs on top of QEMU. In turns, so that a
//! change of the machine's load meets both alike: QEMU with the same command
//! line doing the same scenario and nothing else, and a whole warm `lab run` of it.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::arch::Arch;
use crate::bench::median;
use crate::error::{Error, Kind, Result};
use crate::exec::tool;
use crate::flags;
use crate::qemu::guest::Guest;
use crate::run::Ready;
use crate::scenario::case::Bench;
use crate::scenario::play::play;
use crate::scenario::verdict::{Judgement, Verdict};
use crate::scenario::Scenario;
use crate::session::Session;

/// How often each is measured where nothing is said.
pub const REPEAT: u32 = 5;

/// Numbers of one architecture; times in seconds, medians.
#[derive(Debug, Serialize)]
pub struct Numbers {
    arch: Arch,
    accel: &'static str,
    repeat: u32,
    /// From the start of QEMU to the word of `/init`.
    boot_s: f64,
    /// From the start of the kernel to `/init`, by the guest's own clock.
    kernel_boot_s: f64,
    /// QEMU and the scenario, without the lab.
    bare_s: f64,
    /// A warm `lab run` of the scenario.
    lab_s: f64,
    /// The one over the other.
    ratio: f64,
}

/// Measures one architecture.
pub fn measure(
    session: &Session,
    flags: &flags::Bench,
    ready: &Ready,
    arch: Arch,
    scenario: &Scenario,
) -> Result<Numbers> {
    let repeat = flags.repeat.unwrap_or(REPEAT).max(1);
    let (mut boots, mut kernels, mut bares, mut labs) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    // The first of each warms the caches and is not counted.
    for round in 0..=repeat {
        let (bare, boot, kernel) = bare(ready, arch, scenario, round)?;
        let lab = lab(session, flags, arch, scenario)?;
        if round > 0 {
            bares.push(bare);
            boots.push(boot);
            kernels.push(kernel);
            labs.push(lab);
        }
    }
    let (bare_s, lab_s) = (median(bares), median(labs));
    let accel = ready.guests[&arch].spec.accel.name();
    Ok(Numbers {
        arch,
        accel,
        repeat,
        boot_s: median(boots),
        kernel_boot_s: median(kernels),
        bare_s,
        lab_s,
        ratio: lab_s / bare_s,
    })
}

/// QEMU and the scenario: time in all, time to `/init`, and that by the guest's clock.
fn bare(
    ready: &Ready,
    arch: Arch,
    scenario: &Scenario,
    round: u32,
) -> Result<(Duration, Duration, Duration)> {
    let spec = ready.guests[&arch].spec.clone();
    let folder = ready.folder.arch(arch).join(format!("bare-{round}"));
    let bench = Bench {
        spec,
        boot_limit: Duration::from_secs(60).into(),
        scale: 4.0,
        plain: false,
    };
    let started = Instant::now();
    let guest = Guest::boot(&bench.spec, &folder.join("guest"), bench.boot_limit)
        .map_err(|halt| Error::lab("measuring a boot", Judgement::of_halt(&halt, true).why))?;
    let (boot, kernel) = (guest.hello().boot, guest.hello().kernel_boot);
    let played = play(
        scenario,
        &bench,
        0,
        &folder,
        guest,
        &|_, _| {},
        &std::thread::sleep,
    )?;
    if played.judgement.verdict != Verdict::Pass {
        return Err(Error::lab(
            "measuring",
            format!("{}: {}", played.judgement.verdict, played.judgement.why),
        ));
    }
    drop(played);
    Ok((started.elapsed(), boot, kernel))
}

/// A whole `lab run`, as the user would start it.
fn lab(
    session: &Session,
    flags: &flags::Bench,
    arch: Arch,
    scenario: &Scenario,
) -> Result<Duration> {
    let mut args: Vec<&str> = [
        "run",
        "--quiet",
        "--package",
        "xtask",
        "--",
        "lab",
        "run",
        &scenario.name,
        "--no-setup",
        "--arch",
    ]
    .to_vec();
    args.push(arch.name());
    for (flag, value) in [
        ("--kernel", &flags.target.kernel),
        ("--machine", &flags.target.machine),
    ] {
        if let Some(value) = value {
            args.extend([flag, value]);
        }
    }
    let accel = match flags.target.accel {
        flags::Accel::Auto => "auto",
        flags::Accel::Kvm => "kvm",
        flags::Accel::Tcg => "tcg",
    };
    args.extend(["--accel", accel]);
    let started = Instant::now();
    tool("measuring a run", &session.host.cargo)
        .args(args)
        .dir(session.layout.root())
        .failure(Kind::Lab)
        .read()?;
    Ok(started.elapsed())
}

/// A line for people.
pub fn text(numbers: &Numbers) -> String {
    format!(
        "{:<7} {}: boot to /init {:.2} s ({:.2} s of it in the kernel); bare QEMU {:.2} s, lab run {:.2} s, ratio {:.2} (medians of {})\n",
        numbers.arch, numbers.accel, numbers.boot_s, numbers.kernel_boot_s, numbers.bare_s, numbers.lab_s, numbers.ratio, numbers.repeat
    )
}
