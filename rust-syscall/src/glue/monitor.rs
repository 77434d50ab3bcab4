// SPDX-License-Identifier: GPL-2.0-only

//! A restart that several tasks take part in: the lock and the places to sleep around the state
//! machine.
//!
//! Lock order: a context's `state` is taken alone, and not held while a task restores.

use super::debug::{self, Counted};
use super::failure::{numbers::ECANCELED, Failure};
use super::loader::Loader;
use super::wait;
use crate::image::record::TreeEntry;
use crate::image::tree;
use crate::restart::trace::Place;
use crate::restart::{
    Actor, Effect, Event, Failure as FirstFailure, Mode, Monitor, Phase, Point, ProtocolError,
    Restart, Slot, Turn, Wake,
};
use kernel::alloc::{flags::GFP_KERNEL_ACCOUNT, KBox, KVVec};
use kernel::error::{code::EINTR, Error, Result};
use kernel::pid::Pid;
use kernel::pid_namespace::PidNamespace;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use kernel::sync::{Arc, CondVar, CondVarTimeoutResult, Mutex};
use kernel::task::Task;
use kernel::task_current::current_task;
use kernel::{new_condvar, new_mutex};

/// How often the owner looks whether those it waits for can still come, in jiffies: a quarter to a
/// whole second at the rates in use.
const LOOK_AGAIN: usize = 100;

/// The tree of the image, and who is who in it.
pub(crate) struct Plan {
    /// The tasks of the image, in the order in which they are restored.
    pub(crate) entries: KVVec<TreeEntry>,
    /// Numbers of the entries by ascending pid.
    pub(crate) index: KVVec<u32>,
    /// Whether tasks are known by a pid that they state, not by their own.
    pub(crate) new_pids: bool,
}

impl Plan {
    /// The slot of the task that was saved under `pid`.
    pub(crate) fn slot_of(&self, pid: i32) -> Option<usize> {
        tree::find(&self.entries, &self.index, pid)
    }
}

/// One restart, shared by all who take part.
#[pin_data]
pub(crate) struct Context {
    /// The root of the restarted tree.
    pub(crate) root: ARef<Pid>,
    /// The root's pid namespace, in which original pids are looked at.
    pub(crate) ns: ARef<PidNamespace>,
    pub(crate) plan: Plan,
    counted: Counted,
    /// Who has begun it.
    pub(crate) owner: ARef<Task>,
    /// Whether who began the restart logs how it failed; then nobody else does.
    pub(crate) owner_logs: bool,
    #[pin]
    state: Mutex<State>,
}

struct State {
    restart: Restart,
    slots: KVVec<Slot>,
    /// By slot; the coordinator behind them.
    sleepers: KVVec<Option<Arc<Sleeper>>>,
    members: KVVec<Option<ARef<Pid>>>,
    /// The image, when nobody has it in hand.
    loader: Option<KBox<Loader>>,
    /// What went wrong with the image, and with whom: more than an errno, for the log.
    reason: Option<(Actor, Failure)>,
    /// Who has it in hand, and may sleep over a stream that has nothing to say.
    reader: Option<ARef<Task>>,
}

/// Where one participant sleeps.
#[pin_data]
struct Sleeper {
    #[pin]
    woken: CondVar,
}

fn new_sleeper() -> Result<Arc<Sleeper>> {
    Arc::pin_init(
        pin_init!(Sleeper { woken <- new_condvar!("checkpoint::sleeper") }),
        GFP_KERNEL_ACCOUNT,
    )
}

/// An errno of the core as a kernel error.
pub(crate) fn error(errno: i32) -> Error {
    Error::from_errno(-errno)
}

fn refused(refusal: ProtocolError) -> Failure {
    let errno = error(refusal.errno());
    match refusal {
        ProtocolError::TooLate { .. } => Failure::told(error(for_those_outside(refusal.errno()))),
        _ => Failure::doing(errno, "joining the restart"),
    }
}

/// What they get who did not take part in a restart that ended with `errno`, positive: no signal has
/// interrupted them.
pub(crate) fn for_those_outside(errno: i32) -> i32 {
    match -errno {
        interrupted if interrupted == EINTR.to_errno() => -ECANCELED,
        _ => errno,
    }
}

