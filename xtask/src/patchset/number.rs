// SPDX-License-Identifier: GPL-2.0-only

//! Numbers for patches in line: as many as stand right keep theirs, the others get one in between. Where there is no
//! room those behind make some, up to the first that has it. Pure.

/// Distance to the patch before, where none follows.
const STEP: u32 = 10;

/// One place in line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// The number that it has.
    pub number: Option<u32>,
    /// Whether it must keep it.
    pub fixed: bool,
}

/// Which place cannot be had: one with a fixed number that those before it need; one behind the last, if no number is
/// left there.
pub type NoRoom = usize;

/// A number for each place, ascending, none above `last`. Nobody gets 0 but who has it and is the first.
pub fn assign(places: &[Place], last: u32) -> Result<Vec<u32>, NoRoom> {
    let keep = standing_right(places);
    let mut numbers: Vec<u32> = Vec::new();
    for (at, place) in places.iter().enumerate() {
        let before = numbers.last().copied();
        let low = before.map_or(1, |before| before.saturating_add(1));
        let before = before.unwrap_or(0);
        let number = match place.number.filter(|_| keep[at]) {
            Some(0) if at == 0 => 0,
            Some(number) => number.max(low),
            None => {
                // Those that get one, up to the next that keeps its own, share the room evenly.
                let next = (at..places.len()).find(|at| keep[*at]);
                let ahead = (next.unwrap_or(places.len()) - at) as u32;
                let end = next.and_then(|at| places[at].number);
                let end = end.or((ahead > last.saturating_sub(before) / STEP).then_some(last + 1));
                match end {
                    Some(end) => before + end.saturating_sub(before) / (ahead + 1),
                    None => before + STEP,
                }
                .max(low)
            }
        };
        if place.fixed && place.number != Some(number) {
            return Err(at);
        }
        if number > last && !place.fixed {
            return Err(places.len());
        }
        numbers.push(number);
    }
    Ok(numbers)
}

/// Which places make up a longest ascending line, with all in it that are fixed.
fn standing_right(places: &[Place]) -> Vec<bool> {
    let count = places.len();
    let fixed = |at: &usize| places[*at].number.filter(|_| places[*at].fixed);
    // What a number has to be above, and below, for the fixed ones before and behind it.
    let (mut above, mut below) = (vec![None; count], vec![None; count]);
    for at in 1..count {
        above[at] = fixed(&(at - 1)).max(above[at - 1]);
    }
    for at in (1..count).rev() {
        below[at - 1] = fixed(&at).or(below[at]);
    }
    let suits = |at: usize| {
        let number = places[at].number;
        number.filter(|_| number > above[at] && below[at].is_none_or(|below| number < Some(below)))
    };
    let (mut length, mut from) = (vec![0; count], vec![None; count]);
    for at in 0..count {
        let Some(number) = suits(at) else { continue };
        let before = |other: &usize| suits(*other).is_some_and(|other| other < number);
        // The first of the longest, so that the result is the same each time.
        let best = (0..at).filter(before).rev();
        let best = best.max_by_key(|other| length[*other]);
        from[at] = best;
        length[at] = 1 + best.map_or(0, |best| length[best]);
    }
    let mut right = vec![false; count];
    let ends = (0..count).rev().filter(|at| length[*at] > 0);
    let mut at = ends.max_by_key(|at| length[*at]);
    while let Some(here) = at {
        right[here] = true;
        at = from[here];
    }
    right
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn assigned(have: &[Option<u32>]) -> Result<Vec<u32>, NoRoom> {
        let place = |number: &Option<u32>| Place {
            number: *number,
            fixed: false,
        };
        let places: Vec<Place> = have.iter().map(place).collect();
        assign(&places, 999)
    }

    #[test]
    fn who_stands_right_keeps_its_number() {
        let some = |numbers: &[u32]| {
            let numbers: Vec<Option<u32>> = numbers.iter().copied().map(Some).collect();
            assigned(&numbers).unwrap()
        };
        assert_eq!(some(&[100, 110, 200]), [100, 110, 200]);
        // Moved to the front, to the end, and a new one in between.
        assert_eq!(some(&[200, 100, 110]), [50, 100, 110]);
        assert_eq!(some(&[110, 200, 100]), [110, 200, 210]);
        let new = |have: &[Option<u32>]| assigned(have).unwrap();
        assert_eq!(new(&[Some(100), None, Some(110)]), [100, 105, 110]);
        assert_eq!(new(&[None, None]), [10, 20]);
        assert_eq!(new(&[Some(0), None, Some(2)]), [0, 1, 2]);
        assert_eq!(new(&[Some(995), None]), [995, 997]);
        assert_eq!(
            new(&[Some(100), None, None, Some(103)]),
            [100, 101, 102, 103]
        );
    }

    #[test]
    fn who_leaves_no_room_makes_some() {
        let new = |have: &[Option<u32>]| assigned(have).unwrap();
        assert_eq!(
            new(&[Some(100), None, Some(101), Some(102), Some(110)]),
            [100, 101, 102, 103, 110]
        );
        assert_eq!(new(&[None, Some(1)]), [1, 2]);
        assert_eq!(assigned(&[Some(998), None, Some(999)]), Err(3));
        assert_eq!(assigned(&[Some(999), None]), Err(2));
    }

    #[test]
    fn who_must_keep_its_number_is_an_end_to_it() {
        let place = |number: u32, fixed: bool| Place {
            number: Some(number),
            fixed,
        };
        let new = Place {
            number: None,
            fixed: false,
        };
        let of = |places: &[Place]| assign(places, 999);
        assert_eq!(
            of(&[place(100, false), new, place(101, false), place(103, true)]),
            Ok(vec![100, 101, 102, 103])
        );
        assert_eq!(
            of(&[place(100, false), new, place(101, false), place(102, true)]),
            Err(3)
        );
        // Who is in its way stands wrong.
        assert_eq!(
            of(&[place(200, false), place(150, true)]),
            Ok(vec![75, 150])
        );
    }

    proptest! {
        #[test]
        fn numbers_ascend_and_who_gives_way_goes_up(
            have in prop::collection::vec((prop::option::of(0u32..30), any::<bool>()), 0..10)
        ) {
            let place = |(number, fixed): &(Option<u32>, bool)| Place { number: *number, fixed: *fixed && number.is_some() };
            let places: Vec<Place> = have.iter().map(place).collect();
            let Ok(numbers) = assign(&places, 99) else {
                prop_assert!(places.iter().any(|place| place.fixed), "only what is fixed can be in the way");
                return Ok(());
            };
            prop_assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
            let moved = |(place, number): (&Place, &u32)| place.fixed && place.number != Some(*number);
            prop_assert!(!places.iter().zip(&numbers).any(moved));
            let sorted: Vec<u32> = have.iter().filter_map(|(number, _)| *number).collect();
            if sorted.windows(2).all(|pair| pair[0] < pair[1]) {
                for (at, number) in numbers.iter().enumerate() {
                    let pushed = |had: u32| had < *number && (at == 0 || numbers[at - 1] + 1 == *number);
                    prop_assert!(places[at].number.is_none_or(|had| had == *number || pushed(had)));
                }
            }
        }
    }
}
