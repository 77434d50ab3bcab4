// SPDX-License-Identifier: GPL-2.0-only

//! The processes of one restart, made one by one: each calls restart when it is told to.

use crate::edit::{file_of, pipe_of, put_words, word, Image, NR_TASKS, TREE_ENTRY, TREE_PPID, TREE_TGID};
use crate::knobs;
use crate::procfs;
use crate::puppet::{self, Puppet};
use crate::restarts::{bury, patience, Mode};
use crate::sys::{self, Birth, RESTART_COORDINATOR};
use crate::tree;
use crate::user::become_user;
use crate::wait;
use checkpoint::image::Kind;
use nix::errno::Errno;
use nix::sys::signal::{kill, Signal};
use nix::sys::wait::{waitpid, WaitStatus};
use nix::unistd::{setpgid, setsid, Pid};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// A user other than root.
pub const USER: u32 = 1000;

/// What is restarted, and how.
#[derive(Debug, Clone, Copy)]
pub struct Setting<'a> {
    /// Of a root and its two children.
    pub image: &'a Image,
    /// Their saved pids.
    pub saved: [i32; 3],
    /// Who begins.
    pub mode: Mode,
    /// Whether they have their saved pids; otherwise each says who it is to become.
    pub own_pids: bool,
}

impl Setting<'_> {
    /// The flags of restart for who is to become the task saved under this pid.
    fn flags(&self, saved: i32) -> u64 {
        if self.own_pids { 0 } else { sys::restart_as(saved) }
    }

    /// How the task with this number is made.
    fn birth(&self, number: usize) -> Birth<'_> {
        Birth {
            pids: if self.own_pids { &self.saved[number..=number] } else { &[] },
            ..Birth::default()
        }
    }
}

/// The processes of one restart.
#[derive(Clone, Copy)]
pub struct Cast {
    /// The root's parent, which begins the restart in coordinator mode only.
    pub coordinator: Puppet,
    pub root: Puppet,
    pub first: Puppet,
    pub second: Puppet,
    /// One of the root's tree that is not in the image.
    pub extra: Puppet,
    /// A child that the root makes when it is ordered to.
    pub newcomer: Puppet,
}

/// What is wrong with them, or with the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    None,
    /// The second child is a child of the first.
    Misplaced,
    /// The second child leads a process group of its own.
    OtherGroup,
    /// The second child is another user's.
    OtherUser,
    /// The coordinator is another user's.
    LesserCoordinator,
    /// All but the second child are another user's.
    PrivilegedTask,
    /// The image comes through a pipe from the first child.
    FeedsItself,
    /// The image comes through a pipe that nobody closes, without END.
    Endless,
    /// It comes through a pipe that is closed in the middle of the first child.
    ClosesEarly,
    /// It comes through a pipe that nobody closes, up to this record of the first child.
    StallsAt(Kind),
    /// It comes through a pipe, and what is from this record of the first child on comes late.
    Pauses(Kind),
}

/// What the owner can be ordered to begin with, other than a saved pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum Beginning {
    /// The image.
    Image = -2,
    /// An image of which two tasks have one pid.
    Twice = -3,
    /// A pipe that has nothing to say.
    Silence = -4,
    /// No restart: it forks a child that ends at once.
    Fork = -5,
    /// An image of no task.
    NoTask = -6,
    /// An image of 2^31 tasks.
    TooMany = -7,
    /// An image whose second child is a child of who comes later, if at all.
    LaterParent = -8,
    /// An image whose first task has another pid than the root, which has its saved one.
    OtherRoot = -9,
    /// No restart: the root makes the newcomer.
    Newcomer = -10,
}

impl Beginning {
    /// Images that nobody can begin with.
    const WRONG: [Beginning; 5] = [
        Beginning::Twice,
        Beginning::NoTask,
        Beginning::TooMany,
        Beginning::LaterParent,
        Beginning::OtherRoot,
    ];

    /// Which of those an order is.
    fn wrong(order: i32) -> Option<Beginning> {
        Self::WRONG.into_iter().find(|wrong| *wrong as i32 == order)
    }

    /// The image that it is, if that is an edited one.
    pub fn edited(self, image: &Image) -> Result<Image, String> {
        /// A pid that no task has.
        const NONE: u32 = 31_000;
        let third = 2 * TREE_ENTRY;
        let tree = |words: &[(usize, u32)]| image.edited(Kind::Tree, 0, |tree| put_words(tree, words));
        let head = |tasks| image.edited(Kind::Head, 0, |head| put_words(head, &[(NR_TASKS, tasks)]));
        match self {
            Beginning::Twice => {
                let pid = word(image.payload(Kind::Tree, 0)?, TREE_ENTRY)?;
                tree(&[(third, pid), (third + TREE_TGID, pid)])
            }
            Beginning::NoTask => head(0),
            Beginning::TooMany => head(1 << 31),
            Beginning::LaterParent => tree(&[(third + TREE_PPID, NONE)]),
            Beginning::OtherRoot => {
                let parents = [TREE_ENTRY, third].map(|entry| (entry + TREE_PPID, NONE));
                tree(&[(0, NONE), (TREE_TGID, NONE), parents[0], parents[1]])
            }
            Beginning::Image | Beginning::Silence | Beginning::Fork | Beginning::Newcomer => Ok(image.clone()),
        }
    }
}

