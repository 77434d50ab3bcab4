// SPDX-License-Identifier: GPL-2.0-only

//! What holds in every state and at every step, numbered as in
//! `docs/restart.md`. A check gives what is wrong, so that a test can see that
//! it refuses what it is there to refuse.

use crate::machine::{Step, View};
use checkpoint::restart::state::errno;
use checkpoint::restart::{Actor, Event, Failure, Phase, Slot, Turn, Wake};

/// What is wrong, in words.
pub type Verdict = Result<(), String>;

/// Checks a state.
pub type StateCheck = fn(&View) -> Verdict;
/// Checks a step.
pub type StepCheck = fn(&Step<'_>) -> Verdict;

/// The invariants of a state, with their numbers.
pub const OF_STATES: [(&str, StateCheck); 6] = [
    ("1 order", order),
    ("2 root first", root_first),
    ("3 one at work", one_at_work),
    ("4 barrier", barrier),
    ("5 all learn", all_learn),
    ("6 counts", counts),
];

/// The invariants of a step, with their numbers.
pub const OF_STEPS: [(&str, StepCheck); 11] = [
    ("7 refusal", refusal_changes_nothing),
    ("8 entry", entry),
    ("9 turn", in_turn),
    ("10 release", release),
    ("11 first error", first_error),
    ("12 interruptible", interruptible),
    ("13 wake-up", no_wake_up_is_lost),
    ("14 last", last_leaves_once),
    ("15 forward", forward),
    ("16 own slot", own_slot),
    ("17 turn stands", turn_stands),
];

/// Panics with the number of the invariant that the state breaks.
pub fn check_state(view: &View) {
    for (name, check) in OF_STATES {
        if let Err(why) = check(view) {
            panic!("invariant {name}: {why} in {view:?}");
        }
    }
}

/// Panics with the number of the invariant that the step breaks.
pub fn check_step(step: &Step<'_>) {
    for (name, check) in OF_STEPS {
        if let Err(why) = check(step) {
            panic!("invariant {name}: {why} in {step:?}");
        }
    }
}

fn ensure(holds: bool, why: impl FnOnce() -> String) -> Verdict {
    if holds {
        return Ok(());
    }
    Err(why())
}

fn count(slots: &[Slot], wanted: Slot) -> usize {
    slots.iter().filter(|slot| **slot == wanted).count()
}

/// Tasks restore in the order of the tree, one at a time: before the one at
/// `pos` all are restored, behind it all wait.
fn order(view: &View) -> Verdict {
    let slots = &view.slots;
    ensure(count(slots, Slot::Restoring) <= 1, || {
        "two restore at once".into()
    })?;
    let Phase::Restoring { pos } = view.phase else {
        let gathering = view.phase == Phase::Gathering;
        let calm = gathering || view.phase == Phase::Verifying || view.released();
        return ensure(!calm || count(slots, Slot::Restoring) == 0, || {
            "one restores out of its phase".into()
        });
    };
    ensure(
        slots[..pos].iter().all(|slot| *slot == Slot::Restored),
        || format!("one before {pos} is not restored"),
    )?;
    ensure(
        matches!(slots[pos], Slot::Waiting | Slot::Restoring),
        || format!("{pos} neither waits nor restores"),
    )?;
    ensure(
        slots[pos + 1..].iter().all(|slot| *slot == Slot::Waiting),
        || format!("one behind {pos} does not wait"),
    )
}

/// Nobody has begun unless all before it have, the root before everyone.
fn root_first(view: &View) -> Verdict {
    let begun = view.begun.iter().take_while(|begun| **begun).count();
    ensure(view.begun[begun..].iter().all(|begun| !begun), || {
        format!("one behind {begun} has begun before it")
    })?;
    for (slot, begun) in view.slots.iter().zip(&view.begun) {
        let fits = match slot {
            Slot::Absent | Slot::Waiting => !begun,
            Slot::Restoring | Slot::Restored => *begun,
            Slot::Left => true,
        };
        ensure(fits, || format!("{slot:?} with begun {begun}"))?;
    }
    Ok(())
}

/// While tasks restore and while END is read, exactly one participant is not
/// told to wait: the task at `pos`, or the owner. While tasks are gathered
/// nobody is.
fn one_at_work(view: &View) -> Verdict {
    let expected = match view.phase {
        Phase::Gathering => None,
        Phase::Restoring { pos } => Some((Actor::Slot(pos), Turn::Restore)),
        Phase::Verifying => Some((view.owner, Turn::Verify)),
        Phase::Releasing | Phase::Done | Phase::Failed(_) => return Ok(()),
    };
    let mut told = view
        .inside()
        .map(|actor| (actor, view.turn(actor)))
        .filter(|(_, turn)| *turn != Turn::Wait);
    let first = told.next();
    ensure(first == expected && told.next().is_none(), || {
        format!("{first:?} is at work, not {expected:?}")
    })
}

/// Nobody is told to go on before all are restored; then everybody is.
fn barrier(view: &View) -> Verdict {
    let all = view.begun.iter().all(|begun| *begun)
        && view
            .slots
            .iter()
            .all(|slot| matches!(slot, Slot::Restored | Slot::Left));
    for actor in view.inside() {
        let told = view.turn(actor) == Turn::Release;
        ensure(told == view.released(), || {
            format!("{actor} is told {:?}", view.turn(actor))
        })?;
        ensure(!told || all, || {
            format!("{actor} goes before all are restored")
        })?;
    }
    ensure(view.phase != Phase::Verifying || all, || {
        "END is read before all are restored".into()
    })
}

/// After a failure everyone inside is told to leave with the first errno; who
/// has begun to restore must die, nobody else.
fn all_learn(view: &View) -> Verdict {
    for actor in view.inside() {
        let turn = view.turn(actor);
        let expected = view.failure().map(|failure| Turn::Abort {
            errno: failure.errno,
            kill: match actor {
                Actor::Slot(slot) => view.begun[slot],
                Actor::Coordinator => false,
            },
        });
        let aborts = matches!(turn, Turn::Abort { .. });
        ensure(
            expected.map_or(!aborts, |expected| turn == expected),
            || format!("{actor} is told {turn:?}, not {expected:?}"),
        )?;
    }
    Ok(())
}

/// `entered` and `inside` are what can be counted.
fn counts(view: &View) -> Verdict {
    let entered = view.slots.len() - count(&view.slots, Slot::Absent);
    let inside = view.inside().count();
    ensure((view.entered, view.inside) == (entered, inside), || {
        format!("{entered} have entered and {inside} are inside")
    })
}

/// A refused event changes nothing.
fn refusal_changes_nothing(step: &Step<'_>) -> Verdict {
    ensure(step.outcome.is_ok() || step.before == step.after, || {
        "a refused event changes the state".into()
    })
}

/// Who may come in: each task of the tree, once, as long as nothing failed.
/// Strangers and duplicates are refused with an errno of their own.
fn entry(step: &Step<'_>) -> Verdict {
    let Event::Enter { slot } = step.event else {
        return Ok(());
    };
    let expected = match (step.before.slots.get(slot), step.before.failure()) {
        (None, _) => Err(errno::ESRCH),
        (Some(Slot::Absent), None) => Ok(()),
        (Some(Slot::Absent), Some(failure)) => Err(failure.errno),
        (Some(_), _) => Err(errno::EBUSY),
    };
    let found = step.outcome.map(|_| ()).map_err(|refusal| refusal.errno());
    ensure(found == expected, || {
        format!("{found:?} instead of {expected:?}")
    })
}

/// Only who is told to restore begins, only who has begun is restored, only
/// the owner that is told to verifies.
fn in_turn(step: &Step<'_>) -> Verdict {
    let before = step.before;
    let (actor, turn, stands) = match step.event {
        Event::Begin { slot } => (Actor::Slot(slot), Turn::Restore, Slot::Waiting),
        Event::Restored { slot } => (Actor::Slot(slot), Turn::Restore, Slot::Restoring),
        Event::Verified => (before.owner, Turn::Verify, Slot::Restored),
        _ => return Ok(()),
    };
    let right = match actor {
        Actor::Slot(slot) => before.slots.get(slot) == Some(&stands),
        Actor::Coordinator => true,
    };
    let may = before.is_in(actor) && right && before.turn(actor) == turn;
    ensure(step.outcome.is_ok() == may, || {
        format!("{actor} may: {may}, and the answer is {:?}", step.outcome)
    })
}

/// All are released by END found right and by nothing else, and for good.
fn release(step: &Step<'_>) -> Verdict {
    let (before, after) = (step.before.released(), step.after.released());
    ensure(!before || after, || "a release is undone".into())?;
    ensure(before == after || step.event == Event::Verified, || {
        "released without END".into()
    })?;
    let whole = step.before.slots.iter().all(|slot| *slot == Slot::Restored);
    ensure(before || !after || whole, || {
        "released before all are restored".into()
    })
}

/// The first failure is kept, and is what the event that made it says.
fn first_error(step: &Step<'_>) -> Verdict {
    let (before, after) = (step.before.failure(), step.after.failure());
    let expected = match (before, step.event) {
        (Some(_), _) => before,
        (None, _) if after.is_none() => return Ok(()),
        (None, Event::Failed { actor, errno }) => Some(Failure { errno, actor }),
        (None, Event::Interrupted { actor } | Event::Leave { actor }) => Some(Failure {
            errno: errno::EINTR,
            actor,
        }),
        (None, Event::Died { actor }) => Some(Failure {
            errno: errno::ESRCH,
            actor,
        }),
        (None, _) => None,
    };
    ensure(after == expected, || {
        format!("{after:?} instead of {expected:?}")
    })
}

/// A signal, an error, a death and an early departure of anyone inside are
/// taken, and fail the restart unless all are released; so does the death of
/// a task that has not come.
fn interruptible(step: &Step<'_>) -> Verdict {
    let before = step.before;
    let (actor, refusable) = match step.event {
        Event::Interrupted { actor } | Event::Leave { actor } => (actor, false),
        Event::Failed { actor, .. } => (actor, before.released()),
        Event::Died { actor } => (actor, false),
        _ => return Ok(()),
    };
    let absent = match (step.event, actor) {
        (Event::Died { .. }, Actor::Slot(slot)) => before.slots.get(slot) == Some(&Slot::Absent),
        _ => false,
    };
    let taken = (before.is_in(actor) && !refusable) || absent;
    ensure(step.outcome.is_ok() == taken, || {
        format!("of {actor}: {:?}", step.outcome)
    })?;
    let fails = taken && !before.released();
    ensure(!fails || step.after.failure().is_some(), || {
        format!("{actor} does not end it")
    })
}

/// Who slept and now has something to do is woken by this very step; one that
/// is woken alone has something to do.
fn no_wake_up_is_lost(step: &Step<'_>) -> Verdict {
    let Ok(effect) = step.outcome else {
        return Ok(());
    };
    let slept = |actor: Actor| step.before.is_in(actor) && step.before.turn(actor) == Turn::Wait;
    for actor in step.after.inside() {
        let reached = match effect.wake {
            Wake::Nobody => false,
            Wake::One(one) => one == actor,
            Wake::Everyone => true,
        };
        let to_do = step.after.turn(actor) != Turn::Wait;
        ensure(reached || !slept(actor) || !to_do, || {
            format!("{actor} sleeps on")
        })?;
    }
    match effect.wake {
        Wake::One(actor) => ensure(
            step.after.is_in(actor) && step.after.turn(actor) != Turn::Wait,
            || format!("{actor} is woken for nothing"),
        ),
        Wake::Nobody | Wake::Everyone => Ok(()),
    }
}

/// The last to leave is told so, once; the context is freed with that.
fn last_leaves_once(step: &Step<'_>) -> Verdict {
    let (before, after) = (step.before.inside == 0, step.after.inside == 0);
    let last = step.outcome.is_ok_and(|effect| effect.last);
    ensure(last == (after && !before), || format!("last: {last}"))?;
    ensure(after || !before, || {
        "one comes in after the last left".into()
    })?;
    let done = step.after.phase == Phase::Done;
    ensure(done == (after && step.after.released()), || {
        format!("done: {done}, and all have gone: {after}")
    })
}

/// What changes anything moves forward, so every restart is finite.
fn forward(step: &Step<'_>) -> Verdict {
    let (before, after) = (step.before.progress(), step.after.progress());
    ensure(step.before == step.after || after > before, || {
        format!("progress {before} -> {after}")
    })
}

/// An event changes where its own participant stands, and nobody else.
fn own_slot(step: &Step<'_>) -> Verdict {
    let actor = actor_of(step.event, step.before.owner);
    let stands = match step.event {
        Event::Enter { .. } => Some(Slot::Waiting),
        Event::Begin { .. } => Some(Slot::Restoring),
        Event::Restored { .. } => Some(Slot::Restored),
        Event::Leave { .. } => Some(Slot::Left),
        Event::Died { actor } => step.before.is_in(actor).then_some(Slot::Left),
        Event::Failed { .. } | Event::Interrupted { .. } | Event::Verified => None,
    };
    let stands = stands.filter(|_| step.outcome.is_ok());
    let mut expected = step.before.slots.clone();
    let mut coordinator_in = step.before.coordinator_in;
    match (actor, stands) {
        (_, None) => {}
        (Actor::Slot(slot), Some(stands)) => {
            let place = expected.get_mut(slot).ok_or("of a stranger")?;
            *place = stands;
        }
        (Actor::Coordinator, Some(stands)) => coordinator_in = stands.is_in(),
    }
    let same = (&step.after.slots, step.after.coordinator_in) == (&expected, coordinator_in);
    ensure(same, || {
        format!("{:?} instead of {expected:?}", step.after.slots)
    })
}

/// What a participant has been told to do stands, whatever the others do, until
/// it is done or everything has failed: who acts on a turn that it saw a while
/// ago is not refused for that.
fn turn_stands(step: &Step<'_>) -> Verdict {
    let own = actor_of(step.event, step.before.owner);
    for actor in step.before.inside().filter(|actor| *actor != own) {
        let (told, now) = (step.before.turn(actor), step.after.turn(actor));
        let free = told == Turn::Wait || step.after.failure().is_some();
        ensure(free || now == told, || {
            format!("{actor} was told {told:?} and now {now:?}")
        })?;
    }
    Ok(())
}

/// With whom an event happens.
fn actor_of(event: Event, owner: Actor) -> Actor {
    match event {
        Event::Enter { slot } | Event::Begin { slot } | Event::Restored { slot } => {
            Actor::Slot(slot)
        }
        Event::Verified => owner,
        Event::Failed { actor, .. }
        | Event::Interrupted { actor }
        | Event::Died { actor }
        | Event::Leave { actor } => actor,
    }
}
