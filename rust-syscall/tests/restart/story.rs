// SPDX-License-Identifier: GPL-2.0-only

//! Restarts over threads, each with what goes wrong in it and with what must
//! come of it, under loom's scheduler.

use crate::room::{Cause, Mutation, Room, EINTR, EIO, ESRCH};
use crate::sched::{explore, thread, Mutex};
use checkpoint::restart::monitor::{enter, take_part};
use checkpoint::restart::{Actor, Ending, Mode, Turn, Work};
use std::sync::Arc;

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    None,
    /// This task fails while it restores.
    Fails(usize),
    /// The image's END is wrong.
    BadEnd,
    /// This task dies instead of calling restart.
    Dies(usize),
    /// This task never comes, nor dies; meanwhile the participant gets a signal.
    Late(usize, Actor),
    /// The participant gets a signal at any time.
    Signal(Actor),
    /// The participant gets a signal together with a step.
    SignalWith(Cause, Actor),
    /// All are woken once for nothing.
    Stir,
    /// The participant is frozen at any time, and goes on later.
    Frozen(Actor),
    /// The image's END does not come, and when the owner is told to read it the participant gets a signal.
    Silent(Actor),
    /// This task is killed while it restores.
    Killed(usize),
}

/// A restart.
#[derive(Clone, Copy, Debug)]
pub struct Story {
    pub mode: Mode,
    pub nr: usize,
    pub fault: Fault,
}

/// Which tasks have restored, in order, and whether one is at it.
#[derive(Default)]
struct Log {
    restored: Vec<usize>,
    busy: bool,
}

/// Restores by writing its number down, unless it fails.
struct Part<'a> {
    room: &'a Room,
    log: &'a Mutex<Log>,
    slot: usize,
    fails: bool,
    killed: bool,
    bad_end: bool,
    silent: bool,
}

impl Work for Part<'_> {
    fn restore(&mut self) -> Result<(), i32> {
        self.room.forget_signal(Actor::Slot(self.slot));
        let mut log = self.log.lock().unwrap();
        assert!(!log.busy, "two restore at once");
        log.busy = true;
        drop(log);
        let mut log = self.log.lock().unwrap();
        log.busy = false;
        if self.fails {
            return Err(EIO);
        }
        log.restored.push(self.slot);
        if self.killed {
            self.room.die();
        }
        Ok(())
    }

    fn verify(&mut self) -> Result<(), i32> {
        if self.bad_end {
            return Err(EIO);
        }
        if self.silent {
            return Err(self.room.read_silence());
        }
        Ok(())
    }
}

impl Story {
    /// Tells the story in every order of the threads that loom knows with at
    /// most two preemptions, and checks the end each time.
    pub fn check(self, mutation: Mutation) {
        explore(2, move || self.tell(mutation));
    }

    fn owner(self) -> Actor {
        match self.mode {
            Mode::Root => Actor::Slot(0),
            Mode::Coordinator => Actor::Coordinator,
        }
    }

    fn tell(self, mutation: Mutation) {
        let signal_with = match self.fault {
            Fault::SignalWith(cause, actor) => Some((cause, actor)),
            Fault::Silent(actor) => Some((Cause::AllRestored, actor)),
            _ => None,
        };
        let room = Room::new(self.mode, self.nr, mutation, signal_with);
        let log = Arc::new(Mutex::new(Log::default()));
        let first = usize::from(self.mode == Mode::Root);
        let mut others: Vec<_> = (first..self.nr)
            .filter(|slot| !matches!(self.fault, Fault::Late(late, _) if late == *slot))
            .map(|slot| {
                let (room, log) = (room.clone(), log.clone());
                thread::spawn(move || self.run_task(&room, &log, slot))
            })
            .collect();
        if let Fault::Signal(actor) | Fault::Late(_, actor) = self.fault {
            let room = room.clone();
            others.push(thread::spawn(move || {
                room.signal(actor);
                None
            }));
        }
        if let Fault::Stir = self.fault {
            let room = room.clone();
            others.push(thread::spawn(move || {
                room.stir();
                None
            }));
        }
        if let Fault::Frozen(actor) = self.fault {
            let room = room.clone();
            others.push(thread::spawn(move || {
                room.freeze(actor);
                room.thaw();
                None
            }));
        }
        let mut endings = vec![self.take_part(&room, &log, self.owner())];
        endings.extend(others.into_iter().filter_map(|other| other.join().unwrap()));
        self.judge(&room, &log, &endings);
    }

