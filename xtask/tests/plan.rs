// SPDX-License-Identifier: GPL-2.0-only

//! Planning is pure: flags, `lab.toml` and a host in, a plan out.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use xtask::arch::Arch;
use xtask::config::LabConfig;
use xtask::error::Kind;
use xtask::event::Event;
use xtask::flags::{ArchSet, Target};
use xtask::host::Host;
use xtask::kernel::objects::make_room;
use xtask::layout::Layout;
use xtask::plan::Plan;
use xtask::setup::{needs, Need};

fn host(arch: Arch) -> Host {
    Host {
        arch: Some(arch),
        cpus: 2,
        free_mib: None,
        distribution: "Debian GNU/Linux 12 (bookworm)".into(),
        apt: true,
        rustc_override: None,
        cargo: PathBuf::from("/home/dev/.cargo/bin/cargo"),
        kvm: false,
    }
}

fn plan(target: &Target, host: &Host) -> xtask::error::Result<Plan> {
    let config = LabConfig::parse("lab.toml", include_str!("../../lab.toml")).unwrap();
    Plan::new(&Layout::new("/lab"), &config, target, host)
}

#[test]
fn the_default_plan_is_both_architectures() {
    let plan = plan(&Target::default(), &host(Arch::X86_64)).unwrap();
    assert_eq!(plan.arches, Arch::ALL);
    assert_eq!(plan.kernel.name, "6.12");
    assert_eq!(
        plan.kernel.fragments(Arch::X86_64),
        ["base.config", "x86_64.config", "checkpoint.config"]
    );
    assert_eq!(
        plan.kernel.fragments(Arch::Arm64),
        [
            "base.config",
            "arm64.config",
            "arm64-6.12.config",
            "checkpoint.config"
        ]
    );
    assert!(plan.setup);
}

#[test]
fn the_debug_kernel_shares_the_source_and_takes_longer() {
    let target = Target {
        kernel: Some("debug".into()),
        arch: ArchSet::One(Arch::X86_64),
        ..Target::default()
    };
    let plan = plan(&target, &host(Arch::X86_64)).unwrap();
    assert_eq!(plan.kernel.source_name, "6.12");
    assert_eq!(
        plan.kernel.fragments(Arch::X86_64),
        [
            "base.config",
            "x86_64.config",
            "checkpoint.config",
            "debug.config"
        ]
    );
    assert!(plan.kernel.slowdown > 1.0);
    assert_eq!(plan.kernel.tree_name, "6.12", "one tree for both");
}

#[test]
fn a_plain_kernel_has_a_tree_of_its_own_and_no_series() {
    let target = Target {
        kernel: Some("6.12-plain".into()),
        ..Target::default()
    };
    let plan = plan(&target, &host(Arch::X86_64)).unwrap();
    assert_eq!(plan.kernel.tree_name, "6.12+plain");
    assert_eq!(plan.kernel.overlay, None);
    let error = plan.series().unwrap_err().to_string();
    assert!(error.contains("lab.toml says that it has none"), "{error}");
}

#[test]
fn an_unknown_machine_is_a_usage_error() {
    let target = Target {
        machine: Some("defualt".into()),
        ..Target::default()
    };
    let error = plan(&target, &host(Arch::X86_64)).unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    assert!(
        error.to_string().contains("did you mean \"default\"?"),
        "{error}"
    );
}

#[test]
fn the_environment_names_the_kernels_rustc_over_lab_toml() {
    let host = Host {
        rustc_override: Some("/opt/rust/bin/rustc".into()),
        ..host(Arch::X86_64)
    };
    assert_eq!(
        plan(&Target::default(), &host).unwrap().toolchain.rustc,
        Some("/opt/rust/bin/rustc".into())
    );
}

fn packages(needs: &[Need]) -> String {
    let mut names: Vec<&str> = needs
        .iter()
        .flat_map(|need| need.packages.iter().map(String::as_str))
        .collect();
    names.sort();
    names.dedup();
    names.join(" ")
}

