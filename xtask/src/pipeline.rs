// SPDX-License-Identifier: GPL-2.0-only

//! From a [`Plan`] to what QEMU boots: kernel and initramfs for each architecture.

use std::path::PathBuf;

use crate::arch::Arch;
use crate::error::Result;
use crate::event::Sink;
use crate::initramfs::{guest_programs, manifest};
use crate::kernel::build::KernelBuild;
use crate::kernel::toolchain::KernelTools;
use crate::kernel::{build, source, tree};
use crate::plan::Plan;

/// What QEMU boots, for one architecture.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The architecture.
    pub arch: Arch,
    /// The kernel: image, release, hashes.
    pub kernel: KernelBuild,
    /// The initramfs: `/init`, the guest programs and what `images/initramfs.toml` lists.
    pub initramfs: PathBuf,
    /// Hash of the initramfs.
    pub initramfs_sha256: String,
    /// Names of the guest programs in it.
    pub programs: Vec<String>,
}

/// Builds what is not up to date. The caller holds the lock ([`crate::layout::Layout::lock`]) and has
/// seen to the tools ([`crate::setup::ensure`]).
pub fn prepare(plan: &Plan, sink: &dyn Sink) -> Result<Vec<Prepared>> {
    let kernels = kernels(plan, sink)?;
    let mut prepared = Vec::new();
    for (arch, kernel) in plan.arches.iter().copied().zip(kernels) {
        let programs = guest_programs::build(plan, arch, sink)?;
        let initramfs = manifest::build(&plan.layout, arch, &programs, sink)?;
        prepared.push(Prepared {
            arch,
            kernel,
            initramfs: initramfs.path,
            initramfs_sha256: initramfs.sha256,
            programs: programs.names,
        });
    }
    Ok(prepared)
}

/// The patched tree of the plan's kernel.
pub fn patched_tree(plan: &Plan, sink: &dyn Sink) -> Result<tree::PatchedTree> {
    let source = source::fetch(plan, sink)?;
    tree::prepare(plan, &source, sink)
}

/// The plan's kernel for each of its architectures.
pub fn kernels(plan: &Plan, sink: &dyn Sink) -> Result<Vec<KernelBuild>> {
    let tree = patched_tree(plan, sink)?;
    let tools = KernelTools::find(plan)?;
    plan.arches
        .iter()
        .map(|arch| build::build(plan, &tree, &tools, *arch, sink))
        .collect()
}
