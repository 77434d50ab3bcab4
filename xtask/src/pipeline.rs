// SPDX-License-Identifier: GPL-2.0-only

//! From a [`Plan`] to what QEMU boots: kernel and initramfs for each architecture.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crate::arch::Arch;
use crate::error::Result;
use crate::event::Sink;
use crate::exec;
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
    let tree = patched_tree(plan, sink)?;
    let tools = KernelTools::find(plan)?;
    for_each_arch(&plan.arches, |arch| {
        let kernel = build::build(plan, &tree, &tools, arch, sink)?;
        let programs = guest_programs::build(plan, arch, sink)?;
        let initramfs = manifest::build(&plan.layout, arch, &programs, sink)?;
        Ok(Prepared {
            arch,
            kernel,
            initramfs: initramfs.path,
            initramfs_sha256: initramfs.sha256,
            programs: programs.names,
        })
    })
}

/// The patched tree of the plan's kernel.
pub fn patched_tree(plan: &Plan, sink: &dyn Sink) -> Result<tree::PatchedTree> {
    let source = source::fetch(plan, sink)?;
    tree::prepare(plan, &source, sink)
}

/// The plan's kernel for each of its architectures; with `twice`, built again and compared.
pub fn kernels(plan: &Plan, twice: bool, sink: &dyn Sink) -> Result<Vec<KernelBuild>> {
    let tree = patched_tree(plan, sink)?;
    let tools = KernelTools::find(plan)?;
    for_each_arch(&plan.arches, |arch| match twice {
        true => build::check_reproducible(plan, &tree, &tools, arch, sink),
        false => build::build(plan, &tree, &tools, arch, sink),
    })
}

/// Does the same for all architectures at once: most of a small rebuild is waiting for one linker.
/// The first failure ends the others' programs and is the one that is reported.
pub fn for_each_arch<T: Send>(
    arches: &[Arch],
    work: impl Fn(Arch) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let first_failure = Mutex::new(None);
    let run = |arch| {
        let result = work(arch);
        result
            .map_err(|err| {
                let mut first = first_failure.lock().unwrap_or_else(PoisonError::into_inner);
                if first.is_none() {
                    *first = Some(err);
                    exec::end_children();
                }
            })
            .ok()
    };
    let done: Vec<Option<T>> = std::thread::scope(|scope| {
        let start = |arch: &Arch| {
            let (arch, run) = (*arch, &run);
            scope.spawn(move || run(arch))
        };
        let threads: Vec<_> = arches.iter().map(start).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, Option<T>>| {
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().map(join).collect()
    });
    match first_failure
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)
    {
        Some(err) => Err(err),
        None => Ok(done.into_iter().flatten().collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn results_come_in_order_and_the_first_failure_is_reported() {
        let names = for_each_arch(&Arch::ALL, |arch| Ok(arch.name())).unwrap();
        assert_eq!(names, ["x86_64", "arm64"]);
        let fail = |arch| match arch {
            Arch::X86_64 => {
                std::thread::sleep(std::time::Duration::from_millis(200));
                Ok(())
            }
            Arch::Arm64 => Err(Error::build("building", "no")),
        };
        assert_eq!(for_each_arch(&Arch::ALL, fail).unwrap_err().found(), "no");
    }
}
