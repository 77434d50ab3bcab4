// SPDX-License-Identifier: GPL-2.0-only

//! Finding a restart over threads, under loom's scheduler: those who look for
//! one, those who begin one or fail to, one that ends, a root that dies and a
//! signal. Each single thing that can be left out or done in the wrong place
//! makes a story fail.
//!
//! P3: who waits for a restart that cannot be begun learns it, and so does who
//! comes late.

use crate::sched::{explore, thread, AtomicBool, Condvar, Mutex, MutexGuard, Ordering};
use checkpoint::restart::registry::{
    abandon, announce, end, find, publish, Entry, Missed, Refused, Registry,
};
use std::sync::Arc;

/// The root of the stories' restart, and another one.
const ROOT: u32 = 1;
const OTHER: u32 = 2;

/// What the registry does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mutation {
    None,
    /// Nobody is woken when a restart is published, or will not begin.
    ForgetToWake,
    /// One is woken, and not all.
    WakeOne,
    /// All are woken before it is in the list.
    WakeBeforeAdding,
    /// The lock is dropped between the look at the list and the sleep.
    SleepOutsideLock,
    /// Who was woken sleeps on without a look.
    SleepOn,
    /// Signals are not looked at.
    Deaf,
    /// Whatever interrupts is taken for a signal.
    AnySignal,
    /// Nobody looks whether the root lives.
    WaitForTheDead,
    /// Whoever is in the list is taken for the restart that is looked for.
    AnyRoot,
    /// A root with a restart may begin another.
    TwoOfARoot,
    /// Nothing is kept of a restart that will not begin.
    ForgetTheEnd,
    /// Who waits for a restart does not see to it that its end is kept.
    DoNotAttend,
    /// Who waits no longer counts as waiting.
    DoNotLeave,
    /// A restart that was tried again is ended by who has left the last one.
    EndAnother,
}

#[derive(Default)]
struct State {
    /// By root; each restart is its root and its number.
    list: Vec<(u32, Entry<(u32, u32)>)>,
    /// The roots that somebody waits for, once for each who does.
    seekers: Vec<u32>,
    /// How the last restart ended: of all that nobody waits for, only this is remembered.
    last: Option<(u32, i32)>,
    /// Whether somebody waited when that of [`ROOT`] ended.
    waited: bool,
    signalled: bool,
    /// Something else interrupts, once.
    interrupted: bool,
}

struct Hall {
    state: Mutex<State>,
    bed: Condvar,
    /// Seen without the lock, as in the kernel.
    root_is_dead: AtomicBool,
    mutation: Mutation,
}

impl Hall {
    fn new(mutation: Mutation) -> Self {
        Hall {
            state: Mutex::new(State::default()),
            bed: Condvar::new(),
            root_is_dead: AtomicBool::new(false),
            mutation,
        }
    }

    fn is(&self, mutation: Mutation) -> bool {
        self.mutation == mutation
    }

    /// Sends a signal to who looks for a restart. Where the kernel makes a sleeper look for signals
    /// after it has queued itself, the lock does here.
    fn signal(&self) {
        self.state.lock().unwrap().signalled = true;
        self.bed.notify_all();
    }

    /// Interrupts who looks for a restart, and sends no signal.
    fn interrupt(&self) {
        self.state.lock().unwrap().interrupted = true;
        self.bed.notify_all();
    }

    /// The root dies, which nobody is told of; but each sleep ends by itself now and then, and so
    /// once after that.
    fn root_dies(&self) {
        self.root_is_dead.store(true, Ordering::SeqCst);
        drop(self.state.lock().unwrap());
        self.bed.notify_all();
    }
}

/// The list, which `sleep` has to let go of and take again.
struct List<'a> {
    hall: &'a Hall,
    state: Option<MutexGuard<'a, State>>,
}

impl List<'_> {
    fn state(&self) -> &State {
        self.state.as_ref().unwrap()
    }
}

impl Registry for Hall {
    type Root = u32;
    type Restart = (u32, u32);
    type Error = ();
    type List<'a> = List<'a>;

