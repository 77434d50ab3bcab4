// SPDX-License-Identifier: GPL-2.0-only

//! Decides what is to be built and booted: flags, `lab.toml` and the host in, a
//! [`Plan`] out. Touches nothing; after it nothing reads the environment.

use std::path::PathBuf;

use crate::arch::Arch;
use crate::config::{LabConfig, Machine, Source};
use crate::error::Result;
use crate::flags::{Accel, Target};
use crate::host::Host;
use crate::layout::Layout;

/// What is to be built and booted.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where everything is.
    pub layout: Layout,
    /// The architectures, in order.
    pub arches: Vec<Arch>,
    /// The kernel.
    pub kernel: KernelPlan,
    /// The tools that build it.
    pub toolchain: ToolchainPlan,
    /// Name of the machine.
    pub machine_name: String,
    /// The machine.
    pub machine: Machine,
    /// The accelerator asked for.
    pub accel: Accel,
    /// Whether missing tools may be got.
    pub setup: bool,
    /// The cargo that builds guest programs.
    pub cargo: PathBuf,
    /// Processors to build with.
    pub build_jobs: usize,
}

/// A kernel to be built.
#[derive(Debug, Clone, PartialEq)]
pub struct KernelPlan {
    /// Its name in `lab.toml`.
    pub name: String,
    /// Name of its source.
    pub source_name: String,
    /// Its source.
    pub source: Source,
    /// Names of its configuration fragments; `{arch}` stands for the architecture.
    pub config: Vec<String>,
    /// Symbols that are switched off whatever the fragments say, without `CONFIG_`.
    pub without: Vec<String>,
    /// Factor on every deadline.
    pub slowdown: f64,
}

impl KernelPlan {
    /// File names of the fragments for an architecture.
    pub fn fragments(&self, arch: Arch) -> Vec<String> {
        self.config
            .iter()
            .map(|name| format!("{}.config", name.replace("{arch}", arch.name())))
            .collect()
    }
}

/// The tools that build kernels.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolchainPlan {
    /// Version suffix of clang and lld.
    pub llvm: String,
    /// Version of bindgen-cli.
    pub bindgen: String,
    /// The kernel's rustc, if the user named one.
    pub rustc: Option<PathBuf>,
}

impl Plan {
    /// Decides.
    pub fn new(layout: &Layout, config: &LabConfig, target: &Target, host: &Host) -> Result<Plan> {
        let (kernel_name, kernel) = config.kernel(target.kernel.as_deref())?;
        let (machine_name, machine) = config.machine(target.machine.as_deref())?;
        Ok(Plan {
            layout: layout.clone(),
            arches: target.arch.arches(),
            kernel: KernelPlan {
                name: kernel_name.to_string(),
                source_name: kernel.source.clone(),
                source: config.source[&kernel.source].clone(),
                config: kernel.config.clone(),
                without: Vec::new(),
                slowdown: kernel.slowdown,
            },
            toolchain: ToolchainPlan {
                llvm: config.toolchain.llvm.clone(),
                bindgen: config.toolchain.bindgen.clone(),
                rustc: host
                    .rustc_override
                    .clone()
                    .or_else(|| config.toolchain.rustc.clone()),
            },
            machine_name: machine_name.to_string(),
            machine: machine.clone(),
            accel: target.accel,
            setup: !target.no_setup,
            cargo: host.cargo.clone(),
            build_jobs: host.cpus,
        })
    }
}
