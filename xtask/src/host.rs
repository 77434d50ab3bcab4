// SPDX-License-Identifier: GPL-2.0-only

//! What this machine is: looked at once, before planning. What it has of tools is in `setup`.

use std::path::{Path, PathBuf};

use crate::arch::Arch;
use crate::exec::which;

/// Variable that names the kernel's rustc, over `lab.toml`.
pub const RUSTC_VARIABLE: &str = "RESTART_LAB_RUSTC";

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