    fn lock(&self) -> List<'_> {
        List {
            hall: self,
            state: Some(self.state.lock().unwrap()),
        }
    }

    fn of_root(list: &List<'_>, root: &u32) -> Option<Entry<(u32, u32)>> {
        if list.hall.is(Mutation::TwoOfARoot) {
            return None;
        }
        let any = list.hall.is(Mutation::AnyRoot);
        let mut all = list.state().list.iter();
        let found = all.find(|(of, _)| any || of == root);
        let last = list.state().last.filter(|(of, _)| of == root);
        found
            .map(|(_, entry)| *entry)
            .or(last.map(|(_, errno)| Entry::Over(errno)))
    }

    fn set(list: &mut List<'_>, root: &u32, entry: Entry<(u32, u32)>) -> Result<(), ()> {
        if list.hall.is(Mutation::WakeBeforeAdding) {
            list.state = None;
            list.hall.bed.notify_all();
            list.state = Some(list.hall.state.lock().unwrap());
        }
        let hall = list.hall;
        let state = list.state.as_mut().unwrap();
        state.list.retain(|(of, _)| of != root);
        state.last = state.last.filter(|(of, _)| of != root);
        let Entry::Over(errno) = entry else {
            state.list.push((*root, entry));
            return Ok(());
        };
        let awaited = state.seekers.contains(root);
        state.waited |= *root == ROOT && awaited;
        if hall.is(Mutation::ForgetTheEnd) {
            return Ok(());
        }
        if awaited && !hall.is(Mutation::DoNotAttend) {
            state.list.push((*root, entry));
        }
        state.last = Some((*root, errno));
        Ok(())
    }

    fn attend(list: &mut List<'_>, root: &u32) -> Result<(), ()> {
        list.state.as_mut().unwrap().seekers.push(*root);
        Ok(())
    }

    fn leave(list: &mut List<'_>, root: &u32) {
        if list.hall.is(Mutation::DoNotLeave) {
            return;
        }
        let state = list.state.as_mut().unwrap();
        let own = state.seekers.iter().position(|of| of == root).unwrap();
        state.seekers.remove(own);
        if !state.seekers.contains(root) {
            let over = |entry: &Entry<_>| matches!(entry, Entry::Over(_));
            state.list.retain(|(of, entry)| of != root || !over(entry));
        }
    }

    fn is_same(&self, one: &(u32, u32), other: &(u32, u32)) -> bool {
        one == other || self.is(Mutation::EndAnother)
    }

    fn may_begin(&self, root: &u32) -> bool {
        let dead = *root == ROOT && self.root_is_dead.load(Ordering::SeqCst);
        !dead || self.is(Mutation::WaitForTheDead)
    }

    fn sleep(&self, list: &mut List<'_>) -> bool {
        if self.is(Mutation::SleepOutsideLock) {
            list.state = None;
            list.state = Some(list.hall.state.lock().unwrap());
        }
        let deaf = self.is(Mutation::Deaf);
        let mut state = list.state.take().unwrap();
        if deaf || !(state.signalled || state.interrupted) {
            state = list.hall.bed.wait(state).unwrap();
        }
        if self.is(Mutation::SleepOn) {
            state = list.hall.bed.wait(state).unwrap();
        }
        let interrupted = std::mem::take(&mut state.interrupted) || state.signalled;
        list.state = Some(state);
        interrupted && !deaf
    }

    fn goes_on(&self) -> bool {
        !self.state.lock().unwrap().signalled && !self.is(Mutation::AnySignal)
    }

    fn wake(&self) {
        match self.mutation {
            Mutation::ForgetToWake | Mutation::WakeBeforeAdding => {}
            Mutation::WakeOne => self.bed.notify_one(),
            _ => self.bed.notify_all(),
        }
    }
}

/// What happens beside those who look for the restart of [`ROOT`].
#[derive(Clone, Copy, Debug)]
enum Story {
    /// Its restart is published, and before that the one of another root.
    Published { seekers: usize },
    /// It is tried, and cannot begin.
    Abandoned { seekers: usize },
    /// It is tried, and cannot begin, and nor can another; then the root dies.
    Forgotten,
    /// It ends, and another one begins while somebody leaves the first.
    Again,
    /// A signal comes, and no restart.
    Signal,
    /// A signal comes, and the restart too.
    SignalAndPublished,
    /// Something interrupts that is no signal, and the restart comes.
    InterruptedAndPublished,
    /// The root dies.
    RootDies,
    /// The root dies, and another begins a restart.
    OtherPublished,
    /// Two begin a restart of the same root.
    TwoBegin,
}

/// How the first restart of [`Story::Again`] ends: by who leaves it first, and later.
const ENDED: i32 = 5;
const LEFT: i32 = 7;
/// Why that of [`Story::Abandoned`] does not begin.
const BROKEN: i32 = 22;