impl Cast {
    /// Makes the coordinator and, below it, the root with its tree.
    pub fn make(setting: &Setting<'_>, flaw: Flaw) -> Result<Cast, String> {
        let names = ["coordinator", "root", "first child", "second child", "extra task", "newcomer"];
        let [coordinator, root, first, second, extra, newcomer] = puppet::prepare(names)?;
        let cast = Cast {
            coordinator,
            root,
            first,
            second,
            extra,
            newcomer,
        };
        let image = setting.image;
        let bytes = image.bytes();
        let open_pipe = |bytes: &[u8]| pipe_of(bytes).map(|(read, write)| (read, Some(write)));
        let (whole, write) = match flaw {
            Flaw::FeedsItself => open_pipe(&[])?,
            Flaw::Endless => open_pipe(&image.without_end().bytes())?,
            Flaw::ClosesEarly => {
                let some = image.index(Kind::Creds, 1)?;
                (pipe_of(&image.beginning(some).bytes())?.0, None)
            }
            Flaw::StallsAt(kind) => {
                let some = image.index(kind, 1)?;
                open_pipe(&image.beginning(some).bytes())?
            }
            Flaw::Pauses(kind) => {
                let some = image.index(kind, 1)?;
                (pausing(&bytes, image.offset(some))?, None)
            }
            _ => (file_of(&bytes)?, None),
        };
        let (silence, silent) = pipe_of(&[])?;
        let begin = |beginning: i32| {
            if beginning == Beginning::Fork as i32 {
                return fork_and_reap("child", || 0).map(|()| 0).map_err(|_| Errno::ECHILD);
            }
            let wrong = Beginning::wrong(beginning).map(|wrong| file_of(&wrong.edited(image)?.bytes()));
            // No restart answers so.
            let wrong = wrong.transpose().inspect_err(|why| eprintln!("{why}")).map_err(|_| Errno::EUCLEAN)?;
            let file = match &wrong {
                Some(file) => file,
                None if beginning == Beginning::Silence as i32 => &silence,
                None => &whole,
            };
            let flags = setting.flags(setting.saved[0]);
            let flags = match setting.mode {
                Mode::Coordinator => flags | RESTART_COORDINATOR,
                Mode::Root => flags,
            };
            sys::restart(root.pid().unwrap_or(0), Some(file.as_fd()), flags, None)
        };
        // Who would write to the pipe is to know when nobody reads any more. A pipe that nobody closes is
        // held open by who reads it.
        let endless = write.as_ref().filter(|_| flaw != Flaw::FeedsItself);
        let images = [Some(&whole), Some(&silence), Some(&silent), endless].map(|file| file.map(AsFd::as_fd));
        let feed = write.as_ref().filter(|_| flaw == Flaw::FeedsItself);
        let born = || {
            cast.tree(setting, flaw, (feed, &bytes), &images, begin)?;
            sys::close_all_but(&images);
            match flaw {
                Flaw::LesserCoordinator | Flaw::PrivilegedTask => become_user(USER),
                _ => Ok(()),
            }
        };
        coordinator.make(Birth::default(), born, begin)?;
        for puppet in cast.all() {
            puppet.pid()?;
        }
        Ok(cast)
    }

    /// Who begins the restart.
    pub fn owner(&self, mode: Mode) -> Puppet {
        match mode {
            Mode::Coordinator => self.coordinator,
            Mode::Root => self.root,
        }
    }

    /// Those who are there from the start.
    pub fn all(&self) -> [Puppet; 5] {
        [self.coordinator, self.root, self.first, self.second, self.extra]
    }

