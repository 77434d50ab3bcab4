// SPDX-License-Identifier: GPL-2.0-only

//! What the lab needs of this machine, what of it is missing, and getting that:
//! packages by apt as root or through `sudo -n`, bindgen by cargo.

mod needs;

use std::path::Path;
use std::time::Instant;

pub use needs::{needs, Need, Probe};

use crate::arch::Arch;
use crate::error::{AtPath, Error, Kind, Result};
use crate::event::{Event, Sink, Stage, Step};
use crate::exec::{tool, which, Invocation};
use crate::host::{Host, Privilege};
use crate::initramfs::guest_programs::{debian_rust, own_rust_has};
use crate::kernel::toolchain::{bindgen_path, bindgen_root, find_program, find_rustc};
use crate::layout::{create_dir, remove_dir};
use crate::plan::Plan;
use crate::qemu::program;

/// How packages are installed: nothing that was not asked for, and nothing goes.
const INSTALL: [&str; 4] = ["install", "-y", "--no-install-recommends", "--no-remove"];

/// The needs that this machine does not meet.
pub fn missing(plan: &Plan, needs: &[Need]) -> Result<Vec<Need>> {
    let mut missing = Vec::new();
    for need in needs {
        if !is_met(plan, &need.probe)? {
            missing.push(need.clone());
        }
    }
    Ok(missing)
}

/// Whether a need is met.
pub fn is_met(plan: &Plan, probe: &Probe) -> Result<bool> {
    Ok(match probe {
        Probe::Program(name) => {
            which(name).is_some() || Path::new("/usr/sbin").join(name).is_file()
        }
        Probe::KernelProgram(name) => find_program(name).is_some(),
        Probe::File(paths) => paths.iter().any(|path| path.exists()),
        Probe::Qemu(arch) => program::find(&plan.layout, *arch).is_some(),
        Probe::KernelRust => find_rustc(&plan.layout, &plan.toolchain)?.is_some(),
        Probe::GuestRust(arch) => debian_rust().is_some() || own_rust_has(*arch),
        Probe::Bindgen => bindgen_path(plan).is_file(),
    })
}

/// Gets what is missing, or says what the user has to do. The caller holds the lock.
pub fn ensure(plan: &Plan, host: &Host, sink: &dyn Sink) -> Result<()> {
    let step = Step::once(Stage::Setup);
    let needs = needs(plan, host);
    let lacking = missing(plan, &needs)?;
    if lacking.is_empty() {
        sink.emit(Event::StepFresh { step });
        return Ok(());
    }
    let names: Vec<&str> = lacking.iter().map(|need| need.what.as_str()).collect();
    let why = format!("missing: {}", names.join(", "));
    if !plan.setup {
        return Err(Error::host("looking for what the lab needs", why)
            .hint("without --no-setup the lab gets it"));
    }
    sink.emit(Event::StepBegin { step, why });
    let start = Instant::now();
    let mut packages: Vec<String> = lacking
        .iter()
        .flat_map(|need| need.packages.clone())
        .collect();
    packages.sort();
    packages.dedup();
    if !packages.is_empty() {
        install_packages(plan, host, &packages, sink)?;
    }
    if lacking.iter().any(|need| need.probe == Probe::Bindgen) {
        install_bindgen(plan, sink)?;
    }
    for need in missing(plan, &needs)? {
        if let Probe::Qemu(arch) = need.probe {
            program::get_own(&plan.layout, arch, |done, text| progress(sink, done, text))?;
        }
    }
    let still = missing(plan, &needs)?;
    if !still.is_empty() {
        let list: Vec<String> = still
            .iter()
            .map(|need| format!("{} ({})", need.what, need.why))
            .collect();
        return Err(Error::host(
            "getting what the lab needs",
            format!("still missing: {}", list.join(", ")),
        ));
    }
    sink.emit(Event::StepEnd {
        step,
        elapsed: start.elapsed(),
    });
    Ok(())
}

/// How packages can be installed here.
fn privilege() -> Privilege {
    if rustix::process::geteuid().is_root() {
        return Privilege::Root;
    }
    let sudo = tool("asking whether sudo works", "sudo")
        .args(["-n", "true"])
        .output();
    match sudo.is_ok_and(|output| output.status.success()) {
        true => Privilege::Sudo,
        false => Privilege::None,
    }
}

