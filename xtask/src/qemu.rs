// SPDX-License-Identifier: GPL-2.0-only

//! Booting guests: what is booted ([`BootSpec`]), the command line for it, the
//! acceleration that works here, the running guest and what its console says.

pub mod accel;
pub mod args;
pub mod clock;
pub mod console;
pub mod control;
pub mod examine;
pub mod guest;
pub mod program;
pub mod symbols;
pub mod transfer;
mod watch;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::arch::Arch;

/// How the guest's instructions are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Accelerator {
    /// By the host's processor.
    Kvm,
    /// Translated by QEMU.
    Tcg,
}

impl Accelerator {
    /// QEMU's name for it, which is also the one shown.
    pub fn name(self) -> &'static str {
        match self {
            Accelerator::Kvm => "kvm",
            Accelerator::Tcg => "tcg",
        }
    }
}

/// One guest to boot: plain data, everything QEMU's command line depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BootSpec {
    /// Architecture of the guest.
    pub arch: Arch,
    /// The QEMU that runs it: a name in `PATH` or a path.
    pub qemu: PathBuf,
    /// `vmlinux` (x86_64, booted by PVH) or `Image` (arm64).
    pub kernel: PathBuf,
    /// The cpio archive with `/init`.
    pub initramfs: PathBuf,
    /// Processors.
    pub cpus: u32,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// QEMU's CPU model.
    pub cpu: String,
    /// Who runs the instructions.
    pub accel: Accelerator,
    /// Ticks of the host's time stamp counter in a millisecond ([`clock::tsc_khz`]).
    #[serde(default)]
    pub tsc_khz: Option<u32>,
    /// Added to the kernel's command line.
    pub append: Vec<String>,
    /// What the kernel log may grow to, in MiB.
    #[serde(default = "console_mib")]
    pub console_mib: u32,
    /// Whether its memory is kept if it stops answering.
    #[serde(default)]
    pub dump_memory: bool,
}

/// What a kernel log may grow to where nothing is said: more than a run prints by far, and no disk's worth.
pub fn console_mib() -> u32 {
    64
}
