// SPDX-License-Identifier: GPL-2.0-only

//! The restart protocol under fire: `mktree` restarts a tree again and again,
//! and at each point of the protocol one participant gets a signal there, or
//! one that sleeps does while the other is held. Whatever comes of the restart, nobody is
//! left behind, the kernel has forgotten it, and the next one is good.
//!
//! Arguments: STATUS IMAGE COMM TASKS [SEED]. COMM: the name of the tree's tasks, TASKS: how many
//! there are. The delays follow SEED; without one it is chosen, and told in the status file.
//! Runs as root outside any container.

use crate::knobs;
use crate::procfs;
use crate::restarts::{ended, Mode, Tree, patience};
use crate::stage::{self, Stage};
use crate::sys;
use crate::wait;
use checkpoint::restart::Point;
use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;
use std::process::ExitCode;
use std::time::Instant;

/// Longest delay at a point.
const DELAY_US: u32 = 2_000;

/// Who gets the signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    /// Who is held.
    Held,
    /// This one, which sleeps in its call meanwhile.
    Asleep(u32),
    /// `mktree` itself, whose user presses Ctrl-C while the restart is stuck.
    Mktree,
}

/// One restart and what is done to it.
#[derive(Debug, Clone, Copy)]
struct Attack {
    /// Under new pids beside the test, so that the root is no init.
    beside: bool,
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
            Victim::Held if self.signal == Signal::SIGKILL => self.point != Point::Ended,
            // It kills a task that is still one of mktree's, but not the init of a container. One that is
            // restored, or reads a file that has END, may be released before it looks.
            Victim::Held => {
                let own = [Point::Entered, Point::Turn, Point::Restoring].contains(&self.point);
                own && self.slot != knobs::COORDINATOR && (self.slot != 0 || self.beside)
            }
            // It is inside, and nobody is released before who is held goes on.
            Victim::Asleep(slot) => self.signal == Signal::SIGKILL || slot != 0 || self.beside,
            // mktree's children go with it.
            Victim::Mktree => true,
        }
    }
}

/// The participants that are looked at: the first task, one in the middle, the last, and a coordinator.
fn participants(tree: &Tree, mode: Mode) -> Vec<u32> {
    let mut slots = vec![0, tree.tasks / 2, tree.tasks - 1];
    slots.dedup();
    if mode == Mode::Coordinator {
        slots.push(knobs::COORDINATOR);
    }
    slots
}

const SIGNALS: [Signal; 2] = [Signal::SIGKILL, Signal::SIGINT];

/// All attacks, in both modes.
fn attacks(tree: &Tree) -> Vec<Attack> {
    let both = [Mode::Coordinator, Mode::Root];
    let of = |mode| [on_held(tree, mode), on_mktree(tree, mode), on_sleepers(tree, mode), on_no_init(tree, mode)];
    both.into_iter().flat_map(of).flatten().collect()
}

/// Each signal to each participant, held at every point that it comes by.
fn on_held(tree: &Tree, mode: Mode) -> Vec<Attack> {
    let mut attacks = Vec::new();
    for slot in participants(tree, mode) {
        for point in Point::ALL.into_iter().filter(|point| comes_by(mode, slot, *point)) {
            let attack = |signal| Attack {
                beside: false,
                mode,
                slot,
                point,
                victim: Victim::Held,
                signal,
            };
            attacks.extend(SIGNALS.map(attack));
        }
    }
    attacks
}

/// Ctrl-C for `mktree` while a task is stuck.
fn on_mktree(tree: &Tree, mode: Mode) -> Vec<Attack> {
    let slots = participants(tree, mode).into_iter();
    let tasks = slots.filter(|slot| *slot != knobs::COORDINATOR);
    let attack = |slot| Attack {
        beside: false,
        mode,
        slot,
        point: Point::Turn,
        victim: Victim::Mktree,
        signal: Signal::SIGINT,
    };
    tasks.map(attack).collect()
}

/// Each signal to each who sleeps while a task, or the owner with END in front of it, is at a point before the
/// release.
fn on_sleepers(tree: &Tree, mode: Mode) -> Vec<Attack> {
    let mut attacks = Vec::new();
    for point in Point::ALL.into_iter().filter(|point| *point != Point::Ended) {
        let task = tree.tasks / 2;
        let slot = if comes_by(mode, task, point) { task } else { mode.owner() };
        for sleeper in participants(tree, mode).into_iter().filter(|other| *other != slot) {
            let attack = |signal| Attack {
                beside: false,
                mode,
                slot,
                point,
                victim: Victim::Asleep(sleeper),
                signal,
            };
            attacks.extend(SIGNALS.map(attack));
        }
    }
    attacks
}

