// SPDX-License-Identifier: GPL-2.0-only

//! States and steps made wrong by hand: every invariant refuses those that it
//! is there to refuse. Each starts from a real step of a real restart.

use crate::invariants::{OF_STATES, OF_STEPS};
use crate::machine::{Machine, Step, View};
use checkpoint::restart::{
    Actor, Effect, Event, Failure, Mode, Phase, ProtocolError, Slot, Turn, Wake,
};

/// A step with its states, free to be changed.
struct Made {
    before: View,
    event: Event,
    outcome: Result<Effect, ProtocolError>,
    after: View,
}

impl Made {
    /// Numbers of the invariants that this breaks.
    fn broken(&self) -> Vec<u32> {
        let states = OF_STATES
            .iter()
            .filter(|(_, check)| check(&self.after).is_err());
        let step = Step {
            before: &self.before,
            event: self.event,
            outcome: self.outcome,
            after: &self.after,
        };
        let steps = OF_STEPS.iter().filter(|(_, check)| check(&step).is_err());
        let names = states
            .map(|(name, _)| *name)
            .chain(steps.map(|(name, _)| *name));
        names
            .map(|name| name.split(' ').next().unwrap().parse().unwrap())
            .collect()
    }
}

const ROOT: Actor = Actor::Slot(0);
const ONE: Actor = Actor::Slot(1);
const TWO: Actor = Actor::Slot(2);

/// The events of a restart of three tasks in root mode without faults.
const CALM: [Event; 12] = [
    Event::Enter { slot: 2 },
    Event::Enter { slot: 1 },
    Event::Begin { slot: 0 },
    Event::Restored { slot: 0 },
    Event::Begin { slot: 1 },
    Event::Restored { slot: 1 },
    Event::Begin { slot: 2 },
    Event::Restored { slot: 2 },
    Event::Verified,
    Event::Leave { actor: ROOT },
    Event::Leave { actor: TWO },
    Event::Leave { actor: ONE },
];

/// `event` after the first `done` events of [`CALM`].
fn after(done: usize, event: Event) -> Made {
    after_all(&CALM[..done], event)
}

fn after_all(events: &[Event], event: Event) -> Made {
    let mut machine = Machine::new(Mode::Root, 3);
    for event in events {
        machine.step(*event).unwrap();
    }
    let before = machine.view();
    let outcome = machine.step(event);
    let after = machine.view();
    let made = Made {
        before,
        event,
        outcome,
        after,
    };
    assert_eq!(made.broken(), [0; 0], "before it is made wrong");
    made
}

fn calm(nr: usize) -> Made {
    after(nr, CALM[nr])
}

/// Task 1 fails while it restores.
fn failure() -> Made {
    let event = Event::Failed {
        actor: ONE,
        errno: 5,
    };
    after(5, event)
}

/// Task 2 fails after task 1 has.
fn second_failure() -> Made {
    let mut events = CALM[..5].to_vec();
    events.push(failure().event);
    let event = Event::Failed {
        actor: TWO,
        errno: 12,
    };
    after_all(&events, event)
}

fn wakes(made: &mut Made, wake: Wake) {
    made.outcome = Ok(Effect { wake, last: false });
}

#[track_caller]
fn refused_by(number: u32, mut made: Made, spoil: impl FnOnce(&mut Made)) {
    spoil(&mut made);
    let broken = made.broken();
    assert!(broken.contains(&number), "only {broken:?} refuse it");
}

#[test]
fn a_calm_restart_and_a_failed_one_are_right() {
    for nr in 0..CALM.len() {
        calm(nr);
    }
    failure();
    second_failure();
}

#[test]
fn wrong_orders_are_refused() {
    refused_by(1, calm(3), |m| m.after.phase = Phase::Restoring { pos: 2 });
    refused_by(1, calm(3), |m| m.after.slots[0] = Slot::Waiting);
    refused_by(1, calm(3), |m| m.after.slots[2] = Slot::Restored);
    refused_by(1, calm(4), |m| m.after.slots[2] = Slot::Restoring);
    refused_by(1, calm(8), |m| m.after.slots[2] = Slot::Restoring);
    refused_by(2, calm(2), |m| m.after.begun = vec![false, true, false]);
    refused_by(2, calm(2), |m| m.after.slots[1] = Slot::Restored);
    refused_by(3, calm(3), |m| m.after.turns[2] = Turn::Restore);
    refused_by(3, calm(3), |m| m.after.turns[1] = Turn::Wait);
    refused_by(3, calm(7), |m| m.after.turns[1] = Turn::Verify);
    refused_by(3, calm(0), |m| m.after.turns[0] = Turn::Restore);
    refused_by(9, calm(2), |m| m.before.turns[0] = Turn::Wait);
    refused_by(9, after(2, Event::Begin { slot: 1 }), |m| {
        m.outcome = Ok(Effect::default())
    });
    refused_by(9, after(5, Event::Verified), |m| {
        m.outcome = Ok(Effect::default())
    });
}

