// SPDX-License-Identifier: GPL-2.0-only

//! Restarts whose processes are made one by one, some of them wrongly: strangers,
//! duplicates and processes that the image does not know are refused and count for
//! nothing; who stands in the wrong place, or never comes, ends it for everybody; and
//! what cannot begin is told to all who wait for it.
//!
//! Arguments: STATUS IMAGE COMM [SEED]. IMAGE: of a root and its two children, COMM their name.
//! Runs as root outside any container.

mod cast;

use crate::edit::{word, Image};
use crate::knobs::{self, COORDINATOR};
use crate::procfs;
use crate::puppet::{self, Puppet};
use crate::restarts::patience;
use crate::stage::{self, expect, Stage};
use crate::sys;
use crate::user::become_user;
use cast::{asleep, entered, held_at, Beginning, Cast, Flaw, ENTRY, USER};
use checkpoint::image::Kind;
use checkpoint::restart::Point;
use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use std::process::ExitCode;

/// Longest delay at a point.
const DELAY_US: u32 = 2_000;
/// A saved pid that the image does not know.
const UNKNOWN: i32 = 30_000;

/// What is saved, and who restarts it.
struct Play<'a> {
    image: &'a Image,
    comm: &'a str,
    /// Saved pids of the root and its children.
    saved: [i32; 3],
}

