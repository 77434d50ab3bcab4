// SPDX-License-Identifier: GPL-2.0-only

//! What a participant does from its entry to its end, over a lock and a way
//! to wait and wake that the caller provides.
//!
//! The kernel brings its mutex and wait queues, tests bring threads; the
//! sequence of steps is this one.

use crate::restart::state::{Actor, Event, ProtocolError, Slot, Turn, Wake};
use crate::restart::step::Restart;

/// A lock around a restart, with a place to sleep for every participant.
pub trait Monitor {
    /// Runs `act` under the lock.
    fn with<R>(&self, act: impl FnOnce(&mut Restart, &mut [Slot]) -> R) -> R;

    /// Sleeps until `actor`'s turn is not [`Turn::Wait`], and gives it; `None`
    /// if a signal came first. The turn is looked at before signals are, and
    /// under the lock, such that no wake-up between looking and sleeping is
    /// lost.
    fn wait(&self, actor: Actor) -> Option<Turn>;

    /// Wakes; called without the lock.
    fn wake(&self, wake: Wake);

    /// Whether the caller is being killed: it will not run as what it reports to be.
    fn is_dying(&self) -> bool {
        false
    }

    /// `actor` is at this point of its way, without the lock: where tests delay or stop it.
    fn pass(&self, _actor: Actor, _point: Point) {}
}

/// Points on the way of a participant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Point {
    /// It has come in, and looks at its turn next.
    Entered = 1,
    /// It is told to restore itself, and has not begun.
    Turn = 2,
    /// It restores itself: the memory is the restored one, the rest is not.
    Restoring = 3,
    /// It has restored itself, or failed to, and nobody knows.
    Restored = 4,
    /// It is told to read END, and has not begun.
    Verify = 5,
    /// It knows the end, and has not left.
    Ended = 6,
    /// It has read END and found it right, or not, and nobody knows.
    Verified = 7,
}

impl Point {
    /// All of them, in the order in which a participant comes by.
    pub const ALL: [Point; 7] = {
        use Point::*;
        [Entered, Turn, Restoring, Restored, Verify, Verified, Ended]
    };

    /// The point with this number.
    pub fn of(number: u32) -> Option<Point> {
        Point::ALL.into_iter().find(|point| *point as u32 == number)
    }
}

/// The parts of a restart that are a participant's own. Errors are errnos,
/// positive.
pub trait Work {
    /// Restores the task; not called for the coordinator.
    fn restore(&mut self) -> Result<(), i32>;

    /// Reads the image's END; only called for the owner.
    fn verify(&mut self) -> Result<(), i32>;
}

/// How a participation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ending {
    /// What to do: only [`Turn::Release`] and [`Turn::Abort`] occur.
    pub turn: Turn,
    /// Whether this was the last participant to leave. None uses the monitor
    /// after that; who wants to [`enter`] then is refused.
    pub last: bool,
}

/// Enters as the task of `slot`. In root mode the root has entered with
/// [`Restart::new`].
pub fn enter<M: Monitor>(monitor: &M, slot: usize) -> Result<(), ProtocolError> {
    tell(monitor, Event::Enter { slot })
}

/// Takes part as `actor`, which has entered, until the end, and leaves.
pub fn take_part<M: Monitor, W: Work>(monitor: &M, actor: Actor, work: &mut W) -> Ending {
    monitor.pass(actor, Point::Entered);
    loop {
        let told = match monitor.wait(actor) {
            None | Some(Turn::Wait) => tell(monitor, Event::Interrupted { actor }),
            Some(Turn::Restore) => restore(monitor, actor, work),
            Some(Turn::Verify) => {
                monitor.pass(actor, Point::Verify);
                let done = work.verify();
                monitor.pass(actor, Point::Verified);
                report(monitor, actor, done, Event::Verified)
            }
            Some(Turn::Release | Turn::Abort { .. }) => return leave(monitor, actor),
        };
        // What is refused came after a failure of someone else.
        if told.is_err() {
            return leave(monitor, actor);
        }
    }
}

fn restore<M: Monitor, W: Work>(
    monitor: &M,
    actor: Actor,
    work: &mut W,
) -> Result<(), ProtocolError> {
    let Actor::Slot(slot) = actor else {
        return Err(ProtocolError::OutOfTurn { actor });
    };
    monitor.pass(actor, Point::Turn);
    tell(monitor, Event::Begin { slot })?;
    let done = work.restore();
    monitor.pass(actor, Point::Restored);
    report(monitor, actor, done, Event::Restored { slot })
}

/// Tells of `success`, or of what went wrong. One who is being killed has no success to tell of:
/// after the last one there would be nobody to fail the restart.
fn report<M: Monitor>(
    monitor: &M,
    actor: Actor,
    done: Result<(), i32>,
    success: Event,
) -> Result<(), ProtocolError> {
    match done {
        Ok(()) if monitor.is_dying() => tell(monitor, Event::Interrupted { actor }),
        Ok(()) => tell(monitor, success),
        Err(errno) => tell(monitor, Event::Failed { actor, errno }),
    }
}

fn tell<M: Monitor>(monitor: &M, event: Event) -> Result<(), ProtocolError> {
    let effect = monitor.with(|restart, slots| restart.step(slots, event))?;
    monitor.wake(effect.wake);
    Ok(())
}

/// Leaves; before all are released that is a failure of its own, so that the
/// turn it leaves with is an end. The others are woken before it leaves, such
/// that no participant uses the monitor once the last has left.
fn leave<M: Monitor>(monitor: &M, actor: Actor) -> Ending {
    monitor.pass(actor, Point::Ended);
    // Only refused to who takes no part: there is nothing to end then.
    let _ = tell(monitor, Event::Interrupted { actor });
    let (turn, left) = monitor.with(|restart, slots| {
        let turn = restart.turn(slots, actor);
        (turn, restart.step(slots, Event::Leave { actor }))
    });
    Ending {
        turn,
        last: left.unwrap_or_default().last,
    }
}
