// SPDX-License-Identifier: GPL-2.0-only

//! `checkpoint` interrupted by signals while it waits for the reader of its
//! image: it says so and ends, and the tree that it has frozen goes on.
//!
//! Arguments: STATUS [SEED]

use crate::counts::Counts;
use crate::freezer;
use crate::procfs;
use crate::stage::{self, expect, Stage};
use crate::sys;
use crate::tree;
use crate::wait;
use nix::fcntl::OFlag;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::prctl;
use nix::sys::resource::{setrlimit, Resource};
use nix::sys::signal::{kill, signal, SigHandler, Signal};
use nix::sys::wait::waitpid;
use nix::unistd::{pipe2, Pid};
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::Duration;

/// Exit statuses of `checkpoint`.
const REFUSED: i32 = 3;
const NOT_KILLED: i32 = 4;
const INTERRUPTED: i32 = 5;

/// The tasks of the tree.
const TASKS: usize = 2;
/// How often a signal comes at any time.
const AT_ANY_TIME: u64 = 30;
/// Within which time of the start of `checkpoint`, in microseconds.
const ANY_TIME_US: u64 = 30_000;
/// Bytes that an image has to have room for in vain.
const FILE_LIMIT: u64 = 8192;

/// Longest that an end or a step of a counter may take.
fn soon() -> Duration {
    wait::scaled(Duration::from_secs(5))
}

/// A root and its child, which count, in a cgroup of their own.
struct Tree {
    root: tree::Child,
    counts: Counts,
    cgroup: PathBuf,
}

/// In the root: enters the cgroup, and has a child.
fn grow(counts: &Counts, procs: &Path) -> Result<(), String> {
    fs::write(procs, "0").map_err(|e| format!("{}: {e}", procs.display()))?;
    tree::spawn("child", || {
        // Without a parent it would count for ever.
        let _ = prctl::set_pdeathsig(Signal::SIGKILL);
        counts.count(1)
    })
    .map(drop)
}

impl Tree {
    /// `kind`: what its cgroup is to be, other than a domain.
    fn start(name: &str, kind: Option<&str>) -> Result<Tree, String> {
        let counts = Counts::start(name, TASKS)?;
        let cgroup = PathBuf::from(freezer::MOUNT).join(name);
        let failed = |e: std::io::Error| format!("{}: {e}", cgroup.display());
        fs::create_dir(&cgroup).map_err(failed)?;
        if let Some(kind) = kind {
            fs::write(cgroup.join("cgroup.type"), kind).map_err(failed)?;
        }
        let procs = cgroup.join("cgroup.procs");
        let root = tree::spawn("root", || match grow(&counts, &procs) {
            Ok(()) => counts.count(0),
            Err(why) => {
                eprintln!("root: {why}");
                1
            }
        })?;
        let tree = Tree { root, counts, cgroup };
        tree.goes_on("at first")?;
        Ok(tree)
    }

    fn is_frozen(&self) -> Result<bool, String> {
        let path = self.cgroup.join("cgroup.freeze");
        let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(text.trim() == "1")
    }

    fn freeze(&self, frozen: bool) -> Result<(), String> {
        let path = self.cgroup.join("cgroup.freeze");
        fs::write(&path, if frozen { "1" } else { "0" }).map_err(|e| format!("{}: {e}", path.display()))
    }

    /// Both tasks count.
    fn goes_on(&self, when: &str) -> Result<(), String> {
        for at in 0..TASKS {
            if !self.counts.goes_on(at, soon())? {
                let whether = self.is_frozen()?;
                return Err(format!("{when}: task {at} counts no more; frozen: {whether}"));
            }
        }
        Ok(())
    }

    /// `checkpoint` of the tree, prepared.
    fn checkpoint(&self, option: &str, image: impl Into<Stdio>) -> Command {
        let mut command = Command::new("checkpoint");
        command
            .args([option, &self.root.pid.to_string()])
            .stdout(image)
            .stderr(Stdio::piped());
        command
    }

