// SPDX-License-Identifier: GPL-2.0-only

//! The vocabulary of a restart: phases, events, effects, refusals.

use core::fmt;

/// Errno values that the protocol itself gives.
pub mod errno {
    /// A task of the tree is gone, or is none of the tree.
    pub const ESRCH: i32 = 3;
    /// A signal came while waiting. Never restarted: the image is consumed.
    pub const EINTR: i32 = 4;
    /// The task takes part already.
    pub const EBUSY: i32 = 16;
    /// Not in this mode, or not now.
    pub const EINVAL: i32 = 22;
    /// Greatest number that is an errno.
    pub const MAX: i32 = 4095;
}

/// Who owns a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// The root of the restarted tree, which is restored too.
    Root,
    /// The parent of the root, which is not.
    Coordinator,
}

/// Someone who takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Actor {
    /// The task to be restored as entry number N of TREE.
    Slot(usize),
    /// The caller that is not restored; in coordinator mode only.
    Coordinator,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Actor::Slot(slot) => write!(f, "task {slot}"),
            Actor::Coordinator => f.write_str("coordinator"),
        }
    }
}

/// Where one task of the image stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Slot {
    /// Has not called restart.
    #[default]
    Absent,
    /// Waits for its turn; still what it was before.
    Waiting,
    /// Restores itself, and is neither what it was nor what it is to be.
    Restoring,
    /// Is restored and waits for the others.
    Restored,
    /// Has left.
    Left,
}

impl Slot {
    /// Whether the task is inside.
    pub const fn is_in(self) -> bool {
        match self {
            Slot::Waiting | Slot::Restoring | Slot::Restored => true,
            Slot::Absent | Slot::Left => false,
        }
    }
}

/// How far the restart as a whole is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Tasks are still missing.
    Gathering,
    /// The task at `pos` restores or is about to.
    Restoring {
        /// Number of its slot.
        pos: usize,
    },
    /// All are restored; the owner reads END.
    Verifying,
    /// All may go.
    Releasing,
    /// All have gone, restored.
    Done,
    /// Nobody is to run on restored.
    Failed(Failure),
}

/// The first thing that went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Failure {
    /// Positive.
    pub errno: i32,
    /// With whom.
    pub actor: Actor,
}

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A task has called restart.
    Enter {
        /// Number of its slot.
        slot: usize,
    },
    /// A task whose turn is [`Turn::Restore`] begins.
    Begin {
        /// Number of its slot.
        slot: usize,
    },
    /// A task has restored itself.
    Restored {
        /// Number of its slot.
        slot: usize,
    },
    /// The owner, whose turn is [`Turn::Verify`], has found END right.
    Verified,
    /// Something went wrong with a participant's own part.
    Failed {
        /// Whose part.
        actor: Actor,
        /// What, positive.
        errno: i32,
    },
    /// A participant was woken by a signal.
    Interrupted {
        /// Who.
        actor: Actor,
    },
    /// A task or the coordinator exits; if it takes part, it leaves with this.
    Died {
        /// Who.
        actor: Actor,
    },
    /// A participant leaves. One that has not been told to fails the restart,
    /// as if interrupted.
    Leave {
        /// Who.
        actor: Actor,
    },
}

/// Who has to be woken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Wake {
    /// Nobody.
    #[default]
    Nobody,
    /// One participant.
    One(Actor),
    /// All participants.
    Everyone,
}

/// What the caller has to do after a step, the lock dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Effect {
    /// Wake these.
    pub wake: Wake,
    /// Whether the last participant has left with this step, so that nobody
    /// will use the context again. True exactly once.
    pub last: bool,
}

/// What a participant has to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Turn {
    /// Sleep until woken.
    Wait,
    /// Step [`Event::Begin`] and restore itself.
    Restore,
    /// Read END and step [`Event::Verified`].
    Verify,
    /// Leave, successful.
    Release,
    /// Leave, failed.
    Abort {
        /// The errno to return, positive.
        errno: i32,
        /// Whether the task must die instead of returning.
        kill: bool,
    },
}

/// Why an event is refused; nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProtocolError {
    /// The image has no tasks, or more than there can be.
    TaskCount {
        /// The number.
        found: usize,
    },
    /// The slots lent are not those that the restart began with.
    SlotCount {
        /// Number at the beginning.
        expected: usize,
        /// Number lent.
        found: usize,
    },
    /// The tree has no such task.
    NoSuchSlot {
        /// Number of tasks.
        expected: usize,
        /// Number of the slot.
        found: usize,
    },
    /// The task has entered already.
    AlreadyIn {
        /// Number of its slot.
        slot: usize,
    },
    /// Takes no part, or no longer.
    NotIn {
        /// Who.
        actor: Actor,
    },
    /// Not what this participant may do now.
    OutOfTurn {
        /// Who.
        actor: Actor,
    },
    /// The restart has failed before the task came.
    TooLate {
        /// Why it has failed.
        failure: Failure,
    },
    /// All are released; nothing can fail any more.
    AlreadyReleased {
        /// Who tried.
        actor: Actor,
    },
}

impl ProtocolError {
    /// The errno that the caller of restart gets; positive.
    pub const fn errno(&self) -> i32 {
        match self {
            ProtocolError::NoSuchSlot { .. } | ProtocolError::NotIn { .. } => errno::ESRCH,
            ProtocolError::AlreadyIn { .. } => errno::EBUSY,
            ProtocolError::TooLate { failure } => failure.errno,
            ProtocolError::TaskCount { .. }
            | ProtocolError::SlotCount { .. }
            | ProtocolError::OutOfTurn { .. }
            | ProtocolError::AlreadyReleased { .. } => errno::EINVAL,
        }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProtocolError::TaskCount { found } => {
                write!(f, "tasks: expected 1 to 32768, found {found}")
            }
            ProtocolError::SlotCount { expected, found } => {
                write!(f, "slots: expected {expected}, found {found}")
            }
            ProtocolError::NoSuchSlot { expected, found } => {
                write!(f, "task: expected a number below {expected}, found {found}")
            }
            ProtocolError::AlreadyIn { slot } => {
                write!(f, "task {slot} has called restart already")
            }
            ProtocolError::NotIn { actor } => write!(f, "{actor} takes no part in the restart"),
            ProtocolError::OutOfTurn { actor } => write!(f, "it is not the turn of {actor}"),
            ProtocolError::TooLate { failure } => write!(
                f,
                "the restart has failed before, at {}, errno {}",
                failure.actor, failure.errno
            ),
            ProtocolError::AlreadyReleased { actor } => {
                write!(f, "failure of {actor} after all were released")
            }
        }
    }
}
