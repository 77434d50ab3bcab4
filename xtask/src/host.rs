// SPDX-License-Identifier: GPL-2.0-only

//! What this machine is: looked at once, before planning. What it has of tools is in `setup`.

use std::path::{Path, PathBuf};

use procfs::Current;

use crate::arch::Arch;
use crate::exec::which;

/// Variable that names the kernel's rustc, over `lab.toml`.
pub const RUSTC_VARIABLE: &str = "RESTART_LAB_RUSTC";

/// What QEMU itself takes beside a guest's memory, in MiB: most of it for translated code.
const QEMU_MIB: u64 = 512;

/// How packages can be installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privilege {
    /// This process is root.
    Root,
    /// sudo works without a password.
    Sudo,
    /// Only the user can.
    None,
}

/// What this machine is.
#[derive(Debug, Clone)]
pub struct Host {
    /// Its architecture, if the lab knows it.
    pub arch: Option<Arch>,
    /// Processors.
    pub cpus: usize,
    /// Memory that programs can still have, in MiB, where the kernel tells it.
    pub free_mib: Option<u64>,
    /// Name and version of the distribution.
    pub distribution: String,
    /// Whether it has apt.
    pub apt: bool,
    /// The rustc that the environment names for the kernel.
    pub rustc_override: Option<PathBuf>,
    /// The cargo that runs this process.
    pub cargo: PathBuf,
    /// Whether /dev/kvm can be opened; whether it works is found out by booting.
    pub kvm: bool,
}

impl Host {
    /// Looks at this machine.
    pub fn probe() -> Host {
        let kvm = std::fs::File::options()
            .read(true)
            .write(true)
            .open("/dev/kvm")
            .is_ok();
        Host {
            arch: Arch::host(),
            cpus: std::thread::available_parallelism().map_or(1, |count| count.get()),
            free_mib: free_mib(),
            distribution: distribution(Path::new("/etc/os-release")),
            apt: which("apt-get").is_some(),
            rustc_override: std::env::var_os(RUSTC_VARIABLE).map(PathBuf::from),
            cargo: std::env::var_os("CARGO")
                .map(PathBuf::from)
                .or_else(|| which("cargo"))
                .unwrap_or_else(|| "cargo".into()),
            kvm,
        }
    }

    /// How many guests with so much memory run at once where nobody says: one for each processor, as far as
    /// memory goes.
    pub fn guests_at_once(&self, guest_mib: u32) -> usize {
        let each = u64::from(guest_mib) + QEMU_MIB;
        let fit = self
            .free_mib
            .map_or(usize::MAX, |free| (free / each) as usize);
        self.cpus.min(fit).max(1)
    }
}

fn free_mib() -> Option<u64> {
    let memory = procfs::Meminfo::current().ok()?;
    Some(memory.mem_available? >> 20)
}

/// `PRETTY_NAME` of os-release.
fn distribution(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let name = text
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.map_or("unknown", |name| name.trim_matches('"'))
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_at_once_are_bound_by_processors_and_memory() {
        let host = |cpus: usize, free_mib: Option<u64>| Host {
            cpus,
            free_mib,
            ..Host::probe()
        };
        assert_eq!(host(4, Some(20 << 10)).guests_at_once(1024), 4);
        assert_eq!(host(4, Some(4 << 10)).guests_at_once(1024), 2);
        assert_eq!(host(4, Some(100)).guests_at_once(1024), 1);
        assert_eq!(host(4, None).guests_at_once(1024), 4);
    }
}
