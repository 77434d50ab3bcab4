// SPDX-License-Identifier: GPL-2.0-only

//! Random sequences of events over trees of up to 64 tasks: the invariants of
//! the exhaustive walk, where that cannot go.

use crate::invariants::{check_state, check_step};
use crate::machine::{all_events, Machine, Step};
use checkpoint::restart::{Event, Mode, Phase, Slot};
use proptest::prelude::*;
use proptest::sample::Index;

/// What is put next, if it can be.
#[derive(Clone, Debug)]
enum Choice {
    /// One of the duties there are.
    Duty(Index),
    /// One of the tasks that have not come enters.
    Come(Index),
    /// Anything, sensible or not.
    Anything(Index),
}

impl Choice {
    fn event(&self, machine: &Machine) -> Option<Event> {
        let view = machine.view();
        let pick = |events: Vec<Event>, index: &Index| {
            (!events.is_empty()).then(|| events[index.index(events.len())])
        };
        match self {
            Choice::Duty(index) => pick(view.duties().collect(), index),
            Choice::Come(index) => {
                let slots = view.slots.iter().enumerate();
                let absent = slots.filter(|(_, slot)| **slot == Slot::Absent);
                pick(
                    absent.map(|(slot, _)| Event::Enter { slot }).collect(),
                    index,
                )
            }
            Choice::Anything(index) => pick(all_events(machine.nr()), index),
        }
    }
}

/// Choices with one event in `1000 / hostility` that may be anything.
fn choices(hostility: u32) -> impl Strategy<Value = Vec<Choice>> {
    let choice = prop_oneof![
        600 => any::<Index>().prop_map(Choice::Duty),
        400 => any::<Index>().prop_map(Choice::Come),
        hostility => any::<Index>().prop_map(Choice::Anything),
    ];
    prop::collection::vec(choice, 0..500)
}

fn any_mode() -> impl Strategy<Value = Mode> {
    prop_oneof![Just(Mode::Root), Just(Mode::Coordinator)]
}

/// Puts `event` and checks the step and the state behind it.
fn put(machine: &mut Machine, event: Event) {
    let before = machine.view();
    let outcome = machine.step(event);
    let after = machine.view();
    check_state(&after);
    check_step(&Step {
        before: &before,
        event,
        outcome,
        after: &after,
    });
}

fn run(mode: Mode, nr: usize, choices: &[Choice]) -> Machine {
    let mut machine = Machine::new(mode, nr);
    check_state(&machine.view());
    for choice in choices {
        if let Some(event) = choice.event(&machine) {
            put(&mut machine, event);
        }
    }
    machine
}

/// A failure, if none was, and all go as they are told.
fn end(machine: &mut Machine, index: &Index) {
    let view = machine.view();
    let inside: Vec<_> = view.inside().collect();
    if inside.is_empty() {
        return;
    }
    let actor = inside[index.index(inside.len())];
    put(machine, Event::Interrupted { actor });
    for _ in 0..inside.len() {
        let leaves = machine.view().duties().last();
        put(machine, leaves.unwrap());
    }
}

/// How often each property is tried; miri takes a thousand times as long.
const CASES: u32 = if cfg!(miri) { 1 } else { 96 };

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_seldom_goes_wrong_keeps_the_invariants(
        mode in any_mode(), nr in 1usize..65, choices in choices(3), index: Index,
    ) {
        let mut machine = run(mode, nr, &choices);
        end(&mut machine, &index);
        prop_assert!(machine.over());
    }

    #[test]
    fn what_often_goes_wrong_keeps_the_invariants(
        mode in any_mode(), nr in 1usize..65, choices in choices(300), index: Index,
    ) {
        let mut machine = run(mode, nr, &choices);
        end(&mut machine, &index);
        prop_assert!(machine.over());
    }

    #[test]
    fn in_whichever_order_they_come_all_are_restored(
        mode in any_mode(), nr in 1usize..65, choices in choices(0),
    ) {
        let mut machine = run(mode, nr, &choices);
        while !machine.over() {
            let view = machine.view();
            let absent = view.slots.iter().position(|slot| *slot == Slot::Absent);
            let entry = absent.map(|slot| Event::Enter { slot });
            put(&mut machine, entry.or(view.duties().next()).unwrap());
        }
        prop_assert_eq!(machine.phase(), Phase::Done);
    }
}
