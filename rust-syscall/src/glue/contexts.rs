// SPDX-License-Identifier: GPL-2.0-only

//! The restarts in progress: the list in which those who take part find theirs by the root's pid, and how
//! the last ones ended, for those who come late.
//!
//! Lock order: the list's lock is taken alone, and not held while a task restores.

use super::debug::{self, Listed};
use super::failure::Failure;
use super::monitor::{error, for_those_outside, Context};
use super::wait;
use crate::restart::registry::{self, Entry, Missed, Refused, Registry};
use kernel::alloc::{flags::GFP_KERNEL_ACCOUNT, KVVec};
use kernel::boot_once::BootOnce;
use kernel::error::{code::*, Error, Result};
use kernel::pid::Pid;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use kernel::sync::lock::{mutex::MutexBackend, Guard};
use kernel::sync::{Arc, CondVar, CondVarTimeoutResult, Mutex};
use kernel::task::Task;
use kernel::task_current::current_task;
use kernel::task_sleep::now_ns;
use kernel::{new_condvar, new_mutex};

/// How often those who look for a restart look whether its root lives, in jiffies: a quarter to a
/// whole second at the rates in use.
const LOOK_AGAIN: usize = 100;

/// How many ended restarts are remembered. Who comes later than that waits for the root's next one.
const REMEMBERED: usize = 64;

static CONTEXTS: BootOnce<Contexts> = BootOnce::new();

/// All restarts in progress, and the last ones.
#[pin_data]
struct Contexts {
    #[pin]
    list: Mutex<List>,
    #[pin]
    changed: CondVar,
}

struct List {
    /// A place that is empty is used again.
    places: KVVec<Option<Place>>,
    /// How restarts ended, the oldest forgotten first: for those who come late. Of the root it keeps a number,
    /// since a reference would keep its pid namespace.
    ended: [Option<Ended>; REMEMBERED],
    next: usize,
}

/// A root whose restart is in progress or waited for.
struct Place {
    root: ARef<Pid>,
    state: State,
    /// How many wait for a restart of it. For them its end is kept here.
    seekers: usize,
    _listed: Listed,
}

enum State {
    /// Nobody has begun.
    Awaited,
    Tried,
    Begun(Arc<Context>),
    Over(Ended),
}

/// A restart that is over.
#[derive(Clone, Copy)]
struct Ended {
    /// The root's [`Pid::serial`].
    root: u64,
    errno: i32,
    /// On the clock of [`Task::start_ns`].
    at_ns: u64,
}

/// What a restart is looked for by.
pub(crate) struct Sought {
    root: ARef<Pid>,
    /// Who has to begin it, if the caller is a root that waits for its parent.
    coordinator: Option<ARef<Task>>,
}

impl Sought {
    fn of(root: &ARef<Pid>) -> Self {
        Self {
            root: root.clone(),
            coordinator: None,
        }
    }
}

/// Prepares the list of restarts; once, at boot.
pub(crate) fn init() -> Result {
    debug::init();
    let list = List {
        places: KVVec::new(),
        ended: [None; REMEMBERED],
        next: 0,
    };
    CONTEXTS.init(try_pin_init!(Contexts {
        list <- new_mutex!(list, "checkpoint::contexts"),
        changed <- new_condvar!("checkpoint::contexts_changed"),
    }))
}

impl List {
    fn place(&mut self, root: &Pid) -> Option<&mut Place> {
        let mut places = self.places.iter_mut().flatten();
        places.find(|place| core::ptr::eq::<Pid>(&*place.root, root))
    }

    /// The root's place, a new one if it has none.
    fn place_or_new(&mut self, root: &ARef<Pid>) -> Result<&mut Place> {
        let is_of = |place: &Option<Place>| {
            let place = place.as_ref();
            place.is_some_and(|place| core::ptr::eq::<Pid>(&*place.root, &**root))
        };
        let at = match self.places.iter().position(is_of) {
            Some(known) => known,
            None => {
                let free = self.places.iter().position(Option::is_none);
                let at = free.unwrap_or(self.places.len());
                if free.is_none() {
                    self.places.push(None, GFP_KERNEL_ACCOUNT)?;
                }
                at
            }
        };
        let place = self.places.get_mut(at).ok_or(EINVAL)?;
        Ok(place.get_or_insert_with(|| Place {
            root: root.clone(),
            state: State::Awaited,
            seekers: 0,
            _listed: Listed::new(),
        }))
    }

    /// Gives up a place that nobody needs any more. Whoever ends a restart has a reference to its context.
    fn tidy(&mut self, root: &Pid) {
        for place in self.places.iter_mut() {
            let unused = place.as_ref().is_some_and(|place| {
                let idle = matches!(place.state, State::Awaited | State::Over(_));
                core::ptr::eq::<Pid>(&*place.root, root) && idle && place.seekers == 0
            });
            if unused {
                *place = None;
            }
        }
    }

    /// Keeps how a restart ended.
    fn end(&mut self, root: &Pid, errno: i32) {
        let ended = Ended {
            root: root.serial(),
            errno,
            at_ns: now_ns(),
        };
        if let Some(place) = self.place(root) {
            place.state = State::Over(ended);
        }
        self.tidy(root);
        self.forget(ended.root);
        if let Some(place) = self.ended.get_mut(self.next) {
            *place = Some(ended);
        }
        self.next = (self.next + 1) % REMEMBERED;
    }

    fn forget(&mut self, root: u64) {
        for ended in &mut self.ended {
            if ended.is_some_and(|ended| ended.root == root) {
                *ended = None;
            }
        }
    }
}

