// SPDX-License-Identifier: GPL-2.0-only

//! `mktree` while it stays with a tree that it has restarted: SIGTERM is not for
//! it, SIGINT ends the tree, and its status tells of that; the same below one who
//! ignores SIGCHLD.
//!
//! Arguments: STATUS IMAGE. IMAGE: of one task that has long to live.

use crate::stage::{self, expect, Stage};
use crate::wait;
use nix::sys::signal::{kill, signal, SigHandler, Signal};
use nix::unistd::Pid;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

/// What `mktree --copy-status` has for a root that was killed.
const KILLED: i32 = 128 + libc::SIGKILL;
/// How long a signal that is not to do anything may take to do it.
const MOMENT: Duration = Duration::from_millis(200);

/// What whoever starts `mktree` does with SIGCHLD.
#[derive(Debug, Clone, Copy)]
enum Children {
    Wait,
    Ignored,
}

/// In the process that is to be `mktree`.
fn treat(children: Children) -> std::io::Result<()> {
    if let Children::Ignored = children {
        // SAFETY: no handler is installed.
        unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn) }?;
    }
    Ok(())
}

fn stay(image: &str, options: [&str; 2], children: Children) -> Result<(), String> {
    let what = format!("mktree {}, children: {children:?}", options.join(" "));
    let failed = |e: std::io::Error| format!("{what}: {e}");
    let mut command = Command::new("mktree");
    command
        .args(options)
        .arg("--copy-status")
        .stdin(File::open(image).map_err(|e| format!("{image}: {e}"))?)
        .stdout(Stdio::piped());
    // SAFETY: makes one system call.
    unsafe { command.pre_exec(move || treat(children)) };
    let mut mktree = command.spawn().map_err(failed)?;
    let mut said = String::new();
    if let Some(stdout) = mktree.stdout.take() {
        BufReader::new(stdout).read_line(&mut said).map_err(failed)?;
    }
    if !said.starts_with("restarted 1 tasks") {
        return Err(format!("{what}: it says {said:?}"));
    }
    let pid = Pid::from_raw(mktree.id() as i32);
    let send = |signal: Signal| kill(pid, signal).map_err(|e| format!("{what}: {signal}: {e}"));
    send(Signal::SIGTERM)?;
    std::thread::sleep(MOMENT);
    expect(&format!("{what}: its end after SIGTERM"), None, mktree.try_wait().map_err(failed)?)?;
    send(Signal::SIGINT)?;
    let mut status = None;
    let otherwise = format!("{what}: it does not end after SIGINT");
    wait::until(wait::scaled(Duration::from_secs(5)), &otherwise, || {
        status = mktree.try_wait().ok().flatten();
        status.is_some()
    })?;
    let found = status.and_then(|status| status.code());
    expect(&format!("{what}: exit status after SIGINT"), Some(KILLED), found)
}

fn run(stage: &Stage) -> Result<(), String> {
    let image = stage.args.first().ok_or("arguments: STATUS IMAGE")?;
    // What is started inherits the mask.
    stage::unblock_term()?;
    for pids in ["--pids", "--no-pids"] {
        for mode in ["--coordinator", "--root"] {
            for children in [Children::Wait, Children::Ignored] {
                stay(image, [pids, mode], children)?;
            }
        }
    }
    Ok(())
}

/// Runs with the arguments of the process.
pub fn main() -> ExitCode {
    stage::run(run)
}
