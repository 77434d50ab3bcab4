// SPDX-License-Identifier: GPL-2.0-only

//! Making the process tree of an image and having every task call restart(2).
//!
//! `input` reads the image's HEAD and TREE, `plan` decides who is forked by
//! whom and when (pure), `task` is the life of a task up to its restart,
//! `orphans` makes those whose first parents have ended, `supervise` is what the
//! parent of the root does, `interrupt` what Ctrl-C does meanwhile, `log` keeps
//! what the kernel says, `faults` is what is done wrong on purpose, `run` puts
//! them together.

pub mod faults;
pub mod input;
pub mod interrupt;
pub mod log;
pub mod orphans;
pub mod plan;
pub mod report;
pub mod run;
pub mod supervise;
pub mod task;

/// Exit status: the image cannot be read, or its HEAD or TREE is damaged. What else is wrong with it
/// the kernel finds, and [`REFUSED`] says.
pub const UNREADABLE: u8 = 2;
/// Exit status: the kernel refused the restart.
pub const REFUSED: u8 = 3;
/// Exit status: the tree could not be made.
pub const NOT_MADE: u8 = 4;

/// Pids of the restarted tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pids {
    /// As saved, in a fresh pid namespace.
    Saved,
    /// Whatever the caller's pid namespace has free.
    New,
}

/// Who coordinates the restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The parent of the root, which is not restored and gets a clean errno.
    Coordinator,
    /// The root task itself.
    Root,
}

/// How to restart.
#[derive(Debug, Clone)]
pub struct Options {
    /// Pids of the restarted tasks.
    pub pids: Pids,
    /// Who coordinates.
    pub mode: Mode,
    /// Stay until the tree has ended.
    pub wait: bool,
    /// Exit as the root did.
    pub copy_status: bool,
    /// Where the kernel's log line goes as well.
    pub log: Option<std::path::PathBuf>,
    /// Refusals to be provoked.
    pub faults: faults::Faults,
}