/// Begins a restart as a root does whose image is right.
fn begin(hall: &Hall, root: u32, number: u32) -> Result<(), Refused<()>> {
    announce(hall, &root)?;
    publish(hall, &root, (root, number)).map_err(Refused::NotAdded)
}

impl Story {
    fn check(self, mutation: Mutation) {
        explore(3, move || self.tell(mutation));
    }

    /// What the thread beside does.
    fn beside(self, hall: &Hall) -> Result<(), Refused<()>> {
        match self {
            Story::Signal | Story::SignalAndPublished => hall.signal(),
            Story::InterruptedAndPublished => hall.interrupt(),
            Story::RootDies | Story::OtherPublished => hall.root_dies(),
            Story::Again => end(hall, &ROOT, &(ROOT, 1), LEFT).unwrap(),
            Story::Forgotten => {}
            Story::TwoBegin => return begin(hall, ROOT, 2),
            Story::Published { .. } | Story::Abandoned { .. } => return begin(hall, OTHER, 0),
        }
        Ok(())
    }

    /// What this thread does meanwhile.
    fn mine(self, hall: &Hall) -> Result<(), Refused<()>> {
        match self {
            Story::Signal | Story::RootDies => Ok(()),
            Story::OtherPublished => begin(hall, OTHER, 0),
            Story::Abandoned { .. } => {
                announce(hall, &ROOT)?;
                abandon(hall, &ROOT, BROKEN).map_err(Refused::NotAdded)
            }
            Story::Forgotten => {
                for root in [ROOT, OTHER] {
                    announce(hall, &root)?;
                    abandon(hall, &root, BROKEN).map_err(Refused::NotAdded)?;
                }
                hall.root_dies();
                Ok(())
            }
            Story::Again => {
                end(hall, &ROOT, &(ROOT, 1), ENDED).unwrap();
                begin(hall, ROOT, 2)
            }
            _ => begin(hall, ROOT, 1),
        }
    }

    /// Whether somebody who looks may find this.
    fn may_find(self, found: Result<(u32, u32), Missed<()>>, waited: bool) -> bool {
        match self {
            // Who came too late may not learn it.
            Story::Forgotten if !waited && found == Err(Missed::NoRoot) => true,
            Story::Forgotten => found == Err(Missed::Over(BROKEN)),
            Story::Published { .. } | Story::InterruptedAndPublished => found == Ok((ROOT, 1)),
            Story::Abandoned { .. } => found == Err(Missed::Over(BROKEN)),
            Story::Again => match found {
                Ok((root, _)) => root == ROOT,
                Err(missed) => matches!(missed, Missed::Over(ENDED | LEFT)),
            },
            Story::Signal => found == Err(Missed::Signal),
            Story::SignalAndPublished => found == Ok((ROOT, 1)) || found == Err(Missed::Signal),
            Story::RootDies | Story::OtherPublished => found == Err(Missed::NoRoot),
            Story::TwoBegin => false,
        }
    }

    fn tell(self, mutation: Mutation) {
        let hall = Arc::new(Hall::new(mutation));
        let seekers = match self {
            Story::Published { seekers } | Story::Abandoned { seekers } => seekers,
            Story::TwoBegin => 0,
            _ => 1,
        };
        if let Story::Again = self {
            begin(&hall, ROOT, 1).unwrap();
        }
        let seekers: Vec<_> = (0..seekers)
            .map(|_| {
                let hall = hall.clone();
                thread::spawn(move || find(&*hall, &ROOT))
            })
            .collect();
        let beside = {
            let hall = hall.clone();
            thread::spawn(move || self.beside(&hall))
        };
        let mine = self.mine(&hall);
        let beside = beside.join().unwrap();
        for seeker in seekers {
            let found = seeker.join().unwrap();
            let waited = hall.state.lock().unwrap().waited;
            assert!(self.may_find(found, waited), "{self:?}: found {found:?}");
        }
        let list = hall.state.lock().unwrap().list.clone();
        let waiting = hall.state.lock().unwrap().seekers.len();
        let kept = list
            .iter()
            .any(|(_, entry)| matches!(entry, Entry::Over(_)));
        assert!(!kept, "an end is kept that nobody waits for");
        assert_eq!(waiting, 0, "somebody counts as waiting who has gone");
        let of_root = list.iter().find(|(root, _)| *root == ROOT);
        let of_root = of_root.map(|(_, entry)| *entry);
        match self {
            Story::TwoBegin => {
                let begun = [mine, beside].iter().filter(|begun| begun.is_ok()).count();
                assert_eq!(begun, 1, "restarts of one root");
                let number = if mine.is_ok() { 1 } else { 2 };
                assert_eq!(of_root, Some(Entry::Begun((ROOT, number))));
            }
            Story::Again => {
                let again = Some(Entry::Begun((ROOT, 2)));
                assert_eq!(of_root, again, "who leaves the first one ends the second");
            }
            _ => {}
        }
    }
}