    /// In the coordinator: forks the root, and it its children. Of the images only a root that begins needs any;
    /// of the first child's pipe, and what to write, only that.
    fn tree(
        self,
        setting: &Setting<'_>,
        flaw: Flaw,
        (feed, bytes): (Option<&File>, &[u8]),
        images: &[Option<BorrowedFd<'_>>],
        begin: impl Fn(i32) -> nix::Result<i64>,
    ) -> Result<(), String> {
        let join = |claim: i32| sys::restart(self.root.pid().unwrap_or(0), None, setting.flags(claim), None);
        let lesser = || if flaw == Flaw::PrivilegedTask { become_user(USER) } else { Ok(()) };
        let closed = || {
            sys::close_all_but(&[]);
            Ok(())
        };
        let second = || {
            let born = || {
                closed()?;
                match flaw {
                    Flaw::OtherUser => become_user(USER),
                    Flaw::OtherGroup => setpgid(Pid::this(), Pid::this()).map_err(|e| format!("setpgid: {e}")),
                    _ => Ok(()),
                }
            };
            self.second.make(setting.birth(2), born, join)
        };
        let images = if setting.mode == Mode::Root { images } else { &[] };
        let born = || {
            // The saved root leads its session.
            setsid().map_err(|e| format!("setsid: {e}"))?;
            let feed_too: Vec<_> = images.iter().copied().chain([feed.map(AsFd::as_fd)]).collect();
            sys::close_all_but(&feed_too);
            let born = || {
                sys::close_all_but(&[feed.map(AsFd::as_fd)]);
                if flaw == Flaw::Misplaced {
                    second()?;
                }
                lesser()
            };
            self.first.make(setting.birth(1), born, |claim| {
                if let Some(mut feed) = feed {
                    feed.write_all(bytes).map_err(|_| Errno::EPIPE)?;
                }
                join(claim)
            })?;
            // From here on the first child alone can write.
            sys::close_all_but(images);
            if flaw != Flaw::Misplaced {
                second()?;
            }
            self.extra.make(Birth::default(), closed, join)?;
            lesser()
        };
        let newcomer = || {
            let made = self.newcomer.make(Birth::default(), closed, join);
            made.map(|()| 0).map_err(|_| Errno::ECHILD)
        };
        self.root.make(setting.birth(0), born, |order| match order {
            _ if order == Beginning::Newcomer as i32 => newcomer(),
            ..0 => begin(order),
            claim => join(claim),
        })
    }

    /// Fails unless these processes end, or have ended.
    pub fn ended(&self, who: &[Puppet]) -> Result<(), String> {
        let pids: Vec<i32> = who.iter().map(Puppet::pid).collect::<Result<_, _>>()?;
        let otherwise = format!("expected the end of pids {pids:?}, found some of them alive");
        wait::until(patience(), &otherwise, || pids.iter().all(|pid| procfs::is_exiting(*pid)))
    }

    /// Ends everybody who is left, and sees to it that nobody and nothing is.
    pub fn strike(self) -> Result<(), String> {
        let newcomer = Some(self.newcomer).filter(Puppet::is_made);
        let all: Vec<Puppet> = self.all().into_iter().chain(newcomer).collect();
        for puppet in &all {
            let pid = puppet.pid()?;
            if !procfs::is_exiting(pid) {
                // One that has ended meanwhile needs no signal.
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
        self.ended(&all)?;
        bury();
        knobs::no_context(patience())
    }
}

/// Forks a child that does this, and fails unless it ends with 0.
pub fn fork_and_reap(name: &str, run: impl FnOnce() -> u8) -> Result<(), String> {
    let pid = Pid::from_raw(tree::spawn(name, run)?.pid);
    let end = waitpid(pid, None).map_err(|e| format!("waiting for the {name}: {e}"))?;
    crate::stage::expect(&format!("how the {name} ended"), WaitStatus::Exited(pid, 0), end)
}

/// A pipe into which a process writes these bytes, what is from byte `late` on a while later.
fn pausing(bytes: &[u8], late: usize) -> Result<File, String> {
    /// Long enough for who reads to sleep.
    const PAUSE: Duration = Duration::from_millis(100);
    let (read, mut write) = pipe_of(&bytes[..late])?;
    tree::spawn("writer", || {
        std::thread::sleep(PAUSE);
        u8::from(write.write_all(&bytes[late..]).is_err())
    })?;
    Ok(read)
}

/// Waits until the participant `slot` has entered.
pub fn entered(slot: u32, puppet: Puppet, order: impl FnOnce()) -> Result<(), String> {
    held_at(slot, checkpoint::restart::Point::Entered, puppet, order)
}

/// Waits until the participant `slot` is held at a point.
pub fn held_at(
    slot: u32,
    point: checkpoint::restart::Point,
    puppet: Puppet,
    order: impl FnOnce(),
) -> Result<(), String> {
    knobs::hold(slot, point as u32)?;
    order();
    let held = knobs::held(patience())?;
    crate::stage::expect("who is held", Some(puppet.pid()?), held)
}

/// Waits until processes sleep in their calls.
pub fn asleep(puppets: &[Puppet]) -> Result<(), String> {
    for puppet in puppets {
        let pid = puppet.pid()?;
        let otherwise = format!("{puppet} does not sleep in restart");
        wait::until(patience(), &otherwise, || procfs::sleeps_in(pid, sys::SYS_RESTART))?;
    }
    Ok(())
}
