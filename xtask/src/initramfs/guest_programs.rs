// SPDX-License-Identifier: GPL-2.0-only

//! The guest programs: `/init`, `mktree`, `checkpoint` and the test programs,
//! one static executable for all of them, built by cargo for each architecture.

use std::path::{Path, PathBuf};

use guest::programs::{BINARY, NAMES};
use serde::{Deserialize, Serialize};

use crate::apt::unpack::unpack_one;
use crate::arch::Arch;
use crate::error::{Error, Kind, Result};
use crate::event::{Event, Sink, Stage, Step};
use crate::exec::tool;
use crate::layout::{copy_whole, remove_dir, Layout};
use crate::plan::Plan;
use crate::stage::Cached;
use crate::stamp::{self, Inputs};

/// Cargo's profile for them, in the workspace's manifest.
const PROFILE: &str = "guest";
/// Debian's compiler.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
/// The packages that it can come from, each with that of `std`; the first is the newer one.
const DEBIAN_RUST: [(&str, &str); 2] = [
    ("rustc-web", "libstd-rust-web-dev"),
    ("rustc", "libstd-rust-dev"),
];
/// Variables by which the outer cargo would change the inner one.
const UNWANTED: &[&str] = &[
    "CARGO_TARGET_DIR",
    "CARGO_BUILD_TARGET",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_MANIFEST_DIR",
    "LD_LIBRARY_PATH",
    "RUSTC",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTFLAGS",
];

/// Finished guest programs of an architecture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GuestPrograms {
    /// The executable.
    pub executable: PathBuf,
    /// The names that it goes by, sorted.
    pub names: Vec<String>,
    /// Hash of the executable and the names.
    pub sha256: String,
}

/// The Rust that builds them.
#[derive(Debug, Clone, PartialEq)]
struct GuestRust {
    /// The compiler, when it is not cargo's own.
    rustc: Option<PathBuf>,
    /// A sysroot of the lab's own with the target's `std`.
    sysroot: Option<PathBuf>,
    /// The C compiler that links, when it is not the host's.
    linker: Option<String>,
}

/// Builds the guest programs for an architecture, unless they are up to date.
pub fn build(plan: &Plan, arch: Arch, sink: &dyn Sink) -> Result<GuestPrograms> {
    let inputs = inputs(plan)?;
    let stage = Cached {
        step: Step::of(Stage::Guest, arch),
        stamp: plan.layout.stamp(&format!("guest-{arch}")),
        inputs: &inputs,
        sink,
    };
    let files = |programs: &GuestPrograms| vec![programs.executable.clone()];
    stage.get(files, || {
        let built = run_cargo(plan, arch, sink)?;
        collect(&plan.layout.guest_out(arch), &built)
    })
}

fn inputs(plan: &Plan) -> Result<Inputs> {
    let layout = &plan.layout;
    let mut inputs = Inputs::new();
    inputs.folder("guest", &layout.guest())?;
    for name in ["Cargo.toml", "Cargo.lock", "rust-syscall/Cargo.toml"] {
        inputs.file(name, &layout.root().join(name))?;
    }
    add_codec_inputs(layout, &mut inputs)?;
    inputs.program("cargo", &plan.cargo)?;
    if Path::new(DEBIAN_RUSTC).is_file() {
        inputs.program("rustc", Path::new(DEBIAN_RUSTC))?;
    }
    Ok(inputs)
}

/// The codec and state machine are linked into the guest programs; the kernel's glue is not.
fn add_codec_inputs(layout: &Layout, inputs: &mut Inputs) -> Result<()> {
    let src = layout.rust_syscall().join("src");
    for path in stamp::files_below(&src)? {
        let below = path.strip_prefix(&src).unwrap_or(&path);
        let kernel_only = below.starts_with("glue")
            || below.starts_with("glue.rs")
            || below.starts_with("cr_main.rs");
        if below.extension().is_some_and(|ext| ext == "rs") && !kernel_only {
            inputs.file(format!("rust-syscall/src/{}", below.display()), &path)?;
        }
    }
    Ok(())
}

