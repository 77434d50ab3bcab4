// SPDX-License-Identifier: GPL-2.0-only

//! The monitor of `glue/monitor.rs` over loom's mutex and condition variables,
//! which a [`Mutation`] can break in one place. A signal and the death of a
//! task that has not come are threads of their own.

use crate::sched::{thread_local, Condvar, Mutex, MutexGuard};
use checkpoint::restart::{Actor, Event, Failure, Mode, Monitor, Phase, Restart, Slot, Turn, Wake};
use std::cell::Cell;
use std::sync::Arc;

/// Errno of a task that fails while it restores.
pub const EIO: i32 = 5;
/// Errno of who is interrupted.
pub const EINTR: i32 = 4;
/// Errno for a task that does not come.
pub const ESRCH: i32 = 3;

/// Why somebody is to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The last task has come in, and the root may restore.
    AllIn,
    /// A task is restored, and the next may restore.
    HandedOn,
    /// The last task is restored, and the owner may read END.
    AllRestored,
    /// END is right, and all may go.
    Released,
    /// A task has failed.
    Failed,
    /// A signal has come.
    Interrupted,
    /// A task can no longer come.
    Missing,
}

/// What the monitor does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// Nothing.
    None,
    /// Whom this concerns is not woken.
    Forget(Cause),
    /// The release and failures do not reach the coordinator.
    ForgetCoordinator,
    /// The release and failures reach only the root.
    WakeRootForEveryone,
    /// Somebody else is woken than the one whose turn it is.
    WakeNeighbour,
    /// All are woken before the step, nobody after it.
    WakeBeforeStep,
    /// A participant sleeps before it has looked at its turn.
    SleepBeforeLooking,
    /// A participant that was woken does not look at its turn, but sleeps on.
    SleepOn,
    /// A participant that was woken does not look at its turn, but restores.
    TrustWakeUp,
    /// The lock is dropped between the look at the turn and the sleep.
    LookOutsideLock,
    /// A participant that was woken by a signal does not look at its turn.
    TrustSignal,
    /// Signals are looked at before the turn.
    SignalFirst,
    /// Signals are not looked at.
    Deaf,
    /// The owner does not look whether the missing can still come.
    WaitForTheDead,
    /// A failure does not wake who reads the image.
    ForgetReader,
    /// Who takes the image in hand does not look whether the restart has failed.
    ReadAfterFailure,
    /// Who is killed while it restores reports that it has.
    ReportWhileDying,
    /// A wait that a freezer ends counts as one that a signal has ended.
    GiveUpFrozen,
    /// A participant that was frozen does not look at its turn, but sleeps on.
    SleepAfterThaw,
}

thread_local! {
    /// Of the last step of this thread.
    static CAUSE: Cell<Option<Cause>> = Cell::new(None);
    /// Whether this thread is a task that has been killed.
    static DYING: Cell<bool> = Cell::new(false);
}

struct State {
    restart: Restart,
    slots: Vec<Slot>,
    /// Number of processes of the tree that live.
    living: usize,
    /// The last participant has left.
    freed: bool,
    /// Who has a signal pending. It stays pending, as in the kernel, where it
    /// is taken on the way back to user space.
    signalled: Option<Actor>,
    /// Who is to freeze, and freezes where it waits.
    frozen: Option<Actor>,
    /// Somebody has the image in hand.
    reading: bool,
    /// Who has it has been told to stop, and does not forget it.
    interrupted: bool,
}

/// A mutex, and a place to sleep for each slot and for the coordinator.
pub struct Room {
    state: Mutex<State>,
    beds: Vec<Condvar>,
    /// Where who reads a silent image sleeps.
    stream: Condvar,
    /// Where who is frozen stands still.
    ice: Condvar,
    mutation: Mutation,
    /// This participant gets a signal with the step of this cause.
    signal_with: Option<(Cause, Actor)>,
}

