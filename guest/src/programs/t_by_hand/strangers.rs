// SPDX-License-Identifier: GPL-2.0-only

//! Who does not belong, or stands in the wrong place.

use super::cast::{asleep, entered, Beginning, Cast, Flaw, USER};
use super::play::Play;
use crate::knobs;
use crate::procfs;
use crate::puppet::{self, Puppet};
use crate::restarts::{patience, Mode};
use crate::stage::expect;
use crate::sys::{self, Birth};
use crate::user::become_user;
use crate::wait;
use nix::errno::Errno;
use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;

/// A saved pid that the image does not know.
const UNKNOWN: i32 = 30_000;

/// A process with pid 1 in a pid namespace of its own.
fn container() -> Birth<'static> {
    Birth {
        namespaces: libc::CLONE_NEWPID as u64,
        ..Birth::default()
    }
}

/// Processes outside of the tree.
struct Outside {
    stranger: Puppet,
    /// One of another user.
    user: Puppet,
    /// One of a nested pid namespace.
    nested: Puppet,
}

impl Outside {
    fn make(cast: &Cast) -> Result<Outside, String> {
        let root = cast.root.pid()?;
        let names = ["stranger", "another user", "task of a nested pid namespace"];
        let [stranger, user, nested] = puppet::prepare(names)?;
        let join = |claim: i32| sys::restart(root, None, sys::restart_as(claim), None);
        stranger.make(Birth::default(), || Ok(()), join)?;
        user.make(Birth::default(), || become_user(USER), join)?;
        nested.make(container(), || Ok(()), join)?;
        Ok(Outside { stranger, user, nested })
    }

    fn dismiss(self, cast: &Cast) -> Result<(), String> {
        let all = [self.stranger, self.user, self.nested];
        all.iter().for_each(Puppet::dismiss);
        cast.ended(&all)
    }
}

