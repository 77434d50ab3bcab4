// SPDX-License-Identifier: GPL-2.0-only

//! Lines from the tasks being made to the parent of their root: `0` once the
//! tree stands, else an exit status and why. One write a line, so that lines of
//! many tasks do not mix; the end of the pipe means that no task can report any
//! more, having been restored or having died.

use crate::cli::Failure;
use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsFd, BorrowedFd};

/// The tasks' end.
#[derive(Debug)]
pub struct Reporter(File);

/// The end of whoever waits for the tasks.
#[derive(Debug)]
pub struct Reports(BufReader<File>);

/// What the tasks have to say.
#[derive(Debug, PartialEq, Eq)]
pub enum Report {
    /// All tasks exist and are about to call restart, or have been restarted.
    Done,
    /// A task cannot go on.
    Failed(Failure),
    /// Nobody is left who could say more.
    End,
}

/// Makes a pipe for reports.
pub fn channel() -> nix::Result<(Reporter, Reports)> {
    let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
    Ok((
        Reporter(File::from(write)),
        Reports(BufReader::new(File::from(read))),
    ))
}

impl Reporter {
    /// Says that all is well.
    pub fn done(&self) {
        self.line(0, "");
    }

    /// Says why not.
    pub fn failed(&self, failure: &Failure) {
        self.line(failure.status, &failure.why);
    }

    fn line(&self, status: u8, why: &str) {
        // Nobody listens any more when this fails, and the sender is about to be killed.
        let _ = (&self.0).write_all(format!("{status} {}\n", why.replace('\n', " ")).as_bytes());
    }

    /// The descriptor, to be kept open while others are closed.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Reports {
    /// The next report; blocks until there is one.
    pub fn next_report(&mut self) -> Report {
        let mut line = String::new();
        match self.0.read_line(&mut line) {
            Ok(0) | Err(_) => return Report::End,
            Ok(_) => (),
        }
        let (status, why) = line
            .trim_end()
            .split_once(' ')
            .unwrap_or((line.trim_end(), ""));
        match status.parse() {
            Ok(0) => Report::Done,
            Ok(status) => Report::Failed(Failure::new(status, why)),
            Err(_) => Report::End,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_arrive_in_order() {
        let (reporter, mut reports) = channel().unwrap();
        reporter.done();
        reporter.failed(&Failure::new(4, "task 7: fork: EAGAIN"));
        drop(reporter);
        assert_eq!(reports.next_report(), Report::Done);
        assert_eq!(
            reports.next_report(),
            Report::Failed(Failure::new(4, "task 7: fork: EAGAIN"))
        );
        assert_eq!(reports.next_report(), Report::End);
    }
}
