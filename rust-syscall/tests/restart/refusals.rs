// SPDX-License-Identifier: GPL-2.0-only

//! What is refused, with which errno and which words.

use checkpoint::image::record::TreeEntry;
use checkpoint::image::tree;
use checkpoint::restart::{
    Actor, Effect, Event, Mode, Phase, ProtocolError, Restart, Slot, Turn, Wake,
};

fn refused(restart: &mut Restart, slots: &mut [Slot], event: Event) -> ProtocolError {
    let before = (restart.clone(), slots.to_vec());
    let refusal = restart.step(slots, event).expect_err("accepted");
    assert_eq!((restart.clone(), slots.to_vec()), before);
    refusal
}

/// P7: from one task to 32,768.
#[test]
fn trees_without_tasks_or_with_too_many_are_refused() {
    for mode in [Mode::Root, Mode::Coordinator] {
        for nr in [0, 32_769] {
            let refusal = Restart::new(mode, &mut vec![Slot::Absent; nr]).unwrap_err();
            assert_eq!(refusal, ProtocolError::TaskCount { found: nr });
            assert_eq!(refusal.errno(), 22);
        }
        assert!(Restart::new(mode, &mut vec![Slot::Absent; 32_768]).is_ok());
    }
}

/// P1: a duplicate is refused and counts for nothing.
#[test]
fn entering_twice_is_busy_and_counts_once() {
    let mut slots = [Slot::Absent; 3];
    let mut restart = Restart::new(Mode::Root, &mut slots).unwrap();
    for _ in 0..5 {
        let refusal = refused(&mut restart, &mut slots, Event::Enter { slot: 0 });
        assert_eq!(refusal, ProtocolError::AlreadyIn { slot: 0 });
        assert_eq!(refusal.errno(), 16);
    }
    restart.step(&mut slots, Event::Enter { slot: 2 }).unwrap();
    let refusal = refused(&mut restart, &mut slots, Event::Enter { slot: 2 });
    assert_eq!(refusal.to_string(), "task 2 has called restart already");
    assert_eq!(restart.phase(), Phase::Gathering);
    assert_eq!((restart.entered(), restart.inside()), (2, 2));
}

#[test]
fn a_stranger_has_no_slot() {
    let mut slots = [Slot::Absent; 2];
    let mut restart = Restart::new(Mode::Coordinator, &mut slots).unwrap();
    let refusal = refused(&mut restart, &mut slots, Event::Enter { slot: 2 });
    assert_eq!(refusal.errno(), 3);
    assert_eq!(
        refusal.to_string(),
        "task: expected a number below 2, found 2"
    );
    let actor = Actor::Slot(1);
    let refusal = refused(&mut restart, &mut slots, Event::Leave { actor });
    assert_eq!(refusal, ProtocolError::NotIn { actor });
    let turn = restart.turn(&slots, actor);
    assert_eq!(
        turn,
        Turn::Abort {
            errno: 3,
            kill: false
        }
    );
}

#[test]
fn other_slots_than_at_the_beginning_are_refused() {
    let mut slots = [Slot::Absent; 2];
    let mut restart = Restart::new(Mode::Root, &mut slots).unwrap();
    let refusal = refused(&mut restart, &mut slots[..1], Event::Enter { slot: 0 });
    let expected = 2;
    let found = 1;
    assert_eq!(refusal, ProtocolError::SlotCount { expected, found });
}

#[test]
fn who_comes_after_a_failure_learns_of_it() {
    let mut slots = [Slot::Absent; 2];
    let mut restart = Restart::new(Mode::Coordinator, &mut slots).unwrap();
    let actor = Actor::Coordinator;
    let errno = 74;
    let effect = restart.step(&mut slots, Event::Failed { actor, errno });
    assert_eq!(effect.unwrap().wake, Wake::Everyone);
    let refusal = refused(&mut restart, &mut slots, Event::Enter { slot: 1 });
    assert_eq!(refusal.errno(), 74);
    assert_eq!(
        refusal.to_string(),
        "the restart has failed before, at coordinator, errno 74"
    );
}

#[test]
fn an_errno_that_is_none_becomes_einval() {
    for errno in [0, -5, 4096, i32::MIN] {
        let mut slots = [Slot::Absent; 2];
        let mut restart = Restart::new(Mode::Root, &mut slots).unwrap();
        let actor = Actor::Slot(0);
        restart
            .step(&mut slots, Event::Failed { actor, errno })
            .unwrap();
        assert_eq!(restart.failure().unwrap().errno, 22);
    }
}

#[test]
fn a_signal_after_the_release_changes_nothing() {
    let mut slots = [Slot::Absent; 1];
    let mut restart = Restart::new(Mode::Root, &mut slots).unwrap();
    let actor = Actor::Slot(0);
    for event in [
        Event::Begin { slot: 0 },
        Event::Restored { slot: 0 },
        Event::Verified,
    ] {
        restart.step(&mut slots, event).unwrap();
    }
    let effect = restart.step(&mut slots, Event::Interrupted { actor });
    assert_eq!(effect, Ok(Effect::default()));
    assert_eq!(restart.turn(&slots, actor), Turn::Release);
    let failed = Event::Failed { actor, errno: 5 };
    let refusal = refused(&mut restart, &mut slots, failed);
    assert_eq!(refusal, ProtocolError::AlreadyReleased { actor });
    let effect = restart.step(&mut slots, Event::Leave { actor }).unwrap();
    assert!(effect.last);
    assert_eq!(restart.phase(), Phase::Done);
}

/// P2: who the image does not know has no slot, and so nothing to tell the machine:
/// the kernel looks the pid up before it enters.
#[test]
fn a_process_that_the_image_does_not_know_has_no_slot() {
    let entry = |pid, ppid| TreeEntry {
        pid,
        tgid: pid,
        ppid,
        pgid: 7,
        sid: 7,
    };
    let entries = [entry(7, 1), entry(30, 7), entry(12, 30)];
    let mut index = [0; 3];
    tree::check(&entries, &mut index).unwrap();
    for (slot, entry) in entries.iter().enumerate() {
        assert_eq!(tree::find(&entries, &index, entry.pid), Some(slot));
    }
    for stranger in [1, 0, -1, 8, 29, 31, i32::MAX, i32::MIN] {
        assert_eq!(tree::find(&entries, &index, stranger), None);
    }
}
