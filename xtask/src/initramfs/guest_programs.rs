// SPDX-License-Identifier: GPL-2.0-only

//! The guest programs: `/init`, `mktree`, `checkpoint` and the test programs,
//! built static by cargo for each architecture.

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::arch::Arch;
use crate::error::{AtPath, Error, Kind, Result};
use crate::event::{Event, Sink, Stage, Step};
use crate::exec::tool;
use crate::initramfs::debian::unpack_one;
use crate::layout::{copy_whole, remove_dir, Layout};
use crate::plan::Plan;
use crate::stamp::{self, Freshness, Inputs};

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
    /// Their folder.
    pub dir: PathBuf,
    /// Their names, sorted.
    pub names: Vec<String>,
    /// One hash over all of them.
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
    let step = Step::of(Stage::Guest, arch);
    let layout = &plan.layout;
    let stamp_file = layout.stamp(&format!("guest-{arch}"));
    let mut inputs = Inputs::new();
    inputs.folder("guest", &layout.guest())?;
    inputs.file(
        "rust-syscall/Cargo.toml",
        &layout.rust_syscall().join("Cargo.toml"),
    )?;
    add_codec_inputs(layout, &mut inputs)?;
    for name in ["Cargo.toml", "Cargo.lock"] {
        inputs.file(name, &layout.root().join(name))?;
    }
    inputs.program("cargo", &plan.cargo)?;
    if Path::new(DEBIAN_RUSTC).is_file() {
        inputs.program("rustc", Path::new(DEBIAN_RUSTC))?;
    }
    let why = match stamp::check::<GuestPrograms>(&stamp_file, &inputs) {
        Freshness::Fresh(programs) => {
            sink.emit(Event::StepFresh { step });
            return Ok(programs);
        }
        Freshness::Stale(why) => why,
    };
    sink.emit(Event::StepBegin { step, why });
    let start = Instant::now();
    stamp::forget(&stamp_file)?;
    let built = run_cargo(plan, arch, sink)?;
    let programs = collect(&layout.guest_out(arch), &built)?;
    let outputs: Vec<PathBuf> = programs
        .names
        .iter()
        .map(|name| programs.dir.join(name))
        .collect();
    let outputs: Vec<&Path> = outputs.iter().map(PathBuf::as_path).collect();
    stamp::record(&stamp_file, &inputs, &outputs, &programs)?;
    sink.emit(Event::StepEnd {
        step,
        elapsed: start.elapsed(),
    });
    Ok(programs)
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

/// Runs cargo; where it leaves the executables.
fn run_cargo(plan: &Plan, arch: Arch, sink: &dyn Sink) -> Result<Vec<PathBuf>> {
    let layout = &plan.layout;
    let rust = guest_rust(layout, arch)?;
    let target = arch.rust_target();
    let log = layout.log(&format!("guest-{arch}"));
    let mut flags = vec!["-Ctarget-feature=+crt-static".to_string()];
    if let Some(sysroot) = &rust.sysroot {
        flags.push(format!("--sysroot={}", sysroot.display()));
    }
    let mut cargo = tool(format!("building the guest programs ({arch})"), &plan.cargo)
        .args(["build", "--release", "--package", "guest", "--bins"])
        .args(["--target", target])
        .arg("--target-dir")
        .arg(layout.guest_target(arch))
        .dir(layout.root())
        .failure(Kind::Build);
    for name in UNWANTED {
        cargo = cargo.env_remove(*name);
    }
    // Encoded: the separator keeps folders with spaces whole.
    cargo = cargo
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
        .env("CARGO_PROFILE_RELEASE_STRIP", "symbols");
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
    let folder = layout.guest_target(arch).join(target).join("release");
    Ok(program_names(&layout.guest())?
        .iter()
        .map(|name| folder.join(name))
        .collect())
}

/// The guest programs: every file and folder of `guest/src/bin`.
fn program_names(guest: &Path) -> Result<Vec<String>> {
    let dir = guest.join("src/bin");
    let entries = std::fs::read_dir(&dir).at("listing", &dir)?;
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| Some(entry.path().file_stem()?.to_string_lossy().into_owned()))
        .filter(|name| !name.starts_with('.'))
        .collect();
    names.sort();
    Ok(names)
}

/// Copies the executables into a folder that holds nothing else.
fn collect(dir: &Path, built: &[PathBuf]) -> Result<GuestPrograms> {
    remove_dir(dir)?;
    let mut inputs = Inputs::new();
    let mut names = Vec::new();
    for from in built {
        let name = from
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        copy_whole(from, &dir.join(&name))?;
        inputs.file(&name, from)?;
        names.push(name);
    }
    names.sort();
    Ok(GuestPrograms {
        dir: dir.to_path_buf(),
        names,
        sha256: inputs.digest(),
    })
}

/// Which Rust builds for an architecture: cargo's own where it has the target, else Debian's with a sysroot of the lab's own.
fn guest_rust(layout: &Layout, arch: Arch) -> Result<GuestRust> {
    let native = Arch::host() == Some(arch);
    let linker = (!native).then(|| format!("{}-gcc", arch.gnu_triple()));
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
