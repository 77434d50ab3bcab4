// SPDX-License-Identifier: GPL-2.0-only

//! Numbers for patches: as many as can keep theirs do, the others get one in
//! between. Pure.

/// Distance to the patch before, where none follows.
const STEP: u32 = 10;
/// Numbers have three digits.
const LAST: u32 = 999;

/// A number for each patch, ascending, from those that they have. Where there is no room between two, those
/// behind make some: as few of them as need be. `None`: no number of three digits is left.
pub fn assign(have: &[Option<u32>]) -> Option<Vec<u32>> {
    let keep = longest_ascent(have);
    let mut numbers: Vec<u32> = Vec::new();
    for (at, number) in have.iter().enumerate() {
        // Whoever has 0 keeps it, and nobody else gets it.
        let free = numbers.last().map_or(0, |last| last + 1);
        let before = numbers.last().copied().unwrap_or(0);
        let number = match number.filter(|_| keep[at]) {
            Some(number) => number.max(free),
            None => {
                // Those without a number up to the next that keeps its own share the room evenly.
                let ahead = (at..have.len()).take_while(|at| !keep[*at]).count() as u32;
                let next = (at..have.len()).find(|at| keep[*at]);
                let next = next.and_then(|at| have[at]);
                let wanted = match next {
                    Some(next) => before + next.saturating_sub(before) / (ahead + 1),
                    None if before + STEP * ahead <= LAST => before + STEP,
                    None => before + (LAST + 1).saturating_sub(before) / (ahead + 1),
                };
                wanted.max(free).max(1)
            }
        };
        if number > LAST {
            return None;
        }
        numbers.push(number);
    }
    Some(numbers)
}

/// Which of them make up a longest ascending sequence.
fn longest_ascent(have: &[Option<u32>]) -> Vec<bool> {
    let (mut length, mut from) = (vec![0; have.len()], vec![None; have.len()]);
    for at in 0..have.len() {
        let Some(number) = have[at] else { continue };
        let below = |other: &usize| have[*other].is_some_and(|other| other < number);
        // The first of the longest, so that the result is the same each time.
        let best = (0..at)
            .filter(below)
            .rev()
            .max_by_key(|other| length[*other]);
        from[at] = best;
        length[at] = 1 + best.map_or(0, |best| length[best]);
    }
    let mut keep = vec![false; have.len()];
    let mut at = (0..have.len())
        .rev()
        .filter(|at| length[*at] > 0)
        .max_by_key(|at| length[*at]);
    while let Some(here) = at {
        keep[here] = true;
        at = from[here];
    }
    keep
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn who_stands_right_keeps_its_number() {
        let some = |numbers: &[u32]| {
            numbers
                .iter()
                .map(|number| Some(*number))
                .collect::<Vec<_>>()
        };
        assert_eq!(assign(&some(&[100, 110, 200])), Some(vec![100, 110, 200]));
        // Moved to the front, to the end, and a new one in between.
        assert_eq!(assign(&some(&[200, 100, 110])), Some(vec![50, 100, 110]));
        assert_eq!(assign(&some(&[110, 200, 100])), Some(vec![110, 200, 210]));
        assert_eq!(
            assign(&[Some(100), None, Some(110)]),
            Some(vec![100, 105, 110])
        );
        assert_eq!(assign(&[None, None]), Some(vec![10, 20]));
        assert_eq!(
            assign(&[Some(100), None, None, Some(103)]),
            Some(vec![100, 101, 102, 103])
        );
        // Who is behind makes room, up to the first that has some.
        assert_eq!(
            assign(&[Some(100), None, Some(101), Some(102), Some(110)]),
            Some(vec![100, 101, 102, 103, 110])
        );
        assert_eq!(assign(&[None, Some(0)]), Some(vec![1, 2]));
        assert_eq!(assign(&[Some(995), None]), Some(vec![995, 997]));
        let full = [Some(999), None];
        assert_eq!(assign(&full), None, "no number of three digits is left");
    }

    proptest! {
        #[test]
        fn numbers_ascend_and_only_who_is_pushed_loses_its_own(have in prop::collection::vec(prop::option::of(0u32..900), 0..12)) {
            let numbers = assign(&have).unwrap();
            prop_assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]));
            let sorted: Vec<u32> = have.iter().flatten().copied().collect();
            if sorted.windows(2).all(|pair| pair[0] < pair[1]) {
                for (at, had) in have.iter().enumerate() {
                    let pushed = at > 0 && numbers[at] == numbers[at - 1] + 1;
                    prop_assert!(had.is_none_or(|had| had == numbers[at] || (had < numbers[at] && pushed)));
                }
            }
        }
    }
}
