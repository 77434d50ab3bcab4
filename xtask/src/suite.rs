// SPDX-License-Identifier: GPL-2.0-only

//! `cargo xtask test`: everything on the host that must pass before a change
//! lands. The scenarios, which come last, are a run like any other.

use crate::error::{Kind, Result};
use crate::exec::{tool, Invocation};
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
