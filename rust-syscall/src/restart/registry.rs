// SPDX-License-Identifier: GPL-2.0-only

//! How those who take part in a restart find it: by its root, in a list of the
//! restarts in progress, over a lock and a way to wait and wake that the caller
//! provides.
//!
//! Who comes before the restart has begun waits for it. What nobody announces,
//! the death of the root, is seen because a wait ends now and then by itself.

/// A lock around the list, with a place to sleep for all who look into it.
pub trait Registry {
    /// What a restart is found by.
    type Root;
    /// A restart.
    type Restart: Clone;
    /// Why a restart could not be added.
    type Error;
    /// The list while it is locked; the lock is dropped with it.
    type List<'a>
    where
        Self: 'a;

    /// Locks the list.
    fn lock(&self) -> Self::List<'_>;

    /// The restart of `root`, if it is in the list.
    fn of_root(list: &Self::List<'_>, root: &Self::Root) -> Option<Self::Restart>;

    /// Adds a restart, which is that of no root in the list.
    fn add(list: &mut Self::List<'_>, restart: Self::Restart) -> Result<(), Self::Error>;

    /// Whether the root is there and could begin a restart, or have one begun.
    fn may_begin(&self, root: &Self::Root) -> bool;

    /// Sleeps without the lock until [`Self::wake`], a signal, or for a while;
    /// whether a signal has come. No wake-up between the last look at the list
    /// and the sleep is lost.
    fn sleep(&self, list: &mut Self::List<'_>) -> bool;

    /// Wakes all who sleep; called without the lock.
    fn wake(&self);
}

/// Why a restart was not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missed {
    /// Nobody can begin it any more.
    NoRoot,
    /// A signal came first.
    Signal,
}

/// Why a restart was not published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unpublished<E> {
    /// The root has one already.
    Busy,
    /// It could not be added.
    NotAdded(E),
}

/// Waits until the root, or its coordinator, has begun a restart.
pub fn find<R: Registry>(registry: &R, root: &R::Root) -> Result<R::Restart, Missed> {
    let mut list = registry.lock();
    loop {
        if let Some(restart) = R::of_root(&list, root) {
            return Ok(restart);
        }
        if !registry.may_begin(root) {
            return Err(Missed::NoRoot);
        }
        if registry.sleep(&mut list) {
            return Err(Missed::Signal);
        }
    }
}

/// Lets the others find a restart, those who wait for it and those who come.
pub fn publish<R: Registry>(
    registry: &R,
    root: &R::Root,
    restart: R::Restart,
) -> Result<(), Unpublished<R::Error>> {
    let mut list = registry.lock();
    if R::of_root(&list, root).is_some() {
        return Err(Unpublished::Busy);
    }
    R::add(&mut list, restart).map_err(Unpublished::NotAdded)?;
    drop(list);
    registry.wake();
    Ok(())
}
