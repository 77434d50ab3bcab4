// SPDX-License-Identifier: GPL-2.0-only

//! What the small command lines have in common: a failure with an exit status,
//! printed once as one line.

use nix::sys::memfd::{memfd_create, MFdFlags};
use std::ffi::OsString;
use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::path::Path;
use std::process::ExitCode;

/// A failure that ends a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The exit status, documented in the program's `--help`.
    pub status: u8,
    /// One line: what was being done, on what, what was found.
    pub why: String,
}

impl Failure {
    /// A failure with this exit status.
    pub fn new(status: u8, why: impl Display) -> Self {
        Failure {
            status,
            why: why.to_string(),
        }
    }
}

/// Exit status of a command line that is not understood.
pub const USAGE: u8 = 1;

impl From<lexopt::Error> for Failure {
    fn from(err: lexopt::Error) -> Self {
        Failure::new(USAGE, format_args!("{err} (see --help)"))
    }
}

/// Opens what the kernel's log line goes to: a file that is added to, or without one a memory file.
/// `status` is that of a machine that has no memory for one.
pub fn open_log(path: Option<&Path>, status: u8) -> Result<File, Failure> {
    match path {
        Some(path) => OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .map_err(|e| Failure::new(USAGE, format_args!("log {}: {e}", path.display()))),
        None => memfd_create(c"log", MFdFlags::MFD_CLOEXEC)
            .map(File::from)
            .map_err(|e| Failure::new(status, format_args!("memfd for the log: {e}"))),
    }
}

/// Prints the failure of `program`, if there is one, and gives its exit code.
pub fn finish(program: &str, result: Result<u8, Failure>) -> ExitCode {
    match result {
        Ok(status) => ExitCode::from(status),
        Err(failure) => {
            eprintln!("{program}: {}", failure.why.trim_end());
            ExitCode::from(failure.status)
        }
    }
}

/// A number on the command line.
pub fn number<T: std::str::FromStr>(what: &str, text: &OsString) -> Result<T, Failure> {
    text.to_str().and_then(|t| t.parse().ok()).ok_or_else(|| {
        Failure::new(
            USAGE,
            format_args!("{what}: expected a number, found {text:?} (see --help)"),
        )
    })
}
