// SPDX-License-Identifier: GPL-2.0-only

//! Numbers for patches in line: as many as can keep theirs do, the others get one in between. Those without room
//! between two are made room for. Pure.

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

/// Which place cannot be reached: the first of those with a fixed number that has no room before it for all that
/// have to stand there; one behind the last, if there are more places than numbers.
pub type NoRoom = usize;

/// A number for each place, ascending, none above `last`. Of those that have one as few as possible get another. Nobody
/// gets 0 but who has it and is the first.
pub fn assign(places: &[Place], last: u32) -> Result<Vec<u32>, NoRoom> {
    let least = least(places);
    let keep = kept(places, least, last)?;
    let in_line = in_line(places, &keep);
    let count = places.len();
    let mut numbers: Vec<u32> = Vec::new();
    for at in 0..count {
        let low = numbers.last().map_or(least, |before| before + 1);
        let before = numbers.last().copied().unwrap_or(0);
        // Those that have to stand before the next that keeps its own, or before the end, need their room too.
        let next = (at..count).find(|at| keep[*at]).unwrap_or(count);
        let end = places.get(next).and_then(|place| place.number);
        let high = end.unwrap_or(last + 1).saturating_sub((next - at) as u32);
        let goal = (at..count).find(|at| in_line[*at]);
        let number = match (in_line[at], goal) {
            (true, _) if keep[at] => end.unwrap_or(low),
            // It stands right, and may lack room alone.
            (true, _) => places[at].number.unwrap_or(low).min(high),
            // Those without a number share the room evenly.
            (false, Some(goal)) => {
                let number = places[goal].number.unwrap_or(low);
                (before + number.saturating_sub(before) / ((goal - at) as u32 + 1)).min(high)
            }
            (false, None) => {
                let ahead = (count - at) as u32;
                match ahead <= (last - before) / STEP {
                    true => before + STEP,
                    false => before + (last + 1 - before) / (ahead + 1),
                }
            }
        };
        numbers.push(number.max(low));
    }
    Ok(numbers)
}

/// Which places have numbers in order: those that keep theirs, and those between that would, had they room.
fn in_line(places: &[Place], keep: &[bool]) -> Vec<bool> {
    let mut in_line = Vec::new();
    let mut before = None;
    for at in 0..places.len() {
        let next = (at..places.len()).find(|at| keep[*at]);
        let next = next.and_then(|at| places[at].number);
        let number = places[at].number;
        let is_between =
            number.is_some() && number > before && next.is_none_or(|next| number < Some(next));
        in_line.push(keep[at] || is_between);
        if in_line[at] {
            before = number;
        }
    }
    in_line
}

fn least(places: &[Place]) -> u32 {
    match places.first() {
        Some(Place {
            number: Some(0), ..
        }) => 0,
        _ => 1,
    }
}

