// SPDX-License-Identifier: GPL-2.0-only

//! The folder of a run: `target/lab/runs/<id>/<arch>/<scenario>/`, and `latest`.
//! Kernels and initramfs are taken in as hard links, so that a later build, which
//! replaces files by renaming, cannot change what a run boots or a bundle names.

use std::path::{Path, PathBuf};

use crate::arch::Arch;
use crate::error::{AtPath, Result};
use crate::layout::{copy_whole, create_dir, Layout};
use crate::pipeline::Prepared;
use crate::plan::Plan;
use crate::qemu::guest::VMLINUX;
use crate::qemu::program;
use crate::qemu::{clock, Accelerator, BootSpec};
use crate::run::select::chance;

/// Name of the link to the newest run.
pub const LATEST: &str = "latest";

/// A run's folder.
#[derive(Debug, Clone)]
pub struct RunFolder {
    /// Name of the folder: time of the start and process.
    pub id: String,
    /// The folder.
    pub path: PathBuf,
}

impl RunFolder {
    /// Makes one for a run that began so many seconds after 1970, and points `latest` to it.
    pub fn create(layout: &Layout, started: u64) -> Result<RunFolder> {
        // Runs of several machines may lie in one folder: neither time nor process tells them apart.
        let chance = chance() & 0xffff;
        let id = format!("{}-{chance:04x}-{}", stamp(started), std::process::id());
        let runs = layout.runs();
        let path = runs.join(&id);
        create_dir(&path)?;
        point_latest(&runs, Path::new(&id))?;
        Ok(RunFolder { id, path })
    }

    /// Folder of an architecture.
    pub fn arch(&self, arch: Arch) -> PathBuf {
        self.path.join(arch.name())
    }

    /// Takes in the kernel and initramfs of an architecture; the guest that boots them.
    pub fn take_in(&self, plan: &Plan, prepared: &Prepared) -> Result<BootSpec> {
        let dir = self.arch(prepared.arch);
        create_dir(&dir)?;
        let kernel = dir.join("kernel");
        let initramfs = dir.join("initramfs.cpio");
        link(&prepared.kernel.image, &kernel)?;
        link(&prepared.initramfs, &initramfs)?;
        // What addresses are looked up in, if it is still there.
        if prepared.kernel.vmlinux.is_file() {
            link(&prepared.kernel.vmlinux, &dir.join(VMLINUX))?;
        }
        Ok(spec(plan, prepared.arch, &kernel, &initramfs))
    }
}

/// Makes `latest` a link to a run, by a rename: it is there at every moment.
pub fn point_latest(runs: &Path, id: &Path) -> Result<()> {
    let fresh = runs.join(format!(".{LATEST}-{}", std::process::id()));
    let _ = std::fs::remove_file(&fresh);
    std::os::unix::fs::symlink(id, &fresh).at("creating", &fresh)?;
    let latest = runs.join(LATEST);
    std::fs::rename(&fresh, &latest).at("renaming to", &latest)
}

/// The guest that a plan asks for; its accelerator is still to be chosen.
pub fn spec(plan: &Plan, arch: Arch, kernel: &Path, initramfs: &Path) -> BootSpec {
    BootSpec {
        arch,
        qemu: program::find(&plan.layout, arch).unwrap_or_else(|| arch.qemu().into()),
        kernel: kernel.to_path_buf(),
        initramfs: initramfs.to_path_buf(),
        cpus: plan.machine.cpus,
        memory_mib: plan.machine.memory_mib,
        cpu: plan
            .machine
            .cpu
            .get(&arch)
            .cloned()
            .unwrap_or_else(|| "max".into()),
        accel: Accelerator::Tcg,
        tsc_khz: clock::tsc_khz(),
        append: Vec::new(),
        console_mib: crate::qemu::console_mib(),
        dump_memory: false,
    }
}

/// A hard link, or a copy where there can be none.
fn link(from: &Path, to: &Path) -> Result<()> {
    std::fs::hard_link(from, to).or_else(|_| copy_whole(from, to))
}

/// Seconds since 1970 as `20261123-201500`, in UTC.
pub fn stamp(seconds: u64) -> String {
    let (days, rest) = (seconds / 86400, seconds % 86400);
    // Days to date in the proleptic Gregorian calendar, eras of 400 years beginning in March.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!(
        "{year:04}{month:02}{day:02}-{:02}{:02}{:02}",
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}

#[cfg(test)]
mod tests {
    use super::stamp;

    #[test]
    fn times_are_dates() {
        assert_eq!(stamp(0), "19700101-000000");
        assert_eq!(stamp(1_709_210_096), "20240229-123456");
        assert_eq!(stamp(1_795_464_900), "20261123-201500");
    }
}