impl Play<'_> {
    /// Whoever does not belong is refused while the restart waits, and it goes well afterwards.
    pub fn strangers(&self) -> Result<(), String> {
        let cast = self.cast(Flaw::None)?;
        let outside = Outside::make(&cast)?;
        let [_, of_first, of_second] = self.setting.saved;
        self.begin(&cast)?;
        entered(1, cast.first, || cast.first.order(of_first))?;
        self.refuses(&cast, &outside)?;
        knobs::release()?;
        cast.second.order(of_second);
        self.runs(&cast)?;
        // It is over, and there is nobody more whom one could become.
        cast.extra.obeys(of_first, Err(Errno::ESRCH))?;
        outside.dismiss(&cast)?;
        cast.strike()
    }

    /// The same when all have come, while somebody is held.
    pub fn strangers_late(&self, hold: fn(&Self, &Cast) -> Result<(), String>) -> Result<(), String> {
        let cast = self.cast(Flaw::None)?;
        let outside = Outside::make(&cast)?;
        hold(self, &cast)?;
        self.refuses(&cast, &outside)?;
        cast.extra.obeys(self.setting.saved[2], Err(Errno::EBUSY))?;
        knobs::release()?;
        self.runs(&cast)?;
        outside.dismiss(&cast)?;
        cast.strike()
    }

    /// Refuses those outside, and one of the tree that claims to be who is there, the root, or nobody; the restart
    /// is as it was.
    fn refuses(&self, cast: &Cast, outside: &Outside) -> Result<(), String> {
        let [of_root, of_first, of_second] = self.setting.saved;
        outside.stranger.obeys(of_second, Err(Errno::EPERM))?;
        outside.user.obeys(of_second, Err(Errno::EPERM))?;
        outside.nested.obeys(of_second, Err(Errno::ESRCH))?;
        cast.extra.obeys(of_first, Err(Errno::EBUSY))?;
        cast.extra.obeys(of_root, Err(Errno::EINVAL))?;
        cast.extra.obeys(UNKNOWN, Err(Errno::ESRCH))?;
        expect("restarts in the kernel", 1, knobs::contexts()?)
    }

    /// Tasks that are known by their own pids: one that the image does not know, one outside the tree, and one
    /// that has the root's number in a pid namespace of its own, where it waits for a restart of its own.
    pub fn strangers_among_saved_pids(&self) -> Result<(), String> {
        let play = self.under_saved_pids();
        let cast = play.cast(Flaw::None)?;
        let [of_root, of_first, of_second] = play.setting.saved;
        let [stranger, init, nested] = puppet::prepare(["stranger", "init of a container", "namesake"])?;
        let join = |_| sys::restart(of_root, None, 0, None);
        stranger.make(Birth::default(), || Ok(()), join)?;
        let namesake = Birth {
            pids: &[of_root],
            ..Birth::default()
        };
        init.make(container(), || nested.make(namesake, || Ok(()), join), join)?;
        // Its number in the container is no number here.
        nested.pid()?;
        let mut tasks = procfs::tasks().map_err(|e| format!("/proc: {e}"))?.into_iter();
        let found = tasks.find(|task| matches!(task.nspid[..], [_, pid] if pid == of_root));
        let nested_pid = found.ok_or("no namesake of the root in its container")?.pid;
        play.begin(&cast)?;
        entered(1, cast.first, || cast.first.order(of_first))?;
        knobs::release()?;
        stranger.obeys(of_second, Err(Errno::EPERM))?;
        cast.extra.obeys(of_second, Err(Errno::ESRCH))?;
        nested.order(of_second);
        // Whoever waits for a restart looks again whenever any begins or ends, and sleeps on.
        let waits = |otherwise| {
            let sleeps = || procfs::sleeps_in(nested_pid, sys::SYS_RESTART);
            wait::until(patience(), otherwise, sleeps)
        };
        waits("the root's namesake does not wait for its own restart")?;
        cast.second.order(of_second);
        play.runs(&cast)?;
        waits("the root's namesake does not wait on")?;
        kill(Pid::from_raw(nested_pid), Signal::SIGUSR1).map_err(|e| format!("kill {nested_pid}: {e}"))?;
        nested.expect(Err(Errno::EINTR))?;
        [nested, init, stranger].iter().for_each(Puppet::dismiss);
        cast.ended(&[init, stranger])?;
        cast.strike()
    }

    /// One that must not become what it claims ends the restart when it is its turn.
    pub fn refused_in_its_turn(&self, flaw: Flaw, errno: Errno) -> Result<(), String> {
        let cast = self.cast(flaw)?;
        self.begin(&cast)?;
        self.children_come(&cast);
        self.coordinator_learns(&cast, Err(errno))?;
        // They had begun to restore, and are nothing that could run on.
        cast.ended(&[cast.root, cast.first, cast.second])?;
        cast.strike()
    }

    /// Who has more rights than the owner does not become what that one's image says.
    pub fn more_rights(&self) -> Result<(), String> {
        let cast = self.cast(Flaw::PrivilegedTask)?;
        let [_, of_first, of_second] = self.setting.saved;
        self.begin(&cast)?;
        entered(1, cast.first, || cast.first.order(of_first))?;
        knobs::release()?;
        cast.second.obeys(of_second, Err(Errno::EPERM))?;
        cast.first.signal(Signal::SIGUSR1)?;
        self.coordinator_learns(&cast, Err(Errno::EINTR))?;
        cast.root.expect(Err(Errno::EINTR))?;
        cast.first.expect(Err(Errno::EINTR))?;
        cast.strike()
    }

    /// A parent that has fewer rights than the root has no say in what becomes of it.
    pub fn coordinated_by_another_user(&self) -> Result<(), String> {
        let cast = self.cast(Flaw::LesserCoordinator)?;
        cast.root.order(self.setting.saved[0]);
        asleep(&[cast.root])?;
        cast.coordinator.obeys(Beginning::Image as i32, Err(Errno::EPERM))?;
        // Not even that it has failed is told.
        asleep(&[cast.root])?;
        cast.root.signal(Signal::SIGUSR1)?;
        cast.root.expect(Err(Errno::EINTR))?;
        cast.strike()
    }

    /// Nobody but the root can become the first task, and the root nobody else.
    pub fn claims_the_root(&self) -> Result<(), String> {
        let cast = self.cast(Flaw::None)?;
        let [of_root, of_first, _] = self.setting.saved;
        if self.setting.mode == Mode::Coordinator {
            cast.coordinator.order(Beginning::Image as i32);
        } else {
            self.begin(&cast)?;
        }
        cast.first.obeys(of_root, Err(Errno::EINVAL))?;
        self.children_come(&cast);
        if self.setting.mode == Mode::Coordinator {
            cast.root.obeys(of_first, Err(Errno::EINVAL))?;
            cast.root.order(of_root);
        }
        self.runs(&cast)?;
        cast.strike()
    }
}
