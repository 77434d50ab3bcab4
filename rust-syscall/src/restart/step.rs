// SPDX-License-Identifier: GPL-2.0-only

//! The transitions of a restart.

use crate::image::MAX_TASKS;
use crate::restart::state::{
    errno, Actor, Effect, Event, Failure, Mode, Phase, ProtocolError, Slot, Turn, Wake,
};

/// The state of a restart, but for the slots, which the caller keeps and lends.
///
/// # Invariants
///
/// - `entered` is the number of slots that are not [`Slot::Absent`].
/// - `inside` is the number of slots that are in, plus 1 while the coordinator
///   is.
/// - In `Restoring { pos }` all slots before `pos` are restored, all after it
///   wait, and that at `pos` waits or restores.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Restart {
    phase: Phase,
    mode: Mode,
    coordinator_in: bool,
    nr_tasks: usize,
    entered: usize,
    inside: usize,
}

impl Restart {
    /// Begins a restart of the tasks in `slots`, which become absent. The
    /// owner takes part from here on: in root mode as slot 0.
    pub fn new(mode: Mode, slots: &mut [Slot]) -> Result<Self, ProtocolError> {
        let nr_tasks = slots.len();
        if nr_tasks == 0 || nr_tasks > MAX_TASKS as usize {
            return Err(ProtocolError::TaskCount { found: nr_tasks });
        }
        slots.fill(Slot::Absent);
        let mut restart = Restart {
            phase: Phase::Gathering,
            mode,
            coordinator_in: false,
            nr_tasks,
            entered: 0,
            inside: 0,
        };
        match mode {
            Mode::Coordinator => {
                restart.coordinator_in = true;
                restart.inside = 1;
            }
            Mode::Root => {
                restart.enter(slots, 0)?;
            }
        }
        Ok(restart)
    }

    /// How far the restart is.
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// In which mode it is.
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// Number of tasks that have called restart.
    pub const fn entered(&self) -> usize {
        self.entered
    }

    /// Number of participants that have not left.
    pub const fn inside(&self) -> usize {
        self.inside
    }

    /// The first error, if there was one: whoever restores stops reading.
    pub const fn failure(&self) -> Option<Failure> {
        match self.phase {
            Phase::Failed(failure) => Some(failure),
            _ => None,
        }
    }

    /// Who reads END.
    pub const fn owner(&self) -> Actor {
        match self.mode {
            Mode::Root => Actor::Slot(0),
            Mode::Coordinator => Actor::Coordinator,
        }
    }

    /// What `actor` has to do now.
    pub fn turn(&self, slots: &[Slot], actor: Actor) -> Turn {
        let Ok(standing) = self.standing(slots, actor) else {
            return Turn::Abort {
                errno: errno::ESRCH,
                kill: false,
            };
        };
        match self.phase {
            Phase::Gathering => Turn::Wait,
            Phase::Restoring { pos } if actor == Actor::Slot(pos) => Turn::Restore,
            Phase::Restoring { .. } => Turn::Wait,
            Phase::Verifying if actor == self.owner() => Turn::Verify,
            Phase::Verifying => Turn::Wait,
            Phase::Releasing | Phase::Done => Turn::Release,
            Phase::Failed(failure) => Turn::Abort {
                errno: failure.errno,
                kill: matches!(standing, Slot::Restoring | Slot::Restored),
            },
        }
    }

    /// Takes in what has happened. A refusal changes nothing.
    pub fn step(&mut self, slots: &mut [Slot], event: Event) -> Result<Effect, ProtocolError> {
        self.check_slots(slots)?;
        match event {
            Event::Enter { slot } => self.enter(slots, slot),
            Event::Begin { slot } => self.begin(slots, slot),
            Event::Restored { slot } => self.restored(slots, slot),
            Event::Verified => self.verified(slots),
            Event::Failed { actor, errno } => self.failed(slots, actor, errno),
            Event::Interrupted { actor } => self.interrupted(slots, actor),
            Event::Died { actor } => self.died(slots, actor),
            Event::Leave { actor } => {
                self.standing(slots, actor)?;
                Ok(self.leave(slots, actor, errno::EINTR))
            }
        }
    }

    fn enter(&mut self, slots: &mut [Slot], slot: usize) -> Result<Effect, ProtocolError> {
        let nr_tasks = self.nr_tasks;
        let state = slots.get_mut(slot).ok_or(ProtocolError::NoSuchSlot {
            expected: nr_tasks,
            found: slot,
        })?;
        if *state != Slot::Absent {
            return Err(ProtocolError::AlreadyIn { slot });
        }
        if let Some(failure) = self.failure() {
            return Err(ProtocolError::TooLate { failure });
        }
        *state = Slot::Waiting;
        self.entered = self.entered.saturating_add(1);
        self.inside = self.inside.saturating_add(1);
        if self.entered < self.nr_tasks {
            return Ok(Effect::default());
        }
        self.phase = Phase::Restoring { pos: 0 };
        Ok(wake(Actor::Slot(0)))
    }

