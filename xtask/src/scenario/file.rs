// SPDX-License-Identifier: GPL-2.0-only

//! A scenario file: the data and its checks against itself. `docs/scenarios.md`
//! describes the format for those who write one. Touches no other file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::arch::Arch;
use crate::error::{nearest, Error, Result};
use crate::scenario::matrix::Matrix;
use crate::scenario::step::Step;
use crate::scenario::verdict::Verdict;

/// A whole scenario file.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ScenarioFile {
    /// What is shown, one line.
    pub description: String,
    /// Architectures it is for (default: all).
    #[serde(default = "all_arches")]
    pub arch: BTreeSet<Arch>,
    /// Seconds the whole scenario may take on a plain guest under TCG (default 60).
    #[serde(default = "default_timeout")]
    pub timeout_s: u64,
    /// Seconds its guest may take to boot on a plain kernel (default 30).
    pub boot_timeout_s: Option<u64>,
    /// Words that are put at the end of the kernel's command line.
    #[serde(default)]
    pub append: Vec<String>,
    /// Whether it shares its guest with no other scenario.
    #[serde(default)]
    pub fresh_guest: bool,
    /// Processors of the guest, if not as many as the machine's; of several numbers each is a case of its own.
    pub cpus: Option<Cpus>,
    /// Memory of the guest in MiB, if the machine's is not enough.
    pub memory_mib: Option<u32>,
    /// What the kernel log may grow to in MiB (default 64).
    pub console_mib: Option<u32>,
    /// CPU model by architecture, if it is not the machine's.
    #[serde(default)]
    pub cpu: BTreeMap<Arch, String>,
    /// Debian packages that the guest needs, with what they depend on.
    #[serde(default)]
    pub packages: Vec<String>,
    /// Programs and files of the user's that go into the guest.
    #[serde(default)]
    pub program: Vec<Program>,
    /// The verdict that makes it pass, for scenarios that check the lab itself (default pass).
    #[serde(default)]
    pub expect_verdict: Verdict,
    /// Texts that the reason of the expected verdict must have.
    #[serde(default)]
    pub expect_why: Vec<String>,
    /// Parameters, each with its values: every combination is a case, with `${name}` replaced in the file's
    /// text.
    #[serde(default)]
    pub matrix: Matrix,
    /// What is done, in order.
    pub step: Vec<Step>,
}

/// Processors of a guest: a number, or several of them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected a number of processors, or a list of numbers"
)]
pub enum Cpus {
    /// One case, under the file's name.
    One(u32),
    /// A case for each number, which is in its name.
    Each(BTreeSet<u32>),
}

impl Cpus {
    /// The numbers.
    pub fn numbers(&self) -> Vec<u32> {
        match self {
            Cpus::One(number) => vec![*number],
            Cpus::Each(numbers) => numbers.iter().copied().collect(),
        }
    }
}

/// A program or file of the user's.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Program {
    /// Where it is on the host, relative to the scenario file; one for all architectures or one for each.
    pub from: PerArch,
    /// Where it goes in the guest.
    pub to: String,
}

/// One path, or one for each architecture.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum PerArch {
    /// The same for every architecture.
    Same(PathBuf),
    /// By architecture.
    Each(BTreeMap<Arch, PathBuf>),
}

impl PerArch {
    /// The path for an architecture.
    pub fn get(&self, arch: Arch) -> Option<&PathBuf> {
        match self {
            PerArch::Same(path) => Some(path),
            PerArch::Each(paths) => paths.get(&arch),
        }
    }
}

fn all_arches() -> BTreeSet<Arch> {
    Arch::ALL.into()
}

fn default_timeout() -> u64 {
    60
}

impl ScenarioFile {
    /// Reads the text of a scenario file; `file` is its name in errors. All problems are reported at once.
    pub fn parse(file: &str, text: &str) -> Result<ScenarioFile> {
        let scenario: ScenarioFile = toml::from_str(text).map_err(|err| {
            let found = err.to_string().trim_end().to_string();
            let error = Error::usage(format!("reading {file}"), found.clone());
            match suggestion(&found) {
                Some(meant) => error.hint(format!("did you mean \"{meant}\"?")),
                None => error.hint("docs/scenarios.md describes the format"),
            }
        })?;
        let problems = super::check::problems(&scenario);
        if problems.is_empty() {
            return Ok(scenario);
        }
        let lines: Vec<String> = problems
            .iter()
            .map(|problem| format!("{file}: {problem}"))
            .collect();
        Err(Error::usage(format!("checking {file}"), lines.join("\n")))
    }
}

/// The known name that is nearest to the unknown one, out of serde's own words:
/// "unknown field `x`, expected one of `a`, `b`".
fn suggestion(message: &str) -> Option<String> {
    let (_, rest) = message.split_once("unknown ")?;
    let mut names = rest.split('`').skip(1).step_by(2);
    let wrong = names.next()?;
    let known: Vec<&str> = names.collect();
    nearest(wrong, known).map(str::to_string)
}