    /// What a task does that calls restart.
    fn run_task(self, room: &Room, log: &Mutex<Log>, slot: usize) -> Option<Ending> {
        if matches!(self.fault, Fault::Dies(dies) if dies == slot) {
            room.die_outside();
            return None;
        }
        match enter(room, slot) {
            Ok(()) => {
                if matches!(self.fault, Fault::Dies(_)) {
                    room.tick();
                }
                Some(self.take_part(room, log, Actor::Slot(slot)))
            }
            // It came too late to take part.
            Err(refusal) => {
                let errno = refusal.errno();
                let kill = false;
                Some(Ending {
                    turn: Turn::Abort { errno, kill },
                    last: false,
                })
            }
        }
    }

    fn take_part(self, room: &Room, log: &Mutex<Log>, actor: Actor) -> Ending {
        let slot = match actor {
            Actor::Slot(slot) => slot,
            Actor::Coordinator => self.nr,
        };
        let mut part = Part {
            room,
            log,
            slot,
            fails: matches!(self.fault, Fault::Fails(fails) if fails == slot),
            killed: matches!(self.fault, Fault::Killed(killed) if killed == slot),
            bad_end: matches!(self.fault, Fault::BadEnd),
            silent: matches!(self.fault, Fault::Silent(_)),
        };
        let ending = take_part(room, actor, &mut part);
        if ending.last {
            room.free();
        }
        let restored = log.lock().unwrap().restored.clone();
        match ending.turn {
            // Seen where it goes on, not when all have gone.
            Turn::Release => assert_eq!(restored, Vec::from_iter(0..self.nr), "{actor} goes early"),
            Turn::Abort { kill, .. } => {
                let begun = restored.contains(&slot) || part.fails;
                assert_eq!(kill, begun, "{actor} has begun: {begun}");
            }
            turn => panic!("{actor} ends with {turn:?}"),
        }
        ending
    }

    fn judge(self, room: &Room, log: &Mutex<Log>, endings: &[Ending]) {
        let lasts = endings.iter().filter(|ending| ending.last).count();
        assert_eq!(lasts, 1, "last to leave");
        let failure = room.failure();
        for ending in endings {
            match (ending.turn, failure) {
                (Turn::Release, None) => {}
                (Turn::Abort { errno, .. }, Some(failure)) => assert_eq!(errno, failure.errno),
                (turn, _) => panic!("{turn:?} with {failure:?}"),
            }
        }
        let restored = log.lock().unwrap().restored.len();
        let first = failure.map(|failure| (failure.errno, failure.actor));
        match self.fault {
            Fault::None | Fault::Stir | Fault::Frozen(_) | Fault::SignalWith(..) => {
                assert_eq!(first, None);
            }
            Fault::Fails(slot) => {
                assert_eq!(first, Some((EIO, Actor::Slot(slot))));
                assert_eq!(restored, slot);
            }
            Fault::BadEnd => {
                assert_eq!(first, Some((EIO, self.owner())));
                assert_eq!(restored, self.nr);
            }
            Fault::Dies(slot) => {
                assert_eq!(first, Some((ESRCH, Actor::Slot(slot))));
                assert_eq!(restored, 0);
            }
            Fault::Late(_, actor) => {
                assert_eq!(first, Some((EINTR, actor)));
                assert_eq!(restored, 0);
            }
            Fault::Silent(actor) => {
                assert_eq!(first, Some((EINTR, actor)));
                assert_eq!(restored, self.nr);
            }
            Fault::Killed(slot) => {
                assert_eq!(first, Some((EINTR, Actor::Slot(slot))));
                assert_eq!(restored, slot + 1);
            }
            // It may come too late.
            Fault::Signal(actor) => {
                assert!(
                    first.map_or(true, |first| first == (EINTR, actor)),
                    "{first:?}"
                );
            }
        }
    }
}