fn install_packages(plan: &Plan, host: &Host, packages: &[String], sink: &dyn Sink) -> Result<()> {
    let doing = "installing packages";
    if !host.apt {
        return Err(Error::host(
            doing,
            format!("this machine ({}) has no apt-get", host.distribution),
        )
        .hint(format!("install what Debian calls: {}", packages.join(" "))));
    }
    let privilege = privilege();
    if privilege != Privilege::None && !has_package_lists() {
        apt(plan, privilege, &["update"], sink)?;
    }
    let packages = with_rust_of_this_release(packages);
    let names = packages.join(" ");
    if privilege == Privilege::None {
        return Err(Error::host(
            doing,
            format!("neither root nor sudo without a password; wanted: {names}"),
        )
        .hint(format!(
            "sudo apt-get update && sudo apt-get install -y --no-install-recommends {names}"
        )));
    }
    let install = |packages: &[String]| {
        sink.emit(Event::Note(format!(
            "installing packages: {}",
            packages.join(" ")
        )));
        let mut args = INSTALL.to_vec();
        args.extend(packages.iter().map(String::as_str));
        apt(plan, privilege, &args, sink)
    };
    if fits(privilege, &packages) {
        match install(&packages) {
            Err(err) if err.kind() != Kind::Interrupted => {
                sink.emit(Event::Note(format!("apt failed: {}", err.found())));
            }
            done => return done,
        }
    }
    // Lists older than the archive, or an installation that was cut: both can be put right.
    sink.emit(Event::Note("fetching fresh package lists".into()));
    apt(plan, privilege, &["update"], sink)?;
    privileged(privilege, "dpkg")
        .args(["--configure", "-a"])
        .output()?;
    let packages = without_conflicts(privilege, packages, sink);
    if packages.is_empty() {
        return Ok(());
    }
    install(&packages).map_err(|err| {
        err.hint(format!(
            "by hand: sudo apt-get install -y --no-install-recommends {}",
            packages.join(" ")
        ))
    })
}

/// Whether apt could install these and remove nothing that is installed.
fn fits(privilege: Privilege, packages: &[String]) -> bool {
    let trial = privileged(privilege, "apt-get")
        .args(["-q", "--simulate"])
        .args(INSTALL)
        .args(packages)
        .output();
    trial.is_ok_and(|output| output.status.success())
}

/// The packages without those that the lab can have for itself and that would push out something
/// that is installed.
fn without_conflicts(privilege: Privilege, packages: Vec<String>, sink: &dyn Sink) -> Vec<String> {
    let own = Arch::ALL.map(program::package);
    let (conflicting, rest): (Vec<String>, Vec<String>) = packages.into_iter().partition(|name| {
        own.contains(&name.as_str()) && !fits(privilege, std::slice::from_ref(name))
    });
    if !conflicting.is_empty() {
        sink.emit(Event::Note(format!(
            "apt would have to remove installed packages for {}: the lab gets its own",
            conflicting.join(" ")
        )));
    }
    rest
}

/// Releases without rustc-web have a rustc that is young enough under its plain name.
fn with_rust_of_this_release(packages: &[String]) -> Vec<String> {
    let known = |name: &str| {
        let show = tool(format!("looking for {name}"), "apt-cache").args(["show", "--quiet", name]);
        show.output().is_ok_and(|output| output.status.success())
    };
    let plain = has_package_lists() && !known("rustc-web") && known("rustc");
    let rename = |name: &String| match (plain, name.as_str()) {
        (true, "rustc-web") => "rustc".to_string(),
        (true, "rust-web-src") => "rust-src".to_string(),
        _ => name.clone(),
    };
    packages.iter().map(rename).collect()
}

fn privileged(privilege: Privilege, program: &str) -> Invocation {
    let run = match privilege {
        Privilege::Sudo => tool("installing packages", "sudo").args([
            "-n",
            "env",
            "DEBIAN_FRONTEND=noninteractive",
            program,
        ]),
        Privilege::Root | Privilege::None => {
            tool("installing packages", program).env("DEBIAN_FRONTEND", "noninteractive")
        }
    };
    run.env("LC_ALL", "C").failure(Kind::Host)
}

fn apt(plan: &Plan, privilege: Privilege, args: &[&str], sink: &dyn Sink) -> Result<()> {
    let log = plan.layout.log("setup-apt");
    privileged(privilege, "apt-get")
        .args([
            "-q",
            "-o",
            "DPkg::Lock::Timeout=300",
            "-o",
            "Acquire::Retries=3",
        ])
        .args(args.iter().copied())
        .run_logged(&log, |done, last| progress(sink, done, last))
}

fn has_package_lists() -> bool {
    let entries = std::fs::read_dir("/var/lib/apt/lists")
        .into_iter()
        .flatten()
        .flatten();
    entries
        .into_iter()
        .any(|entry| entry.file_name().to_string_lossy().contains("_Packages"))
}

fn install_bindgen(plan: &Plan, sink: &dyn Sink) -> Result<()> {
    let version = &plan.toolchain.bindgen;
    let layout = &plan.layout;
    let building = layout.lab().join("obj/bindgen");
    let scratch = layout.scratch("bindgen")?;
    tool(format!("installing bindgen {version}"), &plan.cargo)
        .args([
            "install",
            "--locked",
            "--version",
            version.as_str(),
            "--root",
        ])
        .arg(scratch.path())
        .arg("--target-dir")
        .arg(&building)
        .arg("bindgen-cli")
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("RUSTFLAGS")
        .failure(Kind::Host)
        .run_logged(&layout.log("setup-bindgen"), |done, last| {
            progress(sink, done, last)
        })
        .map_err(|err| {
            err.hint("is the network up? lab.toml [toolchain] bindgen names the version")
        })?;
    let root = bindgen_root(layout, version);
    create_dir(&layout.tools())?;
    remove_dir(&root)?;
    std::fs::rename(scratch.path(), &root).at("renaming to", &root)?;
    remove_dir(&building)
}

fn progress(sink: &dyn Sink, done: u64, last: &str) {
    sink.emit(Event::StepProgress {
        step: Step::once(Stage::Setup),
        done,
        total: None,
        text: last.to_string(),
    });
}
