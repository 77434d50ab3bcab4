// SPDX-License-Identifier: GPL-2.0-only

//! The driver alone, over a monitor without threads that says which turn it
//! likes.

use checkpoint::restart::monitor::{enter, take_part};
use checkpoint::restart::{Actor, Ending, Mode, Monitor, Restart, Slot, Turn, Wake, Work};
use std::cell::{Cell, RefCell};

/// Gives a turn first that is not the machine's, and keeps whom it is to wake with
/// the number of those inside at that moment.
struct Liar {
    state: RefCell<(Restart, Vec<Slot>)>,
    /// Said once; then the truth.
    says: Cell<Option<Turn>>,
    woken: RefCell<Vec<(Wake, usize)>>,
}

impl Monitor for Liar {
    fn with<R>(&self, act: impl FnOnce(&mut Restart, &mut [Slot]) -> R) -> R {
        let (restart, slots) = &mut *self.state.borrow_mut();
        act(restart, slots)
    }

    fn wait(&self, actor: Actor) -> Option<Turn> {
        let (restart, slots) = &*self.state.borrow();
        self.says.take().or_else(|| {
            let truth = restart.turn(slots, actor);
            assert_ne!(truth, Turn::Wait, "{actor} sleeps for good");
            Some(truth)
        })
    }

    fn wake(&self, wake: Wake) {
        let inside = self.state.borrow().0.inside();
        self.woken.borrow_mut().push((wake, inside));
    }
}

struct Idle;

impl Work for Idle {
    fn restore(&mut self) -> Result<(), i32> {
        panic!("restored out of turn")
    }

    fn verify(&mut self) -> Result<(), i32> {
        Ok(())
    }
}

/// Whatever the driver is told in the wrong place, it ends the restart, and
/// wakes the others while it is still inside itself.
#[test]
fn who_is_told_wrongly_ends_it_for_all() {
    for says in [Turn::Wait, Turn::Restore, Turn::Verify, Turn::Release] {
        let mut slots = vec![Slot::Absent; 3];
        let restart = Restart::new(Mode::Root, &mut slots).unwrap();
        let liar = Liar {
            state: RefCell::new((restart, slots)),
            says: Cell::new(Some(says)),
            woken: RefCell::default(),
        };
        enter(&liar, 1).unwrap();
        let ending = take_part(&liar, Actor::Slot(1), &mut Idle);
        let turn = Turn::Abort {
            errno: 4,
            kill: false,
        };
        assert_eq!(ending, Ending { turn, last: false }, "{says:?}");
        let woken = liar.woken.borrow();
        assert_eq!(woken[..2], [(Wake::Nobody, 2), (Wake::Everyone, 2)]);
        assert!(woken[2..].iter().all(|(wake, _)| *wake == Wake::Nobody));
    }
}
