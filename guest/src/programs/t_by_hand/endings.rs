// SPDX-License-Identifier: GPL-2.0-only

//! Restarts that have begun, and what ends them.

use super::cast::{entered, held_at, Beginning, Cast, Flaw};
use super::play::Play;
use crate::knobs;
use crate::procfs;
use crate::puppet::Puppet;
use crate::restarts::patience;
use crate::stage::expect;
use crate::wait;
use checkpoint::image::Kind;
use checkpoint::restart::Point;
use nix::errno::Errno;
use nix::sys::signal::Signal;

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
        cast.strike()
    }

    /// A task is in the middle of its restore, and somebody who waits gets a signal: all others are released
    /// at once, and the task when it looks.
    pub fn interrupted_beside(&self, whom: impl Fn(&Cast) -> Puppet) -> Result<(), String> {
        let cast = self.cast(Flaw::None)?;
        self.begin(&cast)?;
        held_at(1, Point::Restoring, cast.first, || {
            cast.first.order(self.setting.saved[1]);
            cast.second.order(self.setting.saved[2]);
        })?;
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
        self.begin(&cast)?;
        held_at(1, Point::Restoring, cast.first, || {
            cast.first.order(self.setting.saved[1]);
            cast.second.order(self.setting.saved[2]);
        })?;
        knobs::release()?;
        let pid = cast.first.pid()?;
        let mut asleep = 0;
        wait::until(patience(), "the first child does not wait for the image", || {
            let sleeps = procfs::task(pid).is_some_and(|task| task.state == 'S');
            asleep = if sleeps { asleep + 1 } else { 0 };
            asleep == LOOKS
        })?;
        cast.first.signal(Signal::SIGINT)?;
        self.coordinator_learns(&cast, Err(Errno::EINTR))?;
        cast.second.expect(Err(Errno::EINTR))?;
        cast.ended(&[cast.root, cast.first])?;
        cast.strike()
    }

    /// A task dies when the owner is told to read END, which never comes: the owner does not wait for it.
    pub fn fails_before_end(&self) -> Result<(), String> {
        let cast = self.cast(Flaw::Endless)?;
        self.held_before_end(&cast)?;
        cast.second.signal(Signal::SIGKILL)?;
        cast.ended(&[cast.first, cast.second])?;
        knobs::release()?;
        self.coordinator_learns(&cast, Err(Errno::EINTR))?;
        cast.ended(&[cast.root])?;
        cast.strike()
    }

    /// The image ends in the middle of the first child: everyone who waits learns it.
    pub fn closes_early(&self) -> Result<(), String> {
        let cast = self.cast(Flaw::ClosesEarly)?;
        self.begin(&cast)?;
        cast.first.order(self.setting.saved[1]);
        cast.second.order(self.setting.saved[2]);
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
