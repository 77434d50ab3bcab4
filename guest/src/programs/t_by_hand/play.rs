// SPDX-License-Identifier: GPL-2.0-only

//! What is restarted by hand, and the steps that many scenes have in common.

use super::cast::{asleep, entered, held_at, Beginning, Cast, Flaw, Setting};
use crate::knobs;
use crate::procfs;
use crate::puppet::Puppet;
use crate::restarts::{patience, Mode};
use crate::wait;
use checkpoint::restart::Point;
use nix::errno::Errno;

/// What is saved, and who restarts it.
#[derive(Clone, Copy)]
pub struct Play<'a> {
    pub setting: Setting<'a>,
    /// The name of the saved tasks.
    pub comm: &'a str,
}

impl Play<'_> {
    /// The same, with the pids that were saved.
    pub fn under_saved_pids(self) -> Self {
        let setting = Setting {
            own_pids: true,
            ..self.setting
        };
        Play { setting, ..self }
    }

    pub fn cast(&self, flaw: Flaw) -> Result<Cast, String> {
        Cast::make(&self.setting, flaw)
    }

    /// The owner begins, and the root enters: whoever comes later finds the restart.
    pub fn begin(&self, cast: &Cast) -> Result<(), String> {
        if self.setting.mode == Mode::Root {
            entered(0, cast.root, || cast.root.order(Beginning::Image as i32))?;
            return knobs::release();
        }
        cast.coordinator.order(Beginning::Image as i32);
        // Before that who comes may learn how the last one ended.
        asleep(&[cast.coordinator])?;
        entered(0, cast.root, || cast.root.order(self.setting.saved[0]))?;
        knobs::release()
    }

    /// Who waits for the restart before it begins calls: the whole tree, but for a root that begins itself.
    pub fn all_wait(&self, cast: &Cast) -> Result<Vec<Puppet>, String> {
        let [root, first, second] = self.setting.saved;
        let mut who = vec![(cast.first, first), (cast.second, second)];
        if self.setting.mode == Mode::Coordinator {
            who.push((cast.root, root));
        }
        who.iter().for_each(|(puppet, claim)| puppet.order(*claim));
        let who: Vec<Puppet> = who.into_iter().map(|(puppet, _)| puppet).collect();
        asleep(&who)?;
        Ok(who)
    }

    /// The children come, each as who it is to become.
    pub fn children_come(&self, cast: &Cast) {
        let [_, first, second] = self.setting.saved;
        cast.first.order(first);
        cast.second.order(second);
    }

    /// All come, and the first child is held in the middle of its restore.
    pub fn held_in_restore(&self, cast: &Cast) -> Result<(), String> {
        self.begin(cast)?;
        held_at(1, Point::Restoring, cast.first, || self.children_come(cast))
    }

    /// All come, are restored, and the owner is held when it is told to read END.
    pub fn held_before_end(&self, cast: &Cast) -> Result<(), String> {
        let [_, first, second] = self.setting.saved;
        self.begin(cast)?;
        cast.first.order(first);
        let (mode, owner) = (self.setting.mode, cast.owner(self.setting.mode));
        held_at(mode.owner(), Point::Verify, owner, || cast.second.order(second))
    }

    /// The coordinator learns this; in root mode there is none.
    pub fn coordinator_learns(&self, cast: &Cast, expected: Result<(), Errno>) -> Result<(), String> {
        match self.setting.mode {
            Mode::Coordinator => cast.coordinator.expect(expected),
            Mode::Root => Ok(()),
        }
    }

    /// All come, and it goes well.
    pub fn goes_well(&self) -> Result<(), String> {
        let cast = self.cast(Flaw::None)?;
        self.begin(&cast)?;
        self.children_come(&cast);
        self.runs(&cast)?;
        cast.strike()
    }

    /// The second child and the extra task are gone, and the others, who wait, learn that nobody can become the last
    /// task.
    pub fn missed(&self, cast: &Cast) -> Result<(), String> {
        self.coordinator_learns(cast, Err(Errno::ESRCH))?;
        cast.root.expect(Err(Errno::ESRCH))?;
        cast.first.expect(Err(Errno::ESRCH))?;
        cast.strike()
    }

    /// The restart goes well, and the tree runs: each of the three where it was made.
    pub fn runs(&self, cast: &Cast) -> Result<(), String> {
        self.coordinator_learns(cast, Ok(()))?;
        for puppet in [cast.root, cast.first, cast.second] {
            let pid = puppet.pid()?;
            let otherwise = format!("{puppet} has not become {}", self.comm);
            let name = || procfs::task(pid).map(|task| task.comm);
            wait::until(patience(), &otherwise, || name().as_deref() == Some(self.comm))?;
        }
        // They have had that name since each was restored.
        let over = wait::answer(patience(), || Ok((knobs::contexts()? == 0).then_some(())))?;
        over.ok_or_else(|| "the tree is restored, and the restart is not over".to_owned())
    }
}
