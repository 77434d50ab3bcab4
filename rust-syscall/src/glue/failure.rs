// SPDX-License-Identifier: GPL-2.0-only

//! Why a checkpoint or restart failed: an errno for the caller, and one line for the log.

use super::wait;
use crate::image::error::ImageError;
use core::fmt;
use kernel::error::{code::*, Error, Result};
use kernel::fs::File;
use kernel::sync::aref::ARef;

/// Error numbers that the `kernel` crate has no name for yet; the same on both architectures.
pub(crate) mod numbers {
    /// ECANCELED.
    pub(crate) const ECANCELED: i32 = -125;
    /// EOVERFLOW.
    pub(crate) const EOVERFLOW: i32 = -75;
    /// EOPNOTSUPP: something that cannot be carried.
    pub(crate) const EOPNOTSUPP: i32 = -95;
}

/// A failure: small, copied freely.
#[derive(Clone, Copy)]
pub(crate) struct Failure {
    /// For the caller.
    pub(crate) errno: Error,
    /// For the log.
    pub(crate) what: What,
}

/// What was being done, on what, and what was wrong.
#[derive(Clone, Copy)]
pub(crate) enum What {
    /// The restart had failed before: who failed logs why.
    Told,
    /// The kernel said no to something.
    Doing(&'static str),
    /// As `Doing`, with the number or address of the object.
    DoingOn { what: &'static str, number: u64 },
    /// As `Doing`, with the path of a file.
    OnFile { what: &'static str, path: PathTail },
    /// An object that cannot be carried.
    Refused {
        kind: &'static str,
        number: u64,
        why: &'static str,
    },
    /// A value that had to be another.
    Mismatch {
        what: &'static str,
        expected: u64,
        found: u64,
    },
    /// The image is wrong.
    Image(ImageError),
}

impl Failure {
    /// An object that cannot be carried; `kind` and `number` name it.
    pub(crate) fn refused(kind: &'static str, number: u64, why: &'static str) -> Self {
        Self {
            errno: Error::from_errno(numbers::EOPNOTSUPP),
            what: What::Refused { kind, number, why },
        }
    }

    /// A value that had to be another.
    pub(crate) fn mismatch(errno: Error, what: &'static str, expected: u64, found: u64) -> Self {
        Self {
            errno,
            what: What::Mismatch {
                what,
                expected,
                found,
            },
        }
    }

    /// The kernel said no while `what` was being done.
    pub(crate) fn doing(errno: Error, what: &'static str) -> Self {
        Self {
            errno,
            what: What::Doing(what),
        }
    }

    /// The kernel said no while `what` was being done to the file at `path`.
    pub(crate) fn on_file(errno: Error, what: &'static str, path: &[u8]) -> Self {
        let path = PathTail::new(path);
        Self {
            errno,
            what: What::OnFile { what, path },
        }
    }

    /// The restart had failed before, with this errno.
    pub(crate) fn told(errno: Error) -> Self {
        Self {
            errno,
            what: What::Told,
        }
    }

    /// The errno as a system call's result, where a restart of the call must not happen: the
    /// stream is half used.
    pub(crate) fn result(&self) -> isize {
        if wait::is_interruption(self.errno) {
            return EINTR.to_errno() as isize;
        }
        self.errno.to_errno() as isize
    }
}

impl From<ImageError> for Failure {
    fn from(error: ImageError) -> Self {
        Self {
            errno: Error::from_errno(-error.errno()),
            what: What::Image(error),
        }
    }
}

/// Says what was being done when a kernel function failed.
pub(crate) trait Context<T> {
    /// Names the action.
    fn doing(self, what: &'static str) -> Result<T, Failure>;
    /// Names the action and the object's number or address.
    fn doing_on(self, what: &'static str, number: u64) -> Result<T, Failure>;
}

impl<T, E: Into<Error>> Context<T> for Result<T, E> {
    fn doing(self, what: &'static str) -> Result<T, Failure> {
        self.map_err(|errno| Failure::doing(errno.into(), what))
    }

    fn doing_on(self, what: &'static str, number: u64) -> Result<T, Failure> {
        self.map_err(|errno| Failure {
            errno: errno.into(),
            what: What::DoingOn { what, number },
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.what {
            What::Told => f.write_str("the restart had failed before")?,
            What::Doing(what) => write!(f, "{what}")?,
            What::DoingOn { what, number } => write!(f, "{what} {number:#x}")?,
            What::OnFile { what, path } => write!(f, "{what} {path}")?,
            What::Refused { kind, number, why } if number > 0xffff => {
                write!(f, "{kind} {number:#x}: {why}: cannot be carried")?
            }
            What::Refused { kind, number, why } => {
                write!(f, "{kind} {number}: {why}: cannot be carried")?
            }
            What::Mismatch {
                what,
                expected,
                found,
            } => write!(f, "{what}: expected {expected}, found {found}")?,
            What::Image(error) => write!(f, "{error}")?,
        }
        write!(f, " (error {})", -self.result())
    }
}

/// The end of a path, as much as a line of the log needs.
#[derive(Clone, Copy)]
pub(crate) struct PathTail {
    text: [u8; 80],
    len: usize,
    cut: bool,
}

impl PathTail {
    fn new(path: &[u8]) -> Self {
        let mut text = [0; 80];
        let len = path.len().min(text.len());
        let tail = path.iter().skip(path.len() - len);
        text.iter_mut().zip(tail).for_each(|(to, from)| *to = *from);
        let cut = len < path.len();
        Self { text, len, cut }
    }
}

impl fmt::Display for PathTail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text.get(..self.len).unwrap_or(&[]);
        // A path is any bytes, an image's any that its author liked.
        let cut = if self.cut { "..." } else { "" };
        write!(f, "{cut}{}", text.escape_ascii())
    }
}

/// Writes the one line of a failure to the caller's log, unless somebody else does. A log that cannot be
/// written changes nothing about the failure.
pub(crate) fn log(to: Option<&File>, call: &'static str, pid: i32, failure: &Failure) {
    let Some(file) = to else { return };
    if matches!(failure.what, What::Told) {
        return;
    }
    let mut line = Line::new();
    // A line that is too long is cut; `Line` never fails.
    let _ = fmt::write(
        &mut line,
        format_args!("{call}: pid {pid}: {failure}"),
    );
    let mut pos = file.pos();
    let _ = file.write(line.finish(), &mut pos).map(|_| file.seek_to(pos));
}

/// A line of text of bounded length.
struct Line {
    text: [u8; 256],
    len: usize,
}

impl Line {
    fn new() -> Self {
        Self {
            text: [0; 256],
            len: 0,
        }
    }

    fn finish(&mut self) -> &[u8] {
        if let Some(end) = self.text.get_mut(self.len) {
            *end = b'\n';
        }
        self.text.get(..=self.len).unwrap_or(&[])
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        // One byte stays free for the end of the line.
        for byte in s.bytes() {
            if self.len + 1 >= self.text.len() {
                break;
            }
            if let Some(to) = self.text.get_mut(self.len) {
                *to = byte;
            }
            self.len += 1;
        }
        Ok(())
    }
}

/// The caller's log: none for -1, `EBADF` for anything else that is no file open for writing.
pub(crate) fn log_file(logfd: i32) -> Result<Option<ARef<File>>, Failure> {
    if logfd == -1 {
        return Ok(None);
    }
    let file = u32::try_from(logfd)
        .map_err(|_| EBADF)
        .and_then(File::of_descriptor)
        .doing("taking the log's file from logfd")?;
    if !file.writable() {
        return Err(Failure::doing(EBADF, "writing the log: logfd is not writable"));
    }
    if !file.is_written_by_kernel() {
        return Err(Failure::doing(EINVAL, "writing the log: the kernel cannot write that kind of file"));
    }
    Ok(Some(file))
}
