// SPDX-License-Identifier: GPL-2.0-only

//! `lab.toml`: the data, and its checks against itself. Touches no other file.

mod source;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use crate::arch::Arch;
use crate::error::{nearest, Error, Result};
pub use source::{Origin, Source};

/// The whole of `lab.toml`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LabConfig {
    /// The kernel that is used when none is named.
    pub default_kernel: String,
    /// The machine that is used when none is named.
    pub default_machine: String,
    /// The tools that build kernels.
    pub toolchain: Toolchain,
    /// What is kept of what was built.
    #[serde(default)]
    pub cache: Cache,
    /// Kernel sources by name.
    pub source: BTreeMap<String, Source>,
    /// Kernels by name.
    pub kernel: BTreeMap<String, Kernel>,
    /// Virtual machines by name.
    pub machine: BTreeMap<String, Machine>,
}

/// The tools that build kernels.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Toolchain {
    /// What compiles C, for kernels that do not say (default: gcc).
    #[serde(default)]
    pub cc: Compiler,
    /// Version suffix of clang, lld and the llvm tools ("19").
    pub llvm: String,
    /// Version of bindgen-cli.
    pub bindgen: String,
    /// The kernel's rustc; without one the lab looks for one that has its library's source.
    pub rustc: Option<PathBuf>,
}

/// What is kept of what was built.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Cache {
    /// What the object folders of all kernels may take together, in GiB (default: 10). Before a new one is made, the
    /// least recently used ones go until the others fit.
    #[serde(default = "objects_gib")]
    pub objects_gib: u64,
}

impl Default for Cache {
    fn default() -> Self {
        Cache {
            objects_gib: objects_gib(),
        }
    }
}

fn objects_gib() -> u64 {
    10
}

/// What compiles the C of a kernel. Whichever it is, lld links, LLVM's tools work on what it writes, and bindgen
/// reads headers with libclang.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compiler {
    /// The distribution's gcc for the architecture, with binutils' assembler and archiver.
    #[default]
    Gcc,
    /// Clang in the version that the toolchain names, with LLVM's own tools.
    Clang,
}

/// A kernel: a source and a configuration.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Kernel {
    /// Name of its source.
    pub source: String,
    /// Fragments of `images/kernel/` over allnoconfig, without `.config`; `{arch}` stands for the
    /// architecture, and `arm64:NAME` is for that one.
    pub config: Vec<String>,
    /// The patches that are applied to it.
    #[serde(default)]
    pub series: SeriesChoice,
    /// Which overlay is laid in: the project's new files, with those of `rust-syscall/kernels/` that are
    /// for kernels of this kind (default: none).
    pub overlay: Option<String>,
    /// What compiles its C (default: what the toolchain says).
    pub cc: Option<Compiler>,
    /// How much longer than a plain kernel it may take, for every deadline (default 1.0).
    #[serde(default = "one")]
    pub slowdown: f64,
}

/// Which patches a kernel carries.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum SeriesChoice {
    /// The project's own, or none.
    Own(bool),
    /// Those of another folder, relative to the project's root.
    Folder(PathBuf),
}

impl Default for SeriesChoice {
    fn default() -> Self {
        SeriesChoice::Own(true)
    }
}

/// A virtual machine.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Machine {
    /// Processors.
    pub cpus: u32,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// QEMU's CPU model by architecture.
    pub cpu: BTreeMap<Arch, String>,
}

fn one() -> f64 {
    1.0
}

impl LabConfig {
    /// Reads the text of `lab.toml`; `file` is its name in errors. All problems are reported at once.
    pub fn parse(file: &str, text: &str) -> Result<LabConfig> {
        let config: LabConfig = toml::from_str(text).map_err(|err| {
            Error::usage(
                format!("reading {file}"),
                err.to_string().trim_end().to_string(),
            )
        })?;
        let problems = config.problems();
        if problems.is_empty() {
            return Ok(config);
        }
        let lines: Vec<String> = problems
            .iter()
            .map(|problem| format!("{file}: {problem}"))
            .collect();
        Err(Error::usage(format!("checking {file}"), lines.join("\n")))
    }

    /// What does not fit together.
    fn problems(&self) -> Vec<String> {
        let mut problems = self.undefined_names();
        let names = self
            .kernel
            .keys()
            .chain(self.source.keys())
            .chain(self.machine.keys());
        problems.extend(names.filter(|name| !is_plain(name)).map(|name| {
            format!("name \"{name}\": only letters, digits, '.', '_' and '-' are possible")
        }));
        if self.kernel.contains_key(GUEST) {
            problems.push(format!(
                "kernel \"{GUEST}\": folders of the lab have this name"
            ));
        }
        if !GIB.contains(&self.cache.objects_gib) {
            problems.push(format!(
                "cache: objects-gib {} is not in 1..100000",
                self.cache.objects_gib
            ));
        }
        for (name, source) in &self.source {
            let named = |problem| format!("source \"{name}\": {problem}");
            problems.extend(source.problems().map(named));
        }
        for (name, kernel) in &self.kernel {
            let named = |problem| format!("kernel \"{name}\": {problem}");
            problems.extend(kernel.problems().map(named));
        }
        for (name, machine) in &self.machine {
            let named = |problem| format!("machine \"{name}\": {problem}");
            problems.extend(machine.problems().map(named));
        }
        problems
    }