impl Context {
    /// A restart about to begin, by the current task.
    pub(crate) fn new(
        mode: Mode,
        root: ARef<Pid>,
        ns: ARef<PidNamespace>,
        plan: Plan,
        loader: KBox<Loader>,
        owner_logs: bool,
    ) -> Result<Arc<Context>, Failure> {
        let begin = || -> Result<State> {
            let nr = plan.entries.len();
            let mut slots = KVVec::new();
            slots.extend_with(nr, Slot::Absent, GFP_KERNEL_ACCOUNT)?;
            let restart = Restart::new(mode, &mut slots).map_err(|e| error(e.errno()))?;
            let (mut sleepers, mut members) = (KVVec::new(), KVVec::new());
            for _ in 0..=nr {
                sleepers.push(None, GFP_KERNEL_ACCOUNT)?;
                members.push(None, GFP_KERNEL_ACCOUNT)?;
            }
            let owner = match mode {
                Mode::Root => 0,
                Mode::Coordinator => nr,
            };
            if let Some(place) = sleepers.get_mut(owner) {
                *place = Some(new_sleeper()?);
            }
            if let Some(place) = members.get_mut(owner) {
                *place = kernel::current!().pid_struct();
            }
            Ok(State {
                restart,
                slots,
                sleepers,
                members,
                loader: Some(loader),
                reason: None,
                reader: None,
            })
        };
        let doing = |error| Failure::doing(error, "beginning the restart");
        let state = begin().map_err(doing)?;
        Arc::pin_init(
            pin_init!(Context {
                root,
                ns,
                plan,
                counted: Counted::new(),
                owner: current_task(),
                owner_logs,
                state <- new_mutex!(state, "checkpoint::context"),
            }),
            GFP_KERNEL_ACCOUNT,
        )
        .map_err(doing)
    }

    /// Comes in as the task of `slot`.
    pub(crate) fn enter(&self, slot: usize) -> Result<(), Failure> {
        let sleeper =
            new_sleeper().map_err(|error| Failure::doing(error, "joining the restart"))?;
        let mut state = self.state.lock();
        let State { restart, slots, .. } = &mut *state;
        let effect = restart
            .step(slots, Event::Enter { slot })
            .map_err(refused)?;
        if let Some(place) = state.sleepers.get_mut(slot) {
            *place = Some(sleeper);
        }
        if let Some(place) = state.members.get_mut(slot) {
            *place = kernel::current!().pid_struct();
        }
        drop(state);
        self.wake(effect.wake);
        Ok(())
    }

    /// The task that has come in for `slot`.
    pub(crate) fn member(&self, slot: usize) -> Option<ARef<Pid>> {
        self.state.lock().members.get(slot)?.clone()
    }

    /// A participant has come to this place: for those who look on.
    pub(crate) fn at(&self, actor: Actor, place: Place) {
        let saved_pid = match actor {
            Actor::Slot(slot) => self.plan.entries.get(slot).map_or(0, |entry| entry.pid),
            Actor::Coordinator => 0,
        };
        debug::pass(&self.counted, actor, saved_pid, place);
    }

    /// The first failure, if there was one.
    pub(crate) fn failure(&self) -> Option<FirstFailure> {
        self.state.lock().restart.failure()
    }

    /// Keeps why `actor`, who has the image in hand, is about to fail.
    pub(crate) fn keep_reason(&self, actor: Actor, failure: Failure) {
        let mut state = self.state.lock();
        if state.restart.failure().is_none() {
            state.reason = Some((actor, failure));
        }
    }

    /// Why `actor` has failed, if it was the image.
    pub(crate) fn reason_of(&self, actor: Actor) -> Option<Failure> {
        let reason = self.state.lock().reason;
        reason.and_then(|(whose, failure)| (whose == actor).then_some(failure))
    }

    /// Whether it is this participant who began the restart.
    pub(crate) fn is_owner(&self, actor: Actor) -> bool {
        self.state.lock().restart.owner() == actor
    }