impl Registry for Contexts {
    type Root = Sought;
    type Restart = Arc<Context>;
    type Error = Error;
    type List<'a> = Guard<'a, List, MutexBackend>;

    fn lock(&self) -> Self::List<'_> {
        self.list.lock()
    }

    fn of_root(list: &Self::List<'_>, sought: &Sought) -> Option<Entry<Arc<Context>>> {
        let root = &sought.root;
        let mut places = list.places.iter().flatten();
        let place = places.find(|place| core::ptr::eq::<Pid>(&*place.root, &**root));
        let kept = match place.map(|place| &place.state) {
            Some(State::Tried) => return Some(Entry::Tried),
            Some(State::Begun(context)) => return Some(Entry::Begun(context.clone())),
            Some(State::Over(ended)) => Some(*ended),
            Some(State::Awaited) | None => None,
        };
        let (root, since) = (root.serial(), kernel::current!().start_ns());
        let mut ended = list.ended.iter().flatten();
        let ended = kept.or_else(|| ended.find(|ended| ended.root == root).copied())?;
        // Who was made since is there for the next one.
        (since <= ended.at_ns).then_some(Entry::Over(ended.errno))
    }

    fn set(list: &mut Self::List<'_>, sought: &Sought, entry: Entry<Arc<Context>>) -> Result {
        let state = match entry {
            Entry::Tried => State::Tried,
            Entry::Begun(context) => State::Begun(context),
            Entry::Over(errno) => {
                list.end(&sought.root, errno);
                return Ok(());
            }
        };
        list.place_or_new(&sought.root)?.state = state;
        list.forget(sought.root.serial());
        Ok(())
    }

    fn attend(list: &mut Self::List<'_>, sought: &Sought) -> Result {
        list.place_or_new(&sought.root)?.seekers += 1;
        Ok(())
    }

    fn leave(list: &mut Self::List<'_>, sought: &Sought) {
        if let Some(place) = list.place(&sought.root) {
            place.seekers = place.seekers.saturating_sub(1);
        }
        list.tidy(&sought.root);
    }

    fn is_same(&self, one: &Arc<Context>, other: &Arc<Context>) -> bool {
        core::ptr::eq::<Context>(&**one, &**other)
    }

    fn may_begin(&self, sought: &Sought) -> bool {
        // One that nobody has waited for yet is gone as well; so is, for this, one that is ending its
        // other threads to execute a program: those who came do not belong to that.
        let root = sought.root.process();
        let lives = root.is_some_and(|root| !root.is_exiting());
        let left = sought.coordinator.as_ref().is_some_and(|was| {
            let current: ARef<Task> = current_task();
            let is = current.real_parent();
            !is.is_some_and(|is| is.is_of_same_process(was))
        });
        lives && !left
    }

    fn sleep(&self, list: &mut Self::List<'_>) -> bool {
        let end = self.changed.wait_interruptible_timeout(list, LOOK_AGAIN);
        matches!(end, CondVarTimeoutResult::Signal { .. })
    }

    fn goes_on(&self) -> bool {
        wait::goes_on()
    }

    fn wake(&self) {
        self.changed.notify_all();
    }
}

fn beginning(errno: Error) -> Failure {
    Failure::doing(errno, "beginning the restart")
}

fn contexts() -> Result<&'static Contexts, Failure> {
    CONTEXTS.get().ok_or(beginning(ENODEV))
}

/// The caller is about to begin a restart of this root; `EBUSY` if there is one already. [`publish`] or
/// [`abandon`] has to follow.
pub(crate) fn announce(root: &ARef<Pid>) -> Result<(), Failure> {
    registry::announce(contexts()?, &Sought::of(root)).map_err(|why| match why {
        Refused::Busy => Failure::doing(EBUSY, "beginning the restart: the root has one already"),
        Refused::NotAdded(error) => beginning(error),
    })
}

/// Lets the other tasks find the restart.
pub(crate) fn publish(context: &Arc<Context>) -> Result<(), Failure> {
    registry::publish(contexts()?, &Sought::of(&context.root), context.clone()).map_err(beginning)
}

/// Tells those who wait for the restart, and those who come, that it could not begin.
pub(crate) fn abandon(root: &ARef<Pid>, errno: i32) {
    if let Some(contexts) = CONTEXTS.get() {
        // The root has a place: nothing is added.
        let _ = registry::abandon(contexts, &Sought::of(root), for_those_outside(errno));
    }
}

/// Waits until the root, or its coordinator, has begun a restart. `is_root` tells whether the caller is
/// the root, whom nobody but its parent can help.
pub(crate) fn find(root: &ARef<Pid>, is_root: bool) -> Result<Arc<Context>, Failure> {
    let current: ARef<Task> = current_task();
    let sought = Sought {
        root: root.clone(),
        coordinator: is_root.then(|| current.real_parent()).flatten(),
    };
    let waiting = |error| Failure::doing(error, "waiting for the root to begin the restart");
    registry::find(contexts()?, &sought).map_err(|missed| match missed {
        Missed::NotAdded(error) => waiting(error),
        Missed::NoRoot => waiting(ESRCH),
        Missed::Signal => waiting(EINTR),
        Missed::Over(errno) => Failure::told(error(errno)),
    })
}

/// The restart is over: nobody finds it any more, and those who come late get `errno`.
pub(crate) fn end(context: &Arc<Context>, errno: i32) {
    if let Some(contexts) = CONTEXTS.get() {
        // Nothing is added to the list.
        let _ = registry::end(contexts, &Sought::of(&context.root), context, for_those_outside(errno));
    }
}