    /// Ends the tree; nothing but it was in its cgroup.
    fn end(self) -> Result<(), String> {
        let root = Pid::from_raw(self.root.pid);
        kill(root, Signal::SIGKILL).map_err(|e| format!("killing the root: {e}"))?;
        waitpid(root, None).map_err(|e| format!("waiting for the root: {e}"))?;
        wait::until(soon(), "the cgroup cannot be removed", || fs::remove_dir(&self.cgroup).is_ok())
    }
}

/// `checkpoint` while it waits for somebody to take its image.
struct Stalled {
    process: Child,
    read: OwnedFd,
}

impl Stalled {
    fn start(tree: &Tree, option: &str, before: fn()) -> Result<Stalled, String> {
        let (read, write) = pipe2(OFlag::O_CLOEXEC).map_err(|e| format!("pipe: {e}"))?;
        let image = write.try_clone().map_err(|e| format!("pipe: {e}"))?;
        let mut command = tree.checkpoint(option, image);
        let prepare = move || {
            before();
            Ok(())
        };
        // SAFETY: `before` makes system calls only.
        unsafe { command.pre_exec(prepare) };
        let process = command.spawn().map_err(|e| format!("checkpoint: {e}"))?;
        drop(command);
        let pid = process.id() as i32;
        let full = || {
            let mut fds = [PollFd::new(write.as_fd(), PollFlags::POLLOUT)];
            poll(&mut fds, PollTimeout::ZERO) == Ok(0)
        };
        let otherwise = "checkpoint does not wait for the reader of its image";
        wait::until(soon(), otherwise, || procfs::sleeps_in(pid, sys::SYS_CHECKPOINT) && full())?;
        expect("whether the tree is frozen meanwhile", true, tree.is_frozen()?)?;
        Ok(Stalled { process, read })
    }

    fn signal(&self, signal: Signal) -> Result<(), String> {
        kill(Pid::from_raw(self.process.id() as i32), signal).map_err(|e| format!("{signal}: {e}"))
    }
}

/// How `checkpoint` ended, and what it said.
fn end_of(mut process: Child) -> Result<(ExitStatus, String), String> {
    let mut status = None;
    wait::until(soon(), "checkpoint does not end", || {
        status = process.try_wait().ok().flatten();
        status.is_some()
    })?;
    let mut said = String::new();
    if let Some(mut stderr) = process.stderr.take() {
        stderr.read_to_string(&mut said).map_err(|e| format!("stderr of checkpoint: {e}"))?;
    }
    status.map(|status| (status, said)).ok_or_else(|| "no status".to_owned())
}

/// Fails unless it ended with this status and one line that has these words.
fn expect_end(what: &str, process: Child, status: i32, words: &str) -> Result<(), String> {
    let (found, said) = end_of(process).map_err(|why| format!("{what}: {why}"))?;
    if found.code() != Some(status) || !said.contains(words) || said.lines().count() != 1 {
        return Err(format!(
            "{what}: expected status {status} and one line with {words:?}, found {found} and {said:?}"
        ));
    }
    Ok(())
}

fn interrupted(tree: &Tree, option: &str, signal: Signal) -> Result<(), String> {
    let what = format!("checkpoint {option} and {signal}");
    let stalled = Stalled::start(tree, option, || ())?;
    stalled.signal(signal)?;
    expect_end(&what, stalled.process, INTERRUPTED, "interrupted")?;
    expect(&format!("{what}: frozen"), false, tree.is_frozen()?)?;
    tree.goes_on(&what)
}

/// A tree that was frozen by somebody else is left so.
fn frozen_before(tree: &Tree) -> Result<(), String> {
    tree.freeze(true)?;
    let stalled = Stalled::start(tree, "--leave-running", || ())?;
    stalled.signal(Signal::SIGINT)?;
    expect_end("frozen before", stalled.process, INTERRUPTED, "interrupted")?;
    expect("frozen before: frozen", true, tree.is_frozen()?)?;
    tree.freeze(false)?;
    tree.goes_on("thawed")
}

