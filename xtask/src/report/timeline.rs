// SPDX-License-Identifier: GPL-2.0-only

//! The restarts of a scenario as the kernel saw them: who was where, when. Made of the moments that the
//! kernel keeps, written into the scenario's folder as `restarts.json`, and read from there for the reports.

use std::collections::BTreeMap;
use std::path::Path;

use checkpoint::restart::trace::{self, Moment};
use checkpoint::restart::{Actor, Point};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::layout::write_whole;

/// Name of the file in a scenario's folder.
pub const RESTARTS: &str = "restarts.json";

/// All restarts of a scenario, in the order in which they began.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub struct Restarts {
    /// Moments that the kernel had written over before they were read: of the first restarts some, or all,
    /// are missing then.
    pub moments_lost: u32,
    /// The restarts.
    pub restarts: Vec<Restart>,
}

/// One restart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Restart {
    /// Which of the guest it is since its boot, from 1.
    pub number: u32,
    /// When it began, in seconds since the guest's boot: the clock of its kernel log.
    pub began_s: f64,
    /// Tasks of the image.
    #[serde(default)]
    pub tasks: usize,
    /// The coordinator, if there is one, and then the tasks in the order of the image.
    pub participants: Vec<Participant>,
}

/// One who takes part in a restart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Participant {
    /// Which task of the image, from 0; none is the coordinator.
    pub slot: Option<usize>,
    /// Its pid in the guest's first pid namespace.
    pub pid: i32,
    /// Its pid in the image; 0 for the coordinator.
    pub saved_pid: i32,
    /// Where it was, in the order of times.
    pub path: Vec<Stop>,
}

/// Where a participant was at a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stop {
    /// In microseconds since the restart began.
    pub at_us: f64,
    /// The place.
    #[serde(flatten)]
    pub place: Place,
}

/// The places on a participant's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "place", rename_all = "kebab-case")]
pub enum Place {
    /// It has come in, and waits for its turn.
    Entered,
    /// It is its turn: it restores itself.
    Turn,
    /// It has its memory back, and restores the rest.
    Midway,
    /// It has restored itself, or failed to, and waits for the others.
    Restored,
    /// It reads the end of the image.
    Verify,
    /// It has read the end, or found it wrong, and nobody knows.
    Verified,
    /// It knows how the restart has ended.
    Ended,
    /// It has left.
    Left {
        /// With this errno; 0: it goes on as the restored task, or the restart that it coordinates is done.
        errno: u16,
        /// Whether it dies of that, having been changed already.
        killed: bool,
    },
}

impl From<trace::Place> for Place {
    fn from(place: trace::Place) -> Place {
        let point = match place {
            trace::Place::At { point, .. } => point,
            trace::Place::Left { errno, killed } => return Place::Left { errno, killed },
        };
        match point {
            Point::Entered => Place::Entered,
            Point::Turn => Place::Turn,
            Point::Restoring => Place::Midway,
            Point::Restored => Place::Restored,
            Point::Verify => Place::Verify,
            Point::Verified => Place::Verified,
            Point::Ended => Place::Ended,
        }
    }
}

impl Restarts {
    /// The restarts of moments as the kernel gives them; words that are none are left out.
    pub fn of(words: &[[u64; trace::WORDS]], moments_lost: u32) -> Restarts {
        let mut moments: Vec<Moment> = words
            .iter()
            .copied()
            .filter_map(Moment::from_words)
            .collect();
        moments.sort_by_key(|moment| moment.time_ns);
        let mut order: Vec<u32> = Vec::new();
        let mut of_restart: BTreeMap<u32, Vec<Moment>> = BTreeMap::new();
        for moment in moments {
            let known = of_restart.entry(moment.restart).or_default();
            if known.is_empty() {
                order.push(moment.restart);
            }
            known.push(moment);
        }
        let restarts = order
            .iter()
            .map(|number| restart(*number, &of_restart[number]));
        Restarts {
            moments_lost,
            restarts: restarts.collect(),
        }
    }

