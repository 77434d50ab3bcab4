// SPDX-License-Identifier: GPL-2.0-only

//! What a participant has come to, and when, as four words: the form in which
//! the kernel keeps it for whoever draws a restart.
//!
//! | word | upper half | lower half |
//! | --- | --- | --- |
//! | 0 | nanoseconds of CLOCK_MONOTONIC, 64 bits | |
//! | 1 | number of the restart since boot, from 1 | number of the moment since boot, from 1 |
//! | 2 | slot; 4294967295 for the coordinator | pid in the first pid namespace |
//! | 3 | saved pid; 0 for the coordinator | number << 16, killed << 8, place |
//!
//! Place is the number of a [`Point`], the number beside it that of the image's
//! tasks; or 255 for who has left, and the number is the errno.

use crate::restart::monitor::Point;
use crate::restart::state::Actor;

/// Words of a moment.
pub const WORDS: usize = 4;

const COORDINATOR: u32 = u32::MAX;
const LEFT: u64 = 255;

/// One moment of one participant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// When, in nanoseconds of CLOCK_MONOTONIC.
    pub time_ns: u64,
    /// In which restart, counted since boot from 1.
    pub restart: u32,
    /// Which moment it is, of all restarts, counted since boot from 1.
    pub number: u32,
    /// Who.
    pub actor: Actor,
    /// The pid in the first pid namespace.
    pub pid: i32,
    /// The pid in the image; 0 for the coordinator.
    pub saved_pid: i32,
    /// Where it is.
    pub place: Place,
}

/// Where a participant is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// At a point of its way, in a restart of so many tasks.
    At {
        /// The point.
        point: Point,
        /// Tasks of the image.
        tasks: u16,
    },
    /// It has left.
    Left {
        /// With this errno; 0 if it goes on as the restored task.
        errno: u16,
        /// Whether it dies of it.
        killed: bool,
    },
}

impl Moment {
    /// The moment as words.
    pub fn to_words(&self) -> [u64; WORDS] {
        let slot = match self.actor {
            Actor::Slot(slot) => slot as u32,
            Actor::Coordinator => COORDINATOR,
        };
        let place = match self.place {
            Place::At { point, tasks } => u64::from(tasks) << 16 | u64::from(point as u32),
            Place::Left { errno, killed } => u64::from(errno) << 16 | u64::from(killed) << 8 | LEFT,
        };
        [
            self.time_ns,
            halves(self.restart, self.number),
            halves(slot, self.pid as u32),
            u64::from(self.saved_pid as u32) << 32 | place,
        ]
    }

    /// The moment of four words; `None` if they are none, as of a place in a
    /// ring that nobody has written to.
    pub fn from_words(words: [u64; WORDS]) -> Option<Moment> {
        let [time_ns, numbers, who, what] = words;
        let (restart, number) = (numbers >> 32, numbers as u32);
        let (slot, pid) = ((who >> 32) as u32, who as u32);
        let place = match what & 0xff {
            LEFT => Place::Left {
                errno: (what >> 16) as u16,
                killed: what >> 8 & 1 != 0,
            },
            point => Place::At {
                point: Point::of(point as u32)?,
                tasks: (what >> 16) as u16,
            },
        };
        if restart == 0 || number == 0 {
            return None;
        }
        Some(Moment {
            time_ns,
            restart: restart as u32,
            number,
            actor: match slot {
                COORDINATOR => Actor::Coordinator,
                slot => Actor::Slot(slot as usize),
            },
            pid: pid as i32,
            saved_pid: (what >> 32) as u32 as i32,
            place,
        })
    }
}

fn halves(upper: u32, lower: u32) -> u64 {
    u64::from(upper) << 32 | u64::from(lower)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(actor: Actor, place: Place) -> Moment {
        Moment {
            time_ns: 5_000_000_123,
            restart: 3,
            number: 77,
            actor,
            pid: 1_234,
            saved_pid: 7,
            place,
        }
    }

    #[test]
    fn words_come_back_as_the_moment_they_are() {
        let ends = [0, 4, 125].map(|errno| Place::Left {
            errno,
            killed: errno == 4,
        });
        let at = |point| Place::At { point, tasks: 1024 };
        let points = Point::ALL.map(at).into_iter();
        for place in points.chain(ends) {
            for actor in [Actor::Slot(0), Actor::Slot(65_535), Actor::Coordinator] {
                let moment = moment(actor, place);
                assert_eq!(Moment::from_words(moment.to_words()), Some(moment));
            }
        }
    }

    #[test]
    fn what_nobody_wrote_is_no_moment() {
        assert_eq!(Moment::from_words([0; WORDS]), None);
        let (point, tasks) = (Point::Turn, 2);
        let good = moment(Actor::Slot(1), Place::At { point, tasks }).to_words();
        for (word, bad) in [
            (1, good[1] & 0xffff_ffff),
            (1, good[1] >> 32 << 32),
            (3, 8),
            (3, 0),
        ] {
            let mut words = good;
            words[word] = bad;
            assert_eq!(Moment::from_words(words), None, "word {word}: {bad:#x}");
        }
    }
}