/// A signal that the caller has it ignore is ignored.
fn ignored(tree: &Tree) -> Result<(), String> {
    let stalled = Stalled::start(tree, "--leave-running", || {
        // SAFETY: no handler is installed.
        let _ = unsafe { signal(Signal::SIGHUP, SigHandler::SigIgn) };
    })?;
    stalled.signal(Signal::SIGHUP)?;
    std::thread::sleep(Duration::from_millis(100));
    expect("a signal that is ignored: frozen", true, tree.is_frozen()?)?;
    drop(stalled.read);
    expect_end("nobody takes the image", stalled.process, REFUSED, "refused")?;
    tree.goes_on("after nobody took the image")
}

/// A file that may not become as large as the image.
fn too_large(tree: &Tree) -> Result<(), String> {
    let path = "t_interrupted.large";
    let image = File::create(path).map_err(|e| format!("{path}: {e}"))?;
    let mut command = tree.checkpoint("--leave-running", image);
    let limit = || setrlimit(Resource::RLIMIT_FSIZE, FILE_LIMIT, FILE_LIMIT).map_err(Into::into);
    // SAFETY: makes one system call.
    unsafe { command.pre_exec(limit) };
    let process = command.spawn().map_err(|e| format!("checkpoint: {e}"))?;
    expect_end("an image that is too large", process, REFUSED, "EFBIG")?;
    tree.goes_on("after an image that was too large")
}

/// A cgroup that the kernel does not kill, since it is threaded: the tree goes on.
fn not_killed() -> Result<(), String> {
    let tree = Tree::start("t_interrupted.threaded", Some("threaded"))?;
    let image = File::create("t_interrupted.not").map_err(|e| format!("t_interrupted.not: {e}"))?;
    let process = tree.checkpoint("--kill", image).spawn();
    let process = process.map_err(|e| format!("checkpoint: {e}"))?;
    expect_end("a cgroup that cannot be killed", process, NOT_KILLED, "cgroup.kill")?;
    tree.goes_on("after it could not be killed")?;
    tree.end()
}

/// A signal comes at any time: before, while and after the tree is frozen.
fn at_any_time(tree: &Tree, seed: u64) -> Result<(), String> {
    let path = "t_interrupted.any";
    for round in 0..AT_ANY_TIME {
        let image = File::create(path).map_err(|e| format!("{path}: {e}"))?;
        let process = tree.checkpoint("--leave-running", image).spawn();
        let process = process.map_err(|e| format!("checkpoint: {e}"))?;
        let us = seed.wrapping_add(round).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        std::thread::sleep(Duration::from_micros(us % ANY_TIME_US));
        // It may have ended.
        let _ = kill(Pid::from_raw(process.id() as i32), Signal::SIGTERM);
        let what = format!("round {round} of {seed}");
        let (status, said) = end_of(process).map_err(|why| format!("{what}: {why}"))?;
        match (status.code(), status.signal()) {
            (Some(0 | INTERRUPTED), None) | (None, Some(libc::SIGTERM)) => (),
            _ => return Err(format!("{what}: found {status} and {said:?}")),
        }
        tree.goes_on(&what)?;
    }
    Ok(())
}

fn run(stage: &Stage) -> Result<(), String> {
    let seed = stage.seed(0)?;
    stage.say(&format!("seed {seed}\n"))?;
    // What is started inherits the mask.
    stage::unblock_term()?;
    let tree = Tree::start("t_interrupted", None)?;
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT] {
        interrupted(&tree, "--leave-running", signal)?;
    }
    interrupted(&tree, "--kill", Signal::SIGINT)?;
    frozen_before(&tree)?;
    ignored(&tree)?;
    too_large(&tree)?;
    not_killed()?;
    at_any_time(&tree, seed)?;
    // And it can still be saved.
    let image = File::create("t_interrupted.ckpt").map_err(|e| format!("t_interrupted.ckpt: {e}"))?;
    let process = tree.checkpoint("--leave-running", image).spawn();
    let (status, said) = end_of(process.map_err(|e| format!("checkpoint: {e}"))?)?;
    expect("a checkpoint that nobody interrupts", (true, ""), (status.success(), said.as_str()))?;
    tree.goes_on("in the end")?;
    tree.end()
}

/// Runs with the arguments of the process.
pub fn main() -> ExitCode {
    stage::run(run)
}