    /// Takes the image in hand; the participant whose turn it is only. `None` after a failure: whoever
    /// fails wakes who has the image in hand then, and nobody later.
    pub(crate) fn take_loader(&self) -> Option<KBox<Loader>> {
        let mut state = self.state.lock();
        if state.restart.failure().is_some() {
            return None;
        }
        let loader = state.loader.take()?;
        state.reader = Some(current_task());
        Some(loader)
    }

    /// Hands the image on.
    pub(crate) fn put_loader(&self, loader: KBox<Loader>) {
        let mut state = self.state.lock();
        state.loader = Some(loader);
        state.reader = None;
    }

    /// The first task that has not come, if none can come any more: all processes of the tree that
    /// live are inside already, and who is inside makes no others. Only the owner asks.
    fn missing(&self, state: &State, actor: Actor) -> Option<usize> {
        if state.restart.phase() != Phase::Gathering || actor != state.restart.owner() {
            return None;
        }
        let living = self.root.count_living_tree();
        if living > state.restart.entered() {
            return None;
        }
        state.slots.iter().position(|slot| *slot == Slot::Absent)
    }

    fn fail_for_want_of(&self, state: &mut State, slot: usize) -> Effect {
        let actor = Actor::Slot(slot);
        let State { restart, slots, .. } = state;
        // An absent task cannot be refused as dead while tasks are gathered.
        restart
            .step(slots, Event::Died { actor })
            .unwrap_or_default()
    }

    fn sleeper(state: &State, actor: Actor) -> Option<Arc<Sleeper>> {
        let place = match actor {
            Actor::Slot(slot) => slot,
            Actor::Coordinator => state.slots.len(),
        };
        state.sleepers.get(place)?.clone()
    }
}

impl Monitor for Context {
    fn with<R>(&self, act: impl FnOnce(&mut Restart, &mut [Slot]) -> R) -> R {
        let mut state = self.state.lock();
        let State { restart, slots, .. } = &mut *state;
        act(restart, slots)
    }

    fn wait(&self, actor: Actor) -> Option<Turn> {
        let mut state = self.state.lock();
        let sleeper = Self::sleeper(&state, actor);
        loop {
            let turn = state.restart.turn(&state.slots, actor);
            if turn != Turn::Wait {
                return Some(turn);
            }
            if let Some(slot) = self.missing(&state, actor) {
                let effect = self.fail_for_want_of(&mut state, slot);
                drop(state);
                self.wake(effect.wake);
                state = self.state.lock();
                continue;
            }
            // Everyone who takes part has a place to sleep.
            let woken = &sleeper.as_ref()?.woken;
            // The owner looks now and then whether those it waits for can still come.
            let signalled = if state.restart.phase() == Phase::Gathering
                && actor == state.restart.owner()
            {
                let end = woken.wait_interruptible_timeout(&mut state, LOOK_AGAIN);
                matches!(end, CondVarTimeoutResult::Signal { .. })
            } else {
                woken.wait_interruptible(&mut state)
            };
            if signalled {
                let turn = state.restart.turn(&state.slots, actor);
                if turn != Turn::Wait {
                    return Some(turn);
                }
                drop(state);
                if !wait::goes_on() {
                    return None;
                }
                state = self.state.lock();
            }
        }
    }

    fn wake(&self, wake: Wake) {
        let state = self.state.lock();
        match wake {
            Wake::Nobody => {}
            Wake::One(actor) => {
                if let Some(sleeper) = Self::sleeper(&state, actor) {
                    drop(state);
                    sleeper.woken.notify_all();
                }
            }
            Wake::Everyone => {
                for sleeper in state.sleepers.iter().flatten() {
                    sleeper.woken.notify_all();
                }
                // After a failure who reads the image waits for nothing.
                let failed = state.restart.failure().is_some();
                if let Some(reader) = state.reader.as_ref().filter(|_| failed) {
                    reader.interrupt_wait();
                }
            }
        }
    }

    fn is_dying(&self) -> bool {
        kernel::sighand::is_current_dying()
    }

    fn pass(&self, actor: Actor, point: Point) {
        // An image has 32,768 tasks at the most.
        let tasks = self.plan.entries.len() as u16;
        self.at(actor, Place::At { point, tasks });
    }
}
