// SPDX-License-Identifier: GPL-2.0-only

//! Restarting a tree again and again from a test: `mktree` started, its tasks
//! found, ended and seen to be gone, from the kernel's memory too.

use crate::edit::{word, Image};
use crate::knobs;
use crate::procfs::{self, Stat};
use crate::wait;
use checkpoint::image::list::Entry;
use checkpoint::image::record::TreeEntry;
use checkpoint::image::Kind;
use nix::sys::prctl;
use nix::sys::signal::{kill, Signal};
use nix::sys::wait::{waitpid, WaitPidFlag, WaitStatus};
use nix::unistd::Pid;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::time::Duration;

/// How long anything may take: being held, ending, being gone.
pub fn patience() -> Duration {
    wait::scaled(Duration::from_secs(30))
}

/// Who owns a restart, as an option of `mktree`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The root of the tree.
    Root,
    /// Its parent.
    Coordinator,
}

impl Mode {
    fn option(self) -> &'static str {
        match self {
            Mode::Root => "--root",
            Mode::Coordinator => "--coordinator",
        }
    }

    /// The participant that reads the image's ends, as [`knobs`] has it.
    pub fn owner(self) -> u32 {
        match self {
            Mode::Root => 0,
            Mode::Coordinator => knobs::COORDINATOR,
        }
    }
}

/// The tree that is restarted.
#[derive(Debug, Clone)]
pub struct Tree {
    image: String,
    /// The name of its tasks.
    pub comm: String,
    /// How many tasks it has.
    pub tasks: u32,
    /// The saved pid of each.
    saved: Vec<i32>,
    /// `--pids` or `--no-pids`.
    pids: &'static str,
    /// Kernel threads, which are looked at once: they are most of what /proc has.
    of_kernel: Vec<i32>,
}

/// What the last `mktree` has said on stderr, in the working directory.
pub const ERRORS: &str = "mktree.err";
/// The log of all of them.
pub const LOG: &str = "mktree.log";

impl Tree {
    /// The tree in the file `image`; `comm` is the name of its tasks. The caller becomes the parent of
    /// those who lose theirs.
    pub fn new(image: &str, comm: &str, tasks: u64) -> Result<Tree, String> {
        prctl::set_child_subreaper(true).map_err(|e| format!("PR_SET_CHILD_SUBREAPER: {e}"))?;
        let read = Image::read(image)?;
        let entries = read.payload(Kind::Tree, 0)?.chunks(TreeEntry::SIZE);
        let of_kernel = procfs::kernel_threads_of_boot().map_err(|e| format!("/proc: {e}"))?;
        let saved = entries.map(|entry| word(entry, 0).map(|pid| pid as i32));
        Ok(Tree {
            saved: saved.collect::<Result<_, _>>()?,
            image: image.into(),
            comm: comm.into(),
            tasks: u32::try_from(tasks).map_err(|e| format!("tasks: {e}"))?,
            pids: "--pids",
            of_kernel,
        })
    }

    /// The same tree, restarted under new pids beside the caller.
    pub fn beside(&self) -> Tree {
        Tree {
            pids: "--no-pids",
            ..self.clone()
        }
    }

    /// The same tree, restarted from another image of it, which may be damaged.
    pub fn out_of(&self, image: &str) -> Tree {
        Tree {
            image: image.into(),
            ..self.clone()
        }
    }

    /// Starts `mktree`, which ends when the tree runs.
    pub fn start(&self, mode: Mode) -> Result<Child, String> {
        self.start_with(mode, &[])
    }

    /// The same with more options, in a process group of its own.
    pub fn start_with(&self, mode: Mode, options: &[&str]) -> Result<Child, String> {
        let image = File::open(&self.image).map_err(|e| format!("{}: {e}", self.image))?;
        let errors = File::create(ERRORS).map_err(|e| format!("{ERRORS}: {e}"))?;
        Command::new("mktree")
            .args([mode.option(), self.pids, "--no-wait", "--log", LOG])
            .args(options)
            .process_group(0)
            .stdin(image)
            .stderr(errors)
            .spawn()
            .map_err(|e| format!("starting mktree: {e}"))
    }

    /// The living tasks of restarts: what `mktree` makes, by its name or by the tree's.
    fn found(&self) -> Result<Vec<Stat>, String> {
        let mut tasks = procfs::stats_but(&self.of_kernel).map_err(|e| format!("/proc: {e}"))?;
        let ours = |comm: &str| comm == "mktree" || comm == self.comm;
        tasks.retain(|task| ours(&task.comm) && task.state != 'Z' && task.state != 'X');
        Ok(tasks)
    }