impl Play<'_> {
    fn cast(&self, flaw: Flaw) -> Result<Cast, String> {
        Cast::make(self.image, self.saved[0], flaw)
    }

    /// The coordinator begins, and the root enters: whoever comes later finds the restart.
    fn begin(&self, cast: &Cast) -> Result<(), String> {
        cast.coordinator.order(Beginning::Image as i32);
        // Before that who comes may learn how the last one ended.
        asleep(&[cast.coordinator])?;
        entered(0, cast.root, || cast.root.order(self.saved[0]))?;
        knobs::release()
    }

    /// The whole tree calls restart, each as who it is to become.
    fn all_come(&self, cast: &Cast) -> [Puppet; 3] {
        let tree = [cast.root, cast.first, cast.second];
        tree.iter().zip(self.saved).for_each(|(puppet, claim)| puppet.order(claim));
        tree
    }

    /// All come, are restored, and the owner is held when it is told to read END.
    fn held_before_end(&self, cast: &Cast) -> Result<(), String> {
        self.begin(cast)?;
        cast.first.order(self.saved[1]);
        held_at(COORDINATOR, Point::Verify, cast.coordinator, || cast.second.order(self.saved[2]))
    }

    /// The tree runs: each of the three where it was made.
    fn runs(&self, cast: &Cast) -> Result<(), String> {
        for puppet in [cast.root, cast.first, cast.second] {
            let pid = puppet.pid()?;
            let found = procfs::task(pid).map(|task| task.comm);
            expect("name of a restored task", Some(self.comm.to_owned()), found)?;
        }
        Ok(())
    }

    /// Whoever does not belong is refused while the restart waits, and it goes well afterwards.
    fn strangers(&self) -> Result<(), String> {
        let cast = self.cast(Flaw::None)?;
        let root = cast.root.pid()?;
        let names = ["stranger", "another user", "task of a nested pid namespace"];
        let [stranger, user, nested] = puppet::prepare(names)?;
        let join = |claim: i32| sys::restart(root, None, sys::restart_as(claim), None);
        stranger.make(0, || Ok(()), join)?;
        user.make(0, || become_user(USER), join)?;
        nested.make(libc::CLONE_NEWPID as u64, || Ok(()), join)?;
        self.begin(&cast)?;
        entered(1, cast.first, || cast.first.order(self.saved[1]))?;
        let [of_root, of_first, of_second] = self.saved;
        stranger.obeys(of_second, Err(Errno::EPERM))?;
        user.obeys(of_second, Err(Errno::EPERM))?;
        nested.obeys(of_second, Err(Errno::ESRCH))?;
        cast.extra.obeys(of_first, Err(Errno::EBUSY))?;
        cast.extra.obeys(of_root, Err(Errno::EINVAL))?;
        cast.extra.obeys(UNKNOWN, Err(Errno::ESRCH))?;
        expect("restarts in the kernel", 1, knobs::contexts()?)?;
        knobs::release()?;
        cast.second.order(of_second);
        cast.coordinator.expect(Ok(()))?;
        self.runs(&cast)?;
        // It is over, and there is nobody more whom one could become.
        cast.extra.obeys(of_first, Err(Errno::ESRCH))?;
        let others = [stranger, user, nested];
        others.iter().for_each(Puppet::dismiss);
        cast.ended(&others)?;
        cast.strike()
    }

    /// One that must not become what it claims ends the restart when it is its turn.
    fn refused_in_its_turn(&self, flaw: Flaw, errno: Errno) -> Result<(), String> {
        let cast = self.cast(flaw)?;
        self.begin(&cast)?;
        cast.first.order(self.saved[1]);
        cast.second.order(self.saved[2]);
        cast.coordinator.expect(Err(errno))?;
        // They had begun to restore, and are nothing that could run on.
        cast.ended(&[cast.root, cast.first, cast.second])?;
        cast.strike()
    }

    /// One never comes although it could: a signal to anyone who waits releases all.
    fn interrupted(&self, whom: impl Fn(&Cast) -> Puppet) -> Result<(), String> {
        let cast = self.cast(Flaw::None)?;
        self.begin(&cast)?;
        entered(1, cast.first, || cast.first.order(self.saved[1]))?;
        knobs::release()?;
        whom(&cast).signal(Signal::SIGUSR1)?;
        for puppet in [cast.coordinator, cast.root, cast.first] {
            puppet.expect(Err(Errno::EINTR))?;
        }
        cast.strike()
    }

    /// A restart that nobody begins: who looks for it can be interrupted, and learns of the root's death.
    fn nobody_begins(&self) -> Result<(), String> {
        let cast = self.cast(Flaw::None)?;
        cast.first.order(self.saved[1]);
        cast.second.order(self.saved[2]);
        asleep(&[cast.first, cast.second])?;
        cast.first.signal(Signal::SIGUSR1)?;
        cast.first.expect(Err(Errno::EINTR))?;
        cast.root.signal(Signal::SIGKILL)?;
        cast.second.expect(Err(Errno::ESRCH))?;
        cast.strike()
    }

    /// The image cannot be begun with: all who wait for that learn it, who comes late too. A right one can be
    /// tried at once.
    fn begins_wrongly(&self) -> Result<(), String> {
        let cast = self.cast(Flaw::None)?;
        let tree = self.all_come(&cast);
        asleep(&tree)?;
        cast.coordinator.obeys(Beginning::Twice as i32, Err(Errno::EINVAL))?;
        for puppet in tree {
            puppet.expect(Err(Errno::EINVAL))?;
        }
        cast.extra.obeys(self.saved[1], Err(Errno::EINVAL))?;
        self.begin(&cast)?;
        cast.first.order(self.saved[1]);
        cast.second.order(self.saved[2]);
        cast.coordinator.expect(Ok(()))?;
        self.runs(&cast)?;
        cast.strike()
    }

    /// Who is to begin it ends while it reads, or before.
    fn coordinator_ends(&self, reading: bool) -> Result<(), String> {
        let cast = self.cast(Flaw::None)?;
        let tree = self.all_come(&cast);
        asleep(&tree)?;
        if reading {
            cast.coordinator.order(Beginning::Silence as i32);
            asleep(&[cast.coordinator])?;
        }
        cast.coordinator.signal(Signal::SIGKILL)?;
        if reading {
            // No signal has interrupted them.
            for puppet in tree {
                puppet.expect(Err(Errno::ECANCELED))?;
            }
            return cast.strike();
        }
        // The others wait for the root, which could go on.
        cast.root.expect(Err(Errno::ESRCH))?;
        cast.root.signal(Signal::SIGKILL)?;
        cast.first.expect(Err(Errno::ESRCH))?;
        cast.second.expect(Err(Errno::ESRCH))?;
        cast.strike()
    }

    /// A parent that has fewer rights than the root has no say in what becomes of it.
    fn coordinated_by_another_user(&self) -> Result<(), String> {
        let cast = self.cast(Flaw::LesserCoordinator)?;
        cast.root.order(self.saved[0]);
        asleep(&[cast.root])?;
        cast.coordinator.obeys(Beginning::Image as i32, Err(Errno::EPERM))?;
        // Not even that it has failed is told.
        asleep(&[cast.root])?;
        cast.root.signal(Signal::SIGUSR1)?;
        cast.root.expect(Err(Errno::EINTR))?;
        cast.strike()
    }

    /// Nobody but the root can become the first task, and the root nobody else.
    fn claims_the_root(&self) -> Result<(), String> {
        let cast = self.cast(Flaw::None)?;
        cast.coordinator.order(Beginning::Image as i32);
        cast.first.obeys(self.saved[0], Err(Errno::EINVAL))?;
        cast.root.obeys(self.saved[1], Err(Errno::EINVAL))?;
        self.all_come(&cast);
        cast.coordinator.expect(Ok(()))?;
        self.runs(&cast)?;
        cast.strike()
    }

    /// A task dies when the owner is told to read END, which never comes: the owner does not wait for it.
    fn fails_before_end(&self) -> Result<(), String> {
        let cast = self.cast(Flaw::Endless)?;
        self.held_before_end(&cast)?;
        cast.root.signal(Signal::SIGKILL)?;
        cast.ended(&[cast.root, cast.first, cast.second])?;
        knobs::release()?;
        cast.coordinator.expect(Err(Errno::EINTR))?;
        cast.strike()
    }

    /// A task is in the middle of its restore, and somebody who waits gets a signal: all others are released
    /// at once, and the task when it looks.
    fn interrupted_beside(&self, whom: impl Fn(&Cast) -> Puppet) -> Result<(), String> {
        let cast = self.cast(Flaw::None)?;
        self.begin(&cast)?;
        held_at(1, Point::Restoring, cast.first, || {
            cast.first.order(self.saved[1]);
            cast.second.order(self.saved[2]);
        })?;
        whom(&cast).signal(Signal::SIGUSR1)?;
        cast.coordinator.expect(Err(Errno::EINTR))?;
        cast.second.expect(Err(Errno::EINTR))?;
        cast.ended(&[cast.root])?;
        knobs::release()?;
        cast.ended(&[cast.first])?;
        cast.strike()
    }

    /// All are restored, and END never comes: a signal that ends what a user has started ends it.
    fn interrupted_when_restored(&self, whom: impl Fn(&Cast) -> Puppet) -> Result<(), String> {
        let cast = self.cast(Flaw::Endless)?;
        self.held_before_end(&cast)?;
        knobs::release()?;
        whom(&cast).signal(Signal::SIGINT)?;
        cast.coordinator.expect(Err(Errno::EINTR))?;
        cast.ended(&[cast.root, cast.first, cast.second])?;
        cast.strike()
    }

    /// Who has left forks while another has not: the child has no part in the restart, which goes with the last one.
    fn forks_when_it_has_left(&self) -> Result<(), String> {
        let cast = self.cast(Flaw::None)?;
        self.begin(&cast)?;
        cast.first.order(self.saved[1]);
        held_at(0, Point::Ended, cast.root, || cast.second.order(self.saved[2]))?;
        cast.coordinator.expect(Ok(()))?;
        cast.coordinator.obeys(Beginning::Fork as i32, Ok(()))?;
        expect("restarts in the kernel, of which one has not left", 1, knobs::contexts()?)?;
        knobs::release()?;
        knobs::no_context(patience())?;
        self.runs(&cast)?;
        cast.strike()
    }

    /// Who is to bring the image is one of those who wait for it: stuck, until a signal.
    fn feeds_itself(&self) -> Result<(), String> {
        let cast = self.cast(Flaw::FeedsItself)?;
        // Nobody can enter before the image begins to come.
        cast.coordinator.order(Beginning::Image as i32);
        cast.root.order(self.saved[0]);
        cast.first.order(self.saved[1]);
        entered(2, cast.second, || cast.second.order(self.saved[2]))?;
        knobs::release()?;
        cast.coordinator.signal(Signal::SIGUSR1)?;
        for puppet in [cast.coordinator, cast.root, cast.second] {
            puppet.expect(Err(Errno::EINTR))?;
        }
        cast.coordinator.dismiss();
        cast.first.expect(Err(Errno::EPIPE))?;
        cast.strike()
    }
}

