// SPDX-License-Identifier: GPL-2.0-only

//! Restarts a process tree from the image on stdin; `--help` says how.

use crate::cli::{finish, number, Failure, USAGE};
use crate::mktree::{faults::Faults, run::run, Mode, Options, Pids};
use std::fs::File;
use std::os::fd::AsFd;
use std::process::ExitCode;

const HELP: &str = "\
usage: mktree [OPTION...] < IMAGE

Makes the process tree that IMAGE was taken from and restarts every task of it.
Says `restarted N tasks, root PID` on stdout once they all run.

  --pids          every task has its old pid, in a fresh pid namespace (default)
  --no-pids       the tasks have new pids, in the caller's pid namespace
  --coordinator   the parent of the root coordinates the restart (default)
  --root          the root itself coordinates
  --wait          stay until the root has ended; with a pid namespace of which
                  the root is not the init, until all have (default)
  --no-wait       end when the tree runs
  --copy-status   exit as the root did; 128 + N when signal N ended it
  --log FILE      append the kernel's line about a failure to FILE

While the tree is made and restarted, SIGINT and SIGTERM end that and kill it.
While it stays, SIGINT kills the tree (without pid namespace: its root), and
SIGTERM is ignored: signal the tasks.

To see how the kernel takes what is wrong:
  --without PID       leave out a task of the image, with its descendants
  --late PID          a task lives, and does not call restart
  --kill-midway PID   a task dies while the others are inside restart
  --stranger PID      a process outside the tree joins in the place of a task,
                      while the tree is inside restart; what it is told goes to
                      stdout, and the tree must be none the worse for it

exit status:
  0  restarted      1  usage
  2  the image cannot be read, or its beginning (HEAD and TREE) is damaged
  3  the kernel refused the restart, as when the image is damaged further on, or
     it was cut short
  4  the tree could not be made
";

/// What the command line asks for.
enum Request {
    Help,
    Restart(Options),
}

fn parse() -> Result<Request, Failure> {
    use lexopt::prelude::*;
    let mut options = Options {
        pids: Pids::Saved,
        mode: Mode::Coordinator,
        wait: true,
        copy_status: false,
        log: None,
        faults: Faults::default(),
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(Request::Help),
            Long("pids") => options.pids = Pids::Saved,
            Long("no-pids") => options.pids = Pids::New,
            Long("coordinator") => options.mode = Mode::Coordinator,
            Long("root") => options.mode = Mode::Root,
            Long("wait") => options.wait = true,
            Long("no-wait") => options.wait = false,
            Long("copy-status") => options.copy_status = true,
            Long("log") => options.log = Some(parser.value()?.into()),
            Long("without") => {
                options.faults.without = Some(number("--without", &parser.value()?)?)
            }
            Long("late") => options.faults.late = Some(number("--late", &parser.value()?)?),
            Long("kill-midway") => {
                options.faults.kill_midway = Some(number("--kill-midway", &parser.value()?)?);
            }
            Long("stranger") => {
                options.faults.stranger = Some(number("--stranger", &parser.value()?)?)
            }
            _ => return Err(arg.unexpected().into()),
        }
    }
    if options.copy_status && !options.wait {
        return Err(Failure::new(
            USAGE,
            "--copy-status needs --wait (see --help)",
        ));
    }
    Ok(Request::Restart(options))
}

/// Runs with the arguments of the process.
pub fn main() -> ExitCode {
    finish(
        "mktree",
        parse().and_then(|request| match request {
            Request::Help => {
                print!("{HELP}");
                Ok(0)
            }
            Request::Restart(options) => {
                let stdin = std::io::stdin();
                let source = stdin.as_fd().try_clone_to_owned();
                let source = source.map_err(|e| Failure::new(USAGE, format_args!("stdin: {e}")))?;
                run(File::from(source), options)
            }
        }),
    )
}
