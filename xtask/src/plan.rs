// SPDX-License-Identifier: GPL-2.0-only

//! Decides what is to be built and booted: flags, `lab.toml` and the host in, a
//! [`Plan`] out. Touches nothing; after it nothing reads the environment.

use std::path::{Path, PathBuf};

use crate::arch::Arch;
use crate::config::{Compiler, Kernel, LabConfig, Machine, SeriesChoice, Source};
use crate::error::{Error, Result};
use crate::flags::{Accel, Target};
use crate::host::Host;
use crate::layout::Layout;
use crate::stamp::hash_bytes;

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
    /// Whether the project's own tests are run, which look for tools of their own.
    pub tests: bool,
    /// The cargo that builds guest programs.
    pub cargo: PathBuf,
    /// Processors to build with.
    pub build_jobs: usize,
    /// All kernels of `lab.toml`.
    pub kernels: Vec<String>,
    /// What their object folders may take of the disk, together.
    pub objects_bytes: u64,
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
    /// The folder of its patches, if it has any.
    pub series: Option<PathBuf>,
    /// Which overlay is laid in, if any: a folder of `rust-syscall/kernels/`, with what all share.
    pub overlay: Option<String>,
    /// Name of its patched tree: kernels with the same source, series and overlay share one.
    pub tree_name: String,
    /// Names of its configuration fragments; `{arch}` stands for the architecture, and those that begin
    /// with an architecture and a colon are for that one.
    pub config: Vec<String>,
    /// Symbols that are switched off whatever the fragments say, without `CONFIG_`.
    pub without: Vec<String>,
    /// What compiles its C.
    pub cc: Compiler,
    /// Factor on every deadline.
    pub slowdown: f64,
}

impl KernelPlan {
    /// Whether nothing is put over the source: that such a kernel lacks the project's system calls is no fault.
    pub fn is_plain(&self) -> bool {
        self.series.is_none() && self.overlay.is_none()
    }

    /// File names of the fragments for an architecture.
    pub fn fragments(&self, arch: Arch) -> Vec<String> {
        let for_this = |name: &String| match name.split_once(':') {
            Some((other, _)) if other != arch.name() => None,
            Some((_, name)) => Some(format!("{name}.config")),
            None => Some(format!("{}.config", name.replace("{arch}", arch.name()))),
        };
        self.config.iter().filter_map(for_this).collect()
    }
}

/// The tools that build kernels.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolchainPlan {
    /// Version suffix of clang, lld and the llvm tools.
    pub llvm: String,
    /// Version of bindgen-cli.
    pub bindgen: String,
    /// The kernel's rustc, if the user named one.
    pub rustc: Option<PathBuf>,
}

/// What tells a kernel's tree from others of the same source. `+` is in no name of `lab.toml`; a folder
/// is told by a hash, since it may have any name.
fn tree_name(kernel: &Kernel) -> String {
    let patches = match &kernel.series {
        SeriesChoice::Own(true) if kernel.overlay.as_ref() == Some(&kernel.source) => {
            return kernel.source.clone()
        }
        SeriesChoice::Own(true) => "own".to_string(),
        SeriesChoice::Own(false) => "plain".to_string(),
        SeriesChoice::Folder(folder) => {
            let hash = hash_bytes(folder.as_os_str().as_encoded_bytes());
            let last = folder.file_name().unwrap_or_default().display();
            format!("{last}-{}", &hash[..8])
        }
    };
    let overlay = kernel.overlay.as_deref().map(|name| format!("+{name}"));
    format!("{}+{patches}{}", kernel.source, overlay.unwrap_or_default())
}

/// The folder of a kernel's patches, if it has any.
pub fn series_of(layout: &Layout, kernel: &Kernel) -> Option<PathBuf> {
    match &kernel.series {
        SeriesChoice::Own(true) => Some(layout.series()),
        SeriesChoice::Own(false) => None,
        SeriesChoice::Folder(folder) => Some(layout.root().join(folder)),
    }
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
                tree_name: tree_name(kernel),
                series: series_of(layout, kernel),
                overlay: kernel.overlay.clone(),
                config: kernel.config.clone(),
                without: Vec::new(),
                cc: kernel.cc.unwrap_or(config.toolchain.cc),
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
            tests: false,
            cargo: host.cargo.clone(),
            build_jobs: host.cpus,
            kernels: config.kernel.keys().cloned().collect(),
            objects_bytes: config.cache.objects_gib << 30,
        })
    }

    /// The folder of the kernel's patches.
    pub fn series(&self) -> Result<&Path> {
        self.kernel.series.as_deref().ok_or_else(|| {
            let name = &self.kernel.name;
            Error::usage(
                format!("looking for the series of kernel \"{name}\""),
                "lab.toml says that it has none",
            )
        })
    }
}
