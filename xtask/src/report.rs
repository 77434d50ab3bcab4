// SPDX-License-Identifier: GPL-2.0-only

//! What is known of a run when it is over, what happens while it goes on, and
//! who shows and records it: the only modules that print.

pub mod json;
pub mod junit;
pub mod terminal;

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::arch::Arch;
use crate::qemu::Accelerator;
use crate::scenario::verdict::Verdict;

/// Something that happened in a run, after everything was built.
#[derive(Debug, Clone)]
pub enum RunEvent {
    /// The run begins.
    Begin {
        /// Scenarios to be run, one for each architecture and repetition.
        total: usize,
        /// Who runs the guests' instructions, and why.
        machines: Vec<MachineReport>,
    },
    /// A guest is being booted.
    Boot {
        /// Which of the guests that run at once.
        worker: usize,
        /// Its architecture.
        arch: Arch,
    },
    /// A scenario begins.
    ScenarioBegin {
        /// On which guest.
        worker: usize,
        /// Architecture of the guest.
        arch: Arch,
        /// The scenario.
        name: String,
    },
    /// A scenario goes on.
    ScenarioStep {
        /// On which guest.
        worker: usize,
        /// Number of the step, from 0.
        number: usize,
        /// Steps in all.
        count: usize,
        /// The step.
        title: String,
    },
    /// A scenario has ended.
    ScenarioEnd {
        /// On which guest.
        worker: usize,
        /// What came of it.
        result: ScenarioReport,
    },
    /// A guest is not used any more.
    Idle {
        /// Which.
        worker: usize,
    },
}

/// What came of a scenario on one architecture.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScenarioReport {
    /// The scenario.
    pub scenario: String,
    /// The architecture.
    pub arch: Arch,
    /// Which repetition, from 1.
    pub round: u32,
    /// How it ended.
    pub verdict: Verdict,
    /// Why, if it is not pass.
    pub why: String,
    /// How long its steps took.
    #[serde(rename = "elapsed_s", serialize_with = "seconds")]
    pub elapsed: Duration,
    /// Its artifacts.
    pub folder: PathBuf,
    /// The kernel log, or its part of it.
    pub console: PathBuf,
}

/// The guests of one architecture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MachineReport {
    /// The architecture.
    pub arch: Arch,
    /// Who runs the instructions.
    pub accel: Accelerator,
    /// Why.
    pub why: String,
    /// The kernel's name in `lab.toml`.
    pub kernel: String,
    /// The kernel's release and hash.
    pub kernel_release: String,
    /// Hash of the kernel's image.
    pub kernel_sha256: String,
    /// Hash of the initramfs.
    pub initramfs_sha256: String,
    /// CPU model.
    pub cpu: String,
}

/// A whole run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunReport {
    /// Its id, which is its folder's name.
    pub id: String,
    /// Its folder.
    pub folder: PathBuf,
    /// The guests.
    pub machines: Vec<MachineReport>,
    /// Median time from QEMU's start to `/init`, in seconds, by architecture.
    pub boot_s: Vec<(Arch, f64)>,
    /// What came of each scenario.
    pub results: Vec<ScenarioReport>,
    /// How long it all took, building not counted.
    #[serde(rename = "elapsed_s", serialize_with = "seconds")]
    pub elapsed: Duration,
}

impl RunReport {
    /// The process's exit code.
    pub fn exit_code(&self) -> i32 {
        Verdict::exit_code(self.results.iter().map(|result| result.verdict))
    }
}

fn seconds<S: serde::Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((time.as_secs_f64() * 1000.0).round() / 1000.0)
}