    /// Writes them into a scenario's folder; nothing if there are none.
    pub fn write(&self, folder: &Path) -> Result<()> {
        if self.restarts.is_empty() {
            return Ok(());
        }
        let mut text = serde_json::to_vec(self).map_err(|err| {
            Error::lab("writing down the restarts of a scenario", err.to_string())
        })?;
        text.push(b'\n');
        write_whole(&folder.join(RESTARTS), &text)
    }

    /// Those of a scenario's folder; none if there is no record that can be read.
    pub fn read(folder: &Path) -> Restarts {
        let bytes = std::fs::read(folder.join(RESTARTS)).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }
}

/// A restart of its moments, of which there is one at the least, in the order of times.
fn restart(number: u32, moments: &[Moment]) -> Restart {
    let began = moments.first().map_or(0, |moment| moment.time_ns);
    // The coordinator comes before slot 0.
    let mut participants: BTreeMap<Option<usize>, Participant> = BTreeMap::new();
    for moment in moments {
        let slot = match moment.actor {
            Actor::Slot(slot) => Some(slot),
            Actor::Coordinator => None,
        };
        let participant = participants.entry(slot).or_insert_with(|| Participant {
            slot,
            pid: moment.pid,
            saved_pid: moment.saved_pid,
            path: Vec::new(),
        });
        participant.path.push(Stop {
            at_us: (moment.time_ns - began) as f64 / 1e3,
            place: moment.place.into(),
        });
    }
    let tasks = moments.iter().filter_map(|moment| match moment.place {
        trace::Place::At { tasks, .. } => Some(usize::from(tasks)),
        trace::Place::Left { .. } => None,
    });
    Restart {
        number,
        tasks: tasks.max().unwrap_or(0),
        began_s: began as f64 / 1e9,
        participants: participants.into_values().collect(),
    }
}

impl Participant {
    /// When it came to a place, in microseconds since the restart began.
    pub fn at(&self, place: Place) -> Option<f64> {
        let mut stops = self.path.iter();
        Some(stops.find(|stop| stop.place == place)?.at_us)
    }

    /// The errno that it left with, and whether it dies of that; none if it has not left.
    pub fn left(&self) -> Option<(u16, bool)> {
        self.path.iter().find_map(|stop| match stop.place {
            Place::Left { errno, killed } => Some((errno, killed)),
            _ => None,
        })
    }

    /// Whether it is the coordinator, or a name for a task: its pid in the image, and now, if that is another.
    pub fn name(&self) -> String {
        match (self.slot, self.saved_pid) {
            (None, _) => format!("coordinator {}", self.pid),
            (Some(_), saved) if saved == self.pid => format!("{saved}"),
            (Some(_), saved) => format!("{saved} (now {})", self.pid),
        }
    }
}

impl Restart {
    /// Number of tasks that took part, the coordinator not counted.
    pub fn tasks_seen(&self) -> usize {
        let is_task = |participant: &&Participant| participant.slot.is_some();
        self.participants.iter().filter(is_task).count()
    }

    /// How long it took, in microseconds: to the last moment that is known.
    pub fn lasted_us(&self) -> f64 {
        let stops = self.participants.iter().flat_map(|who| &who.path);
        stops.map(|stop| stop.at_us).fold(0.0, f64::max)
    }

    /// The errno of the restart, if it failed: all who leave learn the same.
    pub fn errno(&self) -> Option<u16> {
        let mut ends = self.participants.iter().filter_map(Participant::left);
        ends.find_map(|(errno, _)| (errno != 0).then_some(errno))
    }

    /// Whether somebody has not left.
    pub fn is_open(&self) -> bool {
        self.participants.iter().any(|who| who.left().is_none())
    }

    /// From whom to whom the turn was handed on, and how long that took: numbers in `participants`, then from
    /// when until when in microseconds.
    pub fn hands(&self) -> Vec<(usize, usize, f64, f64)> {
        let hand = |at: usize| {
            let (from, to) = (self.participants.get(at)?, self.participants.get(at + 1)?);
            if from.slot? + 1 != to.slot? {
                return None;
            }
            Some((at, at + 1, from.at(Place::Restored)?, to.at(Place::Turn)?))
        };
        (0..self.participants.len()).filter_map(hand).collect()
    }