    fn begin(&mut self, slots: &mut [Slot], slot: usize) -> Result<Effect, ProtocolError> {
        let actor = Actor::Slot(slot);
        let standing = self.standing(slots, actor)?;
        if standing != Slot::Waiting || self.turn(slots, actor) != Turn::Restore {
            return Err(ProtocolError::OutOfTurn { actor });
        }
        set(slots, slot, Slot::Restoring);
        Ok(Effect::default())
    }

    fn restored(&mut self, slots: &mut [Slot], slot: usize) -> Result<Effect, ProtocolError> {
        let actor = Actor::Slot(slot);
        let standing = self.standing(slots, actor)?;
        if standing != Slot::Restoring || self.turn(slots, actor) != Turn::Restore {
            return Err(ProtocolError::OutOfTurn { actor });
        }
        set(slots, slot, Slot::Restored);
        let pos = slot.saturating_add(1);
        if pos < self.nr_tasks {
            self.phase = Phase::Restoring { pos };
            return Ok(wake(Actor::Slot(pos)));
        }
        self.phase = Phase::Verifying;
        Ok(wake(self.owner()))
    }

    fn verified(&mut self, slots: &[Slot]) -> Result<Effect, ProtocolError> {
        let actor = self.owner();
        self.standing(slots, actor)?;
        if self.phase != Phase::Verifying {
            return Err(ProtocolError::OutOfTurn { actor });
        }
        self.phase = Phase::Releasing;
        Ok(Effect {
            wake: Wake::Everyone,
            last: false,
        })
    }

    fn failed(
        &mut self,
        slots: &[Slot],
        actor: Actor,
        errno: i32,
    ) -> Result<Effect, ProtocolError> {
        self.standing(slots, actor)?;
        if self.released() {
            return Err(ProtocolError::AlreadyReleased { actor });
        }
        Ok(self.fail(actor, errno))
    }

    /// A signal after the release is the restored task's own business.
    fn interrupted(&mut self, slots: &[Slot], actor: Actor) -> Result<Effect, ProtocolError> {
        self.standing(slots, actor)?;
        Ok(self.fail(actor, errno::EINTR))
    }

    fn died(&mut self, slots: &mut [Slot], actor: Actor) -> Result<Effect, ProtocolError> {
        if self.standing(slots, actor).is_ok() {
            return Ok(self.leave(slots, actor, errno::ESRCH));
        }
        match actor {
            Actor::Slot(slot) if slots.get(slot) == Some(&Slot::Absent) => {
                Ok(self.fail(actor, errno::ESRCH))
            }
            _ => Err(self.absence(actor)),
        }
    }

    /// Takes out a participant; `errno` is the failure that it is unless all
    /// are released.
    fn leave(&mut self, slots: &mut [Slot], actor: Actor, errno: i32) -> Effect {
        let mut effect = self.fail(actor, errno);
        match actor {
            Actor::Slot(slot) => set(slots, slot, Slot::Left),
            Actor::Coordinator => self.coordinator_in = false,
        }
        self.inside = self.inside.saturating_sub(1);
        effect.last = self.inside == 0;
        if effect.last && self.phase == Phase::Releasing {
            self.phase = Phase::Done;
        }
        effect
    }

    /// Fails the restart, unless it has failed or all are released.
    fn fail(&mut self, actor: Actor, errno: i32) -> Effect {
        if self.released() || self.failure().is_some() {
            return Effect::default();
        }
        let errno = if (1..=errno::MAX).contains(&errno) {
            errno
        } else {
            errno::EINVAL
        };
        self.phase = Phase::Failed(Failure { errno, actor });
        Effect {
            wake: Wake::Everyone,
            last: false,
        }
    }

    fn released(&self) -> bool {
        matches!(self.phase, Phase::Releasing | Phase::Done)
    }

    /// How a participant stands; the coordinator stands as one who waits.
    fn standing(&self, slots: &[Slot], actor: Actor) -> Result<Slot, ProtocolError> {
        let standing = match actor {
            Actor::Coordinator if self.coordinator_in => Some(Slot::Waiting),
            Actor::Coordinator => None,
            Actor::Slot(slot) => slots.get(slot).copied().filter(|slot| slot.is_in()),
        };
        standing.ok_or_else(|| self.absence(actor))
    }

    fn absence(&self, actor: Actor) -> ProtocolError {
        match actor {
            Actor::Slot(found) if found >= self.nr_tasks => ProtocolError::NoSuchSlot {
                expected: self.nr_tasks,
                found,
            },
            _ => ProtocolError::NotIn { actor },
        }
    }

    fn check_slots(&self, slots: &[Slot]) -> Result<(), ProtocolError> {
        if slots.len() == self.nr_tasks {
            return Ok(());
        }
        Err(ProtocolError::SlotCount {
            expected: self.nr_tasks,
            found: slots.len(),
        })
    }
}

fn wake(actor: Actor) -> Effect {
    Effect {
        wake: Wake::One(actor),
        last: false,
    }
}

fn set(slots: &mut [Slot], slot: usize, state: Slot) {
    if let Some(place) = slots.get_mut(slot) {
        *place = state;
    }
}