/// Which places keep their numbers: the most that leave each other, and all between them, room.
fn kept(places: &[Place], least: u32, last: u32) -> Result<Vec<bool>, NoRoom> {
    let count = places.len();
    let (least, last) = (i64::from(least), i64::from(last));
    // How far a number is above the least that its place can have: who keeps it is no less far above than who keeps
    // one before it.
    let spare = |at: usize| {
        places[at]
            .number
            .map(|number| i64::from(number) - at as i64)
    };
    let most = last - (count as i64 - 1);
    if most < least {
        return Err(count);
    }
    let mut fixed: Vec<(usize, i64)> = Vec::new();
    for at in (0..count).filter(|at| places[*at].fixed) {
        let here = spare(at).unwrap_or_default();
        if here < fixed.last().map_or(least, |(_, spare)| *spare) {
            return Err(at);
        }
        fixed.push((at, here));
    }
    if fixed.last().is_some_and(|(_, spare)| *spare > most) {
        return Err(count);
    }
    let suits_fixed = |at: usize, here: i64| {
        fixed.iter().all(|(other, spare)| match *other < at {
            true => *spare <= here,
            false => here <= *spare,
        })
    };
    let can = |at: usize| {
        spare(at).filter(|here| (least..=most).contains(here) && suits_fixed(at, *here))
    };
    let (mut length, mut from) = (vec![0; count], vec![None; count]);
    for at in 0..count {
        let Some(here) = can(at) else { continue };
        let below = |other: &usize| can(*other).is_some_and(|other| other <= here);
        // The first of the longest, so that the result is the same each time.
        let best = (0..at)
            .filter(below)
            .rev()
            .max_by_key(|other| length[*other]);
        from[at] = best;
        length[at] = 1 + best.map_or(0, |best| length[best]);
    }
    let mut keep = vec![false; count];
    let ends = (0..count).rev().filter(|at| length[*at] > 0);
    let mut at = ends.max_by_key(|at| length[*at]);
    while let Some(here) = at {
        keep[here] = true;
        at = from[here];
    }
    Ok(keep)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn places(have: &[Option<u32>]) -> Vec<Place> {
        let place = |number: &Option<u32>| Place {
            number: *number,
            fixed: false,
        };
        have.iter().map(place).collect()
    }

    fn assigned(have: &[Option<u32>]) -> Result<Vec<u32>, NoRoom> {
        assign(&places(have), 999)
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
        // Two that have changed places, in a dense line.
        assert_eq!(some(&[1, 3, 2, 4, 5]), [1, 2, 3, 4, 5]);
        let new = |have: &[Option<u32>]| assigned(have).unwrap();
        assert_eq!(new(&[Some(100), None, Some(110)]), [100, 105, 110]);
        assert_eq!(new(&[None, None]), [10, 20]);
        assert_eq!(
            new(&[Some(100), None, None, Some(103)]),
            [100, 101, 102, 103]
        );
        assert_eq!(new(&[Some(0), None, Some(2)]), [0, 1, 2]);
        assert_eq!(new(&[Some(995), None]), [995, 997]);
    }

    #[test]
    fn who_leaves_no_room_makes_some() {
        let new = |have: &[Option<u32>]| assigned(have).unwrap();
        assert_eq!(
            new(&[Some(100), None, Some(101), Some(110)]),
            [100, 101, 102, 110]
        );
        assert_eq!(new(&[Some(100), None, Some(101)]), [100, 101, 102]);
        // One gives way in the place of two.
        assert_eq!(
            new(&[Some(100), None, Some(101), Some(102), Some(110)]),
            [99, 100, 101, 102, 110]
        );
        assert_eq!(new(&[Some(1), None, Some(2), Some(3)]), [1, 2, 3, 4]);
        assert_eq!(new(&[Some(998), None, Some(999)]), [997, 998, 999]);
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
            of(&[place(100, false), new, place(101, false), place(102, true)]),
            Ok(vec![99, 100, 101, 102])
        );
        assert_eq!(of(&[place(1, true), new, place(2, true)]), Err(2));
        assert_eq!(of(&[place(999, true), new]), Err(2));
        assert_eq!(of(&vec![new; 1000]), Err(1000));
    }

    /// How many of those with a number have another one.
    fn changed(places: &[Place], numbers: &[u32]) -> usize {
        let pairs = places.iter().zip(numbers);
        pairs
            .filter(|(place, number)| place.number.is_some_and(|had| had != **number))
            .count()
    }

    /// The fewest that can, found by trying all.
    fn fewest(places: &[Place], last: u32) -> Option<usize> {
        fn walk(places: &[Place], least: u32, last: u32) -> Option<usize> {
            let Some((first, rest)) = places.split_first() else {
                return Some(0);
            };
            let tries =
                (least..=last).filter(|number| !first.fixed || first.number == Some(*number));
            let cost = |number: u32| usize::from(first.number.is_some_and(|had| had != number));
            tries
                .filter_map(|number| Some(cost(number) + walk(rest, number + 1, last)?))
                .min()
        }
        walk(places, least(places), last)
    }

    proptest! {
        #[test]
        fn numbers_ascend_and_as_few_as_can_be_are_others(
            have in prop::collection::vec((prop::option::of(0u32..10), any::<bool>()), 0..7)
        ) {
            let place = |(number, fixed): &(Option<u32>, bool)| Place { number: *number, fixed: *fixed && number.is_some() };
            let places: Vec<Place> = have.iter().map(place).collect();
            match assign(&places, 9) {
                Ok(numbers) => {
                    prop_assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
                    prop_assert!(numbers.last().is_none_or(|number| *number <= 9));
                    let moved = |(place, number): (&Place, &u32)| place.fixed && place.number != Some(*number);
                    prop_assert!(!places.iter().zip(&numbers).any(moved));
                    prop_assert_eq!(Some(changed(&places, &numbers)), fewest(&places, 9));
                }
                Err(_) => prop_assert_eq!(fewest(&places, 9), None),
            }
        }
    }
}