#[test]
fn what_a_fresh_machine_needs() {
    let host = host(Arch::X86_64);
    assert_eq!(
        packages(&needs(&plan(&Target::default(), &host).unwrap(), &host)),
        "bc bison flex gcc gcc-aarch64-linux-gnu libc6-dev libc6-dev-arm64-cross libclang-19-dev libelf-dev \
         libssl-dev lld-19 llvm-19 make patch perl qemu-system-arm qemu-system-x86 rust-web-src rustc-web xz-utils"
    );
    let debug = Target {
        kernel: Some("debug".into()),
        ..Target::default()
    };
    let compilers = |target: &Target| {
        let needs = needs(&plan(target, &host).unwrap(), &host);
        let compiling = needs
            .into_iter()
            .filter(|need| need.why.starts_with("compiles the kernel"));
        let named = compiling.map(|need| format!("{}: {}", need.what, need.packages.join(" ")));
        named.collect::<Vec<_>>()
    };
    let rust = "rustc with its library's source: rustc-web rust-web-src";
    let (gcc, cross) = (
        "x86_64-linux-gnu-gcc: gcc",
        "aarch64-linux-gnu-gcc: gcc-aarch64-linux-gnu",
    );
    assert_eq!(compilers(&Target::default()), [rust, gcc, cross]);
    assert_eq!(compilers(&debug), [rust, "clang-19: clang-19"]);
    let one = Target {
        arch: ArchSet::One(Arch::X86_64),
        ..Target::default()
    };
    let mut plan = plan(&one, &host).unwrap();
    let of_one = packages(&needs(&plan, &host));
    assert!(!of_one.contains("arm"), "{of_one}");
    // What the project's own tests look for is nobody else's need.
    plan.tests = true;
    let of_tests = packages(&needs(&plan, &host));
    assert!(
        !of_one.contains("chromium") && of_tests.contains("chromium"),
        "{of_tests}"
    );
}

#[test]
fn an_arm64_machine_crosses_the_other_way() {
    let host = host(Arch::Arm64);
    let packages = packages(&needs(&plan(&Target::default(), &host).unwrap(), &host));
    assert!(
        packages.contains("gcc-x86-64-linux-gnu") && packages.contains("libc6-dev-amd64-cross"),
        "{packages}"
    );
    assert!(!packages.contains("aarch64"), "{packages}");
}

#[test]
fn object_folders_make_room_for_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(dir.path());
    let config = LabConfig::parse("lab.toml", include_str!("../../lab.toml")).unwrap();
    let target = Target {
        arch: ArchSet::One(Arch::X86_64),
        ..Target::default()
    };
    let mut plan = Plan::new(&layout, &config, &target, &host(Arch::X86_64)).unwrap();
    assert_eq!(plan.objects_bytes, 10 << 30);
    // From the one that was used last to the one that was used first.
    let names = [
        "dropped-x86_64",
        "debug-x86_64",
        "6.12+prefix-x86_64",
        "6.12-arm64",
        "6.12-x86_64",
        "guest-x86_64",
    ];
    for (at, name) in names.iter().enumerate() {
        let obj = layout.objects().join(name);
        std::fs::create_dir_all(&obj).unwrap();
        std::fs::write(obj.join("vmlinux"), vec![1; 1 << 20]).unwrap();
        std::fs::create_dir_all(layout.stamp("x").parent().unwrap()).unwrap();
        std::fs::write(layout.stamp(&format!("kernel-{name}")), "{}").unwrap();
        let used = SystemTime::now() - Duration::from_secs(3600 * (at as u64 + 1));
        let obj = std::fs::File::open(obj).unwrap();
        obj.set_modified(used).unwrap();
    }
    let notes = Mutex::new(Vec::new());
    let sink = |event: Event| {
        if let Event::Note(note) = event {
            notes.lock().unwrap().push(note);
        }
    };
    make_room(&plan, &sink).unwrap();
    assert_eq!(*notes.lock().unwrap(), Vec::<String>::new());
    plan.objects_bytes = 7 << 19;
    make_room(&plan, &sink).unwrap();
    let gone = |name: &&&str| {
        let there = layout.objects().join(name).exists();
        assert_eq!(layout.stamp(&format!("kernel-{name}")).exists(), there);
        !there
    };
    let gone: Vec<&&str> = names.iter().filter(gone).collect();
    assert_eq!(gone, [&"dropped-x86_64", &"6.12-arm64"]);
    let notes = notes.into_inner().unwrap();
    for (note, part) in notes.iter().zip([
        "removed target/lab/obj/dropped-x86_64 (1.00 MiB, its kernel is not in lab.toml)",
        "removed target/lab/obj/6.12-arm64 (1.00 MiB, last used 4 hours ago)",
    ]) {
        assert!(note.starts_with(part), "{note}");
    }
}
