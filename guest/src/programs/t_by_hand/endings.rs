// SPDX-License-Identifier: GPL-2.0-only

//! Restarts that have begun, and what ends them.

use super::cast::{asleep, entered, held_at, Beginning, Cast, Flaw, Setting};
use super::play::Play;
use crate::edit::{put_doubles, put_words};
use crate::freezer::{self, Cgroup};
use crate::knobs;
use crate::procfs;
use crate::puppet::Puppet;
use crate::restarts::{patience, Mode};
use crate::stage::expect;
use crate::wait;
use checkpoint::image::Kind;
use checkpoint::restart::Point;
use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// How long a task is left to find that it is to stop.
const NOTICE: Duration = Duration::from_millis(50);

impl Play<'_> {
    /// One never comes although it could: a signal to anyone who waits releases all.
    pub fn interrupted(&self, whom: impl Fn(&Cast) -> Puppet) -> Result<(), String> {
        let cast = self.cast(Flaw::None)?;
        self.begin(&cast)?;
        entered(1, cast.first, || cast.first.order(self.setting.saved[1]))?;
        knobs::release()?;
        whom(&cast).signal(Signal::SIGUSR1)?;
        self.coordinator_learns(&cast, Err(Errno::EINTR))?;
        cast.root.expect(Err(Errno::EINTR))?;
        cast.first.expect(Err(Errno::EINTR))?;
        // To who comes late no signal has come.
        cast.second.obeys(self.setting.saved[2], Err(Errno::ECANCELED))?;
        cast.strike()
    }

    /// One that has not come is killed, and nobody is left who could become it: all who wait learn that.
    pub fn dies_outside(&self) -> Result<(), String> {
        let cast = self.cast(Flaw::None)?;
        self.begin(&cast)?;
        entered(1, cast.first, || cast.first.order(self.setting.saved[1]))?;
        knobs::release()?;
        cast.extra.signal(Signal::SIGKILL)?;
        cast.ended(&[cast.extra])?;
        cast.second.signal(Signal::SIGKILL)?;
        self.missed(&cast)
    }

    /// A task is in the middle of its restore, and somebody who waits gets a signal: all others are released
    /// at once, and the task when it looks.
    pub fn interrupted_beside(&self, whom: impl Fn(&Cast) -> Puppet) -> Result<(), String> {
        let cast = self.cast(Flaw::None)?;
        self.held_in_restore(&cast)?;
        whom(&cast).signal(Signal::SIGUSR1)?;
        self.coordinator_learns(&cast, Err(Errno::EINTR))?;
        cast.second.expect(Err(Errno::EINTR))?;
        cast.ended(&[cast.root])?;
        knobs::release()?;
        cast.ended(&[cast.first])?;
        cast.strike()
    }

    /// All are restored, and END never comes: a signal that ends what a user has started ends it.
    pub fn interrupted_when_restored(&self, whom: impl Fn(&Cast) -> Puppet) -> Result<(), String> {
        let cast = self.cast(Flaw::Endless)?;
        self.held_before_end(&cast)?;
        knobs::release()?;
        whom(&cast).signal(Signal::SIGINT)?;
        self.coordinator_learns(&cast, Err(Errno::EINTR))?;
        cast.ended(&[cast.root, cast.first, cast.second])?;
        cast.strike()
    }

    /// The image stalls where the first child is at this record: a signal that ends what a user has started
    /// ends it, also where the child's own signals are about to be the saved ones.
    pub fn interrupted_at(&self, kind: Kind) -> Result<(), String> {
        /// So many looks in a row at a task that sleeps tell that it waits for the image.
        const LOOKS: u32 = 20;
        let cast = self.cast(Flaw::StallsAt(kind))?;
        self.held_in_restore(&cast)?;
        knobs::release()?;
        let pid = cast.first.pid()?;
        let mut looks = 0;
        wait::until(patience(), "the first child does not wait for the image", || {
            let sleeps = procfs::task(pid).is_some_and(|task| task.state == 'S');
            looks = if sleeps { looks + 1 } else { 0 };
            looks == LOOKS
        })?;
        // A debugger that wants it to stop has to wait.
        let traced = Pid::from_raw(pid);
        ptrace::seize(traced, ptrace::Options::empty()).map_err(|e| format!("PTRACE_SEIZE {pid}: {e}"))?;
        ptrace::interrupt(traced).map_err(|e| format!("PTRACE_INTERRUPT {pid}: {e}"))?;
        std::thread::sleep(NOTICE);
        asleep(&[cast.first])?;
        cast.first.signal(Signal::SIGINT)?;
        self.coordinator_learns(&cast, Err(Errno::EINTR))?;
        cast.second.expect(Err(Errno::EINTR))?;
        cast.ended(&[cast.root, cast.first])?;
        cast.strike()
    }

    /// A signal that the image has for a task is not one that has come, also while that task waits for what follows.
    pub fn pending(&self) -> Result<(), String> {
        let hangup = Signal::SIGHUP as u32;
        // It ignores it, so that it lives on once it has taken it.
        let (action, ignored) = ((hangup as usize - 1) * 32, 1);
        let image = self.setting.image;
        let image = image.edited(Kind::SignalActions, 1, |payload| put_doubles(payload, &[(action, ignored)]))?;
        // Of the process or not, the number, and the siginfo, which begins with it.
        let mut record = vec![0; 8 + 48];
        put_words(&mut record, &[(4, hangup), (8, hangup)])?;
        let image = image.inserted((Kind::Rlimits, 1), Kind::Pending, record)?;
        let setting = Setting {
            image: &image,
            ..self.setting
        };
        let play = Play { setting, ..*self };
        let cast = play.cast(Flaw::Pauses(Kind::Rlimits))?;
        play.begin(&cast)?;
        self.children_come(&cast);
        play.runs(&cast)?;
        expect("whether the task has ended", false, procfs::is_exiting(cast.first.pid()?))?;
        cast.strike()
    }

    /// Who waits, for its turn or for the image, is in a cgroup that is frozen, which is no signal: it waits on, and
    /// the restart goes well.
    pub fn frozen(&self) -> Result<(), String> {
        let cast = self.cast(Flaw::None)?;
        let folder = Path::new(freezer::MOUNT).join("by-hand");
        fs::create_dir_all(&folder).map_err(|e| format!("making {}: {e}", folder.display()))?;
        for puppet in cast.all() {
            let pid = puppet.pid()?.to_string();
            fs::write(folder.join("cgroup.procs"), pid).map_err(|e| format!("{puppet} into a cgroup: {e}"))?;
        }
        let cgroup = Cgroup::of_tree(cast.coordinator.pid()?, None)?;
        // One looks for the restart, before anybody has begun.
        cast.first.order(self.setting.saved[1]);
        asleep(&[cast.first])?;
        let freeze_and_thaw = |who: &[Puppet]| {
            // Until all count as frozen, those who wait too.
            cgroup.freeze()?;
            asleep(who)?;
            cgroup.thaw()
        };
        freeze_and_thaw(&[cast.first])?;
        // All wait but one, which is not there yet.
        self.begin(&cast)?;
        freeze_and_thaw(&[cast.owner(self.setting.mode), cast.root, cast.first])?;
        cast.second.order(self.setting.saved[2]);
        self.runs(&cast)?;
        cast.strike()?;
        wait::until(patience(), "a cgroup of tasks that have ended cannot be removed", || fs::remove_dir(&folder).is_ok())
    }

    /// A task dies when the owner is told to read END, which never comes: the owner does not wait for it.
    pub fn fails_before_end(&self) -> Result<(), String> {
        let cast = self.cast(Flaw::Endless)?;
        self.held_before_end(&cast)?;
        // All but the owner, which is held.
        let (whom, others) = match self.setting.mode {
            Mode::Coordinator => (cast.root, vec![cast.root, cast.first, cast.second]),
            Mode::Root => (cast.second, vec![cast.first, cast.second]),
        };
        whom.signal(Signal::SIGKILL)?;
        cast.ended(&others)?;
        knobs::release()?;
        self.coordinator_learns(&cast, Err(Errno::EINTR))?;
        cast.ended(&[cast.root])?;
        cast.strike()
    }

    /// The image ends in the middle of the first child: everyone who waits learns it.
    pub fn closes_early(&self) -> Result<(), String> {
        let cast = self.cast(Flaw::ClosesEarly)?;
        self.begin(&cast)?;
        self.children_come(&cast);
        self.coordinator_learns(&cast, Err(Errno::EPIPE))?;
        cast.second.expect(Err(Errno::EPIPE))?;
        cast.ended(&[cast.root, cast.first])?;
        cast.strike()
    }

    /// Who has left forks while another has not: the child has no part in the restart, which goes with the last one.
    pub fn forks_when_it_has_left(&self) -> Result<(), String> {
        let cast = self.cast(Flaw::None)?;
        self.begin(&cast)?;
        cast.first.order(self.setting.saved[1]);
        held_at(0, Point::Ended, cast.root, || cast.second.order(self.setting.saved[2]))?;
        cast.coordinator.expect(Ok(()))?;
        cast.coordinator.obeys(Beginning::Fork as i32, Ok(()))?;
        expect("restarts in the kernel, of which one has not left", 1, knobs::contexts()?)?;
        knobs::release()?;
        knobs::no_context(patience())?;
        self.runs(&cast)?;
        cast.strike()
    }
}
