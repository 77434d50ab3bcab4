// SPDX-License-Identifier: GPL-2.0-only

//! The driver of `restart::monitor` over threads: the same lock, wait and
//! wake that the kernel brings, under loom's scheduler.

use crate::room::{Cause, Mutation};
use crate::story::{Fault, Story};
use checkpoint::restart::{Actor, Mode};

const ROOT: Actor = Actor::Slot(0);
const ONE: Actor = Actor::Slot(1);
const COORDINATOR: Actor = Actor::Coordinator;

fn passes(mode: Mode, nr: usize, fault: Fault) {
    Story { mode, nr, fault }.check(Mutation::None);
}

/// P8: nobody goes on before all are restored.
#[test]
fn all_are_restored_in_order_and_released() {
    passes(Mode::Root, 1, Fault::None);
    passes(Mode::Root, 2, Fault::None);
    passes(Mode::Root, 3, Fault::None);
    passes(Mode::Coordinator, 1, Fault::None);
    passes(Mode::Coordinator, 2, Fault::None);
}

/// P4: whoever fails, all are woken.
#[test]
fn one_failure_reaches_everyone() {
    passes(Mode::Root, 2, Fault::Fails(0));
    passes(Mode::Root, 2, Fault::Fails(1));
    passes(Mode::Root, 3, Fault::Fails(1));
    passes(Mode::Coordinator, 2, Fault::Fails(0));
    passes(Mode::Coordinator, 2, Fault::Fails(1));
    passes(Mode::Root, 2, Fault::BadEnd);
    passes(Mode::Coordinator, 1, Fault::BadEnd);
}

/// P5: the owner's signal is a failure like any other.
#[test]
fn a_signal_ends_it_for_all_or_comes_too_late() {
    passes(Mode::Root, 2, Fault::Signal(ROOT));
    passes(Mode::Root, 2, Fault::Signal(ONE));
    passes(Mode::Coordinator, 1, Fault::Signal(COORDINATOR));
    passes(Mode::Coordinator, 1, Fault::Signal(ROOT));
}

#[test]
fn a_signal_that_comes_with_the_turn_is_none() {
    passes(Mode::Root, 2, Fault::SignalWith(Cause::AllIn, ROOT));
    passes(Mode::Root, 2, Fault::SignalWith(Cause::HandedOn, ONE));
    passes(Mode::Root, 2, Fault::SignalWith(Cause::AllRestored, ROOT));
    passes(Mode::Root, 2, Fault::SignalWith(Cause::Released, ONE));
    let with = Fault::SignalWith(Cause::Released, COORDINATOR);
    passes(Mode::Coordinator, 1, with);
}

/// P3: a task that lives and does not come holds nobody whom a signal reaches.
#[test]
fn who_waits_for_a_task_that_does_not_come_can_be_interrupted() {
    passes(Mode::Root, 3, Fault::Late(2, ROOT));
    passes(Mode::Root, 3, Fault::Late(2, ONE));
    passes(Mode::Coordinator, 2, Fault::Late(1, COORDINATOR));
    passes(Mode::Coordinator, 2, Fault::Late(1, ROOT));
}

/// P3: nobody goes on to wait for a task that cannot come.
#[test]
fn a_task_that_dies_before_it_comes_ends_it_for_all() {
    passes(Mode::Root, 2, Fault::Dies(1));
    passes(Mode::Root, 3, Fault::Dies(2));
    passes(Mode::Coordinator, 2, Fault::Dies(0));
}

#[test]
fn who_reads_a_silent_image_is_released_by_a_failure() {
    passes(Mode::Coordinator, 1, Fault::Silent(ROOT));
    passes(Mode::Coordinator, 2, Fault::Silent(ONE));
    passes(Mode::Root, 2, Fault::Silent(ONE));
}

#[test]
fn who_is_killed_while_it_restores_has_not_restored() {
    passes(Mode::Root, 1, Fault::Killed(0));
    passes(Mode::Root, 2, Fault::Killed(1));
    passes(Mode::Coordinator, 2, Fault::Killed(0));
}

#[test]
fn a_wake_up_for_nothing_does_no_harm() {
    passes(Mode::Root, 2, Fault::Stir);
    passes(Mode::Coordinator, 1, Fault::Stir);
}

/// A freezer ends waits too, and that is no signal.
#[test]
fn who_is_frozen_waits_on() {
    passes(Mode::Root, 2, Fault::Frozen(ROOT));
    passes(Mode::Root, 2, Fault::Frozen(ONE));
    passes(Mode::Coordinator, 1, Fault::Frozen(COORDINATOR));
    passes(Mode::Coordinator, 1, Fault::Frozen(ROOT));
}
