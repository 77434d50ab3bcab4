// SPDX-License-Identifier: GPL-2.0-only

//! The restart protocol under fire: `mktree` restarts a tree again and again,
//! and at each point of the protocol one participant gets a signal there, or
//! another one does while it is held. Whatever comes of the restart, nobody is
//! left behind, the kernel has forgotten it, and the next one is good.
//!
//! Arguments: STATUS IMAGE COMM TASKS [SEED]. COMM: the name of the tree's tasks, TASKS: how many
//! there are. The delays follow SEED; without one it is chosen, and told in the status file.
//! Runs as root outside any container.

use crate::knobs;
use crate::procfs;
use crate::stage::{self, Stage};
use checkpoint::restart::Point;
use nix::sys::prctl;
use nix::sys::signal::{kill, Signal};
use nix::sys::wait::{waitpid, WaitPidFlag, WaitStatus};
use nix::unistd::Pid;
use std::collections::hash_map::RandomState;
use std::fs::File;
use std::hash::{BuildHasher, Hasher};
use std::process::{Child, Command, ExitCode};
use std::time::{Duration, Instant};

/// Longest delay at a point.
const DELAY_US: u32 = 2_000;
/// How long anything may take: being held, ending, being gone.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

const POINTS: [Point; 6] = [
    Point::Entered,
    Point::Turn,
    Point::Restoring,
    Point::Restored,
    Point::Verify,
    Point::Ended,
];

/// Who owns the restart, as an option of `mktree`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Root,
    Coordinator,
}

impl Mode {
    fn option(self) -> &'static str {
        match self {
            Mode::Root => "--root",
            Mode::Coordinator => "--coordinator",
        }
    }

    /// The participant that reads the image's ends.
    fn owner(self) -> u32 {
        match self {
            Mode::Root => 0,
            Mode::Coordinator => knobs::COORDINATOR,
        }
    }
}

/// Who gets the signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    /// Who is held.
    Held,
    /// `mktree` itself, whose user presses Ctrl-C while the restart is stuck.
    Mktree,
}

/// One restart and what is done to it.
#[derive(Debug, Clone, Copy)]
struct Attack {
    mode: Mode,
    slot: u32,
    point: Point,
    victim: Victim,
    signal: Signal,
}

impl Attack {
    /// Whether the restart cannot succeed: somebody dies before all are released.
    fn must_fail(&self) -> bool {
        match self.victim {
            Victim::Held => self.signal == Signal::SIGKILL && self.point != Point::Ended,
            // mktree's children go with it.
            Victim::Mktree => true,
        }
    }
}

/// The tree that is restarted.
struct Tree {
    image: String,
    comm: String,
    tasks: u32,
}

/// Every point that a participant comes by, with each signal; then Ctrl-C while somebody is stuck.
fn attacks(tree: &Tree) -> Vec<Attack> {
    let mut attacks = Vec::new();
    for mode in [Mode::Coordinator, Mode::Root] {
        let mut slots = vec![0, tree.tasks / 2, tree.tasks - 1];
        slots.dedup();
        if mode == Mode::Coordinator {
            slots.push(knobs::COORDINATOR);
        }
        for slot in slots {
            for point in POINTS.into_iter().filter(|point| comes_by(mode, slot, *point)) {
                for signal in [Signal::SIGKILL, Signal::SIGINT] {
                    attacks.push(Attack {
                        mode,
                        slot,
                        point,
                        victim: Victim::Held,
                        signal,
                    });
                }
            }
            if slot != knobs::COORDINATOR {
                attacks.push(Attack {
                    mode,
                    slot,
                    point: Point::Turn,
                    victim: Victim::Mktree,
                    signal: Signal::SIGINT,
                });
            }
        }
    }
    attacks
}

/// Whether a participant passes that point.
fn comes_by(mode: Mode, slot: u32, point: Point) -> bool {
    match point {
        Point::Entered | Point::Ended => true,
        Point::Turn | Point::Restoring | Point::Restored => slot != knobs::COORDINATOR,
        Point::Verify => slot == mode.owner(),
    }
}

fn start(tree: &Tree, mode: Mode) -> Result<Child, String> {
    let image = File::open(&tree.image).map_err(|e| format!("{}: {e}", tree.image))?;
    let errors = File::create("mktree.err").map_err(|e| format!("mktree.err: {e}"))?;
    Command::new("mktree")
        .args([mode.option(), "--no-wait", "--log", "mktree.log"])
        .stdin(image)
        .stderr(errors)
        .spawn()
        .map_err(|e| format!("starting mktree: {e}"))
}

/// Waits for the end of `mktree`; whether the tree runs.
fn ended(mktree: &mut Child) -> Result<bool, String> {
    let start = Instant::now();
    loop {
        match mktree.try_wait() {
            Ok(Some(status)) => return Ok(status.success()),
            Ok(None) if start.elapsed() < PATIENCE => std::thread::sleep(LOOK_AGAIN),
            Ok(None) => return Err(format!("mktree has not ended after {PATIENCE:?}")),
            Err(err) => return Err(format!("waiting for mktree: {err}")),
        }
    }
}

