// SPDX-License-Identifier: GPL-2.0-only

//! Freezes a process tree and saves it to stdout; `--help` says how.

mod interrupt;

use crate::cli::{finish, number, open_log, Failure, USAGE};
use crate::freezer::Cgroup;
use crate::mktree::log::logged;
use crate::sys;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;

const HELP: &str = "\
usage: checkpoint [OPTION...] PID > IMAGE

Freezes the cgroup (v2) of process PID, saves PID and its descendants to IMAGE
(a file, pipe or device, not a terminal), and lets them go on.

  --leave-running   the tree goes on afterwards (default)
  --kill            the tree, and what else is in its cgroup, is killed once saved
  --cgroup PATH     freeze this cgroup, below /sys/fs/cgroup, not that of PID
  --log FILE        append the kernel's line about a failure to FILE

A cgroup that is frozen already stays frozen, unless --kill.

SIGINT, SIGTERM, SIGHUP and SIGQUIT end it: the tree goes on, and IMAGE is not
to be used. Once the image is whole, what was asked for is done first.

exit status:
  0  saved      1  usage
  2  no such process, or it cannot be frozen where it is
  3  the kernel refused the checkpoint; the tree goes on
  4  the tree did not freeze, or could not be thawed or killed afterwards
  5  interrupted by a signal; the tree goes on
";

/// Exit status: the process is not there or not in a cgroup that can be frozen.
const UNFIT: u8 = 2;
/// Exit status: the kernel refused.
const REFUSED: u8 = 3;
/// Exit status: the freezer failed.
const FREEZER: u8 = 4;
/// Exit status: a signal came before the image was whole.
const INTERRUPTED: u8 = 5;

struct Options {
    pid: i32,
    kill: bool,
    cgroup: Option<String>,
    log: Option<PathBuf>,
}

/// Parses the command line; `None`: only help is wanted.
fn parse() -> Result<Option<Options>, Failure> {
    use lexopt::prelude::*;
    let (mut kill, mut cgroup, mut log, mut pid) = (false, None, None, None);
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(None),
            Long("leave-running") => kill = false,
            Long("kill") => kill = true,
            Long("cgroup") => cgroup = Some(parser.value()?.string()?),
            Long("log") => log = Some(parser.value()?.into()),
            Value(value) if pid.is_none() => pid = Some(number("PID", &value)?),
            _ => return Err(arg.unexpected().into()),
        }
    }
    match pid {
        Some(pid) if pid > 0 => Ok(Some(Options {
            pid,
            kill,
            cgroup,
            log,
        })),
        Some(pid) => Err(Failure::new(
            USAGE,
            format_args!("PID: expected at least 1, found {pid}"),
        )),
        None => Err(Failure::new(USAGE, "expected a PID (see --help)")),
    }
}

fn save(options: &Options) -> Result<(), Failure> {
    let stdout = std::io::stdout();
    if stdout.is_terminal() {
        return Err(Failure::new(
            USAGE,
            "stdout is a terminal: send the image to a file or pipe",
        ));
    }
    let log = open_log(options.log.as_deref(), REFUSED)?;
    let log_start = log.metadata().map_or(0, |meta| meta.len());
    let cgroup = Cgroup::of_tree(options.pid, options.cgroup.as_deref());
    let cgroup = cgroup.map_err(|why| Failure::new(UNFIT, why))?;
    let freezer = |why: String| Failure::new(FREEZER, why);
    let frozen_before = cgroup.is_frozen();
    interrupt::watch(&cgroup, frozen_before).map_err(freezer)?;
    cgroup.freeze().map_err(freezer)?;
    let saved = sys::checkpoint(options.pid, stdout.as_fd(), 0, Some(log.as_fd()));
    interrupt::hold_off();
    let thaw = || match frozen_before {
        true => Ok(()),
        false => cgroup.thaw(),
    };
    let ended = match options.kill && saved.is_ok() {
        // Who cannot be killed is not left frozen either.
        true => cgroup.kill().or_else(|why| thaw().and(Err(why))),
        false => thaw(),
    };
    ended.map_err(freezer)?;
    match saved {
        Ok(_) => Ok(()),
        Err(err) => {
            let line = logged(&log, log_start)
                .map(|line| format!(": {line}"))
                .unwrap_or_default();
            let pid = options.pid;
            Err(Failure::new(
                REFUSED,
                format_args!("the kernel refused to save the tree of {pid}: {err}{line}"),
            ))
        }
    }
}

/// Runs with the arguments of the process.
pub fn main() -> ExitCode {
    finish(
        "checkpoint",
        parse().and_then(|options| match options {
            None => {
                print!("{HELP}");
                Ok(0)
            }
            Some(options) => save(&options).map(|()| 0),
        }),
    )
}