#[test]
fn early_and_undone_releases_are_refused() {
    refused_by(4, calm(5), |m| m.after.turns[0] = Turn::Release);
    refused_by(4, calm(8), |m| m.after.turns[2] = Turn::Wait);
    refused_by(4, calm(8), |m| m.after.slots[2] = Slot::Waiting);
    refused_by(4, calm(7), |m| m.after.begun[2] = false);
    refused_by(10, calm(7), |m| m.after.phase = Phase::Releasing);
    refused_by(10, calm(8), |m| m.before.slots[1] = Slot::Waiting);
    refused_by(10, calm(9), |m| m.after.phase = Phase::Verifying);
}

#[test]
fn errors_that_are_lost_or_changed_are_refused() {
    let other = Failure {
        errno: 12,
        actor: TWO,
    };
    let abort = |errno, kill| Turn::Abort { errno, kill };
    refused_by(5, failure(), |m| m.after.turns[2] = Turn::Wait);
    refused_by(5, failure(), |m| m.after.turns[2] = abort(12, false));
    refused_by(5, failure(), |m| m.after.turns[0] = abort(5, false));
    refused_by(5, failure(), |m| m.after.turns[2] = abort(5, true));
    refused_by(5, calm(5), |m| m.after.turns[2] = abort(5, false));
    refused_by(11, second_failure(), |m| {
        m.after.phase = Phase::Failed(other)
    });
    refused_by(11, failure(), |m| m.after.phase = Phase::Failed(other));
    refused_by(11, second_failure(), |m| {
        m.after.phase = Phase::Restoring { pos: 1 }
    });
    let interrupted = || after(1, Event::Interrupted { actor: TWO });
    refused_by(12, interrupted(), |m| m.after.phase = Phase::Gathering);
    refused_by(12, interrupted(), |m| {
        m.outcome = Err(ProtocolError::OutOfTurn { actor: TWO })
    });
    refused_by(12, after(1, Event::Died { actor: ONE }), |m| {
        m.outcome = Err(ProtocolError::NotIn { actor: ONE })
    });
}

#[test]
fn strangers_and_duplicates_that_count_are_refused() {
    let accepted = Ok(Effect::default());
    refused_by(8, after(1, Event::Enter { slot: 3 }), |m| {
        m.outcome = accepted
    });
    refused_by(8, after(1, Event::Enter { slot: 2 }), |m| {
        m.outcome = accepted
    });
    refused_by(8, calm(1), |m| {
        m.outcome = Err(ProtocolError::NoSuchSlot {
            expected: 3,
            found: 1,
        })
    });
    refused_by(7, after(1, Event::Enter { slot: 2 }), |m| {
        m.after.entered = 3
    });
    refused_by(7, after(1, Event::Enter { slot: 3 }), |m| {
        m.after.slots[1] = Slot::Waiting
    });
    refused_by(6, calm(0), |m| m.after.entered = 3);
    refused_by(6, calm(9), |m| m.after.inside = 3);
}

#[test]
fn lost_wake_ups_are_refused() {
    for nr in [1, 3, 5, 7, 8] {
        refused_by(13, calm(nr), |m| wakes(m, Wake::Nobody));
        refused_by(13, calm(nr), |m| wakes(m, Wake::One(Actor::Coordinator)));
    }
    refused_by(13, calm(3), |m| wakes(m, Wake::One(TWO)));
    refused_by(13, calm(8), |m| wakes(m, Wake::One(ONE)));
    refused_by(13, failure(), |m| wakes(m, Wake::Nobody));
    refused_by(13, failure(), |m| wakes(m, Wake::One(ROOT)));
    refused_by(13, calm(0), |m| wakes(m, Wake::One(ROOT)));
}

#[test]
fn contexts_that_are_freed_twice_or_never_are_refused() {
    let last = |last| {
        Ok(Effect {
            wake: Wake::Nobody,
            last,
        })
    };
    refused_by(14, calm(11), |m| m.outcome = last(false));
    refused_by(14, calm(10), |m| m.outcome = last(true));
    refused_by(14, calm(11), |m| m.before.inside = 0);
    refused_by(14, calm(11), |m| m.after.phase = Phase::Releasing);
    refused_by(14, calm(10), |m| m.before.inside = 0);
    refused_by(14, calm(10), |m| m.after.phase = Phase::Done);
}

#[test]
fn steps_backwards_and_for_others_are_refused() {
    refused_by(15, calm(9), |m| m.after.slots[0] = Slot::Waiting);
    refused_by(15, calm(3), |m| m.after.phase = Phase::Gathering);
    refused_by(16, calm(9), |m| m.after.slots[1] = Slot::Left);
    refused_by(16, calm(9), |m| m.after.slots[0] = Slot::Restored);
    refused_by(16, failure(), |m| m.after.slots[1] = Slot::Left);
    refused_by(16, calm(1), |m| m.after.coordinator_in = true);
    let late = || after(8, Event::Enter { slot: 3 });
    refused_by(17, late(), |m| m.after.turns[0] = Turn::Wait);
    refused_by(17, calm(9), |m| m.after.turns[1] = Turn::Wait);
    refused_by(17, after(4, Event::Enter { slot: 0 }), |m| {
        m.after.turns[1] = Turn::Verify
    });
}
