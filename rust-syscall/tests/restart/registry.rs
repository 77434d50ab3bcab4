// SPDX-License-Identifier: GPL-2.0-only

//! Finding a restart over threads, under loom's scheduler: those who look for
//! one, those who begin one, a root that dies and a signal. Each single thing
//! that can be left out or done in the wrong place makes a story fail.

use checkpoint::restart::registry::{find, publish, Missed, Registry, Unpublished};
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::sync::{Condvar, Mutex, MutexGuard};
use loom::thread;
use std::panic::catch_unwind;
use std::sync::Arc;

/// The root of the stories' restart, and another one.
const ROOT: u32 = 1;
const OTHER: u32 = 2;

/// What the registry does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mutation {
    None,
    /// Nobody is woken when a restart is published.
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
    /// Nobody looks whether the root lives.
    WaitForTheDead,
    /// Whoever is in the list is taken for the restart that is looked for.
    AnyRoot,
    /// A root with a restart may begin another.
    TwoOfARoot,
}

#[derive(Default)]
struct State {
    /// Each restart is its root and its number.
    list: Vec<(u32, u32)>,
    signalled: bool,
}

struct Hall {
    state: Mutex<State>,
    bed: Condvar,
    /// Seen without the lock, as in the kernel.
    root_is_dead: AtomicBool,
    mutation: Mutation,
}

impl Hall {
    fn is(&self, mutation: Mutation) -> bool {
        self.mutation == mutation
    }

    /// Sends a signal to who looks for a restart. Where the kernel makes a sleeper look for signals
    /// after it has queued itself, the lock does here.
    fn signal(&self) {
        self.state.lock().unwrap().signalled = true;
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

    fn of_root(list: &List<'_>, root: &u32) -> Option<(u32, u32)> {
        if list.hall.is(Mutation::TwoOfARoot) {
            return None;
        }
        let any = list.hall.is(Mutation::AnyRoot);
        let mut all = list.state().list.iter();
        all.find(|(of, _)| any || of == root).copied()
    }

    fn add(list: &mut List<'_>, restart: (u32, u32)) -> Result<(), ()> {
        if list.hall.is(Mutation::WakeBeforeAdding) {
            list.state = None;
            list.hall.bed.notify_all();
            list.state = Some(list.hall.state.lock().unwrap());
        }
        list.state.as_mut().unwrap().list.push(restart);
        Ok(())
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
        if deaf || !state.signalled {
            state = list.hall.bed.wait(state).unwrap();
        }
        if self.is(Mutation::SleepOn) {
            state = list.hall.bed.wait(state).unwrap();
        }
        let signalled = state.signalled && !deaf;
        list.state = Some(state);
        signalled
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
    /// A signal comes, and no restart.
    Signal,
    /// A signal comes, and the restart too.
    SignalAndPublished,
    /// The root dies.
    RootDies,
    /// The root dies, and another begins a restart.
    OtherPublished,
    /// Two begin a restart of the same root.
    TwoBegin,
}

impl Story {
    fn check(self, mutation: Mutation) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(move || self.tell(mutation));
    }

    fn tell(self, mutation: Mutation) {
        let hall = Arc::new(Hall {
            state: Mutex::new(State::default()),
            bed: Condvar::new(),
            root_is_dead: AtomicBool::new(false),
            mutation,
        });
        let seekers = match self {
            Story::Published { seekers } => seekers,
            Story::TwoBegin => 0,
            _ => 1,
        };
        let seekers: Vec<_> = (0..seekers)
            .map(|_| {
                let hall = hall.clone();
                thread::spawn(move || find(&*hall, &ROOT))
            })
            .collect();
        let beside = {
            let hall = hall.clone();
            thread::spawn(move || match self {
                Story::Signal | Story::SignalAndPublished => hall.signal(),
                Story::RootDies | Story::OtherPublished => hall.root_dies(),
                Story::TwoBegin => drop(publish(&*hall, &ROOT, (ROOT, 2))),
                Story::Published { .. } => publish(&*hall, &OTHER, (OTHER, 0)).unwrap(),
            })
        };
        let mine = match self {
            Story::Signal | Story::RootDies => Ok(()),
            Story::OtherPublished => publish(&*hall, &OTHER, (OTHER, 0)),
            _ => publish(&*hall, &ROOT, (ROOT, 1)),
        };
        beside.join().unwrap();
        for seeker in seekers {
            let found = seeker.join().unwrap();
            let right = match self {
                Story::Published { .. } | Story::TwoBegin => found == Ok((ROOT, 1)),
                Story::Signal => found == Err(Missed::Signal),
                Story::SignalAndPublished => found == Ok((ROOT, 1)) || found == Err(Missed::Signal),
                Story::RootDies | Story::OtherPublished => found == Err(Missed::NoRoot),
            };
            assert!(right, "{self:?}: found {found:?}");
        }
        let list = hall.state.lock().unwrap().list.clone();
        let own = list.iter().filter(|(root, _)| *root == ROOT).count();
        assert!(own <= 1, "restarts of one root");
        if mine == Err(Unpublished::Busy) {
            assert_eq!(list, [(ROOT, 2)], "whose restart is refused finds another");
        }
    }
}

const ONE: Story = Story::Published { seekers: 1 };
const TWO: Story = Story::Published { seekers: 2 };

#[test]
fn who_looks_finds_the_restart_or_learns_that_there_will_be_none() {
    for story in [
        ONE,
        TWO,
        Story::Signal,
        Story::SignalAndPublished,
        Story::RootDies,
        Story::OtherPublished,
        Story::TwoBegin,
    ] {
        story.check(Mutation::None);
    }
}

#[test]
fn everything_left_out_is_noticed() {
    for (mutation, story, word) in [
        (Mutation::ForgetToWake, ONE, "deadlock"),
        (Mutation::WakeOne, TWO, "deadlock"),
        (Mutation::WakeBeforeAdding, ONE, "deadlock"),
        (Mutation::SleepOutsideLock, ONE, "deadlock"),
        (Mutation::SleepOn, ONE, "deadlock"),
        (Mutation::Deaf, Story::Signal, "deadlock"),
        (Mutation::WaitForTheDead, Story::RootDies, "deadlock"),
        (Mutation::AnyRoot, Story::OtherPublished, "OtherPublished"),
        (
            Mutation::TwoOfARoot,
            Story::TwoBegin,
            "restarts of one root",
        ),
    ] {
        let panic = catch_unwind(|| story.check(mutation)).expect_err("it must be noticed");
        let words = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or(panic.downcast_ref::<&str>().copied())
            .unwrap_or_default();
        assert!(words.starts_with(word), "{mutation:?}: {words}");
    }
}
