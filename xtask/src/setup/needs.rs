// SPDX-License-Identifier: GPL-2.0-only

//! What the lab needs of a machine, as data: nothing here looks at one.

use std::path::PathBuf;

use crate::arch::Arch;
use crate::host::Host;
use crate::plan::Plan;

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
    /// A file, at any of these paths.
    File(Vec<PathBuf>),
    /// A rustc that can build kernels.
    KernelRust,
    /// Debian's rustc, unless cargo's own toolchain has the architecture's `std`.
    GuestRust(Arch),
    /// The lab's bindgen in the version that `lab.toml` names.
    Bindgen,
}

/// Everything the plan needs. Pure.
pub fn needs(plan: &Plan, host: &Host) -> Vec<Need> {
    let llvm = &plan.toolchain.llvm;
    let mut needs = vec![
        program("make", "builds the kernel", "make"),
        program(
            "gcc",
            "links guest programs and the kernel's own tools",
            "gcc",
        ),
        program(
            &format!("clang-{llvm}"),
            "compiles the kernel",
            &format!("clang-{llvm}"),
        ),
        program(
            &format!("ld.lld-{llvm}"),
            "links the kernel",
            &format!("lld-{llvm}"),
        ),
        program(
            &format!("llvm-objcopy-{llvm}"),
            "makes the kernel's image",
            &format!("llvm-{llvm}"),
        ),
        file(
            "libclang",
            "bindgen reads the kernel's headers with it",
            &[
                format!("/usr/lib/llvm-{llvm}/lib/libclang.so"),
                format!("/usr/lib/llvm-{llvm}/lib/libclang.so.1"),
            ],
            &format!("libclang-{llvm}-dev"),
        ),
        program("flex", "builds the kernel's configuration tools", "flex"),
        program("bison", "builds the kernel's configuration tools", "bison"),
        program("bc", "computes the kernel's time constants", "bc"),
        program("perl", "runs scripts of the kernel build", "perl"),
        program("patch", "applies the series", "patch"),
        program("xz", "unpacks the kernel's source", "xz-utils"),
        need(
            "rustc with its library's source",
            "compiles the kernel's Rust",
            Probe::KernelRust,
            &["rustc-web", "rust-web-src"],
        ),
        need(
            "bindgen",
            "makes Rust bindings of the kernel's headers",
            Probe::Bindgen,
            &[],
        ),
    ];
    let headers = |name: &str| {
        let triple = host.arch.map_or("", Arch::gnu_triple);
        [
            format!("/usr/include/{name}"),
            format!("/usr/include/{triple}/{name}"),
        ]
    };
    needs.push(file(
        "libelf",
        "builds objtool",
        &headers("libelf.h"),
        "libelf-dev",
    ));
    needs.push(file(
        "libcrypto",
        "builds the kernel's signing tools",
        &headers("openssl/opensslv.h"),
        "libssl-dev",
    ));
    for arch in &plan.arches {
        needs.extend(needs_of_arch(*arch, host));
    }
    needs
}

fn needs_of_arch(arch: Arch, host: &Host) -> Vec<Need> {
    let triple = arch.gnu_triple();
    let qemu = match arch {
        Arch::X86_64 => "qemu-system-x86",
        Arch::Arm64 => "qemu-system-arm",
    };
    let mut needs = vec![program(arch.qemu(), "is the virtual machine", qemu)];
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
        return needs;
    }
    let gcc = format!("{triple}-gcc");
    needs.push(program(
        &gcc,
        "links guest programs",
        &format!("gcc-{}", triple.replace('_', "-")),
    ));
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

fn file(what: &str, why: &'static str, paths: &[String], package: &str) -> Need {
    need(
        what,
        why,
        Probe::File(paths.iter().map(PathBuf::from).collect()),
        &[package],
    )
}