impl Room {
    pub fn new(
        mode: Mode,
        nr: usize,
        mutation: Mutation,
        signal_with: Option<(Cause, Actor)>,
    ) -> Arc<Self> {
        let mut slots = vec![Slot::Absent; nr];
        let restart = Restart::new(mode, &mut slots).unwrap();
        Arc::new(Room {
            state: Mutex::new(State {
                restart,
                slots,
                living: nr,
                freed: false,
                signalled: None,
                frozen: None,
                reading: false,
                interrupted: false,
            }),
            stream: Condvar::new(),
            ice: Condvar::new(),
            beds: (0..=nr).map(|_| Condvar::new()).collect(),
            mutation,
            signal_with,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// What the last participant to leave does.
    pub fn free(&self) {
        self.lock().freed = true;
    }

    fn bed(&self, actor: Actor) -> &Condvar {
        match actor {
            Actor::Slot(slot) => &self.beds[slot],
            Actor::Coordinator => &self.beds[self.beds.len() - 1],
        }
    }

    fn is(&self, mutation: Mutation) -> bool {
        self.mutation == mutation
    }

    /// Sends a signal. Where the kernel makes a sleeper look for signals after
    /// it has queued itself, the lock does here.
    pub fn signal(&self, actor: Actor) {
        self.lock().signalled = Some(actor);
        self.bed(actor).notify_all();
    }

    /// Forgets a signal, as a task does that restores itself.
    pub fn forget_signal(&self, actor: Actor) {
        let mut state = self.lock();
        state.signalled = state.signalled.filter(|signalled| *signalled != actor);
    }

    /// Freezes a participant, which is no signal.
    pub fn freeze(&self, actor: Actor) {
        self.lock().frozen = Some(actor);
        self.bed(actor).notify_all();
    }

    /// Lets whoever is frozen go on.
    pub fn thaw(&self) {
        self.lock().frozen = None;
        self.ice.notify_all();
    }

    /// Whether the wait of a participant is to be begun again, which something has ended: unless it was a signal.
    /// Stands still as long as it is frozen.
    fn goes_on(&self, actor: Actor) -> bool {
        let mut state = self.lock();
        if state.signalled == Some(actor) || self.is(Mutation::GiveUpFrozen) {
            return false;
        }
        while state.frozen == Some(actor) {
            state = self.ice.wait(state).unwrap();
        }
        true
    }

    /// A process of the tree dies outside of restart.
    pub fn die_outside(&self) {
        self.lock().living -= 1;
        self.tick();
    }

    /// The owner looks again by itself: now and then, and so once after
    /// everything that it looks at.
    pub fn tick(&self) {
        let owner = self.lock().restart.owner();
        self.bed(owner).notify_all();
    }

    /// Wakes everyone for nothing.
    pub fn stir(&self) {
        self.beds.iter().for_each(Condvar::notify_all);
    }

    /// The current task is killed.
    pub fn die(&self) {
        DYING.with(|dying| dying.set(true));
    }

    /// Reads an image that has nothing more to say: until somebody fails.
    pub fn read_silence(&self) -> i32 {
        let mut state = self.lock();
        if state.restart.failure().is_some() && !self.is(Mutation::ReadAfterFailure) {
            return EIO;
        }
        state.reading = true;
        // The image is read without the lock.
        drop(state);
        let mut state = self.lock();
        while !state.interrupted {
            state = self.stream.wait(state).unwrap();
        }
        state.reading = false;
        EINTR
    }

    pub fn failure(&self) -> Option<Failure> {
        self.lock().restart.failure()
    }

    fn wake_all(&self) {
        let coordinator = self.beds.len() - 1;
        for (number, bed) in self.beds.iter().enumerate() {
            let forgotten = match self.mutation {
                Mutation::ForgetCoordinator => number == coordinator,
                Mutation::WakeRootForEveryone => number != 0,
                _ => false,
            };
            if !forgotten {
                bed.notify_all();
            }
        }
    }
}

impl State {
    fn turn(&self, actor: Actor) -> Turn {
        self.restart.turn(&self.slots, actor)
    }

    fn missing(&self, actor: Actor) -> Option<usize> {
        if self.restart.phase() != Phase::Gathering
            || actor != self.restart.owner()
            || self.living > self.restart.entered()
        {
            return None;
        }
        self.slots.iter().position(|slot| *slot == Slot::Absent)
    }
}

/// Why somebody has to be woken after the phase has changed.
fn cause(before: Phase, after: Phase) -> Option<Cause> {
    if before == after {
        return None;
    }
    match after {
        Phase::Restoring { pos: 0 } => Some(Cause::AllIn),
        Phase::Restoring { .. } => Some(Cause::HandedOn),
        Phase::Verifying => Some(Cause::AllRestored),
        Phase::Releasing => Some(Cause::Released),
        Phase::Failed(failure) if failure.errno == EINTR => Some(Cause::Interrupted),
        Phase::Failed(failure) if failure.errno == ESRCH => Some(Cause::Missing),
        Phase::Failed(_) => Some(Cause::Failed),
        Phase::Gathering | Phase::Done => None,
    }
}

impl Monitor for Room {
    fn with<R>(&self, act: impl FnOnce(&mut Restart, &mut [Slot]) -> R) -> R {
        if self.is(Mutation::WakeBeforeStep) {
            self.stir();
        }
        let mut state = self.lock();
        let State { restart, slots, .. } = &mut *state;
        let before = restart.phase();
        let done = act(restart, slots);
        let cause = cause(before, restart.phase());
        CAUSE.with(|last| last.set(cause));
        if let Some((with, actor)) = self.signal_with {
            if cause == Some(with) {
                state.signalled = Some(actor);
                self.bed(actor).notify_all();
            }
        }
        done
    }

    fn wait(&self, actor: Actor) -> Option<Turn> {
        let bed = self.bed(actor);
        let mut state = self.lock();
        if self.is(Mutation::SleepBeforeLooking) {
            state = bed.wait(state).unwrap();
        }
        loop {
            if self.is(Mutation::SignalFirst) && state.signalled == Some(actor) {
                return None;
            }
            let turn = state.turn(actor);
            if turn != Turn::Wait {
                return Some(turn);
            }
            let missing = state.missing(actor);
            if let Some(slot) = missing.filter(|_| !self.is(Mutation::WaitForTheDead)) {
                drop(state);
                let actor = Actor::Slot(slot);
                let effect = self.with(|restart, slots| restart.step(slots, Event::Died { actor }));
                self.wake(effect.unwrap_or_default().wake);
                state = self.lock();
                continue;
            }
            if self.is(Mutation::LookOutsideLock) {
                drop(state);
                state = self.lock();
            }
            let deaf = self.is(Mutation::Deaf);
            let signalled = |state: &State| state.signalled == Some(actor) && !deaf;
            let disturbed = |state: &State| signalled(state) || state.frozen == Some(actor);
            if !disturbed(&state) {
                state = bed.wait(state).unwrap();
            }
            if self.is(Mutation::SleepOn) {
                state = bed.wait(state).unwrap();
            }
            if self.is(Mutation::TrustWakeUp) {
                return Some(Turn::Restore);
            }
            if disturbed(&state) {
                let turn = state.turn(actor);
                if turn != Turn::Wait && !self.is(Mutation::TrustSignal) {
                    return Some(turn);
                }
                drop(state);
                if !self.goes_on(actor) {
                    return None;
                }
                state = self.lock();
                if self.is(Mutation::SleepAfterThaw) {
                    state = bed.wait(state).unwrap();
                }
            }
        }
    }

    fn wake(&self, wake: Wake) {
        // Only participants wake: who comes after them is refused.
        assert!(!self.lock().freed, "woken after the last has left");
        let cause = CAUSE.with(|last| last.take());
        let forgotten = cause.is_some_and(|cause| self.is(Mutation::Forget(cause)));
        if forgotten || self.is(Mutation::WakeBeforeStep) {
            return;
        }
        match wake {
            Wake::Nobody => {}
            Wake::One(_) if self.is(Mutation::WakeNeighbour) => {
                let (Wake::One(Actor::Slot(slot)), nr) = (wake, self.beds.len()) else {
                    return;
                };
                self.beds[(slot + 1) % nr].notify_all();
            }
            Wake::One(actor) => self.bed(actor).notify_all(),
            Wake::Everyone => {
                self.wake_all();
                let mut state = self.lock();
                let failed = state.restart.failure().is_some();
                if failed && state.reading && !self.is(Mutation::ForgetReader) {
                    state.interrupted = true;
                    self.stream.notify_all();
                }
            }
        }
    }

    fn is_dying(&self) -> bool {
        DYING.with(Cell::get) && !self.is(Mutation::ReportWhileDying)
    }
}
