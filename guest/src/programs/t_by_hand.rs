// SPDX-License-Identifier: GPL-2.0-only

//! Restarts whose processes are made one by one, some of them wrongly: strangers,
//! duplicates and processes that the image does not know are refused and count for
//! nothing; who stands in the wrong place, or never comes, ends it for everybody.
//!
//! Arguments: STATUS IMAGE COMM [SEED]. IMAGE: of a root and its two children, COMM their name.
//! Runs as root outside any container.

use crate::edit::{file_of, word, Image};
use crate::knobs;
use crate::procfs;
use crate::puppet::{self, Puppet};
use crate::restarts::{bury, patience};
use crate::stage::{self, expect, Stage};
use crate::sys::{self, RESTART_COORDINATOR};
use crate::user::become_user;
use crate::wait;
use checkpoint::image::list::Entry;
use checkpoint::image::record::TreeEntry;
use checkpoint::image::Kind;
use checkpoint::restart::Point;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::prctl;
use nix::sys::signal::{kill, Signal};
use nix::unistd::{pipe2, setsid, Pid};
use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::process::ExitCode;

/// Longest delay at a point.
const DELAY_US: u32 = 2_000;
/// Size of an entry of TREE, which begins with the pid.
const ENTRY: usize = TreeEntry::SIZE;
/// A saved pid that the image does not know.
const UNKNOWN: i32 = 30_000;
/// A user other than root.
const USER: u32 = 1000;

/// What is saved, and who restarts it.
struct Play<'a> {
    image: &'a Image,
    comm: &'a str,
    /// Saved pids of the root and its children.
    saved: [i32; 3],
}

/// The processes of one restart.
#[derive(Clone, Copy)]
struct Cast {
    coordinator: Puppet,
    root: Puppet,
    first: Puppet,
    second: Puppet,
    /// One of the root's tree that is not in the image.
    extra: Puppet,
}

/// What is wrong with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    None,
    /// The second child is a child of the first.
    Misplaced,
    /// The second child is another user's.
    OtherUser,
    /// The image comes through a pipe from the first child.
    FeedsItself,
}

impl Play<'_> {
    /// Makes the coordinator and, below it, the root with its tree.
    fn cast(&self, flaw: Flaw) -> Result<Cast, String> {
        let names = ["coordinator", "root", "first child", "second child", "extra task"];
        let [coordinator, root, first, second, extra] = puppet::prepare(names)?;
        let cast = Cast {
            coordinator,
            root,
            first,
            second,
            extra,
        };
        let bytes = self.image.bytes();
        let (image, feed) = if flaw == Flaw::FeedsItself {
            let (read, write) = pipe2(OFlag::O_CLOEXEC).map_err(|e| format!("pipe: {e}"))?;
            (File::from(read), Some(File::from(write)))
        } else {
            (file_of(&bytes)?, None)
        };
        let flags = sys::restart_as(self.saved[0]) | RESTART_COORDINATOR;
        let born = || {
            cast.tree(flaw, feed.as_ref(), &bytes)?;
            // Who would write to the pipe is to know when nobody reads any more.
            sys::close_all_but(&[Some(image.as_fd())]);
            Ok(())
        };
        coordinator.make(0, born, |_| sys::restart(root.pid().unwrap_or(0), Some(image.as_fd()), flags, None))?;
        for puppet in cast.all() {
            puppet.pid()?;
        }
        Ok(cast)
    }
}

impl Cast {
    fn all(&self) -> [Puppet; 5] {
        [self.coordinator, self.root, self.first, self.second, self.extra]
    }

    /// In the coordinator: forks the root, and it its children.
    fn tree(self, flaw: Flaw, feed: Option<&File>, bytes: &[u8]) -> Result<(), String> {
        let join = move |claim: i32| sys::restart(self.root.pid().unwrap_or(0), None, sys::restart_as(claim), None);
        let second = move || {
            let born = || if flaw == Flaw::OtherUser { become_user(USER) } else { Ok(()) };
            self.second.make(0, born, join)
        };
        let born = || {
            // The saved root leads its session.
            setsid().map_err(|e| format!("setsid: {e}"))?;
            sys::close_all_but(&[feed.map(AsFd::as_fd)]);
            let born = || if flaw == Flaw::Misplaced { second() } else { Ok(()) };
            self.first.make(0, born, |claim| {
                if let Some(mut feed) = feed {
                    feed.write_all(bytes).map_err(|_| Errno::EPIPE)?;
                }
                join(claim)
            })?;
            // From here on the first child alone can write.
            sys::close_all_but(&[]);
            if flaw != Flaw::Misplaced {
                second()?;
            }
            self.extra.make(0, || Ok(()), join)
        };
        self.root.make(0, born, join)
    }

