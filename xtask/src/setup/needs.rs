// SPDX-License-Identifier: GPL-2.0-only

//! What the lab needs of a machine, as data: nothing here looks at one.

use std::path::PathBuf;

use crate::arch::Arch;
use crate::config::Compiler;
use crate::host::Host;
use crate::kernel::toolchain::libclang;
use crate::plan::Plan;
use crate::qemu;

/// What a kernel's compiler is for.
const COMPILES: &str = "compiles the kernel";

/// Something the lab needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Need {
    /// What it is, as shown to the user.
    pub what: String,
    /// What for.
    pub why: &'static str,
    /// How it is recognised.
    pub probe: Probe,
    /// Debian packages that bring it; empty for what cargo brings.
    pub packages: Vec<String>,
}

/// How something is recognised.
#[derive(Debug, Clone, PartialEq)]
pub enum Probe {
    /// A program in `PATH`.
    Program(String),
    /// A program where kernel builds look for it.
    KernelProgram(String),
    /// A file, at any of these paths.
    File(Vec<PathBuf>),
    /// QEMU for an architecture, the machine's or the lab's own.
    Qemu(Arch),
    /// A rustc that can build kernels.
    KernelRust,
    /// Debian's rustc, unless cargo's own toolchain has the architecture's `std`.
    GuestRust(Arch),
    /// The lab's bindgen in the version that `lab.toml` names.
    Bindgen,
}

/// Everything the plan needs. Pure.
pub fn needs(plan: &Plan, host: &Host) -> Vec<Need> {
    let mut needs = kernel_needs(&plan.toolchain.llvm, host);
    let cc = plan.kernel.cc;
    if cc == Compiler::Clang {
        let clang = format!("clang-{}", plan.toolchain.llvm);
        needs.push(kernel_program(&clang, COMPILES, &clang));
    }
    for arch in &plan.arches {
        needs.extend(needs_of_arch(*arch, cc, host));
    }
    if plan.tests {
        needs.push(program(
            "git",
            "is what trees of the series are made with",
            "git",
        ));
        let why = "looks at the HTML report in a test";
        needs.push(program("chromium", why, "chromium"));
    }
    needs
}

/// What builds kernels.
fn kernel_needs(llvm: &str, host: &Host) -> Vec<Need> {
    let of_builds = [
        ("make", "builds the kernel", "make"),
        (
            "gcc",
            "links guest programs and the kernel's own tools",
            "gcc",
        ),
        ("flex", "builds the kernel's configuration tools", "flex"),
        ("bison", "builds the kernel's configuration tools", "bison"),
        ("bc", "computes the kernel's time constants", "bc"),
        ("perl", "runs scripts of the kernel build", "perl"),
    ];
    let mut needs: Vec<Need> = of_builds
        .iter()
        .map(|(name, why, package)| kernel_program(name, why, package))
        .collect();
    needs.push(program("patch", "applies the series", "patch"));
    needs.push(program("xz", "unpacks the kernel's source", "xz-utils"));
    for (name, why, package) in [
        ("ld.lld", "links the kernel", "lld"),
        ("llvm-objcopy", "makes the kernel's image", "llvm"),
    ] {
        let versioned = |name| format!("{name}-{llvm}");
        needs.push(kernel_program(&versioned(name), why, &versioned(package)));
    }
    let triple = host.arch.map_or("", Arch::gnu_triple);
    let header = |name| {
        [
            format!("/usr/include/{name}"),
            format!("/usr/include/{triple}/{name}"),
        ]
    };
    let rust = ["rustc-web", "rust-web-src"];
    needs.extend([
        file(
            "libclang",
            "bindgen reads headers with it",
            &libclang(llvm),
            &format!("libclang-{llvm}-dev"),
        ),
        file(
            "libelf",
            "builds objtool",
            &header("libelf.h"),
            "libelf-dev",
        ),
        file(
            "libcrypto",
            "builds the kernel's signing tools",
            &header("openssl/opensslv.h"),
            "libssl-dev",
        ),
        need(
            "rustc with its library's source",
            "compiles the kernel's Rust",
            Probe::KernelRust,
            &rust,
        ),
        need(
            "bindgen",
            "makes Rust bindings of the kernel's headers",
            Probe::Bindgen,
            &[],
        ),
    ]);
    needs
}

fn needs_of_arch(arch: Arch, cc: Compiler, host: &Host) -> Vec<Need> {
    let triple = arch.gnu_triple();
    let gcc = arch.gnu_program("gcc");
    let mut needs = vec![need(
        arch.qemu(),
        "is the virtual machine",
        Probe::Qemu(arch),
        &[qemu::program::package(arch)],
    )];
    if host.arch == Some(arch) {
        let libc = [
            format!("/usr/lib/{triple}/libc.a"),
            "/usr/lib/libc.a".into(),
            "/usr/lib64/libc.a".into(),
        ];
        needs.push(file(
            "static libc",
            "is linked into guest programs",
            &libc,
            "libc6-dev",
        ));
        if cc == Compiler::Gcc {
            needs.push(kernel_program(&gcc, COMPILES, "gcc"));
        }
        return needs;
    }
    let package = format!("gcc-{}", triple.replace('_', "-"));
    needs.push(match cc {
        Compiler::Gcc => kernel_program(
            &gcc,
            "compiles the kernel and links guest programs",
            &package,
        ),
        Compiler::Clang => program(&gcc, "links guest programs", &package),
    });
    let libc = [format!("/usr/{triple}/lib/libc.a")];
    needs.push(file(
        &format!("static libc for {arch}"),
        "is linked into guest programs",
        &libc,
        &format!("libc6-dev-{}-cross", arch.debian()),
    ));
    needs.push(need(
        &format!("Rust that builds for {arch}"),
        "compiles guest programs",
        Probe::GuestRust(arch),
        &["rustc-web"],
    ));
    needs
}

fn need(what: &str, why: &'static str, probe: Probe, packages: &[&str]) -> Need {
    Need {
        what: what.into(),
        why,
        probe,
        packages: packages.iter().map(|name| name.to_string()).collect(),
    }
}

fn program(name: &str, why: &'static str, package: &str) -> Need {
    need(name, why, Probe::Program(name.into()), &[package])
}

fn kernel_program(name: &str, why: &'static str, package: &str) -> Need {
    need(name, why, Probe::KernelProgram(name.into()), &[package])
}

fn file(what: &str, why: &'static str, paths: &[String], package: &str) -> Need {
    need(
        what,
        why,
        Probe::File(paths.iter().map(PathBuf::from).collect()),
        &[package],
    )
}
