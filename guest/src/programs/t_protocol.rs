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
use crate::restarts::{ended, Mode, Tree, patience};
use crate::stage::{self, Stage};
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
            Victim::Held if self.signal == Signal::SIGKILL => self.point != Point::Ended,
            // It kills a task that is still one of mktree's, but not the init of a container. One that is
            // restored, or reads a file that has END, may be released before it looks.
            Victim::Held => {
                let own = [Point::Entered, Point::Turn, Point::Restoring].contains(&self.point);
                own && ![0, knobs::COORDINATOR].contains(&self.slot)
            }
            // mktree's children go with it.
            Victim::Mktree => true,
        }
    }
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
            for point in Point::ALL.into_iter().filter(|point| comes_by(mode, slot, *point)) {
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
        Point::Verify | Point::Verified => slot == mode.owner(),
    }
}

fn play(tree: &Tree, attack: &Attack) -> Result<(), String> {
    knobs::hold(attack.slot, attack.point as u32)?;
    let mut mktree = tree.start(attack.mode)?;
    let held = knobs::held(patience())?.ok_or("nobody came to the point")?;
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
        tree.end()?;
    }
    tree.nobody_left()?;
    knobs::release()
}

fn run(stage: &Stage) -> Result<(), String> {
    let [image, comm, ..] = &stage.args[..] else {
        return Err("arguments: expected STATUS IMAGE COMM TASKS [SEED]".into());
    };
    let tree = Tree::new(image, comm, stage.number(2, 1)?)?;
    let started = Instant::now();
    let attacks = attacks(&tree);
    for attack in &attacks {
        play(&tree, attack)
            .and_then(|()| tree.restart_well(attack.mode))
            .map_err(|why| format!("{attack:?}: {why}"))?;
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
