// SPDX-License-Identifier: GPL-2.0-only

//! The command line, as data. What the flags mean together is decided in `plan`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::arch::Arch;

mod patchset;

pub use patchset::{Apply, Check, Export, New, Patchset, Refresh, SourceFlags};

/// The restart lab: kernels with checkpoint and restart in Rust, built, booted and tested.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    version,
    max_term_width = 100
)]
#[command(
    after_help = "Exit codes: 0 all passed, 1 a scenario failed, 2 usage or configuration, \
3 the host lacks something, 4 a build failed, 5 the lab itself failed, 130 interrupted."
)]
pub struct Flags {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build, boot and run scenarios
    #[command(subcommand)]
    Lab(Box<Lab>),
    /// Look after the kernel series
    #[command(subcommand)]
    Patchset(Patchset),
    /// Kernel source, configuration and build, one by one
    #[command(subcommand)]
    Kernel(Kernel),
    /// Everything that must pass before a change lands
    Test(Test),
    /// Print what makes a shell complete the command line
    #[command(after_help = "example, for ~/.bashrc:
  alias xtask='cargo xtask'
  source <(cargo xtask completions bash)")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// `cargo xtask lab ...`
#[derive(Debug, Subcommand)]
pub enum Lab {
    /// Run scenarios in virtual machines
    #[command(after_help = "examples:
  cargo xtask lab run 'protocol-*' '!protocol-1024-*' --arch arm64
  cargo xtask lab run tree-new-pids --until-fail --repeat 200   (hunts what fails now and then)
  cargo xtask lab run --partition 2/3 --retries 2 --junit junit.xml
  cargo xtask lab run --scenario mine.toml --kernel debug")]
    Run(Run),
    /// List scenarios
    #[command(after_help = "examples:
  cargo xtask lab list
  cargo xtask lab list 'refuse-*' '!*-pty' --json")]
    List(List),
    /// Show what a run would do
    Plan(PlanFlags),
    /// Write the reports of a run again, or of several joined into one
    Report(Report),
    /// Show the kernel log of a scenario that was run, with file and line
    Lines(LinesFlags),
    /// Show what this machine has and lacks
    Doctor(Doctor),
    /// Get what this machine lacks
    Setup(Setup),
    /// Boot one machine and give a prompt in it
    Shell(Shell),
    /// Run a scenario again from its bundle
    Repro(Repro),
    /// Measure the lab
    Bench(Bench),
    /// Test the lab itself: QEMU or the lab killed, interrupts, a full disk
    Selftest(Selftest),
    /// Print the JSON schema of scenario files, for editors
    Schema,
    /// Remove what the lab has made
    Clean(Clean),
}

/// `lab run`
#[derive(Debug, Clone, Default, Args)]
pub struct Run {
    /// Names or globs of scenarios, `!` before what is left out (default: all)
    #[arg(value_name = "SCENARIO-GLOB")]
    pub scenarios: Vec<String>,
    /// What to build and boot.
    #[command(flatten)]
    pub target: Target,
    /// A scenario file that is not part of the project
    #[arg(long = "scenario", value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Virtual machines at once (default: one for each processor, as far as memory goes); one with more processors than
    /// lab.toml gives them counts for several
    #[arg(long, value_name = "N")]
    pub jobs: Option<usize>,
    /// Run only the I-th of N equal parts
    #[arg(long, value_name = "I/N")]
    pub partition: Option<Partition>,
    /// Run each scenario N times (default: once)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub repeat: Option<u32>,
    /// Repeat until a scenario fails, at most as often as --repeat says
    #[arg(long)]
    pub until_fail: bool,
    /// Try a scenario that failed again, up to N times; if it passes then, it is flaky
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub retries: u32,
    /// What all chance in the run follows (default: a number that nobody chose; the run tells it)
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Keep the memory of a guest that stops answering, as an ELF core file
    #[arg(long)]
    pub dump_memory: bool,
    /// Where reports go.
    #[command(flatten)]
    pub outputs: Outputs,
}

/// Where reports go, beside the run's folder, which has one of each.
#[derive(Debug, Clone, Default, Args)]
pub struct Outputs {
    /// Write a JUnit report
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Write a JSON report
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write an HTML report: one page that needs nothing else
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Write a KTAP report
    #[arg(long, value_name = "FILE")]
    pub ktap: Option<PathBuf>,
}

/// `lab plan`
#[derive(Debug, Clone, Default, Args)]
#[command(after_help = "examples:
  cargo xtask lab plan 'protocol-*'
  cargo xtask lab plan --format github-matrix --kernels 6.12,next --shards 3")]
pub struct PlanFlags {
    /// The run.
    #[command(flatten)]
    pub run: Run,
    /// How it is told
    #[arg(long, value_enum, default_value_t)]
    pub format: PlanFormat,
    /// Several kernels of lab.toml, for a matrix
    #[arg(
        long,
        value_name = "NAME,...",
        value_delimiter = ',',
        conflicts_with = "kernel"
    )]
    pub kernels: Vec<String>,
    /// Parts that a matrix divides the run of each kernel into
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "partition",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub shards: u32,
}

