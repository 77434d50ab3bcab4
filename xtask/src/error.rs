// SPDX-License-Identifier: GPL-2.0-only

//! The one error of the host side, and the exit codes.
//!
//! An error says what was being done, what was found, what probably helps and
//! where the full log is. `main` prints it once; nobody else does.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// What kind of failure, which decides the exit code of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Wrong flags, `lab.toml` or scenario file.
    Usage,
    /// The host lacks something that the lab could not get.
    Host,
    /// A kernel, guest or image build failed.
    Build,
    /// The lab itself failed: a full disk, a file that vanished, a bug.
    Lab,
    /// The user interrupted the run.
    Interrupted,
}

/// What helps against a full disk.
pub const FULL_DISK: &str = "free some space; `cargo xtask lab clean` removes old runs and builds";

/// Exit code of a run in which every scenario passed.
pub const EXIT_PASSED: i32 = 0;
/// Exit code of a run in which a scenario failed.
pub const EXIT_FAILED: i32 = 1;

impl Kind {
    /// The process exit code for an error of this kind.
    pub fn exit_code(self) -> i32 {
        match self {
            Kind::Usage => 2,
            Kind::Host => 3,
            Kind::Build => 4,
            Kind::Lab => 5,
            Kind::Interrupted => 130,
        }
    }
}

/// A failed step of the lab.
#[derive(Debug)]
pub struct Error(Box<Parts>);

#[derive(Debug)]
struct Parts {
    kind: Kind,
    doing: String,
    found: String,
    hint: Option<String>,
    log: Option<PathBuf>,
    tail: Vec<String>,
}

/// Result of a step of the lab.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// `doing`: the step, lower case, with its object ("reading lab.toml");
    /// `found`: what went wrong, several lines allowed.
    pub fn new(kind: Kind, doing: impl Into<String>, found: impl Into<String>) -> Self {
        Error(Box::new(Parts {
            kind,
            doing: doing.into(),
            found: found.into(),
            hint: None,
            log: None,
            tail: Vec::new(),
        }))
    }

    /// A usage or configuration error (exit code 2).
    pub fn usage(doing: impl Into<String>, found: impl Into<String>) -> Self {
        Self::new(Kind::Usage, doing, found)
    }

    /// The host lacks something (exit code 3).
    pub fn host(doing: impl Into<String>, found: impl Into<String>) -> Self {
        Self::new(Kind::Host, doing, found)
    }

    /// A build failed (exit code 4).
    pub fn build(doing: impl Into<String>, found: impl Into<String>) -> Self {
        Self::new(Kind::Build, doing, found)
    }

    /// The lab itself failed (exit code 5).
    pub fn lab(doing: impl Into<String>, found: impl Into<String>) -> Self {
        Self::new(Kind::Lab, doing, found)
    }

    /// The user pressed Ctrl-C or ended the process (exit code 130).
    pub fn interrupted(doing: impl Into<String>) -> Self {
        Self::new(Kind::Interrupted, doing, "interrupted")
    }

    /// Adds the likely fix.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds the full log and the lines of it that tell.
    pub fn log(mut self, path: impl Into<PathBuf>, tail: Vec<String>) -> Self {
        self.0.log = Some(path.into());
        self.0.tail = tail;
        self
    }

    /// The same error counted as another kind.
    pub fn with_kind(mut self, kind: Kind) -> Self {
        self.0.kind = kind;
        self
    }

    /// What kind of failure this is.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// What was found, without what was being done.
    pub fn found(&self) -> &str {
        &self.0.found
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.doing, self.0.found)?;
        if !self.0.tail.is_empty() {
            write!(f, "\n  the log says:")?;
            for line in &self.0.tail {
                write!(f, "\n  | {line}")?;
            }
        }
        if let Some(log) = &self.0.log {
            write!(f, "\n  full log: {}", log.display())?;
        }
        if let Some(hint) = &self.0.hint {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// Turns an I/O error into one that names the step and the path.
pub trait AtPath<T> {
    /// `verb`: what was being done to `path` ("reading", "creating").
    fn at(self, verb: &str, path: &Path) -> Result<T>;
}

impl<T> AtPath<T> for io::Result<T> {
    fn at(self, verb: &str, path: &Path) -> Result<T> {
        self.map_err(|err| {
            let error = Error::lab(format!("{verb} {}", path.display()), err.to_string());
            match err.kind() {
                io::ErrorKind::StorageFull => error.hint(FULL_DISK),
                io::ErrorKind::PermissionDenied => {
                    error.hint("the file belongs to another user; was the lab run as root before?")
                }
                _ => error,
            }
        })
    }
}

/// The name nearest to `wrong` among `known`, if any is near enough to have been meant.
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (distance(wrong, name), name))
        .filter(|(steps, name)| *steps <= 1 + name.len() / 3)
        .min()
        .map(|(_, name)| name)
}

/// Edit distance: insertions, deletions and replacements from `a` to `b`.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_text_has_every_part() {
        let error = Error::build("building the kernel (arm64)", "make ended with status 2")
            .hint("read the first error in the log")
            .log("/lab/logs/kernel.log", vec!["ld: undefined symbol".into()]);
        insta::assert_snapshot!(error.to_string(), @r"
        building the kernel (arm64): make ended with status 2
          the log says:
          | ld: undefined symbol
          full log: /lab/logs/kernel.log
          hint: read the first error in the log
        ");
        assert_eq!(error.kind().exit_code(), 4);
    }

    #[test]
    fn nearest_needs_to_be_near() {
        assert_eq!(nearest("debgu", ["6.12", "debug"]), Some("debug"));
        assert_eq!(nearest("frob", ["6.12", "debug"]), None);
    }
}
