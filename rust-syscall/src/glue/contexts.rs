// SPDX-License-Identifier: GPL-2.0-only

//! The restarts in progress: the list in which those who take part find theirs by the root's pid.
//!
//! Lock order: the list's lock is taken alone, and not held while a task restores.

use super::debug;
use super::failure::Failure;
use super::monitor::Context;
use crate::restart::registry::{self, Missed, Registry, Unpublished};
use kernel::alloc::{flags::GFP_KERNEL, KVec};
use kernel::boot_once::BootOnce;
use kernel::error::{code::*, Error, Result};
use kernel::pid::Pid;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use kernel::sync::lock::{mutex::MutexBackend, Guard};
use kernel::sync::{Arc, CondVar, CondVarTimeoutResult, Mutex};
use kernel::{new_condvar, new_mutex};

/// How often those who look for a restart look whether its root lives, in jiffies: a quarter to a
/// whole second at the rates in use.
const LOOK_AGAIN: usize = 100;

static CONTEXTS: BootOnce<Contexts> = BootOnce::new();

/// All restarts in progress. A place that is empty is used again.
#[pin_data]
struct Contexts {
    #[pin]
    list: Mutex<KVec<Option<Arc<Context>>>>,
    #[pin]
    changed: CondVar,
}

/// Prepares the list of restarts; once, at boot.
pub(crate) fn init() -> Result {
    debug::init();
    CONTEXTS.init(try_pin_init!(Contexts {
        list <- new_mutex!(KVec::new(), "checkpoint::contexts"),
        changed <- new_condvar!("checkpoint::contexts_changed"),
    }))
}

impl Registry for Contexts {
    type Root = ARef<Pid>;
    type Restart = Arc<Context>;
    type Error = Error;
    type List<'a> = Guard<'a, KVec<Option<Arc<Context>>>, MutexBackend>;

    fn lock(&self) -> Self::List<'_> {
        self.list.lock()
    }

    fn of_root(list: &Self::List<'_>, root: &ARef<Pid>) -> Option<Arc<Context>> {
        let mut all = list.iter().flatten();
        all.find(|context| context.is_of(root)).cloned()
    }

    fn add(list: &mut Self::List<'_>, context: Arc<Context>) -> Result {
        match list.iter_mut().find(|place| place.is_none()) {
            Some(place) => *place = Some(context),
            None => list.push(Some(context), GFP_KERNEL)?,
        }
        Ok(())
    }

    fn may_begin(&self, root: &ARef<Pid>) -> bool {
        // One that nobody has waited for yet is gone as well; so is, for this, one that is ending its
        // other threads to execute a program: those who came do not belong to that.
        root.process().is_some_and(|root| !root.is_exiting())
    }

    fn sleep(&self, list: &mut Self::List<'_>) -> bool {
        let end = self.changed.wait_interruptible_timeout(list, LOOK_AGAIN);
        matches!(end, CondVarTimeoutResult::Signal { .. })
    }

    fn wake(&self) {
        self.changed.notify_all();
    }
}

/// Lets the other tasks find a restart; `EBUSY` if the root has one already.
pub(crate) fn publish(context: &Arc<Context>) -> Result<(), Failure> {
    let doing = |error| Failure::doing(error, "beginning the restart");
    let contexts = CONTEXTS.get().ok_or(ENODEV).map_err(doing)?;
    registry::publish(contexts, &context.root, context.clone()).map_err(|why| match why {
        Unpublished::Busy => {
            Failure::doing(EBUSY, "beginning the restart: the root has one already")
        }
        Unpublished::NotAdded(error) => doing(error),
    })
}

/// Waits until the root, or its coordinator, has begun a restart.
pub(crate) fn find(root: &ARef<Pid>) -> Result<Arc<Context>, Failure> {
    let doing = |error| Failure::doing(error, "waiting for the root to begin the restart");
    let contexts = CONTEXTS.get().ok_or(ENODEV).map_err(doing)?;
    registry::find(contexts, root).map_err(|missed| match missed {
        Missed::NoRoot => doing(ESRCH),
        Missed::Signal => doing(EINTR),
    })
}

/// Takes a restart off the list, so that nobody finds it any more.
pub(crate) fn withdraw(context: &Context) {
    let Some(contexts) = CONTEXTS.get() else {
        return;
    };
    let mut list = contexts.lock();
    let mut found = None;
    for place in list.iter_mut() {
        if place.as_ref().is_some_and(|other| core::ptr::eq::<Context>(&**other, context)) {
            found = place.take();
        }
    }
    drop(list);
    // Dropped without the lock: it may be the last reference.
    drop(found);
}