    /// Names that are used and not defined.
    fn undefined_names(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut check = |at: String, kind: &str, name: &str, known: Vec<&str>| {
            if !known.contains(&name) {
                problems.push(format!("{at}: {}", undefined(kind, name, &known)));
            }
        };
        check(
            "default-kernel".into(),
            "kernel",
            &self.default_kernel,
            keys(&self.kernel),
        );
        check(
            "default-machine".into(),
            "machine",
            &self.default_machine,
            keys(&self.machine),
        );
        for (name, kernel) in &self.kernel {
            check(
                format!("kernel \"{name}\""),
                "source",
                &kernel.source,
                keys(&self.source),
            );
        }
        problems
    }

    /// The kernel of this name, or the default one.
    pub fn kernel(&self, name: Option<&str>) -> Result<(&str, &Kernel)> {
        find("kernel", name.unwrap_or(&self.default_kernel), &self.kernel)
    }

    /// The machine of this name, or the default one.
    pub fn machine(&self, name: Option<&str>) -> Result<(&str, &Machine)> {
        find(
            "machine",
            name.unwrap_or(&self.default_machine),
            &self.machine,
        )
    }
}

impl Kernel {
    fn problems(&self) -> impl Iterator<Item = String> + '_ {
        let slowdown = (!(1.0..=100.0).contains(&self.slowdown))
            .then(|| format!("slowdown {} is not in 1.0..100.0", self.slowdown));
        let empty = self
            .config
            .is_empty()
            .then(|| "config names no fragment".to_string());
        let named = self.overlay.iter().filter(|name| !is_plain(name));
        let overlay = named.map(|name| {
            format!("overlay \"{name}\": only letters, digits, '.', '_' and '-' are possible")
        });
        let bare = self.series == SeriesChoice::Own(true) && self.overlay.is_none();
        let bare = bare.then(|| {
            "the project's own series goes with an overlay: name it, or say series = false"
                .to_string()
        });
        let for_one = self.config.iter().filter_map(|name| name.split_once(':'));
        let unknown = for_one.filter(|(arch, _)| !Arch::ALL.iter().any(|one| one.name() == *arch));
        let unknown =
            unknown.map(|(arch, name)| format!("config \"{arch}:{name}\": no architecture {arch}"));
        slowdown
            .into_iter()
            .chain(empty)
            .chain(overlay)
            .chain(bare)
            .chain(unknown)
    }
}

/// Object folders of kernels lie beside those of the guest programs.
pub const GUEST: &str = "guest";

/// What object folders can be allowed, in GiB.
const GIB: std::ops::RangeInclusive<u64> = 1..=100_000;

/// How many processors a guest can have: NR_CPUS of the lab's kernels is the most.
pub const CPUS: std::ops::RangeInclusive<u32> = 1..=8;

impl Machine {
    fn problems(&self) -> impl Iterator<Item = String> + '_ {
        let cpus =
            (!CPUS.contains(&self.cpus)).then(|| format!("cpus {} is not in 1..8", self.cpus));
        let memory = (!(128..=65536).contains(&self.memory_mib))
            .then(|| format!("memory-mib {} is not in 128..65536", self.memory_mib));
        let models = Arch::ALL
            .into_iter()
            .filter(|arch| !self.cpu.contains_key(arch))
            .map(|arch| format!("cpu.{arch} is missing (\"max\" is every feature QEMU knows)"));
        cpus.into_iter().chain(memory).chain(models)
    }
}

/// Names become parts of file names.
fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    !name.is_empty() && !name.starts_with('.') && name.chars().all(plain)
}

fn keys<T>(map: &BTreeMap<String, T>) -> Vec<&str> {
    map.keys().map(String::as_str).collect()
}

fn find<'a, T>(kind: &str, name: &str, map: &'a BTreeMap<String, T>) -> Result<(&'a str, &'a T)> {
    map.get_key_value(name)
        .map(|(name, value)| (name.as_str(), value))
        .ok_or_else(|| {
            Error::usage(
                format!("choosing a {kind}"),
                undefined(kind, name, &keys(map)),
            )
        })
}

/// `kernel "debgu" is not defined; defined: 6.12, debug (did you mean "debug"?)`
pub fn undefined(kind: &str, name: &str, known: &[&str]) -> String {
    let meant = nearest(name, known.iter().copied());
    let meant = meant
        .map(|meant| format!(" (did you mean \"{meant}\"?)"))
        .unwrap_or_default();
    let known = if known.is_empty() {
        "none".to_string()
    } else {
        known.join(", ")
    };
    format!("{kind} \"{name}\" is not defined; defined: {known}{meant}")
}
