// SPDX-License-Identifier: GPL-2.0-only

//! The state machine with its slots, the events that can be put to it, and a
//! view of a state that checks can look at, or that a test can falsify.

use checkpoint::restart::{
    Actor, Effect, Event, Failure, Mode, Phase, ProtocolError, Restart, Slot, Turn,
};

/// The machine, its slots, and what it has no memory of itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Machine {
    restart: Restart,
    slots: Vec<Slot>,
    /// Bit N: task N has begun to restore.
    begun: u64,
    coordinator_in: bool,
}

impl Machine {
    /// A restart of up to 64 tasks that has just begun.
    pub fn new(mode: Mode, nr: usize) -> Self {
        let mut slots = vec![Slot::Restored; nr];
        let restart = Restart::new(mode, &mut slots).unwrap();
        Machine {
            restart,
            slots,
            begun: 0,
            coordinator_in: mode == Mode::Coordinator,
        }
    }

    /// Puts `event`.
    pub fn step(&mut self, event: Event) -> Result<Effect, ProtocolError> {
        let effect = self.restart.step(&mut self.slots, event)?;
        match event {
            Event::Begin { slot } => self.begun |= 1 << slot,
            Event::Leave { actor } | Event::Died { actor } if actor == Actor::Coordinator => {
                self.coordinator_in = false;
            }
            _ => {}
        }
        Ok(effect)
    }

    pub fn view(&self) -> View {
        let actors = (0..self.slots.len()).map(Actor::Slot);
        let actors = actors.chain([Actor::Coordinator]);
        View {
            mode: self.restart.mode(),
            phase: self.restart.phase(),
            owner: self.restart.owner(),
            entered: self.restart.entered(),
            inside: self.restart.inside(),
            turns: actors.map(|a| self.restart.turn(&self.slots, a)).collect(),
            begun: (0..self.slots.len())
                .map(|slot| self.begun >> slot & 1 == 1)
                .collect(),
            slots: self.slots.clone(),
            coordinator_in: self.coordinator_in,
        }
    }

    pub fn nr(&self) -> usize {
        self.slots.len()
    }

    /// Nobody is inside any more.
    pub fn over(&self) -> bool {
        self.restart.inside() == 0
    }

    pub fn phase(&self) -> Phase {
        self.restart.phase()
    }
}

/// What can be seen of a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    pub mode: Mode,
    pub phase: Phase,
    pub owner: Actor,
    pub entered: usize,
    pub inside: usize,
    /// By slot; the coordinator's behind them.
    pub turns: Vec<Turn>,
    pub begun: Vec<bool>,
    pub slots: Vec<Slot>,
    pub coordinator_in: bool,
}

impl View {
    /// Everyone who takes part now.
    pub fn inside(&self) -> impl Iterator<Item = Actor> + '_ {
        let slots = self.slots.iter().enumerate();
        let slots = slots
            .filter(|(_, slot)| slot.is_in())
            .map(|(n, _)| Actor::Slot(n));
        slots.chain(self.coordinator_in.then_some(Actor::Coordinator))
    }

    pub fn is_in(&self, actor: Actor) -> bool {
        match actor {
            Actor::Slot(slot) => self.slots.get(slot).is_some_and(|slot| slot.is_in()),
            Actor::Coordinator => self.coordinator_in,
        }
    }

    pub fn turn(&self, actor: Actor) -> Turn {
        match actor {
            Actor::Slot(slot) => self.turns[slot],
            Actor::Coordinator => self.turns[self.slots.len()],
        }
    }

    pub fn failure(&self) -> Option<Failure> {
        match self.phase {
            Phase::Failed(failure) => Some(failure),
            _ => None,
        }
    }

    pub fn released(&self) -> bool {
        matches!(self.phase, Phase::Releasing | Phase::Done)
    }

    /// Who has to do something, and what: nothing for who sleeps.
    pub fn duties(&self) -> impl Iterator<Item = Event> + '_ {
        self.inside()
            .filter_map(|actor| match (self.turn(actor), actor) {
                (Turn::Wait, _) => None,
                (Turn::Restore, Actor::Slot(slot)) if self.begun[slot] => {
                    Some(Event::Restored { slot })
                }
                (Turn::Restore, Actor::Slot(slot)) => Some(Event::Begin { slot }),
                (Turn::Restore, Actor::Coordinator) => panic!("the coordinator is to restore"),
                (Turn::Verify, _) => Some(Event::Verified),
                (Turn::Release | Turn::Abort { .. }, _) => Some(Event::Leave { actor }),
            })
    }

    /// How far everything is. An event that changes something adds to it.
    pub fn progress(&self) -> usize {
        let phase = match self.phase {
            Phase::Gathering => 0,
            Phase::Restoring { pos } => 1 + pos,
            Phase::Verifying => 1 + self.slots.len(),
            Phase::Releasing | Phase::Failed(_) => 2 + self.slots.len(),
            Phase::Done => 3 + self.slots.len(),
        };
        let slots = self.slots.iter().map(|slot| *slot as usize);
        phase + slots.sum::<usize>() + usize::from(!self.coordinator_in)
    }
}

/// Every event that can be put to a restart of `nr` tasks, sensible or not:
/// also those of a task that the tree does not have, by two numbers.
pub fn all_events(nr: usize) -> Vec<Event> {
    let slots = || (0..=nr).chain([usize::MAX]);
    let mut events = vec![Event::Verified];
    for slot in slots() {
        events.extend([
            Event::Enter { slot },
            Event::Begin { slot },
            Event::Restored { slot },
        ]);
    }
    for actor in slots().map(Actor::Slot).chain([Actor::Coordinator]) {
        let errno = errno_of(actor);
        events.extend([
            Event::Failed { actor, errno },
            Event::Interrupted { actor },
            Event::Died { actor },
            Event::Leave { actor },
        ]);
    }
    events
}

/// An errno of its own for each shows whose was kept.
fn errno_of(actor: Actor) -> i32 {
    match actor {
        Actor::Slot(slot) => 100 + slot.min(999) as i32,
        Actor::Coordinator => 99,
    }
}

/// One event put to the machine, and what came of it.
#[derive(Debug)]
pub struct Step<'a> {
    pub before: &'a View,
    pub event: Event,
    pub outcome: Result<Effect, ProtocolError>,
    pub after: &'a View,
}