    /// The saved pid of a task.
    pub fn saved(&self, slot: u32) -> Result<i32, String> {
        let saved = self.saved.get(slot as usize).copied();
        saved.ok_or_else(|| format!("{} has no task {slot}", self.image))
    }

    /// The pid of a participant of what this `mktree` restarts; `None` if it is not there yet. Beside the
    /// caller, only the root and its coordinator can be told.
    pub fn participant(&self, mktree: u32, slot: u32) -> Result<Option<i32>, String> {
        let mktree = mktree as i32;
        if slot == knobs::COORDINATOR {
            return Ok(Some(mktree));
        }
        let saved = self.saved(slot)?;
        let found = self.found()?.into_iter().find(|task| {
            let pids = procfs::task(task.pid).map(|task| task.nspid);
            let is_named = || matches!(pids.unwrap_or_default()[..], [_, pid] if pid == saved);
            if slot == 0 {
                task.ppid == mktree
            } else {
                is_named()
            }
        });
        Ok(found.map(|task| task.pid))
    }

    /// Waits until it is known what a `mktree` that may have failed has left: the whole tree, which runs, but
    /// for `lost` tasks that may have got a signal behind the restart; or nobody.
    pub fn all_or_nobody(&self, lost: usize) -> Result<(), String> {
        let whole = self.tasks as usize;
        let mut found = Vec::new();
        let settled = wait::answer(patience(), || {
            bury();
            found = self.found()?;
            let many = (whole - lost..=whole).contains(&found.len());
            let run = many && found.iter().all(|task| task.comm == self.comm);
            Ok((found.is_empty() || run).then_some(()))
        })?;
        settled.ok_or_else(|| format!("expected the whole tree or nobody, found {found:?}"))?;
        knobs::no_context(patience())
    }

    /// How many tasks of the tree there are, of all its restarts.
    pub fn running(&self) -> Result<usize, String> {
        let found = self.found()?;
        Ok(found.iter().filter(|task| task.comm == self.comm).count())
    }

    /// Waits until nobody is left, burying who has become the caller's child.
    pub fn nobody_left(&self) -> Result<(), String> {
        self.until_gone(|_| ())?;
        knobs::no_context(patience())
    }

    /// Ends every restart of the tree.
    pub fn end(&self) -> Result<(), String> {
        // One that is gone with its init needs no signal any more.
        self.until_gone(|task| {
            let _ = kill(Pid::from_raw(task.pid), Signal::SIGKILL);
        })?;
        knobs::no_context(patience())
    }

    /// Buries and looks who is left, until nobody is; whoever is seen is given to `urge`.
    fn until_gone(&self, urge: impl Fn(&Stat)) -> Result<(), String> {
        let mut left = Vec::new();
        let gone = wait::answer(patience(), || {
            bury();
            left = self.found()?;
            left.iter().for_each(&urge);
            Ok(left.is_empty().then_some(()))
        })?;
        // Those that were seen to have ended since.
        bury();
        gone.ok_or_else(|| {
            let name = |task: &Stat| format!("{} ({}, {})", task.pid, task.comm, task.state);
            let names: Vec<String> = left.iter().map(name).collect();
            format!("left behind: {}", names.join(", "))
        })
    }

    /// A restart that nobody disturbs.
    pub fn restart_well(&self, mode: Mode) -> Result<(), String> {
        knobs::release()?;
        let mut mktree = self.start(mode)?;
        if !ended(&mut mktree)? {
            let said = std::fs::read_to_string(ERRORS).unwrap_or_default();
            return Err(format!("a good restart afterwards failed: {}", said.trim()));
        }
        let found = self.running()?;
        if found != self.tasks as usize {
            return Err(format!(
                "tasks after a good restart: expected {}, found {found}",
                self.tasks
            ));
        }
        self.end()
    }
}

/// Waits for the end of `mktree`; whether the tree runs.
pub fn ended(mktree: &mut Child) -> Result<bool, String> {
    let ended = wait::answer(patience(), || {
        mktree
            .try_wait()
            .map_err(|err| format!("waiting for mktree: {err}"))
    })?;
    let status = ended.ok_or_else(|| {
        let (pid, limit) = (mktree.id(), patience());
        format!(
            "mktree (pid {pid}) has not ended after {limit:?}: {}",
            procfs::whereabouts()
        )
    })?;
    Ok(status.success())
}

/// Reaps whoever has ended.
pub fn bury() {
    while let Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)) =
        waitpid(None, Some(WaitPidFlag::WNOHANG))
    {}
}