/// SIGINT to a root that is no init, to which it would be nothing: held, and asleep while a task is.
fn on_no_init(tree: &Tree, mode: Mode) -> Vec<Attack> {
    let attack = |point, slot, victim| Attack {
        beside: true,
        mode,
        slot,
        point,
        victim,
        signal: Signal::SIGINT,
    };
    let held = Point::ALL.into_iter().filter(|point| comes_by(mode, 0, *point));
    let held = held.map(|point| attack(point, 0, Victim::Held));
    let beside = [Point::Entered, Point::Turn, Point::Restoring, Point::Restored];
    let asleep = beside.map(|point| attack(point, tree.tasks / 2, Victim::Asleep(0)));
    held.chain(asleep).collect()
}

/// Whether a participant passes that point.
fn comes_by(mode: Mode, slot: u32, point: Point) -> bool {
    match point {
        Point::Entered | Point::Ended => true,
        Point::Turn | Point::Restoring | Point::Restored => slot != knobs::COORDINATOR,
        Point::Verify | Point::Verified => slot == mode.owner(),
    }
}

/// Whether a process is inside restart: it has called, or is restored and not released.
fn is_inside(tree: &Tree, pid: i32) -> bool {
    let is_restored = || procfs::task(pid).is_some_and(|task| task.comm == tree.comm);
    !procfs::is_exiting(pid) && (procfs::sleeps_in(pid, sys::SYS_RESTART) || is_restored())
}

/// The pid of a participant, once it is inside restart.
fn inside(tree: &Tree, mktree: u32, slot: u32) -> Result<i32, String> {
    let found = wait::answer(patience(), || {
        Ok(tree.participant(mktree, slot)?.filter(|pid| is_inside(tree, *pid)))
    })?;
    found.ok_or_else(|| format!("participant {slot} does not come: {}", procfs::whereabouts()))
}

fn play(tree: &Tree, attack: &Attack) -> Result<(), String> {
    knobs::hold(attack.slot, attack.point as u32)?;
    let mut mktree = tree.start(attack.mode)?;
    let held = knobs::held(patience())?.ok_or("nobody came to the point")?;
    let victim = match attack.victim {
        Victim::Held => held,
        Victim::Asleep(slot) => inside(tree, mktree.id(), slot)?,
        Victim::Mktree => mktree.id() as i32,
    };
    kill(Pid::from_raw(victim), attack.signal).map_err(|e| format!("kill {victim}: {e}"))?;
    match attack.victim {
        Victim::Held => knobs::release()?,
        Victim::Asleep(_) => {
            if attack.must_fail() {
                // Nobody has to go on for it to leave.
                let otherwise = format!("pid {victim} stays in restart");
                wait::until(patience(), &otherwise, || !is_inside(tree, victim))?;
            }
            knobs::release()?;
        }
        Victim::Mktree => {}
    }
    let runs = ended(&mut mktree)?;
    if runs && attack.must_fail() {
        return Err("the restart succeeded".into());
    }
    if !attack.must_fail() {
        // It may run although mktree, killed at the end, cannot say so.
        let lost = usize::from(attack.slot != knobs::COORDINATOR);
        tree.all_or_nobody(lost)?;
        tree.end()?;
    }
    tree.nobody_left()?;
    knobs::release()
}

/// Ctrl-C in the terminal of a restart for which one task, which lives, does not come.
fn missing_task(tree: &Tree, mode: Mode) -> Result<(), String> {
    let late = tree.saved(tree.tasks - 1)?.to_string();
    let mut mktree = tree.start_with(mode, &["--late", &late])?;
    for slot in participants(tree, mode).into_iter().filter(|slot| *slot != tree.tasks - 1) {
        inside(tree, mktree.id(), slot)?;
    }
    let terminal = Pid::from_raw(-(mktree.id() as i32));
    kill(terminal, Signal::SIGINT).map_err(|e| format!("kill {terminal}: {e}"))?;
    if ended(&mut mktree)? {
        return Err("the restart succeeded".into());
    }
    tree.nobody_left()?;
    tree.restart_well(mode)
}

fn run(stage: &Stage) -> Result<(), String> {
    let [image, comm, ..] = &stage.args[..] else {
        return Err("arguments: expected STATUS IMAGE COMM TASKS [SEED]".into());
    };
    let tree = Tree::new(image, comm, stage.number(2, 1)?)?;
    let started = Instant::now();
    let attacks = attacks(&tree);
    for attack in &attacks {
        let tree = if attack.beside { tree.beside() } else { tree.clone() };
        play(&tree, attack)
            .and_then(|()| tree.restart_well(attack.mode))
            .map_err(|why| format!("{attack:?}: {why}"))?;
    }
    for mode in [Mode::Coordinator, Mode::Root] {
        missing_task(&tree, mode).map_err(|why| format!("{mode:?}, a task does not come: {why}"))?;
    }
    stage.say(&format!(
        "attacks {} in {} ms\n",
        attacks.len(),
        started.elapsed().as_millis()
    ))
}

/// Runs with the arguments of the process.
pub fn main() -> ExitCode {
    stage::run(|stage| knobs::delayed(stage, DELAY_US, 3, || run(stage)))
}
