// SPDX-License-Identifier: GPL-2.0-only

//! What the pipeline says while it works: the interface between the stages
//! and whoever shows or records them. Stages never print.

use std::fmt;
use std::time::Duration;

use crate::arch::Arch;

/// A step of the pipeline that can be skipped, can fail and takes time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Getting tools that the host lacks.
    Setup,
    /// Kernel source: fetched and unpacked.
    Source,
    /// The source as git's objects.
    Packed,
    /// Series applied, overlay laid in.
    Tree,
    /// Kernel configuration.
    Config,
    /// Kernel build.
    Kernel,
    /// Prefixes of the series, each built.
    Prefix,
    /// Guest programs.
    Guest,
    /// Packages of a distribution for the guest.
    Packages,
    /// Initramfs.
    Initramfs,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Setup => "set-up",
            Stage::Source => "kernel source",
            Stage::Packed => "packed kernel source",
            Stage::Tree => "kernel tree",
            Stage::Config => "kernel config",
            Stage::Kernel => "kernel",
            Stage::Prefix => "series",
            Stage::Guest => "guest programs",
            Stage::Packages => "guest packages",
            Stage::Initramfs => "initramfs",
        })
    }
}

/// Which stage, and for which architecture if it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Step {
    /// The stage.
    pub stage: Stage,
    /// The architecture, for a stage that is done once for each.
    pub arch: Option<Arch>,
}

impl Step {
    /// A step that is done once for all architectures.
    pub fn once(stage: Stage) -> Self {
        Step { stage, arch: None }
    }

    /// A step that is done once for each architecture.
    pub fn of(stage: Stage, arch: Arch) -> Self {
        Step {
            stage,
            arch: Some(arch),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.arch {
            Some(arch) => write!(f, "{} {arch}", self.stage),
            None => write!(f, "{}", self.stage),
        }
    }
}

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// The lock on `target/lab` is held by another process; this one waits.
    Waiting {
        /// Who holds it, as that process wrote into the lock file.
        holder: String,
    },
    /// A step starts.
    StepBegin {
        /// Which.
        step: Step,
        /// Why it could not be skipped ("first time", "images/kernel/base.config changed").
        why: String,
    },
    /// A step goes on.
    StepProgress {
        /// Which.
        step: Step,
        /// Units of work done so far (lines of output, bytes, files).
        done: u64,
        /// Units expected in all, when known.
        total: Option<u64>,
        /// What it is doing right now.
        text: String,
    },
    /// A step has been done.
    StepEnd {
        /// Which.
        step: Step,
        /// How long it took.
        elapsed: Duration,
    },
    /// A step's outputs are up to date.
    StepFresh {
        /// Which.
        step: Step,
    },
    /// Something the user should know that is not an error.
    Note(String),
    /// Guests and scenarios, after everything was built.
    Run(crate::report::RunEvent),
}

/// Takes events; called from several threads.
pub trait Sink: Send + Sync {
    /// Takes one event; must not block for long.
    fn emit(&self, event: Event);
}

impl<F: Fn(Event) + Send + Sync> Sink for F {
    fn emit(&self, event: Event) {
        self(event)
    }
}

/// A sink that drops everything.
pub struct Silent;

impl Sink for Silent {
    fn emit(&self, _: Event) {}
}