    /// Fails unless these processes end, or have ended.
    fn ended(&self, who: &[Puppet]) -> Result<(), String> {
        let pids: Vec<i32> = who.iter().map(Puppet::pid).collect::<Result<_, _>>()?;
        let otherwise = format!("expected the end of pids {pids:?}, found some of them alive");
        wait::until(patience(), &otherwise, || pids.iter().all(|pid| procfs::is_exiting(*pid)))
    }

    /// Ends everybody who is left, and sees to it that nobody and nothing is.
    fn strike(self) -> Result<(), String> {
        for puppet in self.all() {
            let pid = puppet.pid()?;
            if !procfs::is_exiting(pid) {
                // One that has ended meanwhile needs no signal.
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
        self.ended(&self.all())?;
        bury();
        knobs::no_context(patience())
    }
}

/// Waits until the participant `slot` has entered.
fn entered(slot: u32, puppet: Puppet, order: impl FnOnce()) -> Result<(), String> {
    knobs::hold(slot, Point::Entered as u32)?;
    order();
    let held = knobs::held(patience())?;
    expect("who has entered", Some(puppet.pid()?), held)
}

impl Play<'_> {
    /// The coordinator begins, and the root enters: whoever comes later finds the restart.
    fn begin(&self, cast: &Cast) -> Result<(), String> {
        cast.coordinator.order(0);
        entered(0, cast.root, || cast.root.order(self.saved[0]))?;
        knobs::release()
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
        cast.extra.obeys(of_root, Err(Errno::EBUSY))?;
        cast.extra.obeys(UNKNOWN, Err(Errno::ESRCH))?;
        expect("restarts in the kernel", 1, knobs::contexts()?)?;
        knobs::release()?;
        cast.second.order(of_second);
        cast.coordinator.expect(Ok(()))?;
        self.runs(&cast)?;
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
        asleep(&cast.first)?;
        asleep(&cast.second)?;
        cast.first.signal(Signal::SIGUSR1)?;
        cast.first.expect(Err(Errno::EINTR))?;
        cast.root.signal(Signal::SIGKILL)?;
        cast.second.expect(Err(Errno::ESRCH))?;
        cast.strike()
    }

    /// Who is to bring the image is one of those who wait for it: stuck, until a signal.
    fn feeds_itself(&self) -> Result<(), String> {
        let cast = self.cast(Flaw::FeedsItself)?;
        // Nobody can enter before the image begins to come.
        cast.coordinator.order(0);
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

/// Waits until a process sleeps in its call.
fn asleep(puppet: &Puppet) -> Result<(), String> {
    let pid = puppet.pid()?;
    let otherwise = format!("{puppet:?} does not sleep in restart");
    wait::until(patience(), &otherwise, || procfs::sleeps_in(pid, sys::SYS_RESTART))
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
    let scenes: [Scene<'_>; 8] = [
        ("P1: strangers and duplicates", Box::new(|| play.strangers())),
        ("P10: a task below the wrong parent", Box::new(|| play.refused_in_its_turn(Flaw::Misplaced, Errno::ESRCH))),
        ("a task of another user", Box::new(|| play.refused_in_its_turn(Flaw::OtherUser, Errno::EPERM))),
        ("P5: a signal to the coordinator", Box::new(|| play.interrupted(|cast| cast.coordinator))),
        ("P5: a signal to the root", Box::new(|| play.interrupted(|cast| cast.root))),
        ("P4: a signal to a task", Box::new(|| play.interrupted(|cast| cast.first))),
        ("P2: a restart that nobody begins", Box::new(|| play.nobody_begins())),
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
