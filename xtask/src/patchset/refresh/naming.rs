// SPDX-License-Identifier: GPL-2.0-only

//! What the patches of a tree are called in the project: as they were, where their order is that of the file
//! `series`; by a number between their neighbours, if they are new or have moved. Neighbours without room between
//! them make some. Pure.

use std::collections::BTreeSet;

use crate::patchset::number;

/// Digits of a number, where no name has more.
const DIGITS: usize = 3;

/// One patch of a tree.
#[derive(Debug, Clone, Copy)]
pub struct Patch<'a> {
    /// Its name when the tree was made, if it is one of those.
    pub was: Option<&'a str>,
    /// What it does, in words that a name can have.
    pub slug: &'a str,
}

/// A name for each patch of a tree, in order. `listed` is what the project's series names now, `others` are those of
/// it that the tree does not know. `None`: no number is left before one of those, or below 1000.
pub fn names(patches: &[Patch<'_>], listed: &[&str], others: &[&str]) -> Option<Vec<String>> {
    let known: Vec<&str> = patches.iter().filter_map(|patch| patch.was).collect();
    let in_order = {
        let here = known.iter().filter(|name| listed.contains(name));
        listed.iter().filter(|name| known.contains(name)).eq(here)
    };
    let is_new = |patch: &Patch<'_>| patch.was.is_none();
    if in_order && !patches.iter().any(is_new) {
        return Some(known.into_iter().map(str::to_string).collect());
    }
    // A name without a number has its place by the list alone, and so has one that stays though it is out of line.
    let mut above = None;
    let mut counts = Vec::new();
    for patch in patches {
        let number = patch.was.and_then(number_of);
        let in_line = !in_order || number > above;
        counts.push(is_new(patch) || (number.is_some() && in_line));
        above = above.max(number);
    }
    let mut have: Vec<Option<u32>> = patches
        .iter()
        .zip(&counts)
        .filter(|(_, counts)| **counts)
        .map(|(patch, _)| patch.was.and_then(number_of))
        .collect();
    // Those that the tree stops short of stay behind it.
    let last = have.iter().flatten().max().copied().unwrap_or(0);
    let behind = others.iter().map(|name| number_of(name));
    let behind: Vec<Option<u32>> = behind.filter(|number| *number > Some(last)).collect();
    have.extend(&behind);
    let numbers = number::assign(&have)?;
    // What the tree does not know does not make room.
    let found = numbers.iter().rev().zip(behind.iter().rev());
    if found.into_iter().any(|(number, had)| Some(*number) != *had) {
        return None;
    }
    let mut numbers = numbers.into_iter();
    let all = known.iter().chain(others);
    let digits = all.filter_map(|name| digits_of(name)).max();
    let digits = digits.unwrap_or(DIGITS).max(DIGITS);
    let mut names = Vec::new();
    for (patch, counts) in patches.iter().zip(counts) {
        let number = counts.then(|| numbers.next()).flatten();
        let kept = |name: &&str| number.is_none() || number_of(name) == number;
        let name = match (patch.was.filter(kept), number) {
            (Some(name), _) => name.to_string(),
            (None, number) => format!("{:0digits$}-{}.patch", number?, patch.slug),
        };
        names.push(name);
    }
    let different: BTreeSet<&String> = names.iter().collect();
    (different.len() == names.len()).then_some(names)
}

/// `500-kconfig.patch` as 500 and `kconfig`.
pub fn parts(name: &str) -> Option<(u32, &str)> {
    let (number, rest) = name.split_once('-')?;
    Some((number.parse().ok()?, rest.strip_suffix(".patch")?))
}

fn number_of(name: &str) -> Option<u32> {
    parts(name).map(|(number, _)| number)
}

fn digits_of(name: &str) -> Option<usize> {
    number_of(name)?;
    name.find('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known patches by their names, new ones by a slug.
    fn named(patches: &[&str], listed: &[&str], others: &[&str]) -> Option<String> {
        let mut all = Vec::new();
        for text in patches {
            all.push(Patch {
                was: text.contains('.').then_some(*text),
                slug: parts(text).map_or(*text, |(_, slug)| slug),
            });
        }
        names(&all, listed, others).map(|names| names.join(" "))
    }

    #[test]
    fn what_stands_as_it_is_listed_keeps_its_name() {
        for list in [
            &["0001-fork.patch", "0002-exit.patch"][..],
            &["fork-thing.patch", "exit.patch", "fix.diff"],
            &["200-b.patch", "100-a.patch"],
            &["1001-far.patch", "000-first.patch", "000-again.patch"],
        ] {
            assert_eq!(named(list, list, &[]), Some(list.join(" ")));
        }
    }

    #[test]
    fn a_new_one_goes_between_and_takes_the_form_of_the_others() {
        let of = |patches: &[&str]| {
            let listed: Vec<&str> = patches
                .iter()
                .copied()
                .filter(|name| name.ends_with(".patch"))
                .collect();
            named(patches, &listed, &[])
        };
        let is = |text: &str| Some(text.to_string());
        assert_eq!(
            of(&["100-a.patch", "b", "200-c.patch"]),
            is("100-a.patch 150-b.patch 200-c.patch")
        );
        assert_eq!(of(&["0001-a.patch", "b"]), is("0001-a.patch 0011-b.patch"));
        assert_eq!(of(&["a-thing.patch", "b"]), is("a-thing.patch 010-b.patch"));
        assert_eq!(
            of(&["0002-b.patch", "0001-a.patch", "c"]),
            is("0002-b.patch 0001-a.patch 0012-c.patch")
        );
        assert_eq!(of(&["000-a.patch", "b"]), is("000-a.patch 010-b.patch"));
        // Without room those behind make some, up to the first that has it.
        assert_eq!(
            of(&[
                "0001-a.patch",
                "b",
                "0002-c.patch",
                "0003-d.patch",
                "0009-e.patch"
            ]),
            is("0001-a.patch 0002-b.patch 0003-c.patch 0004-d.patch 0009-e.patch")
        );
        assert_eq!(of(&["998-a.patch", "b", "999-c.patch"]), None);
    }

    #[test]
    fn who_moves_gets_another_number_if_it_has_one() {
        let moved = named(
            &["200-b.patch", "100-a.patch"],
            &["100-a.patch", "200-b.patch"],
            &[],
        );
        assert_eq!(moved.as_deref(), Some("200-b.patch 210-a.patch"));
        let moved = named(&["b.patch", "a.patch"], &["a.patch", "b.patch"], &[]);
        assert_eq!(moved.as_deref(), Some("b.patch a.patch"));
        // Beside one that moves the others keep their names as they are.
        let moved = named(
            &["0002-b.patch", "0003-c.patch", "0001-a.patch"],
            &["0001-a.patch", "0002-b.patch", "0003-c.patch"],
            &[],
        );
        assert_eq!(
            moved.as_deref(),
            Some("0002-b.patch 0003-c.patch 0013-a.patch")
        );
    }

    #[test]
    fn what_the_tree_stops_short_of_stays_behind_it() {
        let stops_before = |other: &str| {
            let listed = ["100-a.patch", other];
            named(&["100-a.patch", "b"], &listed, &[other])
        };
        let named = stops_before("200-c.patch");
        assert_eq!(named.as_deref(), Some("100-a.patch 150-b.patch"));
        assert_eq!(stops_before("101-c.patch"), None, "it makes no room");
    }
}
