// SPDX-License-Identifier: GPL-2.0-only

//! Breadth-first walk over all states that a restart can reach.

use checkpoint::restart::{Actor, Effect, Event, Mode, Phase, Restart, Slot, Turn, Wake};
use std::collections::{HashMap, HashSet, VecDeque};

/// A state of the machine with its slots.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub restart: Restart,
    pub slots: Vec<Slot>,
    /// Slots that have ever begun to restore; kept here, not by the machine.
    pub begun: Vec<bool>,
    /// Whether the coordinator is in, likewise.
    pub coordinator_in: bool,
}

impl State {
    pub fn new(mode: Mode, nr: usize) -> Self {
        let mut slots = vec![Slot::Restored; nr];
        let restart = Restart::new(mode, &mut slots).unwrap();
        State {
            restart,
            slots,
            begun: vec![false; nr],
            coordinator_in: mode == Mode::Coordinator,
        }
    }

    pub fn actors(&self) -> Vec<Actor> {
        let slots = (0..self.slots.len()).map(Actor::Slot);
        match self.restart.mode() {
            Mode::Root => slots.collect(),
            Mode::Coordinator => slots.chain([Actor::Coordinator]).collect(),
        }
    }

    pub fn is_in(&self, actor: Actor) -> bool {
        match actor {
            Actor::Coordinator => self.coordinator_in,
            Actor::Slot(slot) => self.slots[slot].is_in(),
        }
    }

    pub fn turn(&self, actor: Actor) -> Turn {
        self.restart.turn(&self.slots, actor)
    }

    /// The state behind `event`, if it is accepted.
    pub fn step(&self, event: Event) -> Option<(State, Effect)> {
        let mut next = self.clone();
        let effect = match next.restart.step(&mut next.slots, event) {
            Ok(effect) => effect,
            Err(_) => {
                assert_eq!(&next, self, "{event:?} is refused and changes the state");
                return None;
            }
        };
        match event {
            Event::Begin { slot } => next.begun[slot] = true,
            Event::Leave { actor } | Event::Died { actor } if actor == Actor::Coordinator => {
                next.coordinator_in = false;
            }
            _ => {}
        }
        Some((next, effect))
    }

    /// Every event that can be put, sensible or not.
    pub fn all_events(&self) -> Vec<Event> {
        let mut events = vec![Event::Verified];
        let slots = self.slots.len() + 1;
        for slot in 0..slots {
            events.extend([
                Event::Enter { slot },
                Event::Begin { slot },
                Event::Restored { slot },
            ]);
        }
        for actor in (0..slots).map(Actor::Slot).chain([Actor::Coordinator]) {
            // An errno of its own for each shows whose was kept.
            let errno = match actor {
                Actor::Slot(slot) => 100 + slot as i32,
                Actor::Coordinator => 99,
            };
            events.extend([
                Event::Failed { actor, errno },
                Event::Interrupted { actor },
                Event::Died { actor },
                Event::Leave { actor },
            ]);
        }
        events
    }

    /// The events of participants that do as they are told, with every one of
    /// `missing` staying away.
    pub fn dutiful_events(&self, missing: &[usize]) -> Vec<Event> {
        let mut events = Vec::new();
        for actor in self.actors() {
            match (actor, self.is_in(actor)) {
                (Actor::Slot(slot), false) => {
                    if !missing.contains(&slot) {
                        events.push(Event::Enter { slot });
                    }
                }
                (Actor::Coordinator, false) => {}
                (_, true) => events.extend(self.duty(actor)),
            }
        }
        events
    }

    fn duty(&self, actor: Actor) -> Option<Event> {
        match (self.turn(actor), actor) {
            (Turn::Wait, _) => None,
            (Turn::Restore, Actor::Slot(slot)) if self.begun[slot] => {
                Some(Event::Restored { slot })
            }
            (Turn::Restore, Actor::Slot(slot)) => Some(Event::Begin { slot }),
            (Turn::Restore, Actor::Coordinator) => panic!("coordinator told to restore"),
            (Turn::Verify, _) => Some(Event::Verified),
            (Turn::Release | Turn::Abort { .. }, _) => Some(Event::Leave { actor }),
        }
    }

    pub fn over(&self) -> bool {
        self.restart.inside() == 0
    }

    pub fn failed(&self) -> bool {
        matches!(self.restart.phase(), Phase::Failed(_))
    }
}

/// One accepted step.
pub struct Edge<'a> {
    pub before: &'a State,
    pub event: Event,
    pub effect: Effect,
    pub after: &'a State,
}

/// Walks all states reachable from `start` by `events`; calls `check` on every
/// step and gives the states.
pub fn explore(
    start: State,
    events: impl Fn(&State) -> Vec<Event>,
    mut check: impl FnMut(&Edge<'_>),
) -> HashSet<State> {
    let mut seen = HashSet::from([start.clone()]);
    let mut queue = VecDeque::from([start]);
    while let Some(before) = queue.pop_front() {
        for event in events(&before) {
            if let Some((after, effect)) = before.step(event) {
                check(&Edge {
                    before: &before,
                    event,
                    effect,
                    after: &after,
                });
                if seen.insert(after.clone()) {
                    queue.push_back(after);
                }
            }
        }
    }
    seen
}

/// The number of states from which no state with `goal` can be reached.
pub fn stuck(
    states: &HashSet<State>,
    events: impl Fn(&State) -> Vec<Event>,
    goal: impl Fn(&State) -> bool,
) -> usize {
    let mut before: HashMap<State, Vec<State>> = HashMap::new();
    for state in states {
        for event in events(state) {
            if let Some((after, _)) = state.step(event) {
                before.entry(after).or_default().push(state.clone());
            }
        }
    }
    let mut good: HashSet<State> = states.iter().filter(|s| goal(s)).cloned().collect();
    let mut queue: Vec<State> = good.iter().cloned().collect();
    while let Some(state) = queue.pop() {
        for earlier in before.get(&state).into_iter().flatten() {
            if good.insert(earlier.clone()) {
                queue.push(earlier.clone());
            }
        }
    }
    states.len() - good.len()
}

/// Whether a wake-up reaches `actor`.
pub fn reaches(wake: Wake, actor: Actor) -> bool {
    match wake {
        Wake::Nobody => false,
        Wake::One(one) => one == actor,
        Wake::Everyone => true,
    }
}
