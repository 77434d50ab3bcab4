// SPDX-License-Identifier: GPL-2.0-only

//! Invariants over every interleaving of up to five tasks, in both modes, with
//! every participant failing, being interrupted, dying or leaving at any time,
//! and with strangers and duplicates that want to come in.

use crate::explore::Graph;
use crate::machine::{Machine, View};
use checkpoint::restart::{Actor, Event, Mode, Phase, Turn};

const MOST_TASKS: usize = 5;
/// The most tasks whose every interleaving is walked; miri takes a thousand times as long.
const MOST_WALKED: usize = if cfg!(miri) { 1 } else { MOST_TASKS };

/// Explores every size of a restart in `mode`; gives the numbers of states. A
/// change of the machine that changes them is to be understood, not copied.
fn walk(mode: Mode) -> Vec<usize> {
    let sizes = (1..=MOST_WALKED).map(|nr| {
        let graph = Graph::explore(mode, nr);
        println!("{mode:?} of {nr}: {graph}");
        who_does_as_told_comes_to_the_end(&graph);
        every_kind_of_state_is_there(&graph, nr);
        graph.views.len()
    });
    sizes.collect()
}

#[test]
fn every_interleaving_in_root_mode() {
    let states = [17, 95, 399, 1435, 4719];
    assert_eq!(walk(Mode::Root), &states[..MOST_WALKED]);
}

#[test]
fn every_interleaving_in_coordinator_mode() {
    let states = [64, 309, 1197, 4125, 13301];
    assert_eq!(walk(Mode::Coordinator), &states[..MOST_WALKED]);
}

/// Invariant 18. In every state, however it came about, someone inside has
/// something to do that is taken and moves forward, unless nobody is inside or
/// all wait for tasks that have not come. As every step moves forward, doing
/// as told ends in one of those two; and by invariants 5 and 12 one signal
/// turns the second into a failed state, where nobody waits.
fn who_does_as_told_comes_to_the_end(graph: &Graph) {
    for view in &graph.views {
        let busy = view.duties().next().is_some();
        let over = view.inside == 0;
        let gathers = view.phase == Phase::Gathering;
        assert_eq!(busy, !over && !gathers, "{view:?}");
        if view.failure().is_some() {
            assert_eq!(view.duties().count(), view.inside, "one waits in {view:?}");
        }
    }
}

/// The walk has come everywhere: a walk that stops early proves nothing.
fn every_kind_of_state_is_there(graph: &Graph, nr: usize) {
    let any = |wanted: &dyn Fn(&View) -> bool| graph.views.iter().any(wanted);
    for pos in 0..nr {
        assert!(any(&|view| view.phase == Phase::Restoring { pos }));
        let actor = Actor::Slot(pos);
        // Each task is once the first to fail, and once a killed bystander.
        assert!(any(&|view| view
            .failure()
            .is_some_and(|f| f.actor == actor)));
        assert!(any(&|view| view
            .failure()
            .is_some_and(|f| f.actor != actor)
            && matches!(view.turn(actor), Turn::Abort { kill: true, .. })
            || nr == 1));
    }
    for phase in [
        Phase::Gathering,
        Phase::Verifying,
        Phase::Releasing,
        Phase::Done,
    ] {
        // A root that is alone is never waited for.
        let alone = phase == Phase::Gathering && nr == 1;
        assert!(any(&|view| view.phase == phase) || alone, "{phase:?}");
    }
}

/// Puts duties until there are none, those of later participants first.
fn do_as_told(machine: &mut Machine, missing: &[usize]) {
    let mut absent: Vec<_> = (0..machine.nr())
        .filter(|slot| !missing.contains(slot))
        .collect();
    loop {
        let view = machine.view();
        let duty = view.duties().last();
        let entry = absent.pop().map(|slot| Event::Enter { slot });
        let Some(event) = entry.or(duty) else {
            return;
        };
        let taken = machine.step(event).is_ok();
        assert!(taken || Some(event) == entry, "{event:?} in {view:?}");
    }
}

#[test]
fn without_faults_all_are_restored_and_released() {
    for mode in [Mode::Root, Mode::Coordinator] {
        for nr in [1, 2, 5, 17, 64]
            .into_iter()
            .filter(|nr| !cfg!(miri) || *nr <= MOST_TASKS)
        {
            let mut machine = Machine::new(mode, nr);
            do_as_told(&mut machine, &[]);
            assert_eq!(machine.phase(), Phase::Done);
            assert!(machine.over());
        }
    }
}

/// Whoever waits for a missing task can be interrupted, and all get away; the
/// same if the missing one is known to be dead.
#[test]
fn a_missing_task_holds_nobody_who_is_interrupted() {
    for mode in [Mode::Root, Mode::Coordinator] {
        let first = usize::from(mode == Mode::Root);
        for (nr, missing) in (2..=MOST_TASKS).flat_map(|nr| (first..nr).map(move |n| (nr, n))) {
            let mut waiting = Machine::new(mode, nr);
            do_as_told(&mut waiting, &[missing]);
            assert_eq!(waiting.phase(), Phase::Gathering);
            let view = waiting.view();
            let ends = view.inside().map(|actor| Event::Interrupted { actor });
            let actor = Actor::Slot(missing);
            for end in ends.chain([Event::Died { actor }]) {
                let mut machine = waiting.clone();
                machine.step(end).unwrap();
                do_as_told(&mut machine, &[missing]);
                assert!(machine.over(), "{end:?}");
                let late = machine.step(Event::Enter { slot: missing });
                let failure = machine.view().failure().unwrap();
                assert_eq!(late.unwrap_err().errno(), failure.errno);
            }
        }
    }
}
