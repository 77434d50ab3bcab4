// SPDX-License-Identifier: GPL-2.0-only

//! Restarts that nobody begins, or that cannot begin.

use super::cast::{asleep, entered, fork_and_reap, Beginning, Cast, Flaw};
use super::play::Play;
use crate::edit::file_of;
use crate::knobs;
use crate::sys;
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::getpid;
use std::os::fd::AsFd;

impl Play<'_> {
    /// A restart that nobody begins: who looks for it can be interrupted, and learns of the root's death.
    pub fn nobody_begins(&self) -> Result<(), String> {
        let cast = self.cast(Flaw::None)?;
        self.children_come(&cast);
        asleep(&[cast.first, cast.second])?;
        cast.first.signal(Signal::SIGUSR1)?;
        cast.first.expect(Err(Errno::EINTR))?;
        cast.root.signal(Signal::SIGKILL)?;
        cast.second.expect(Err(Errno::ESRCH))?;
        cast.strike()
    }

    /// The image cannot be begun with: all who wait for that learn it, who comes late too. A right one can be
    /// tried at once.
    pub fn begins_wrongly(&self, how: Beginning) -> Result<(), String> {
        let cast = self.cast(Flaw::None)?;
        let [_, of_first, _] = self.setting.saved;
        let waiting = self.all_wait(&cast)?;
        cast.owner(self.setting.mode).obeys(how as i32, Err(Errno::EINVAL))?;
        for puppet in waiting {
            puppet.expect(Err(Errno::EINVAL))?;
        }
        cast.extra.obeys(of_first, Err(Errno::EINVAL))?;
        self.begin(&cast)?;
        self.children_come(&cast);
        self.runs(&cast)?;
        cast.strike()
    }

    /// Who is made when a restart has ended is there for the next one, whose task it becomes.
    pub fn newcomer_waits(&self) -> Result<(), String> {
        let cast = self.cast(Flaw::None)?;
        let [_, of_first, of_second] = self.setting.saved;
        let wrong = Beginning::Twice as i32;
        cast.owner(self.setting.mode).obeys(wrong, Err(Errno::EINVAL))?;
        cast.root.obeys(Beginning::Newcomer as i32, Ok(()))?;
        cast.newcomer.order(of_second);
        asleep(&[cast.newcomer])?;
        // Who was there is told how it ended, also now that somebody waits.
        cast.second.obeys(of_second, Err(Errno::EINVAL))?;
        asleep(&[cast.newcomer])?;
        self.begin(&cast)?;
        cast.first.order(of_first);
        let cast = Cast {
            second: cast.newcomer,
            extra: cast.second,
            newcomer: cast.extra,
            ..cast
        };
        self.runs(&cast)?;
        cast.strike()
    }

    /// How a restart ended is told to who comes late until so many others have ended; who comes then waits.
    pub fn is_forgotten(&self) -> Result<(), String> {
        /// The kernel remembers that many restarts (`glue/contexts.rs`).
        const REMEMBERED: usize = 64;
        let cast = self.cast(Flaw::None)?;
        let [_, of_first, of_second] = self.setting.saved;
        let image = self.setting.image;
        let wrong = file_of(&Beginning::Twice.edited(image)?.bytes())?;
        let end_others = |count: usize| {
            for _ in 0..count {
                fork_and_reap("root of another restart", || {
                    let flags = sys::restart_as(self.setting.saved[0]);
                    let end = sys::restart(getpid().as_raw(), Some(wrong.as_fd()), flags, None);
                    u8::from(end != Err(Errno::EINVAL))
                })?;
            }
            Ok::<(), String>(())
        };
        cast.owner(self.setting.mode).obeys(Beginning::Twice as i32, Err(Errno::EINVAL))?;
        end_others(REMEMBERED - 1)?;
        cast.first.obeys(of_first, Err(Errno::EINVAL))?;
        end_others(1)?;
        cast.second.order(of_second);
        asleep(&[cast.second])?;
        // It waits for the next one, which goes well.
        self.begin(&cast)?;
        cast.first.order(of_first);
        self.runs(&cast)?;
        cast.strike()
    }

    /// A task is killed that looks for the restart, and nobody is left who could become it: all learn that.
    pub fn dies_looking(&self) -> Result<(), String> {
        let cast = self.cast(Flaw::None)?;
        self.all_wait(&cast)?;
        let gone = [cast.second, cast.extra];
        for puppet in gone {
            puppet.signal(Signal::SIGKILL)?;
        }
        cast.ended(&gone)?;
        cast.owner(self.setting.mode).order(Beginning::Image as i32);
        self.missed(&cast)
    }

    /// Who is to begin it ends while it reads: no signal has interrupted those who wait.
    pub fn owner_ends_reading(&self) -> Result<(), String> {
        let cast = self.cast(Flaw::None)?;
        let waiting = self.all_wait(&cast)?;
        let owner = cast.owner(self.setting.mode);
        owner.order(Beginning::Silence as i32);
        asleep(&[owner])?;
        owner.signal(Signal::SIGKILL)?;
        for puppet in waiting {
            puppet.expect(Err(Errno::ECANCELED))?;
        }
        cast.strike()
    }

    /// The coordinator ends before it begins.
    pub fn coordinator_ends(&self) -> Result<(), String> {
        let cast = self.cast(Flaw::None)?;
        self.all_wait(&cast)?;
        cast.coordinator.signal(Signal::SIGKILL)?;
        // The others wait for the root, which could go on.
        cast.root.expect(Err(Errno::ESRCH))?;
        cast.root.signal(Signal::SIGKILL)?;
        cast.first.expect(Err(Errno::ESRCH))?;
        cast.second.expect(Err(Errno::ESRCH))?;
        cast.strike()
    }

    /// Who is to bring the image is one of those who wait for it: stuck, until a signal.
    pub fn feeds_itself(&self) -> Result<(), String> {
        let cast = self.cast(Flaw::FeedsItself)?;
        let owner = cast.owner(self.setting.mode);
        // Nobody can enter before the image begins to come.
        cast.first.order(self.setting.saved[1]);
        self.begin(&cast)?;
        entered(2, cast.second, || cast.second.order(self.setting.saved[2]))?;
        knobs::release()?;
        owner.signal(Signal::SIGUSR1)?;
        self.coordinator_learns(&cast, Err(Errno::EINTR))?;
        cast.root.expect(Err(Errno::EINTR))?;
        cast.second.expect(Err(Errno::EINTR))?;
        // Both can read from the pipe.
        cast.coordinator.dismiss();
        owner.dismiss();
        cast.first.expect(Err(Errno::EPIPE))?;
        cast.strike()
    }
}
