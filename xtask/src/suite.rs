// SPDX-License-Identifier: GPL-2.0-only

//! `cargo xtask test`: everything on the host that must pass before a change
//! lands. The scenarios, which come last, are a run like any other.
//!
//! Miri is used where it can be had; all else is needed.

use crate::error::{Kind, Result};
use crate::exec::{tool, which, Invocation};
use crate::plan::Plan;

/// In the environment of the suite's tests: every tool that a test looks for has been set up, and a test that
/// does without one elsewhere must not.
pub const ALL_TOOLS: &str = "LAB_TEST_ALL_TOOLS";

/// One check of the suite.
#[derive(Debug, Clone)]
pub struct Check {
    /// What it is, for the headline.
    pub name: &'static str,
    args: &'static [&'static str],
}

/// The checks that cargo does, in order: quick ones first.
pub const CHECKS: &[Check] = &[
    Check {
        name: "formatting",
        args: &["fmt", "--all", "--check"],
    },
    Check {
        name: "clippy",
        args: &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--quiet",
            "--",
            "-D",
            "warnings",
        ],
    },
    Check {
        name: "host tests",
        args: &["test", "--workspace", "--quiet"],
    },
];

impl Check {
    /// Runs it with its output for the user to see.
    pub fn run(&self, plan: &Plan) -> Result<()> {
        self.invocation(plan).run_shown()
    }

    fn invocation(&self, plan: &Plan) -> Invocation {
        tool(format!("checking {}", self.name), &plan.cargo)
            .args(self.args.iter().copied())
            .dir(plan.layout.root())
            .env(ALL_TOOLS, "1")
            .failure(Kind::Build)
    }
}

/// The toolchain that has miri; no other channel of rustup's does. One that is there is used as it is.
const NIGHTLY: &str = "nightly";

/// What miri needs of it.
const MIRI: [&str; 2] = ["miri", "rust-src"];

/// Tests the code that kernel and host share under miri, which refuses undefined behaviour, data races and
/// threads that all sleep for good. Gives why it was not done, where miri cannot be had: it comes with rustup only.
pub fn miri(plan: &Plan) -> Result<Option<String>> {
    if which("rustup").is_none() {
        return Ok(Some("there is no rustup here to get it".to_string()));
    }
    if plan.setup {
        let got = get_miri()?;
        if got.is_some() {
            return Ok(got);
        }
    }
    let parts = tool("asking for the parts of rustup's toolchain", "rustup")
        .args(["component", "list", "--installed", "--toolchain", NIGHTLY])
        .output()?;
    let parts = String::from_utf8_lossy(&parts.stdout);
    for part in MIRI {
        if !parts.lines().any(|line| line.starts_with(part)) {
            let why = format!("rustup's {NIGHTLY} toolchain has no {part}");
            return Ok(Some(why));
        }
    }
    tool("checking the shared code under miri", "rustup")
        .args(["run", NIGHTLY, "cargo", "miri", "test", "--quiet"])
        .args(["--package", "checkpoint"])
        .dir(plan.layout.root())
        .failure(Kind::Build)
        .run_shown()?;
    Ok(None)
}

/// Has rustup get what miri needs of the toolchain, or one that has it; gives why it could not.
fn get_miri() -> Result<Option<String>> {
    let rustup = || tool("getting miri", "rustup");
    let add = ["component", "add", "--toolchain", NIGHTLY];
    let install = ["toolchain", "install", NIGHTLY, "--profile", "minimal"];
    let ways = [
        rustup().args(add).args(MIRI),
        rustup()
            .args(install)
            .args(["--no-self-update", "--component"])
            .arg(MIRI.join(",")),
    ];
    let mut why = None;
    for way in ways {
        let done = way.output()?;
        if done.status.success() {
            return Ok(None);
        }
        let said = String::from_utf8_lossy(&done.stderr);
        let last = said.lines().rev().find(|line| !line.trim().is_empty());
        let last = last.unwrap_or("failed");
        why = Some(format!("`{}`: {last}", way.command_line()));
    }
    Ok(why)
}
