// SPDX-License-Identifier: GPL-2.0-only

//! A tree that somebody thaws while `checkpoint` waits for the reader of its
//! image: what has been listed is not what is there any more, if the root makes a
//! child or only runs meanwhile. It is refused, and the tree goes on.
//!
//! Arguments: STATUS

use crate::counts::Counts;
use crate::freezer;
use crate::procfs;
use crate::stage::{self, expect, Stage};
use crate::tree;
use crate::wait;
use nix::fcntl::{fcntl, FcntlArg, OFlag};
use nix::sys::prctl;
use nix::sys::signal::{kill, sigaction, SaFlags, SigAction, SigHandler, SigSet, Signal};
use nix::sys::wait::waitpid;
use nix::unistd::{pipe2, Pid};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Exit status of `checkpoint`.
const REFUSED: i32 = 3;
/// What the root and its child count in.
const ROOT: usize = 0;
const CHILD: usize = 1;

/// 1 once the root is to have a child.
static GROW: AtomicU32 = AtomicU32::new(0);

extern "C" fn on_grow(_: libc::c_int) {
    GROW.store(1, Ordering::SeqCst);
}

fn soon() -> Duration {
    wait::scaled(Duration::from_secs(5))
}

/// A root that counts, and once it gets SIGUSR1 has a child that counts too.
struct Tree {
    root: Pid,
    counts: Counts,
    cgroup: PathBuf,
}

fn live(counts: &Counts, procs: &Path) -> Result<(), String> {
    let grow = SigAction::new(SigHandler::Handler(on_grow), SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler stores to an atomic.
    unsafe { sigaction(Signal::SIGUSR1, &grow) }.map_err(|e| format!("sigaction: {e}"))?;
    fs::write(procs, "0").map_err(|e| format!("{}: {e}", procs.display()))?;
    loop {
        counts.step(ROOT);
        if GROW.swap(0, Ordering::SeqCst) == 1 {
            tree::spawn("child", || {
                // Without a parent it would count for ever.
                let _ = prctl::set_pdeathsig(Signal::SIGKILL);
                counts.count(CHILD)
            })?;
        }
    }
}

impl Tree {
    fn start() -> Result<Tree, String> {
        let counts = Counts::start("t_grows", 2)?;
        let cgroup = Path::new(freezer::MOUNT).join("t_grows");
        fs::create_dir(&cgroup).map_err(|e| format!("{}: {e}", cgroup.display()))?;
        let procs = cgroup.join("cgroup.procs");
        let root = tree::spawn("root", || {
            if let Err(why) = live(&counts, &procs) {
                eprintln!("root: {why}");
            }
            1
        })?;
        let root = Pid::from_raw(root.pid);
        let tree = Tree { root, counts, cgroup };
        tree.counts("at first", ROOT)?;
        Ok(tree)
    }

    /// Fails unless one of the tasks runs.
    fn counts(&self, when: &str, at: usize) -> Result<(), String> {
        if self.counts.goes_on(at, soon())? {
            return Ok(());
        }
        let whether = self.is_frozen()?;
        Err(format!("{when}: task {at} does not count; frozen: {whether}"))
    }

    fn is_frozen(&self) -> Result<bool, String> {
        let path = self.cgroup.join("cgroup.freeze");
        let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(text.trim() == "1")
    }

    /// Thaws behind the back of `checkpoint`.
    fn thaw(&self) -> Result<(), String> {
        let path = self.cgroup.join("cgroup.freeze");
        fs::write(&path, "0").map_err(|e| format!("{}: {e}", path.display()))
    }

    /// Freezes, and waits until all are frozen.
    fn freeze(&self) -> Result<(), String> {
        let path = self.cgroup.join("cgroup.freeze");
        fs::write(&path, "1").map_err(|e| format!("{}: {e}", path.display()))?;
        let events = self.cgroup.join("cgroup.events");
        wait::until(soon(), "the tree does not freeze", || {
            fs::read_to_string(&events).is_ok_and(|text| text.contains("frozen 1"))
        })
    }

    fn children(&self) -> Result<usize, String> {
        let all = procfs::stats().map_err(|e| format!("/proc: {e}"))?;
        let root = self.root.as_raw();
        Ok(all.iter().filter(|task| task.ppid == root && task.state != 'Z').count())
    }

    /// Ends the root, and with it the child.
    fn end(self) -> Result<(), String> {
        kill(self.root, Signal::SIGKILL).map_err(|e| format!("killing the root: {e}"))?;
        waitpid(self.root, None).map_err(|e| format!("waiting for the root: {e}"))?;
        wait::until(soon(), "the cgroup cannot be removed", || fs::remove_dir(&self.cgroup).is_ok())
    }
}

/// `checkpoint` that waits in its first write, the pipe of its image being full, and who reads it.
fn stalled(tree: &Tree) -> Result<(Child, File), String> {
    let (read, write) = pipe2(OFlag::O_CLOEXEC).map_err(|e| format!("pipe: {e}"))?;
    let flags = |flags: OFlag| {
        fcntl(&write, FcntlArg::F_SETFL(flags)).map_err(|e| format!("F_SETFL: {e}"))
    };
    flags(OFlag::O_NONBLOCK)?;
    let mut pipe = File::from(write.try_clone().map_err(|e| format!("pipe: {e}"))?);
    let full = loop {
        if let Err(err) = pipe.write(&[0; 4096]) {
            break err;
        }
    };
    if full.kind() != io::ErrorKind::WouldBlock {
        return Err(format!("filling the pipe: {full}"));
    }
    flags(OFlag::empty())?;
    drop(pipe);
    let process = Command::new("checkpoint")
        .arg(tree.root.to_string())
        .stdout(write)
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("checkpoint: {e}"))?;
    let pid = process.id() as i32;
    // Before that it waits for the frozen tasks to be off their CPUs, in the same system call.
    wait::until(soon(), "checkpoint does not wait for the reader of its image", || {
        procfs::sleeps_in_function(pid, "pipe_write")
    })?;
    expect("whether the tree is frozen meanwhile", true, tree.is_frozen()?)?;
    Ok((process, File::from(read)))
}