/// The tasks of restarts: what `mktree` makes, by its name or by the tree's.
fn tasks(tree: &Tree) -> Result<Vec<(i32, String)>, String> {
    let tasks = procfs::tasks().map_err(|e| format!("/proc: {e}"))?;
    let ours = |comm: &str| comm == "mktree" || comm == tree.comm;
    Ok(tasks
        .into_iter()
        .filter(|task| ours(&task.comm) && task.state != 'Z' && task.state != 'X')
        .map(|task| (task.pid, format!("{} ({}, {})", task.pid, task.comm, task.state)))
        .collect())
}

/// Waits until nobody is left, burying who has become this program's child.
fn nobody_left(tree: &Tree) -> Result<(), String> {
    let start = Instant::now();
    loop {
        bury();
        let left = tasks(tree)?;
        if left.is_empty() {
            break;
        }
        if start.elapsed() > PATIENCE {
            let names: Vec<String> = left.into_iter().map(|(_, name)| name).collect();
            return Err(format!("left behind: {}", names.join(", ")));
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    match knobs::no_context(PATIENCE)? {
        0 => Ok(()),
        left => Err(format!("restarts that the kernel still has in memory: {left}")),
    }
}

fn bury() {
    while let Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)) =
        waitpid(None, Some(WaitPidFlag::WNOHANG))
    {}
}

/// Ends a tree that runs.
fn end_tree(tree: &Tree) -> Result<(), String> {
    let start = Instant::now();
    loop {
        bury();
        let left = tasks(tree)?;
        if left.is_empty() || start.elapsed() > PATIENCE {
            return nobody_left(tree);
        }
        for (pid, _) in left {
            // One that is gone with its init needs no signal any more.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

fn play(tree: &Tree, attack: &Attack) -> Result<(), String> {
    knobs::hold(attack.slot, attack.point as u32)?;
    let mut mktree = start(tree, attack.mode)?;
    let held = knobs::held(PATIENCE)?.ok_or("nobody came to the point")?;
    let victim = match attack.victim {
        Victim::Held => held,
        Victim::Mktree => mktree.id() as i32,
    };
    kill(Pid::from_raw(victim), attack.signal).map_err(|e| format!("kill {victim}: {e}"))?;
    if attack.victim == Victim::Held {
        knobs::release()?;
    }
    let runs = ended(&mut mktree)?;
    if runs && attack.must_fail() {
        return Err("the restart succeeded".into());
    }
    if !attack.must_fail() {
        // It may run although mktree, killed at the end, cannot say so.
        end_tree(tree)?;
    }
    nobody_left(tree)?;
    knobs::release()
}

/// A restart that nobody disturbs.
fn good_restart(tree: &Tree, mode: Mode) -> Result<(), String> {
    knobs::release()?;
    let mut mktree = start(tree, mode)?;
    if !ended(&mut mktree)? {
        let said = std::fs::read_to_string("mktree.err").unwrap_or_default();
        return Err(format!("a good restart afterwards failed: {}", said.trim()));
    }
    let found = tasks(tree)?
        .iter()
        .filter(|(_, name)| name.contains(&format!("({},", tree.comm)))
        .count();
    if found != tree.tasks as usize {
        return Err(format!("tasks after a good restart: expected {}, found {found}", tree.tasks));
    }
    end_tree(tree)
}

fn run(stage: &Stage) -> Result<(), String> {
    let [image, comm, ..] = &stage.args[..] else {
        return Err("arguments: expected STATUS IMAGE COMM TASKS [SEED]".into());
    };
    let tree = Tree {
        image: image.clone(),
        comm: comm.clone(),
        tasks: u32::try_from(stage.number(2, 1)?).map_err(|e| format!("TASKS: {e}"))?,
    };
    let started = Instant::now();
    // Each of these has keys that the kernel's generator has chosen.
    let seed = stage.number(3, RandomState::new().build_hasher().finish())?;
    knobs::open()?;
    stage.say(&format!("seed {seed}\n"))?;
    // Tasks of a tree whose mktree has died become this program's.
    prctl::set_child_subreaper(true).map_err(|e| format!("PR_SET_CHILD_SUBREAPER: {e}"))?;
    knobs::delay(DELAY_US, seed)?;
    let attacks = attacks(&tree);
    for attack in &attacks {
        play(&tree, attack)
            .and_then(|()| good_restart(&tree, attack.mode))
            .map_err(|why| format!("{attack:?}, seed {seed}: {why}"))?;
    }
    knobs::delay(0, 0)?;
    stage.say(&format!(
        "attacks {} in {} ms\n",
        attacks.len(),
        started.elapsed().as_millis()
    ))
}

/// Runs with the arguments of the process.
pub fn main() -> ExitCode {
    stage::run(|stage| {
        let done = run(stage);
        // Nobody is to be held or delayed by a test that has ended.
        let _ = knobs::release().and_then(|()| knobs::delay(0, 0));
        done
    })
}