fn run(stage: &Stage) -> Result<(), String> {
    let [path, comm, ..] = stage.args.as_slice() else {
        return Err("arguments: STATUS IMAGE COMM [SEED]".to_owned());
    };
    puppet::catch_usr1()?;
    prctl::set_child_subreaper(true).map_err(|e| format!("PR_SET_CHILD_SUBREAPER: {e}"))?;
    let image = Image::read(path)?;
    let tree = image.payload(Kind::Tree, 0)?;
    expect("bytes of TREE, of three tasks", 3 * ENTRY, tree.len())?;
    let saved = |number: usize| word(tree, number * ENTRY).map(|pid| pid as i32);
    let play = Play {
        image: &image,
        comm,
        saved: [saved(0)?, saved(1)?, saved(2)?],
    };
    type Scene<'a> = (&'static str, Box<dyn Fn() -> Result<(), String> + 'a>);
    let scenes: [Scene<'_>; 19] = [
        ("P1: strangers and duplicates", Box::new(|| play.strangers())),
        ("P10: a task below the wrong parent", Box::new(|| play.refused_in_its_turn(Flaw::Misplaced, Errno::ESRCH))),
        ("a task of another user", Box::new(|| play.refused_in_its_turn(Flaw::OtherUser, Errno::EPERM))),
        ("P5: a signal to the coordinator", Box::new(|| play.interrupted(|cast| cast.coordinator))),
        ("P5: a signal to the root", Box::new(|| play.interrupted(|cast| cast.root))),
        ("P4: a signal to a task", Box::new(|| play.interrupted(|cast| cast.first))),
        ("P2: a restart that nobody begins", Box::new(|| play.nobody_begins())),
        ("P3: an image that cannot be begun with", Box::new(|| play.begins_wrongly())),
        ("P5: a coordinator that dies while it reads", Box::new(|| play.coordinator_ends(true))),
        ("P5: a coordinator that dies before it begins", Box::new(|| play.coordinator_ends(false))),
        ("a coordinator of another user", Box::new(|| play.coordinated_by_another_user())),
        ("P7: a root that is not pids[0]", Box::new(|| play.claims_the_root())),
        ("P4: a signal to a task while another restores", Box::new(|| play.interrupted_beside(|cast| cast.second))),
        ("P5: a signal to the coordinator while a task restores", Box::new(|| play.interrupted_beside(|cast| cast.coordinator))),
        ("P5: Ctrl-C for a restored root", Box::new(|| play.interrupted_when_restored(|cast| cast.root))),
        ("P4: Ctrl-C for a restored task", Box::new(|| play.interrupted_when_restored(|cast| cast.second))),
        ("P12: a fork by who has left", Box::new(|| play.forks_when_it_has_left())),
        ("P17: a failure before the image's end", Box::new(|| play.fails_before_end())),
        ("P17: a tree that feeds itself", Box::new(|| play.feeds_itself())),
    ];
    for (what, scene) in &scenes {
        scene().map_err(|why| format!("{what}: {why}"))?;
        // Afterwards everything is as it was.
        play.strangers()
            .map_err(|why| format!("after {what}: {why}"))?;
    }
    stage.say(&format!("scenes {}\n", scenes.len()))
}

/// Runs with the arguments of the process.
pub fn main() -> ExitCode {
    stage::run(|stage| knobs::delayed(stage, DELAY_US, 2, || run(stage)))
}