    /// What each task took to restore itself, in microseconds, with its number in `participants`.
    pub fn restoring(&self) -> Vec<(usize, f64)> {
        let time = |(at, who): (usize, &Participant)| {
            Some((at, who.at(Place::Restored)? - who.at(Place::Turn)?))
        };
        self.participants
            .iter()
            .enumerate()
            .filter_map(time)
            .collect()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A restart of two tasks and their coordinator, the second of which ends with `errno`.
    pub fn words(errno: u16) -> Vec<[u64; trace::WORDS]> {
        use trace::Place::Left;
        let at = |point| trace::Place::At { point, tasks: 2 };
        let mut words = Vec::new();
        let mut add = |ms: u64, actor: Actor, place: trace::Place| {
            let (pid, saved_pid) = match actor {
                Actor::Coordinator => (100, 0),
                Actor::Slot(slot) => (101 + slot as i32, 1 + slot as i32),
            };
            words.push(
                Moment {
                    time_ns: 2_000_000_000 + ms * 1_000_000,
                    restart: 4,
                    number: words.len() as u32 + 1,
                    actor,
                    pid,
                    saved_pid,
                    place,
                }
                .to_words(),
            );
        };
        let (first, second, all) = (Actor::Slot(0), Actor::Slot(1), Actor::Coordinator);
        add(0, all, at(Point::Entered));
        add(1, first, at(Point::Entered));
        add(2, second, at(Point::Entered));
        add(3, first, at(Point::Turn));
        add(5, first, at(Point::Restoring));
        add(7, first, at(Point::Restored));
        add(8, second, at(Point::Turn));
        add(9, second, at(Point::Restored));
        let killed = errno != 0;
        if !killed {
            add(10, all, at(Point::Verify));
            add(10, all, at(Point::Verified));
        }
        for who in [all, first, second] {
            add(11, who, at(Point::Ended));
            let killed = killed && who != all;
            add(12, who, Left { errno, killed });
        }
        words
    }

    #[test]
    fn moments_become_ways_of_participants() {
        let all = Restarts::of(&words(0), 0);
        let [restart] = &all.restarts[..] else {
            panic!("{all:?}")
        };
        assert_eq!((restart.number, restart.began_s), (4, 2.0));
        let slots: Vec<_> = restart.participants.iter().map(|who| who.slot).collect();
        assert_eq!(slots, [None, Some(0), Some(1)]);
        let first = &restart.participants[1];
        assert_eq!((first.pid, first.saved_pid), (101, 1));
        assert_eq!(first.at(Place::Midway), Some(5000.0));
        assert_eq!((restart.tasks, restart.tasks_seen()), (2, 2));
        assert_eq!(restart.lasted_us(), 12000.0);
        assert_eq!((restart.errno(), restart.is_open()), (None, false));
        assert_eq!(restart.hands(), [(1, 2, 7000.0, 8000.0)]);
        assert_eq!(restart.restoring(), [(1, 4000.0), (2, 1000.0)]);
        let names: Vec<_> = restart.participants.iter().map(Participant::name).collect();
        assert_eq!(names, ["coordinator 100", "1 (now 101)", "2 (now 102)"]);
    }

    #[test]
    fn a_failure_and_an_end_that_is_missing_are_seen() {
        let mut moments = words(4);
        let failed = Restarts::of(&moments, 0).restarts[0].clone();
        assert_eq!((failed.errno(), failed.is_open()), (Some(4), false));
        assert_eq!(failed.participants[0].left(), Some((4, false)));
        assert_eq!(failed.participants[2].left(), Some((4, true)));
        moments.pop();
        assert!(Restarts::of(&moments, 0).restarts[0].is_open());
        assert_eq!(Restarts::of(&[[0; 4], [7; 4]], 0), Restarts::default());
    }

    #[test]
    fn what_was_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        Restarts::default().write(folder.path()).unwrap();
        assert!(!folder.path().join(RESTARTS).exists());
        let all = Restarts::of(&words(4), 3);
        all.write(folder.path()).unwrap();
        assert_eq!(Restarts::read(folder.path()), all);
        std::fs::write(folder.path().join(RESTARTS), "{").unwrap();
        assert_eq!(Restarts::read(folder.path()), Restarts::default());
    }
}