/// `lab plan --format`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum PlanFormat {
    /// For people.
    #[default]
    Text,
    /// Everything, as JSON.
    Json,
    /// A matrix for `strategy.matrix` of a GitHub Actions workflow.
    GithubMatrix,
}

/// `lab report`
#[derive(Debug, Clone, Default, Args)]
#[command(after_help = "examples:
  cargo xtask lab report
  cargo xtask lab report --merge shard-1 shard-2 shard-3 --junit junit.xml")]
pub struct Report {
    /// Folders of runs, or the events.jsonl in them (default: the latest run)
    #[arg(value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// Join several runs: the parts of one, or those of other kernels and machines
    #[arg(long)]
    pub merge: bool,
    /// Where reports go.
    #[command(flatten)]
    pub outputs: Outputs,
}

/// `lab lines`
#[derive(Debug, Clone, Args)]
#[command(after_help = "example:
  cargo xtask lab lines target/lab/runs/latest/arm64/check-panic")]
pub struct LinesFlags {
    /// Folder of the scenario, in its run's
    #[arg(value_name = "RUN/ARCH/SCENARIO")]
    pub folder: PathBuf,
}

/// What to build and boot.
#[derive(Debug, Clone, Default, Args)]
pub struct Target {
    /// x86_64, arm64 or all
    #[arg(long, value_name = "ARCH", default_value = "all")]
    pub arch: ArchSet,
    /// A kernel of lab.toml (default: its default-kernel)
    #[arg(long, value_name = "NAME")]
    pub kernel: Option<String>,
    /// A machine of lab.toml (default: its default-machine)
    #[arg(long, value_name = "NAME")]
    pub machine: Option<String>,
    /// auto, kvm or tcg
    #[arg(long, value_name = "ACCEL", default_value = "auto")]
    pub accel: Accel,
    /// Get nothing: fail if something is missing
    #[arg(long)]
    pub no_setup: bool,
}

