// SPDX-License-Identifier: GPL-2.0-only

//! What the kernel has kept of the restarts of a case: files of debugfs,
//! `checkpoint/`. What they hold is in the kernel's `glue/debug/trace.rs`.

use checkpoint::restart::trace::{Moment, WORDS};
use std::fs;
use std::io;

const LAST: &str = "/sys/kernel/debug/checkpoint/traced";
const RING: &str = "/sys/kernel/debug/checkpoint/trace";

/// How far the kernel's record has been read.
#[derive(Debug, Default)]
pub struct Traced {
    last: u32,
}

impl Traced {
    /// The moments since the last call, oldest first, as words, and how many of them the kernel has
    /// written over. None from a kernel that keeps none.
    pub fn take(&mut self) -> Result<(Vec<[u64; WORDS]>, u32), String> {
        let failure = |path: &str, why: String| format!("reset: {path}: {why}");
        let text = match fs::read_to_string(LAST) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), 0)),
            text => text.map_err(|err| failure(LAST, err.to_string()))?,
        };
        let text = text.trim();
        let last: u32 = text
            .parse()
            .map_err(|_| failure(LAST, format!("expected a number, found {text:?}")))?;
        let since = std::mem::replace(&mut self.last, last);
        if since == last {
            return Ok((Vec::new(), 0));
        }
        let ring = fs::read(RING).map_err(|err| failure(RING, err.to_string()))?;
        let moments = between(&ring, since, last);
        let lost = last.wrapping_sub(since) - moments.len() as u32;
        Ok((moments, lost))
    }
}

/// The moments behind number `since`, up to `last`, that a ring still holds.
fn between(ring: &[u8], since: u32, last: u32) -> Vec<[u64; WORDS]> {
    let (places, _) = ring.as_chunks::<{ WORDS * 8 }>();
    let room = u32::try_from(places.len()).unwrap_or(u32::MAX);
    let count = last.wrapping_sub(since).min(room);
    let numbers = (0..count).map(|back| last.wrapping_sub(count - 1 - back));
    let words = numbers.filter_map(|number| {
        let place = places.get(number as usize % places.len())?;
        let (words, _) = place.as_chunks::<8>();
        let words: [u64; WORDS] = std::array::from_fn(|at| u64::from_ne_bytes(words[at]));
        (Moment::from_words(words)?.number == number).then_some(words)
    });
    words.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use checkpoint::restart::trace::Place;
    use checkpoint::restart::{Actor, Point};

    /// A ring of four places after `last` moments.
    fn ring(last: u32) -> Vec<u8> {
        let mut ring = vec![0; 4 * WORDS * 8];
        for number in 1..=last {
            let moment = Moment {
                time_ns: 100 * u64::from(number),
                restart: 1,
                number,
                actor: Actor::Slot(0),
                pid: 1,
                saved_pid: 1,
                place: Place::At {
                    point: Point::Turn,
                    tasks: 1,
                },
            };
            let from = number as usize % 4 * WORDS * 8;
            for (at, word) in moment.to_words().into_iter().enumerate() {
                ring[from + at * 8..][..8].copy_from_slice(&word.to_ne_bytes());
            }
        }
        ring
    }

    fn numbers(ring: &[u8], since: u32, last: u32) -> Vec<u32> {
        let moments = between(ring, since, last);
        let moments = moments.into_iter().filter_map(Moment::from_words);
        moments.map(|moment| moment.number).collect()
    }

    #[test]
    fn what_is_new_is_read_and_what_was_written_over_is_not() {
        assert_eq!(numbers(&ring(3), 0, 3), [1, 2, 3]);
        assert_eq!(numbers(&ring(3), 2, 3), [3]);
        assert_eq!(numbers(&ring(9), 7, 9), [8, 9]);
        assert_eq!(numbers(&ring(9), 2, 9), [6, 7, 8, 9]);
        // Two have been written since the number was read.
        assert_eq!(numbers(&ring(11), 5, 9), [8, 9]);
        assert_eq!(numbers(&[], 5, 9), [] as [u32; 0]);
        assert_eq!(numbers(&[0; 33], 0, 1), [] as [u32; 0]);
    }
}
