// SPDX-License-Identifier: GPL-2.0-only

//! Invariants over every interleaving of up to four tasks, in both modes, with
//! every participant failing, being interrupted, dying or leaving at any time.

use crate::explore::{explore, reaches, stuck, Edge, State};
use checkpoint::restart::state::errno;
use checkpoint::restart::{Actor, Event, Failure, Mode, Phase, Slot, Turn};

const SHAPES: [(Mode, usize); 8] = [
    (Mode::Root, 1),
    (Mode::Root, 2),
    (Mode::Root, 3),
    (Mode::Root, 4),
    (Mode::Coordinator, 1),
    (Mode::Coordinator, 2),
    (Mode::Coordinator, 3),
    (Mode::Coordinator, 4),
];

fn starts() -> impl Iterator<Item = State> {
    SHAPES.into_iter().map(|(mode, nr)| State::new(mode, nr))
}

#[test]
fn every_interleaving_keeps_the_invariants() {
    for start in starts() {
        let states = explore(start, State::all_events, |edge| {
            counts_are_right(edge);
            one_at_a_time_in_order(edge);
            nobody_is_released_early(edge);
            first_error_is_kept(edge);
            the_begun_die_and_the_others_do_not(edge);
            no_wake_up_is_lost(edge);
            the_last_leaves_once(edge);
        });
        assert!(states.iter().any(|state| state.over()));
    }
}

fn counts_are_right(edge: &Edge<'_>) {
    let after = edge.after;
    let inside = after.actors().into_iter().filter(|a| after.is_in(*a));
    assert_eq!(after.restart.inside(), inside.count());
    let entered = after.slots.iter().filter(|slot| **slot != Slot::Absent);
    assert_eq!(after.restart.entered(), entered.count());
}

fn one_at_a_time_in_order(edge: &Edge<'_>) {
    let told = edge
        .after
        .actors()
        .into_iter()
        .filter(|actor| edge.after.is_in(*actor) && edge.after.turn(*actor) == Turn::Restore);
    assert!(told.count() <= 1);
    if let Event::Begin { slot } = edge.event {
        let slots = &edge.before.slots;
        assert!(
            slots[..slot].iter().all(|s| *s == Slot::Restored),
            "{slots:?}"
        );
        assert!(
            slots[slot..].iter().all(|s| *s == Slot::Waiting),
            "{slots:?}"
        );
    }
}

fn nobody_is_released_early(edge: &Edge<'_>) {
    let released = |state: &State| matches!(state.restart.phase(), Phase::Releasing | Phase::Done);
    if released(edge.after) && !released(edge.before) {
        assert_eq!(edge.event, Event::Verified);
        assert!(edge.after.slots.iter().all(|slot| *slot == Slot::Restored));
    }
    if released(edge.before) {
        assert!(released(edge.after), "{:?} undoes a release", edge.event);
    }
    for actor in edge.after.actors() {
        if edge.after.is_in(actor) && edge.after.turn(actor) == Turn::Release {
            assert!(released(edge.after));
        }
    }
}

fn first_error_is_kept(edge: &Edge<'_>) {
    let failure = edge.after.restart.failure();
    if edge.before.failed() {
        assert_eq!(failure, edge.before.restart.failure());
    } else if edge.after.failed() {
        let expected = match edge.event {
            Event::Failed { actor, errno } => Failure { errno, actor },
            Event::Interrupted { actor } | Event::Leave { actor } => Failure {
                errno: errno::EINTR,
                actor,
            },
            Event::Died { actor } => Failure {
                errno: errno::ESRCH,
                actor,
            },
            Event::Enter { .. }
            | Event::Begin { .. }
            | Event::Restored { .. }
            | Event::Verified => {
                panic!("{:?} fails the restart", edge.event)
            }
        };
        assert_eq!(failure, Some(expected));
    }
}

fn the_begun_die_and_the_others_do_not(edge: &Edge<'_>) {
    let Some(failure) = edge.after.restart.failure() else {
        return;
    };
    for actor in edge.after.actors() {
        if edge.after.is_in(actor) {
            let kill = match actor {
                Actor::Slot(slot) => edge.after.begun[slot],
                Actor::Coordinator => false,
            };
            let errno = failure.errno;
            assert_eq!(edge.after.turn(actor), Turn::Abort { errno, kill });
        }
    }
}

/// Whoever slept and now has something to do is woken with that very step.
fn no_wake_up_is_lost(edge: &Edge<'_>) {
    for actor in edge.after.actors() {
        let slept = edge.before.is_in(actor) && edge.before.turn(actor) == Turn::Wait;
        let awake = edge.after.is_in(actor) && edge.after.turn(actor) != Turn::Wait;
        if slept && awake {
            assert!(reaches(edge.effect.wake, actor), "{:?} {actor}", edge.event);
        }
    }
}

fn the_last_leaves_once(edge: &Edge<'_>) {
    assert_eq!(edge.effect.last, edge.after.over() && !edge.before.over());
    if edge.before.over() {
        assert!(edge.after.over(), "{:?} revives", edge.event);
        assert!(!edge.effect.last);
    }
}

#[test]
fn who_does_as_told_comes_to_the_end() {
    for start in starts() {
        let dutiful = |state: &State| state.dutiful_events(&[]);
        let states = explore(start, dutiful, |_| {});
        assert_eq!(stuck(&states, dutiful, State::over), 0);
        for state in &states {
            assert!(!state.failed());
            let idle = dutiful(state)
                .iter()
                .all(|event| state.step(*event).is_none());
            assert_eq!(idle, state.over(), "{state:?}");
            if state.over() {
                assert_eq!(state.restart.phase(), Phase::Done);
            }
        }
    }
}

/// Once anything has failed, all that is needed is that participants do as
/// they are told: whoever is missing is not waited for.
#[test]
fn a_failed_restart_ends_without_the_missing() {
    for start in starts() {
        let missing: Vec<usize> = (0..start.slots.len()).collect();
        let states = explore(start, State::all_events, |_| {});
        for state in states.into_iter().filter(State::failed) {
            let dutiful = |state: &State| state.dutiful_events(&missing);
            let rest = explore(state, dutiful, |_| {});
            assert_eq!(stuck(&rest, dutiful, State::over), 0);
        }
    }
}

/// Whoever waits for a missing task can be interrupted, and all get away.
#[test]
fn a_missing_task_holds_nobody_who_is_interrupted() {
    for (mode, nr) in SHAPES {
        for missing in 0..nr {
            if mode == Mode::Root && missing == 0 {
                continue;
            }
            let dutiful = |state: &State| state.dutiful_events(&[missing]);
            let states = explore(State::new(mode, nr), dutiful, |_| {});
            for state in states {
                assert_eq!(state.restart.phase(), Phase::Gathering);
                for actor in state.actors() {
                    if let Some((woken, _)) = state.step(Event::Interrupted { actor }) {
                        let rest = explore(woken, dutiful, |_| {});
                        assert_eq!(stuck(&rest, dutiful, State::over), 0);
                    }
                }
                let actor = Actor::Slot(missing);
                let (dead, _) = state.step(Event::Died { actor }).unwrap();
                assert!(dead.failed());
            }
        }
    }
}