/// `lab list`
#[derive(Debug, Clone, Default, Args)]
pub struct List {
    /// Names or globs of scenarios, `!` before what is left out (default: all)
    #[arg(value_name = "SCENARIO-GLOB")]
    pub scenarios: Vec<String>,
    /// Those for x86_64, for arm64, or all
    #[arg(long, value_name = "ARCH", default_value = "all")]
    pub arch: ArchSet,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `lab doctor`
#[derive(Debug, Clone, Default, Args)]
pub struct Doctor {
    /// What to build and boot.
    #[command(flatten)]
    pub target: Target,
}

/// `lab setup`
#[derive(Debug, Clone, Default, Args)]
pub struct Setup {
    /// What to build and boot.
    #[command(flatten)]
    pub target: Target,
}

/// `lab shell`
#[derive(Debug, Clone, Default, Args)]
pub struct Shell {
    /// What to build and boot.
    #[command(flatten)]
    pub target: Target,
    /// Packages of Debian to put into the guest
    #[arg(long = "package", value_name = "NAME")]
    pub packages: Vec<String>,
}

/// `lab repro`
#[derive(Debug, Clone, Args)]
pub struct Repro {
    /// The bundle's folder, as a run names it
    pub bundle: PathBuf,
    /// auto, kvm or tcg
    #[arg(long, value_name = "ACCEL", default_value = "auto")]
    pub accel: Accel,
}

/// `lab bench`
#[derive(Debug, Clone, Args)]
pub struct Bench {
    /// What to measure
    #[arg(value_name = "WHAT", value_enum, default_value_t)]
    pub what: Measurement,
    /// What to build and boot.
    #[command(flatten)]
    pub target: Target,
    /// How often each measurement is repeated (default: 5 boots, 200 cases, 3 restarts, 3 small builds)
    #[arg(long, value_name = "N")]
    pub repeat: Option<u32>,
    /// Write the numbers as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// `lab selftest`
#[derive(Debug, Clone, Default, Args)]
pub struct Selftest {
    /// What to build and boot.
    #[command(flatten)]
    pub target: Target,
}

/// What `lab bench` measures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Measurement {
    /// A boot, and a whole warm run, against bare QEMU.
    #[default]
    Boot,
    /// What a short case costs on top of the time in its guest.
    Cases,
    /// Saving a tree and restarting it, by its tasks and its memory.
    Restart,
    /// A kernel built from nothing, with nothing changed, and with one line changed.
    Build,
}

/// `lab clean`
#[derive(Debug, Clone, Default, Args)]
pub struct Clean {
    /// Remove downloads and tools too
    #[arg(long)]
    pub all: bool,
    /// Remove only the artifacts of runs
    #[arg(long, conflicts_with = "all")]
    pub runs: bool,
}

/// `cargo xtask kernel ...`
#[derive(Debug, Subcommand)]
pub enum Kernel {
    /// Fetch, unpack and patch the source
    Source(Target),
    /// Configure
    Config(Target),
    /// Build
    Build(KernelBuild),
}

/// `kernel build`
#[derive(Debug, Clone, Default, Args)]
pub struct KernelBuild {
    /// What to build.
    #[command(flatten)]
    pub target: Target,
    /// Build a second time from nothing, and fail if the images differ
    #[arg(long)]
    pub check_reproducible: bool,
}

/// `cargo xtask test`
#[derive(Debug, Clone, Default, Args)]
pub struct Test {
    /// Leave out what boots a machine
    #[arg(long)]
    pub host_only: bool,
    /// What to build and boot.
    #[command(flatten)]
    pub target: Target,
}

/// `--arch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ArchSet {
    /// Every architecture.
    #[default]
    All,
    /// One.
    One(Arch),
}

impl ArchSet {
    /// The architectures, in order.
    pub fn arches(self) -> Vec<Arch> {
        match self {
            ArchSet::All => Arch::ALL.to_vec(),
            ArchSet::One(arch) => vec![arch],
        }
    }
}

impl FromStr for ArchSet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(ArchSet::All),
            other => other.parse().map(ArchSet::One),
        }
    }
}

/// `--accel`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Accel {
    /// KVM where it works, else TCG.
    #[default]
    Auto,
    /// KVM or nothing.
    Kvm,
    /// QEMU's translator.
    Tcg,
}

impl FromStr for Accel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Accel::Auto),
            "kvm" => Ok(Accel::Kvm),
            "tcg" => Ok(Accel::Tcg),
            other => Err(format!(
                "unknown accelerator \"{other}\"; known: auto, kvm, tcg"
            )),
        }
    }
}

/// `--partition I/N`: the I-th (from 1) of N parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partition {
    /// Which part, from 1.
    pub index: u32,
    /// How many parts.
    pub count: u32,
}

impl FromStr for Partition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text
            .split_once('/')
            .and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        match parts {
            Some((index, count)) if 1 <= index && index <= count => Ok(Partition { index, count }),
            _ => Err(format!("\"{text}\" is not I/N with 1 <= I <= N, as in 2/4")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Flags::command().debug_assert();
    }

    #[test]
    fn partitions_are_checked() {
        assert_eq!("2/4".parse(), Ok(Partition { index: 2, count: 4 }));
        assert!("0/4".parse::<Partition>().is_err());
        assert!("5/4".parse::<Partition>().is_err());
    }
}
