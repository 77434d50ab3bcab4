// SPDX-License-Identifier: GPL-2.0-only

//! The models of `threads` are strong enough: each single thing that the
//! monitor can leave out or do in the wrong place makes one of them fail, and
//! in the way that one expects. The same stories pass without the mutation.

use crate::room::{Cause, Mutation};
use crate::story::{Fault, Story};
use checkpoint::restart::{Actor, Mode};
use std::panic::catch_unwind;

const ROOT: Actor = Actor::Slot(0);
const ONE: Actor = Actor::Slot(1);

/// How a model fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Caught {
    /// All sleep, and nobody is there to wake them.
    Deadlock,
    /// One goes round and round.
    Endless,
    /// The threads come to an end, to a wrong one.
    WrongEnd,
}

/// The failure that loom finds, if it finds one.
fn run(story: Story, mutation: Mutation) -> Option<Caught> {
    let panic = catch_unwind(|| story.check(mutation)).err()?;
    let words = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or(panic.downcast_ref::<&str>().copied())
        .unwrap_or_default();
    Some(if words.starts_with("deadlock") {
        Caught::Deadlock
    } else if words.starts_with("Model exceeded") {
        Caught::Endless
    } else {
        Caught::WrongEnd
    })
}

#[track_caller]
fn caught(mutation: Mutation, mode: Mode, nr: usize, fault: Fault, how: Caught) {
    let story = Story { mode, nr, fault };
    assert_eq!(run(story, Mutation::None), None, "without mutation");
    assert_eq!(run(story, mutation), Some(how), "{mutation:?}");
}

/// One test for each line: the mutation, the story that catches it, and how.
macro_rules! mutants {
    ($($(#[$about:meta])* $name:ident: $mutation:expr, $mode:ident of $nr:literal, $fault:expr => $how:ident;)*) => {
        $(
            $(#[$about])*
            #[test]
            fn $name() {
                caught($mutation, Mode::$mode, $nr, $fault, Caught::$how);
            }
        )*
    };
}

mutants! {
    root_not_woken_when_all_are_in:
        Mutation::Forget(Cause::AllIn), Root of 2, Fault::None => Deadlock;
    root_not_woken_when_all_are_in_beside_a_coordinator:
        Mutation::Forget(Cause::AllIn), Coordinator of 2, Fault::None => Deadlock;
    next_not_woken:
        Mutation::Forget(Cause::HandedOn), Root of 2, Fault::None => Deadlock;
    root_not_woken_to_verify:
        Mutation::Forget(Cause::AllRestored), Root of 2, Fault::None => Deadlock;
    coordinator_not_woken_to_verify:
        Mutation::Forget(Cause::AllRestored), Coordinator of 1, Fault::None => Deadlock;
    nobody_woken_at_the_release:
        Mutation::Forget(Cause::Released), Root of 2, Fault::None => Deadlock;
    nobody_woken_after_a_failure:
        Mutation::Forget(Cause::Failed), Root of 2, Fault::Fails(0) => Deadlock;
    nobody_woken_after_a_wrong_end:
        Mutation::Forget(Cause::Failed), Root of 2, Fault::BadEnd => Deadlock;
    coordinator_not_woken_after_a_failure:
        Mutation::ForgetCoordinator, Coordinator of 1, Fault::Fails(0) => Deadlock;
    one_woken_at_the_release_instead_of_all:
        Mutation::WakeRootForEveryone, Coordinator of 2, Fault::None => Deadlock;
    one_woken_after_a_failure_instead_of_all:
        Mutation::WakeRootForEveryone, Root of 2, Fault::Fails(0) => Deadlock;
    nobody_woken_after_a_signal:
        Mutation::Forget(Cause::Interrupted), Root of 3, Fault::Late(2, ONE) => Deadlock;
    nobody_woken_after_a_death:
        Mutation::Forget(Cause::Missing), Root of 3, Fault::Dies(2) => Deadlock;
    /// P11: whose turn it is is woken, and no other would do.
    wrong_one_woken:
        Mutation::WakeNeighbour, Root of 2, Fault::None => Deadlock;
    woken_before_the_step:
        Mutation::WakeBeforeStep, Root of 2, Fault::None => Deadlock;
    asleep_before_the_first_look:
        Mutation::SleepBeforeLooking, Root of 2, Fault::None => Deadlock;
    no_look_after_a_wake_up:
        Mutation::SleepOn, Root of 2, Fault::None => Deadlock;
    turn_guessed_from_a_wake_up:
        Mutation::TrustWakeUp, Root of 2, Fault::None => WrongEnd;
    turn_guessed_from_a_wake_up_for_nothing:
        Mutation::TrustWakeUp, Root of 2, Fault::Stir => WrongEnd;
    lock_dropped_between_look_and_sleep:
        Mutation::LookOutsideLock, Root of 2, Fault::None => Deadlock;
    no_look_after_a_signal:
        Mutation::TrustSignal, Root of 2, Fault::SignalWith(Cause::HandedOn, ONE) => WrongEnd;
    signal_before_the_turn:
        Mutation::SignalFirst, Root of 2, Fault::Signal(ROOT) => Endless;
    deaf_to_signals:
        Mutation::Deaf, Root of 3, Fault::Late(2, ONE) => Deadlock;
    no_look_for_the_dead:
        Mutation::WaitForTheDead, Root of 2, Fault::Dies(1) => Deadlock;
    reader_not_woken_after_a_failure:
        Mutation::ForgetReader, Coordinator of 1, Fault::Silent(ROOT) => Deadlock;
    image_taken_in_hand_after_a_failure:
        Mutation::ReadAfterFailure, Coordinator of 1, Fault::Silent(ROOT) => Deadlock;
    success_reported_by_who_is_killed:
        Mutation::ReportWhileDying, Root of 2, Fault::Killed(1) => WrongEnd;
    freezer_taken_for_a_signal:
        Mutation::GiveUpFrozen, Root of 2, Fault::Frozen(ROOT) => WrongEnd;
    no_look_after_a_thaw:
        Mutation::SleepAfterThaw, Root of 2, Fault::Frozen(ROOT) => Deadlock;
}
