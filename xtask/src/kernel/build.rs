// SPDX-License-Identifier: GPL-2.0-only

//! The kernel build: make in an object folder, its image copied out whole.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::arch::Arch;
use crate::error::{Error, Result};
use crate::event::{Event, Sink, Stage, Step};
use crate::kernel::config::{compiler_version, configure, kernel_release, Configured};
use crate::kernel::source::local::refuse_changed;
use crate::kernel::toolchain::KernelTools;
use crate::kernel::tree::PatchedTree;
use crate::layout::{copy_whole, remove_dir};
use crate::plan::Plan;
use crate::stage::{announced, Cached};
use crate::stamp;

/// A finished kernel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KernelBuild {
    /// What QEMU boots.
    pub image: PathBuf,
    /// sha256 of it.
    pub image_sha256: String,
    /// The kernel with its symbols, in the object folder: what addresses are looked up in.
    pub vmlinux: PathBuf,
    /// Its name in `lab.toml`.
    pub name: String,
    /// What it calls itself.
    pub release: String,
    /// Where its source came from, with the exact version.
    pub source: String,
    /// sha256 of that source.
    pub source_sha256: String,
    /// One hash over source, series and overlay.
    pub tree_sha256: String,
    /// sha256 of its configuration.
    pub config_sha256: String,
    /// The rustc that built it.
    pub rustc: String,
    /// The compiler that built its C.
    pub cc: String,
}

/// Configures and builds a kernel for an architecture, unless it is up to date.
pub fn build(
    plan: &Plan,
    tree: &PatchedTree,
    tools: &KernelTools,
    arch: Arch,
    sink: &dyn Sink,
) -> Result<KernelBuild> {
    let configured = configure(plan, tree, tools, arch, sink)?;
    let mut inputs = tree.inputs.clone();
    inputs.text("kernel config", configured.config_sha256.clone());
    tools.describe(arch, &mut inputs)?;
    let step = Step::of(Stage::Kernel, arch);
    let stage = Cached {
        step,
        stamp: plan
            .layout
            .stamp(&format!("kernel-{}-{arch}", plan.kernel.name)),
        inputs: &inputs,
        sink,
    };
    stage.get(
        |build: &KernelBuild| vec![build.image.clone()],
        || {
            let doing = format!("building the kernel ({}, {arch})", plan.kernel.name);
            make(plan, tree, tools, &configured, step, doing, sink)?;
            refuse_changed(&tree.source)?;
            collect(plan, tree, tools, &configured)
        },
    )
}

/// Builds the kernel a second time from nothing, in another object folder, and compares the images. That
/// the first one may have grown by many small builds is part of the proof.
pub fn check_reproducible(
    plan: &Plan,
    tree: &PatchedTree,
    tools: &KernelTools,
    arch: Arch,
    sink: &dyn Sink,
) -> Result<KernelBuild> {
    let first = build(plan, tree, tools, arch, sink)?;
    let mut plan = plan.clone();
    // `+` is in no name of lab.toml.
    plan.kernel.name = format!("{}+again", plan.kernel.name);
    let obj = plan.layout.obj(&plan.kernel.name, arch);
    remove_dir(&obj)?;
    let configured = configure(&plan, tree, tools, arch, sink)?;
    let step = Step::of(Stage::Kernel, arch);
    let doing = format!("building the kernel a second time ({}, {arch})", first.name);
    let why = "a second time, from nothing".to_string();
    announced(step, why, sink, || {
        make(&plan, tree, tools, &configured, step, doing, sink)
    })?;
    let second = obj.join(arch.kernel_image());
    let found = stamp::hash_file(&second)?;
    if found != first.image_sha256 {
        return Err(Error::build(
            format!(
                "comparing two builds of one kernel ({}, {arch})",
                first.name
            ),
            format!(
                "{} has sha256 {}, {} has {found}",
                plan.layout.show(&first.image),
                first.image_sha256,
                plan.layout.show(&second)
            ),
        )
        .hint("diffoscope on both shows where they differ; both are kept"));
    }
    remove_dir(&obj)?;
    Ok(first)
}

/// Takes the image out of the object folder.
fn collect(
    plan: &Plan,
    tree: &PatchedTree,
    tools: &KernelTools,
    configured: &Configured,
) -> Result<KernelBuild> {
    let (name, arch) = (&plan.kernel.name, configured.arch);
    let image = plan
        .layout
        .kernel_out(name, arch)
        .join(arch.kernel_target());
    copy_whole(&configured.obj.join(arch.kernel_image()), &image)?;
    Ok(KernelBuild {
        image_sha256: stamp::hash_file(&image)?,
        vmlinux: configured.obj.join("vmlinux"),
        name: name.clone(),
        release: kernel_release(&configured.obj)?,
        source: tree.source.origin.clone(),
        source_sha256: tree.source.sha256.clone(),
        tree_sha256: tree.inputs.digest(),
        config_sha256: configured.config_sha256.clone(),
        rustc: tools.rustc.version.clone(),
        cc: compiler_version(&configured.obj)?,
        image,
    })
}

/// Has make bring the object folder up to date: `step` is what goes on, `doing` is said of a failure.
pub fn make(
    plan: &Plan,
    tree: &PatchedTree,
    tools: &KernelTools,
    configured: &Configured,
    step: Step,
    doing: String,
    sink: &dyn Sink,
) -> Result<()> {
    let (name, arch) = (&plan.kernel.name, configured.arch);
    let log = plan.layout.log(&format!("kernel-{name}-{arch}"));
    tools
        .make(doing, &tree.path, &configured.obj, arch)
        .arg(format!("-j{}", plan.build_jobs))
        .arg(arch.kernel_target())
        .run_logged(&log, |done, last| {
            sink.emit(Event::StepProgress {
                step,
                done,
                total: None,
                text: last.to_string(),
            });
        })
}
