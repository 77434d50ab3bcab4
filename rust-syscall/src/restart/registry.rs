// SPDX-License-Identifier: GPL-2.0-only

//! How those who take part in a restart find it: by its root, in a list of the
//! restarts in progress, over a lock and a way to wait and wake that the caller
//! provides.
//!
//! Who comes before the restart has begun waits for it, and learns how it ended
//! if it does not; who comes when it is over learns that as well, as far as the
//! list remembers, until the root's next one is tried. What nobody announces, the
//! death of the root, is seen because a wait ends now and then by itself.

/// What the list has of a root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry<R> {
    /// Somebody reads the image's beginning; whoever comes waits.
    Tried,
    /// A restart that can be joined.
    Begun(R),
    /// The last one is over, or has not begun: an errno, positive, for whoever comes late.
    Over(i32),
}

/// A lock around the list, with a place to sleep for all who look into it.
pub trait Registry {
    /// What a restart is found by.
    type Root;
    /// A restart.
    type Restart: Clone;
    /// Why an entry could not be added.
    type Error;
    /// The list while it is locked; the lock is dropped with it.
    type List<'a>
    where
        Self: 'a;

    /// Locks the list.
    fn lock(&self) -> Self::List<'_>;

    /// What the list has of `root`, for the caller.
    fn of_root(list: &Self::List<'_>, root: &Self::Root) -> Option<Entry<Self::Restart>>;

    /// Makes this what the list has of `root`. Fails only for a root that it has nothing of.
    fn set(
        list: &mut Self::List<'_>,
        root: &Self::Root,
        entry: Entry<Self::Restart>,
    ) -> Result<(), Self::Error>;

    /// The caller is about to wait for a restart of `root`: what becomes of it is not forgotten before
    /// [`Self::leave`].
    fn attend(list: &mut Self::List<'_>, root: &Self::Root) -> Result<(), Self::Error>;

    /// The caller waits no longer.
    fn leave(list: &mut Self::List<'_>, root: &Self::Root);

    /// Whether two are the same restart.
    fn is_same(&self, one: &Self::Restart, other: &Self::Restart) -> bool;

    /// Whether the root is there and could begin a restart, or have one begun.
    fn may_begin(&self, root: &Self::Root) -> bool;

    /// Sleeps without the lock until [`Self::wake`], an interruption, or for a while;
    /// whether it was interrupted. No wake-up between the last look at the list
    /// and the sleep is lost.
    fn sleep(&self, list: &mut Self::List<'_>) -> bool;

    /// Whether who was interrupted sleeps again: no signal has come. Called without the lock.
    fn goes_on(&self) -> bool;

    /// Wakes all who sleep; called without the lock.
    fn wake(&self);
}

/// Why a restart was not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missed<E> {
    /// It could not be waited for.
    NotAdded(E),
    /// Nobody can begin it any more.
    NoRoot,
    /// A signal came first.
    Signal,
    /// It is over: an errno, positive.
    Over(i32),
}

/// Why a restart cannot be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused<E> {
    /// The root has one already.
    Busy,
    /// It could not be added.
    NotAdded(E),
}

/// Waits until the root, or its coordinator, has begun a restart.
pub fn find<R: Registry>(registry: &R, root: &R::Root) -> Result<R::Restart, Missed<R::Error>> {
    let mut list = registry.lock();
    if let Some(found) = look::<R>(&list, root) {
        return found;
    }
    R::attend(&mut list, root).map_err(Missed::NotAdded)?;
    let found = loop {
        if let Some(found) = look::<R>(&list, root) {
            break found;
        }
        if !registry.may_begin(root) {
            break Err(Missed::NoRoot);
        }
        if registry.sleep(&mut list) {
            drop(list);
            let goes_on = registry.goes_on();
            list = registry.lock();
            if !goes_on {
                break Err(Missed::Signal);
            }
        }
    };
    R::leave(&mut list, root);
    found
}

/// What somebody who looks for a restart finds, if it need not wait.
fn look<R: Registry>(
    list: &R::List<'_>,
    root: &R::Root,
) -> Option<Result<R::Restart, Missed<R::Error>>> {
    match R::of_root(list, root)? {
        Entry::Begun(restart) => Some(Ok(restart)),
        Entry::Over(errno) => Some(Err(Missed::Over(errno))),
        Entry::Tried => None,
    }
}

/// Somebody is about to begin a restart of the root: how the last one ended counts no more.
/// [`publish`] or [`abandon`] has to follow.
pub fn announce<R: Registry>(registry: &R, root: &R::Root) -> Result<(), Refused<R::Error>> {
    let mut list = registry.lock();
    match R::of_root(&list, root) {
        Some(Entry::Tried | Entry::Begun(_)) => Err(Refused::Busy),
        Some(Entry::Over(_)) | None => {
            R::set(&mut list, root, Entry::Tried).map_err(Refused::NotAdded)
        }
    }
}

/// Lets the others find the restart that was announced, those who wait for it and those who come.
pub fn publish<R: Registry>(
    registry: &R,
    root: &R::Root,
    restart: R::Restart,
) -> Result<(), R::Error> {
    let mut list = registry.lock();
    R::set(&mut list, root, Entry::Begun(restart))?;
    drop(list);
    registry.wake();
    Ok(())
}

/// The restart that was announced will not begin: those who wait for it learn why, and those who come.
pub fn abandon<R: Registry>(registry: &R, root: &R::Root, errno: i32) -> Result<(), R::Error> {
    let mut list = registry.lock();
    R::set(&mut list, root, Entry::Over(errno))?;
    drop(list);
    registry.wake();
    Ok(())
}

/// The restart is over: nobody finds it any more, and whoever comes learns how it ended. Nobody waits for
/// what could be found, so nobody is woken. Told by each who leaves it; the first is heard.
pub fn end<R: Registry>(
    registry: &R,
    root: &R::Root,
    restart: &R::Restart,
    errno: i32,
) -> Result<(), R::Error> {
    let mut list = registry.lock();
    match R::of_root(&list, root) {
        Some(Entry::Begun(found)) if registry.is_same(&found, restart) => {
            R::set(&mut list, root, Entry::Over(errno))
        }
        _ => Ok(()),
    }
}
