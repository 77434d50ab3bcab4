// SPDX-License-Identifier: GPL-2.0-only

//! Restarts whose processes are made one by one, some of them wrongly: strangers,
//! duplicates and processes that the image does not know are refused and count for
//! nothing; who stands in the wrong place, or never comes, ends it for everybody; and
//! what cannot begin is told to all who wait for it.
//!
//! Arguments: STATUS IMAGE COMM [SEED]. IMAGE: of a root and its two children, COMM their name.
//! Runs as root outside any container.

mod beginnings;
mod cast;
mod endings;
mod play;
mod strangers;

use crate::edit::{word, Image, TREE_ENTRY};
use crate::knobs;
use crate::puppet;
use crate::restarts::Mode;
use crate::stage::{self, expect, Stage};
use cast::{Beginning, Flaw, Setting};
use checkpoint::image::Kind;
use nix::errno::Errno;
use nix::sys::prctl;
use play::Play;
use std::process::ExitCode;

/// Longest delay at a point.
const DELAY_US: u32 = 2_000;

type Scene<'a> = (&'static str, Box<dyn Fn() -> Result<(), String> + 'a>);

/// What happens in both modes.
fn scenes<'a>(play: &'a Play<'a>) -> Vec<Scene<'a>> {
    vec![
        ("P1: strangers and duplicates", Box::new(|| play.strangers())),
        ("P1, P10: strangers among tasks that have their saved pids", Box::new(|| play.strangers_among_saved_pids())),
        ("P1: strangers while a task restores", Box::new(|| play.strangers_late(Play::held_in_restore))),
        ("P1: strangers when all are restored", Box::new(|| play.strangers_late(Play::held_before_end))),
        ("a task below the wrong parent", Box::new(|| play.refused_in_its_turn(Flaw::Misplaced, Errno::ESRCH))),
        ("a task in a process group of its own", Box::new(|| play.refused_in_its_turn(Flaw::OtherGroup, Errno::ESRCH))),
        ("a task of another user", Box::new(|| play.refused_in_its_turn(Flaw::OtherUser, Errno::EPERM))),
        ("a task that has more rights than the owner", Box::new(|| play.more_rights())),
        ("P7: a root that is not pids[0]", Box::new(|| play.claims_the_root())),
        ("P2: a restart that nobody begins", Box::new(|| play.nobody_begins())),
        ("P3: an image with two tasks of one pid", Box::new(|| play.begins_wrongly(Beginning::Twice))),
        ("P7: an image of no task", Box::new(|| play.begins_wrongly(Beginning::NoTask))),
        ("P7: an image of 2^31 tasks", Box::new(|| play.begins_wrongly(Beginning::TooMany))),
        ("an image with a parent that comes later", Box::new(|| play.begins_wrongly(Beginning::LaterParent))),
        ("P7: an image with another root", Box::new(|| play.under_saved_pids().begins_wrongly(Beginning::OtherRoot))),
        ("a task that is made when a restart has ended", Box::new(|| play.newcomer_waits())),
        ("a restart that ended long ago", Box::new(|| play.is_forgotten())),
        ("P3: a task that dies while it looks for the restart", Box::new(|| play.dies_looking())),
        ("P3: a task that dies and has not come", Box::new(|| play.dies_outside())),
        ("P5: an owner that dies while it reads", Box::new(|| play.owner_ends_reading())),
        ("P5: a signal to the root", Box::new(|| play.interrupted(|cast| cast.root))),
        ("P4: a signal to a task", Box::new(|| play.interrupted(|cast| cast.first))),
        ("a signal that the image has for a task", Box::new(|| play.pending())),
        ("a cgroup that is frozen while its tasks wait", Box::new(|| play.frozen())),
        ("P4: a signal to a task while another restores", Box::new(|| play.interrupted_beside(|cast| cast.second))),
        ("P5: Ctrl-C for a restored root", Box::new(|| play.interrupted_when_restored(|cast| cast.root))),
        ("P4: Ctrl-C for a restored task", Box::new(|| play.interrupted_when_restored(|cast| cast.second))),
        ("P17: a failure before the image's end", Box::new(|| play.fails_before_end())),
        ("P17: an image that ends early", Box::new(|| play.closes_early())),
        ("P17: a tree that feeds itself", Box::new(|| play.feeds_itself())),
    ]
}

/// What it takes a coordinator for.
fn scenes_of_coordinators<'a>(play: &'a Play<'a>) -> Vec<Scene<'a>> {
    vec![
        ("a coordinator of another user", Box::new(|| play.coordinated_by_another_user())),
        ("P5: a signal to the coordinator", Box::new(|| play.interrupted(|cast| cast.coordinator))),
        ("P5: a signal to the coordinator while a task restores", Box::new(|| play.interrupted_beside(|cast| cast.coordinator))),
        ("P5: a coordinator that dies before it begins", Box::new(|| play.coordinator_ends())),
        ("Ctrl-C for who reads its THREAD", Box::new(|| play.interrupted_at(Kind::Thread))),
        ("Ctrl-C for who reads its SIGNAL_ACTIONS", Box::new(|| play.interrupted_at(Kind::SignalActions))),
        ("Ctrl-C for who reads its SIGNAL_STATE", Box::new(|| play.interrupted_at(Kind::SignalState))),
        ("Ctrl-C for who reads its RLIMITS", Box::new(|| play.interrupted_at(Kind::Rlimits))),
        ("P12: a fork by who has left", Box::new(|| play.forks_when_it_has_left())),
    ]
}

fn run(stage: &Stage) -> Result<(), String> {
    let [path, comm, ..] = stage.args.as_slice() else {
        return Err("arguments: STATUS IMAGE COMM [SEED]".to_owned());
    };
    puppet::catch_usr1()?;
    prctl::set_child_subreaper(true).map_err(|e| format!("PR_SET_CHILD_SUBREAPER: {e}"))?;
    let image = Image::read(path)?;
    let tree = image.payload(Kind::Tree, 0)?;
    expect("bytes of TREE, of three tasks", 3 * TREE_ENTRY, tree.len())?;
    let saved = |number: usize| word(tree, number * TREE_ENTRY).map(|pid| pid as i32);
    let saved = [saved(0)?, saved(1)?, saved(2)?];
    let mut count = 0;
    for mode in [Mode::Coordinator, Mode::Root] {
        let setting = Setting {
            image: &image,
            saved,
            mode,
            own_pids: false,
        };
        let play = Play { setting, comm };
        let mut scenes = scenes(&play);
        if mode == Mode::Coordinator {
            scenes.extend(scenes_of_coordinators(&play));
        }
        count += scenes.len();
        for (what, scene) in &scenes {
            scene().map_err(|why| format!("{mode:?}: {what}: {why}"))?;
            // Afterwards a good restart goes well.
            play.goes_well()
                .map_err(|why| format!("{mode:?}: after {what}: {why}"))?;
        }
    }
    stage.say(&format!("scenes {count}\n"))
}

/// Runs with the arguments of the process.
pub fn main() -> ExitCode {
    stage::run(|stage| knobs::delayed(stage, DELAY_US, 2, || run(stage)))
}
