// SPDX-License-Identifier: GPL-2.0-only

//! The kernel build: make in an object folder, its image copied out whole.

use std::path::PathBuf;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::arch::Arch;
use crate::error::Result;
use crate::event::{Event, Sink, Stage, Step};
use crate::kernel::config::{configure, kernel_release, Configured};
use crate::kernel::toolchain::KernelTools;
use crate::kernel::tree::PatchedTree;
use crate::layout::copy_whole;
use crate::plan::Plan;
use crate::stamp::{self, Freshness};

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
    let step = Step::of(Stage::Kernel, arch);
    let layout = &plan.layout;
    let name = &plan.kernel.name;
    let stamp_file = layout.stamp(&format!("kernel-{name}-{arch}"));
    let mut inputs = tree.inputs.clone();
    inputs.text("kernel config", configured.config_sha256.clone());
    tools.describe(&mut inputs)?;
    let why = match stamp::check::<KernelBuild>(&stamp_file, &inputs) {
        Freshness::Fresh(build) => {
            sink.emit(Event::StepFresh { step });
            return Ok(build);
        }
        Freshness::Stale(why) => why,
    };
    sink.emit(Event::StepBegin { step, why });
    let start = Instant::now();
    stamp::forget(&stamp_file)?;
    make(plan, tree, tools, arch, &configured, sink)?;
    let image = layout.kernel_out(name, arch).join(arch.kernel_target());
    copy_whole(&configured.obj.join(arch.kernel_image()), &image)?;
    let build = KernelBuild {
        image_sha256: stamp::hash_file(&image)?,
        vmlinux: configured.obj.join("vmlinux"),
        name: name.clone(),
        release: kernel_release(&configured.obj)?,
        source: tree.source.origin.clone(),
        source_sha256: tree.source.sha256.clone(),
        tree_sha256: tree.inputs.digest(),
        config_sha256: configured.config_sha256,
        rustc: tools.rustc.version.clone(),
        image,
    };
    stamp::record(&stamp_file, &inputs, &[&build.image], &build)?;
    sink.emit(Event::StepEnd {
        step,
        elapsed: start.elapsed(),
    });
    Ok(build)
}

fn make(
    plan: &Plan,
    tree: &PatchedTree,
    tools: &KernelTools,
    arch: Arch,
    configured: &Configured,
    sink: &dyn Sink,
) -> Result<()> {
    let name = &plan.kernel.name;
    let step = Step::of(Stage::Kernel, arch);
    let log = plan.layout.log(&format!("kernel-{name}-{arch}"));
    tools
        .make(
            format!("building the kernel ({name}, {arch})"),
            &tree.path,
            &configured.obj,
            arch.kbuild_name(),
        )
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