const ONE: Story = Story::Published { seekers: 1 };
const TWO: Story = Story::Published { seekers: 2 };
const BROKEN_TWO: Story = Story::Abandoned { seekers: 2 };

#[test]
fn who_looks_finds_the_restart_or_learns_that_there_will_be_none() {
    for story in [
        ONE,
        TWO,
        BROKEN_TWO,
        Story::Forgotten,
        Story::Again,
        Story::Signal,
        Story::SignalAndPublished,
        Story::InterruptedAndPublished,
        Story::RootDies,
        Story::OtherPublished,
        Story::TwoBegin,
    ] {
        story.check(Mutation::None);
    }
}

/// The next restart of a root is not ended by who leaves the last one late: neither while it is tried nor when it
/// has begun.
#[test]
fn who_leaves_late_ends_no_other_restart() {
    explore(0, || {
        let hall = Hall::new(Mutation::None);
        let of_root = || Hall::of_root(&hall.lock(), &ROOT);
        let leave = |errno| end(&hall, &ROOT, &(ROOT, 1), errno).unwrap();
        begin(&hall, ROOT, 1).unwrap();
        leave(ENDED);
        leave(LEFT);
        assert_eq!(of_root(), Some(Entry::Over(ENDED)), "the first is heard");
        announce(&hall, &ROOT).unwrap();
        leave(LEFT);
        assert_eq!(of_root(), Some(Entry::Tried));
        assert_eq!(announce(&hall, &ROOT), Err(Refused::Busy));
        publish(&hall, &ROOT, (ROOT, 2)).unwrap();
        leave(LEFT);
        assert_eq!(of_root(), Some(Entry::Begun((ROOT, 2))));
        assert_eq!(announce(&hall, &ROOT), Err(Refused::Busy));
    });
}

/// Under miri one that sleeps for good ends all tests.
#[cfg(not(miri))]
#[test]
fn everything_left_out_is_noticed() {
    for (mutation, story, word) in [
        (Mutation::ForgetToWake, ONE, "deadlock"),
        (Mutation::ForgetToWake, BROKEN_TWO, "deadlock"),
        (Mutation::WakeOne, TWO, "deadlock"),
        (Mutation::WakeOne, BROKEN_TWO, "deadlock"),
        (Mutation::WakeBeforeAdding, ONE, "deadlock"),
        (Mutation::SleepOutsideLock, ONE, "deadlock"),
        (Mutation::SleepOn, ONE, "deadlock"),
        (Mutation::Deaf, Story::Signal, "deadlock"),
        (
            Mutation::AnySignal,
            Story::InterruptedAndPublished,
            "InterruptedAndPublished: found",
        ),
        (Mutation::WaitForTheDead, Story::RootDies, "deadlock"),
        (Mutation::ForgetTheEnd, BROKEN_TWO, "deadlock"),
        (Mutation::DoNotAttend, Story::Forgotten, "Forgotten: found"),
        (
            Mutation::DoNotLeave,
            BROKEN_TWO,
            "an end is kept that nobody waits for",
        ),
        (Mutation::AnyRoot, Story::OtherPublished, "OtherPublished"),
        (
            Mutation::TwoOfARoot,
            Story::TwoBegin,
            "assertion `left == right` failed: restarts of one root",
        ),
        (
            Mutation::EndAnother,
            Story::Again,
            "assertion `left == right` failed: who leaves the first one ends the second",
        ),
    ] {
        let panic =
            std::panic::catch_unwind(|| story.check(mutation)).expect_err("it must be noticed");
        let words = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or(panic.downcast_ref::<&str>().copied())
            .unwrap_or_default();
        assert!(words.starts_with(word), "{mutation:?}: {words}");
    }
}