/// Runs cargo; where it leaves the executable.
fn run_cargo(plan: &Plan, arch: Arch, sink: &dyn Sink) -> Result<PathBuf> {
    let layout = &plan.layout;
    let rust = guest_rust(layout, arch)?;
    let target = arch.rust_target();
    let log = layout.log(&format!("guest-{arch}"));
    let mut flags = vec!["-Ctarget-feature=+crt-static".to_string()];
    if let Some(sysroot) = &rust.sysroot {
        flags.push(format!("--sysroot={}", sysroot.display()));
    }
    let mut cargo = tool(format!("building the guest programs ({arch})"), &plan.cargo)
        .args([
            "build",
            "--profile",
            PROFILE,
            "--package",
            "guest",
            "--bins",
        ])
        .args(["--target", target])
        .arg("--target-dir")
        .arg(layout.guest_target(arch))
        .dir(layout.root())
        .failure(Kind::Build);
    for name in UNWANTED {
        cargo = cargo.env_remove(*name);
    }
    // Encoded: the separator keeps folders with spaces whole.
    cargo = cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
    if let Some(rustc) = &rust.rustc {
        cargo = cargo.env("RUSTC", rustc);
    }
    if let Some(linker) = &rust.linker {
        let variable = format!(
            "CARGO_TARGET_{}_LINKER",
            target.to_uppercase().replace('-', "_")
        );
        cargo = cargo.env(variable, linker);
    }
    let step = Step::of(Stage::Guest, arch);
    cargo.run_logged(&log, |done, last| {
        sink.emit(Event::StepProgress {
            step,
            done,
            total: None,
            text: last.to_string(),
        });
    })?;
    let folder = layout.guest_target(arch).join(target).join(PROFILE);
    Ok(folder.join(BINARY))
}

/// Copies the executable into a folder that holds nothing else.
fn collect(dir: &Path, built: &Path) -> Result<GuestPrograms> {
    remove_dir(dir)?;
    let executable = dir.join(BINARY);
    copy_whole(built, &executable)?;
    let mut inputs = Inputs::new();
    inputs.file(BINARY, built)?;
    inputs.text("names", NAMES.join(" "));
    Ok(GuestPrograms {
        executable,
        names: NAMES.iter().map(|name| name.to_string()).collect(),
        sha256: inputs.digest(),
    })
}

/// Which Rust builds for an architecture: cargo's own where it has the target, else Debian's with a sysroot of the lab's own.
fn guest_rust(layout: &Layout, arch: Arch) -> Result<GuestRust> {
    let native = Arch::host() == Some(arch);
    let linker = (!native).then(|| arch.gnu_program("gcc"));
    if native || own_rust_has(arch) {
        return Ok(GuestRust {
            rustc: None,
            sysroot: None,
            linker,
        });
    }
    let Some((compiler, library)) = debian_rust() else {
        let target = arch.rust_target();
        return Err(Error::host(
            format!("looking for a Rust that builds for {arch}"),
            format!("neither rustup's target {target} nor Debian's rustc is installed"),
        )
        .hint(format!(
            "`cargo xtask lab setup`, or `rustup target add {target}`"
        )));
    };
    // `std` and compiler have to be of one build.
    let version = tool(
        format!("asking for the version of {compiler}"),
        "dpkg-query",
    )
    .args(["-W", "-f=${Version}", compiler])
    .failure(Kind::Host)
    .read()?;
    let sysroot = unpack_one(layout, arch, library, &version)
        .map_err(|err| {
            err.hint(format!(
                "`apt-get install {compiler}` gets the version that the archive has now"
            ))
        })?
        .join("usr");
    Ok(GuestRust {
        rustc: Some(PathBuf::from(DEBIAN_RUSTC)),
        sysroot: Some(sysroot),
        linker,
    })
}

/// Whether the toolchain that cargo uses has the architecture's `std`.
pub fn own_rust_has(arch: Arch) -> bool {
    let sysroot = tool("asking rustc for its sysroot", "rustc")
        .args(["--print", "sysroot"])
        .read();
    sysroot.is_ok_and(|sysroot| {
        Path::new(&sysroot)
            .join("lib/rustlib")
            .join(arch.rust_target())
            .join("lib")
            .is_dir()
    })
}

/// The packages that Debian's compiler and its `std` are from, where it is installed and not of another age.
pub fn debian_rust() -> Option<(&'static str, &'static str)> {
    let documented = |package: &str| Path::new("/usr/share/doc").join(package).is_dir();
    let with_source = Path::new("/usr/lib/rustlib/src/rust/library").is_dir();
    DEBIAN_RUST
        .into_iter()
        .find(|(compiler, _)| documented(compiler))
        .filter(|(compiler, _)| {
            Path::new(DEBIAN_RUSTC).is_file() && (*compiler == "rustc-web" || with_source)
        })
}
