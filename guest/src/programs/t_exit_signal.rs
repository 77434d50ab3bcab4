// SPDX-License-Identifier: GPL-2.0-only

//! A child whose end sends its parent no signal is still such a child after a
//! restart: only a wait with __WALL sees it end. With `root` such a child is
//! itself the root of a tree, which this program saves and restarts.
//!
//! Arguments: STATUS [root]

use crate::freezer;
use crate::stage::{self, expect, Stage};
use crate::sys::{self, Birth, Forked};
use nix::errno::Errno;
use nix::sys::signal::{sigaction, SaFlags, SigAction, SigHandler, SigSet, Signal};
use nix::sys::wait::{waitpid, WaitPidFlag, WaitStatus};
use nix::unistd::{setsid, Pid};
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// What the child ends with.
const STATUS: u8 = 7;
const IMAGE: &str = "t_exit_signal.ckpt";
/// How long the root of the second test lives, restarts not counted.
const LIFE: Duration = Duration::from_secs(1);

static SIGCHLDS: AtomicU32 = AtomicU32::new(0);

extern "C" fn on_child(_: libc::c_int) {
    SIGCHLDS.fetch_add(1, Ordering::SeqCst);
}

fn fork_silently(cgroup: Option<&File>, body: impl FnOnce() -> u8) -> Result<Pid, String> {
    use std::os::fd::AsFd;
    let birth = Birth {
        exit_signal: Some(0),
        cgroup: cgroup.map(File::as_fd),
        ..Birth::default()
    };
    // SAFETY: the program has one thread.
    match unsafe { sys::fork(birth) } {
        Ok(Forked::Parent(pid, _pidfd)) => Ok(Pid::from_raw(pid)),
        Ok(Forked::Child) => std::process::exit(body().into()),
        Err(err) => Err(format!("forking: {err}")),
    }
}

fn of_child(stage: &Stage) -> Result<(), String> {
    let count = SigAction::new(SigHandler::Handler(on_child), SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler stores to an atomic.
    unsafe { sigaction(Signal::SIGCHLD, &count) }.map_err(|e| format!("sigaction: {e}"))?;
    let child = fork_silently(None, || match stage::wait_for_term() {
        Ok(()) => STATUS,
        Err(_) => 1,
    })?;
    stage.ready()?;
    stage::wait_for_term()?;
    nix::sys::signal::kill(child, Signal::SIGTERM).map_err(|e| format!("kill: {e}"))?;
    expect(
        "a wait for children that send SIGCHLD",
        Err(Errno::ECHILD),
        waitpid(child, None),
    )?;
    expect(
        "a wait for any child",
        Ok(WaitStatus::Exited(child, STATUS.into())),
        waitpid(child, Some(WaitPidFlag::__WALL)),
    )?;
    expect("SIGCHLDs", 0, SIGCHLDS.load(Ordering::SeqCst))
}

/// The root: has nothing of the caller's, lives for a while and ends.
fn live() -> u8 {
    sys::close_all_but(&[]);
    if setsid().is_err() {
        return 1;
    }
    std::thread::sleep(LIFE);
    STATUS
}

fn of_root(stage: &Stage) -> Result<(), String> {
    let cgroup = Path::new(freezer::MOUNT).join("t_exit_signal");
    let failed = |e: std::io::Error| format!("{}: {e}", cgroup.display());
    fs::create_dir(&cgroup).map_err(failed)?;
    let folder = File::open(&cgroup).map_err(failed)?;
    let root = fork_silently(Some(&folder), live)?;
    stage.ready()?;
    std::thread::sleep(LIFE / 4);
    let image = File::create(IMAGE).map_err(|e| format!("{IMAGE}: {e}"))?;
    let saved = Command::new("checkpoint")
        .args(["--kill", &root.to_string()])
        .stdout(image)
        .status();
    let saved = saved.map_err(|e| format!("checkpoint: {e}"))?;
    expect("exit status of checkpoint", Some(0), saved.code())?;
    let ended = waitpid(root, Some(WaitPidFlag::__WALL)).map_err(|e| format!("waitpid: {e}"))?;
    expect("the saved root's end", WaitStatus::Signaled(root, Signal::SIGKILL, false), ended)?;
    for pids in ["--no-pids", "--pids"] {
        for mode in ["--coordinator", "--root"] {
            let image = File::open(IMAGE).map_err(|e| format!("{IMAGE}: {e}"))?;
            let options = [pids, mode, "--copy-status"];
            let mktree = Command::new("mktree")
                .args(options)
                .stdin(image)
                .stdout(Stdio::null())
                .status();
            let status = mktree.map_err(|e| format!("mktree: {e}"))?;
            let what = format!("exit status of mktree {}", options.join(" "));
            expect(&what, Some(STATUS.into()), status.code())?;
            stage.say(&format!("ended {pids} {mode}\n"))?;
        }
    }
    Ok(())
}

/// Runs with the arguments of the process.
pub fn main() -> ExitCode {
    stage::run(|stage| match stage.args.first().map(String::as_str) {
        None => of_child(stage),
        Some("root") => of_root(stage),
        Some(other) => Err(format!("argument {other:?}: expected root")),
    })
}