/// Fails unless `checkpoint` refuses to save what has run in the meantime, in one line with `words`.
fn refused(
    tree: &Tree,
    words: &str,
    meanwhile: impl FnOnce() -> Result<(), String>,
) -> Result<(), String> {
    let (process, mut image) = stalled(tree)?;
    tree.thaw()?;
    let ran = tree.counts("thawed", ROOT).and_then(|()| meanwhile());
    tree.freeze()?;
    io::copy(&mut image, &mut io::sink()).map_err(|e| format!("reading the image: {e}"))?;
    let output = process.wait_with_output().map_err(|e| format!("checkpoint: {e}"))?;
    ran?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.code() != Some(REFUSED) || !said.contains(words) || said.lines().count() != 1 {
        let status = output.status;
        return Err(format!(
            "expected status {REFUSED} and one line with {words:?}, found {status} and {said:?}"
        ));
    }
    expect("whether the tree is frozen afterwards", false, tree.is_frozen()?)?;
    tree.counts("refused", ROOT)
}

fn run(stage: &Stage) -> Result<(), String> {
    // What is started inherits the mask.
    stage::unblock_term()?;
    let tree = Tree::start()?;
    refused(&tree, "a task ran meanwhile", || Ok(()))?;
    stage.say("ran\n")?;
    refused(&tree, "it got other tasks meanwhile", || {
        kill(tree.root, Signal::SIGUSR1).map_err(|e| format!("SIGUSR1: {e}"))?;
        tree.counts("a child", CHILD)
    })?;
    tree.counts("refused", CHILD)?;
    expect("children of the root", 1, tree.children()?)?;
    stage.say("grown\n")?;
    // What it has become can be saved.
    let path = "t_grows.ckpt";
    let image = File::create(path).map_err(|e| format!("{path}: {e}"))?;
    let saved = Command::new("checkpoint").arg(tree.root.to_string()).stdout(image).status();
    let saved = saved.map_err(|e| format!("checkpoint: {e}"))?;
    expect("exit status of a checkpoint that nobody disturbs", Some(0), saved.code())?;
    tree.counts("in the end", CHILD)?;
    tree.end()
}

/// Runs with the arguments of the process.
pub fn main() -> ExitCode {
    stage::run(run)
}
