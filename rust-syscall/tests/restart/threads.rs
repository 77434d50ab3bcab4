// SPDX-License-Identifier: GPL-2.0-only

//! The driver of `restart::monitor` over threads: the same lock, wait and
//! wake that the kernel brings, under loom's scheduler.

use checkpoint::restart::monitor::{enter, take_part};
use checkpoint::restart::{Actor, Ending, Mode, Monitor, Restart, Slot, Turn, Wake, Work};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

/// A mutex, and a place to sleep for each slot and for the coordinator.
struct Room {
    state: Mutex<(Restart, Vec<Slot>)>,
    beds: Vec<Condvar>,
    log: Mutex<Vec<usize>>,
    /// Has a signal pending, which it takes when it would sleep.
    signalled: Option<Actor>,
}

impl Room {
    fn new(mode: Mode, nr: usize, signalled: Option<Actor>) -> Arc<Self> {
        let mut slots = vec![Slot::Absent; nr];
        let restart = Restart::new(mode, &mut slots).unwrap();
        Arc::new(Room {
            state: Mutex::new((restart, slots)),
            beds: (0..=nr).map(|_| Condvar::new()).collect(),
            log: Mutex::new(Vec::new()),
            signalled,
        })
    }

    fn bed(&self, actor: Actor) -> &Condvar {
        match actor {
            Actor::Slot(slot) => &self.beds[slot],
            Actor::Coordinator => &self.beds[self.beds.len() - 1],
        }
    }
}

impl Monitor for Room {
    fn with<R>(&self, act: impl FnOnce(&mut Restart, &mut [Slot]) -> R) -> R {
        let mut state = self.state.lock().unwrap();
        let (restart, slots) = &mut *state;
        act(restart, slots)
    }

    fn wait(&self, actor: Actor) -> Option<Turn> {
        let mut state = self.state.lock().unwrap();
        loop {
            match state.0.turn(&state.1, actor) {
                Turn::Wait if self.signalled == Some(actor) => return None,
                Turn::Wait => state = self.bed(actor).wait(state).unwrap(),
                turn => return Some(turn),
            }
        }
    }

    fn wake(&self, wake: Wake) {
        // The lock orders the wake-up behind the sleeper's look at its turn;
        // a kernel wait queue has a lock of its own for that.
        drop(self.state.lock().unwrap());
        match wake {
            Wake::Nobody => {}
            Wake::One(actor) => self.bed(actor).notify_all(),
            Wake::Everyone => self.beds.iter().for_each(Condvar::notify_all),
        }
    }
}

/// Restores by writing its number down; one of them may fail.
struct Part {
    room: Arc<Room>,
    slot: usize,
    fails: Option<i32>,
}

impl Work for Part {
    fn restore(&mut self) -> Result<(), i32> {
        self.room.log.lock().unwrap().push(self.slot);
        self.fails.map_or(Ok(()), Err)
    }

    fn verify(&mut self) -> Result<(), i32> {
        Ok(())
    }
}

fn run(
    mode: Mode,
    nr: usize,
    failing: Option<usize>,
    signalled: Option<Actor>,
) -> (Vec<Ending>, Vec<usize>) {
    let room = Room::new(mode, nr, signalled);
    let owner = match mode {
        Mode::Root => Actor::Slot(0),
        Mode::Coordinator => Actor::Coordinator,
    };
    let part = |slot| Part {
        room: room.clone(),
        slot,
        fails: (failing == Some(slot)).then_some(5),
    };
    let first = usize::from(mode == Mode::Root);
    let others: Vec<_> = (first..nr)
        .map(|slot| {
            let mut part = part(slot);
            thread::spawn(move || {
                let room = part.room.clone();
                if let Err(refusal) = enter(&*room, slot) {
                    return refused(refusal.errno());
                }
                take_part(&*room, Actor::Slot(slot), &mut part)
            })
        })
        .collect();
    let mut endings = vec![take_part(&*room, owner, &mut part(0))];
    endings.extend(others.into_iter().map(|other| other.join().unwrap()));
    let log = room.log.lock().unwrap().clone();
    (endings, log)
}

/// The ending of a task that came too late to take part.
fn refused(errno: i32) -> Ending {
    let kill = false;
    Ending {
        turn: Turn::Abort { errno, kill },
        last: false,
    }
}

fn model(check: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(check);
}

#[test]
fn all_are_restored_in_order_and_released() {
    for (mode, nr) in [(Mode::Root, 2), (Mode::Root, 3), (Mode::Coordinator, 2)] {
        model(move || {
            let (endings, log) = run(mode, nr, None, None);
            assert!(endings.iter().all(|ending| ending.turn == Turn::Release));
            assert_eq!(endings.iter().filter(|ending| ending.last).count(), 1);
            assert_eq!(log, (0..nr).collect::<Vec<_>>());
        });
    }
}

#[test]
fn one_failure_reaches_everyone() {
    for (mode, nr, failing) in [(Mode::Root, 2, 1), (Mode::Coordinator, 2, 0)] {
        model(move || {
            let (endings, log) = run(mode, nr, Some(failing), None);
            let killed = endings.iter().map(|ending| match ending.turn {
                Turn::Abort { errno: 5, kill } => usize::from(kill),
                turn => panic!("{turn:?}"),
            });
            assert_eq!(killed.sum::<usize>(), failing + 1);
            assert_eq!(endings.iter().filter(|ending| ending.last).count(), 1);
            assert_eq!(log, (0..=failing).collect::<Vec<_>>());
        });
    }
}

#[test]
fn a_signal_ends_it_for_all_or_comes_too_late() {
    for (mode, signalled) in [
        (Mode::Root, Actor::Slot(0)),
        (Mode::Root, Actor::Slot(1)),
        (Mode::Coordinator, Actor::Coordinator),
        (Mode::Coordinator, Actor::Slot(0)),
    ] {
        model(move || {
            let nr = 1 + usize::from(mode == Mode::Root);
            let (endings, log) = run(mode, nr, None, Some(signalled));
            let released = |ending: &Ending| ending.turn == Turn::Release;
            assert!(endings.iter().all(released) || !endings.iter().any(released));
            assert_eq!(endings.iter().filter(|ending| ending.last).count(), 1);
            for ending in &endings {
                match ending.turn {
                    Turn::Release => assert_eq!(log.len(), nr),
                    Turn::Abort { errno, .. } => assert_eq!(errno, 4),
                    turn => panic!("{turn:?}"),
                }
            }
        });
    }
}
