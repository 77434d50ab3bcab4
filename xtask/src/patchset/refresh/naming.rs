// SPDX-License-Identifier: GPL-2.0-only

//! What the patches of a tree are called in the project: as they were, where their order is that of the file
//! `series`; by a number between their neighbours, if they are new or have moved. Neighbours without room between
//! them make some; patches that the tree does not know are never renamed. Pure.

use std::collections::BTreeSet;

use crate::patchset::number::{self, Place};

/// Digits of a number, where no patch has one.
const DIGITS: usize = 3;

/// One patch of the series to come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Patch<'a> {
    /// One of the tree.
    Tree {
        /// Its place in the tree, from 0.
        at: usize,
        /// Its name when the tree was made, if it is one of those.
        was: Option<&'a str>,
        /// What it does, in words that a name can have.
        slug: &'a str,
    },
    /// One that the project lists and the tree does not know.
    Other(&'a str),
}

impl<'a> Patch<'a> {
    /// The name that it has in the project, if it is there.
    pub fn was(&self) -> Option<&'a str> {
        match self {
            Patch::Tree { was, .. } => *was,
            Patch::Other(name) => Some(name),
        }
    }
}

/// Whether what both lists name stands in one order in them.
pub fn is_same_order(one: &[&str], other: &[&str]) -> bool {
    let both = one.iter().filter(|name| other.contains(name));
    both.eq(other.iter().filter(|name| one.contains(name)))
}

/// The series to come: the patches of a tree, and `others`. Where the tree left the order alone, it is that of the list, and
/// what that does not name stands behind what it follows in the tree. Where the tree has another order, that counts; the
/// others keep theirs, each behind the one that it is listed behind, or, with nothing of the tree's behind them, at the end.
pub fn order<'a>(
    tree: Vec<Patch<'a>>,
    others: &[&'a str],
    listed: &[&'a str],
    in_order: bool,
) -> Vec<Patch<'a>> {
    let known: BTreeSet<&str> = tree.iter().filter_map(Patch::was).collect();
    if in_order {
        let find = |name: &&'a str| {
            let of_tree = tree.iter().find(|patch| patch.was() == Some(name)).copied();
            of_tree.or(others.contains(name).then_some(Patch::Other(name)))
        };
        let mut all: Vec<Patch<'a>> = listed.iter().filter_map(find).collect();
        let mut at = 0;
        for patch in tree {
            let is_it = |other: &Patch<'_>| other.was().is_some() && other.was() == patch.was();
            at = match all.iter().position(is_it) {
                Some(place) => place + 1,
                None => {
                    // Behind the others that stand before the next of the tree's; what it stops short of stays behind it.
                    let of_tree = |other: &Patch<'_>| matches!(other, Patch::Tree { .. });
                    let next = all[at..].iter().position(of_tree);
                    let place = at + next.unwrap_or(0);
                    all.insert(place, patch);
                    place + 1
                }
            };
        }
        return all;
    }
    let mut all = tree;
    let mut least = 0;
    for other in others {
        let place = listed.iter().position(|name| name == other);
        let (before, behind) = listed.split_at(place.unwrap_or(listed.len()));
        let is_last = !behind.iter().any(|name| known.contains(name));
        let find = |name: &&'a str| all.iter().position(|patch| patch.was() == Some(name));
        let at = match is_last {
            true => all.len(),
            false => before.iter().rev().find_map(find).map_or(0, |at| at + 1),
        };
        let at = at.max(least);
        all.insert(at, Patch::Other(other));
        least = at + 1;
    }
    all
}

/// A name for each patch of the series to come. `in_order`: those that have one stand as they did. An error says what
/// there is no room for.
pub fn names(patches: &[Patch<'_>], in_order: bool) -> Result<Vec<String>, String> {
    let known: Vec<&str> = patches.iter().filter_map(Patch::was).collect();
    if in_order && known.len() == patches.len() {
        return Ok(known.into_iter().map(str::to_string).collect());
    }
    let (places, place_of) = places(patches, in_order);
    let digits = known.iter().filter_map(|name| digits_of(name)).max();
    let digits = digits.unwrap_or(DIGITS);
    let last = 10_u32
        .saturating_pow(digits.max(DIGITS) as u32)
        .saturating_sub(1);
    let numbers = number::assign(&places, last).map_err(|at| {
        let mut here = patches
            .iter()
            .zip(&place_of)
            .filter(|(_, place)| **place == Some(at));
        let other = here.find_map(|(patch, _)| match patch {
            Patch::Other(name) => Some(name),
            Patch::Tree { .. } => None,
        });
        match other {
            Some(name) => {
                format!("there is no number left before {name}, which this tree does not have")
            }
            None => format!("there is no number left up to {last}"),
        }
    })?;
    let mut names = Vec::new();
    for (patch, place) in patches.iter().zip(&place_of) {
        let number = place.map(|place| numbers[place]);
        let kept = |name: &&str| number.is_none() || number_of(name) == number;
        let name = match (patch.was().filter(kept), number, patch) {
            (None, Some(number), Patch::Tree { was, slug, .. }) => {
                let digits = was.and_then(digits_of).unwrap_or(digits);
                format!("{number:0digits$}-{slug}.patch")
            }
            (name, ..) => name.unwrap_or_default().to_string(),
        };
        names.push(name);
    }
    let mut different = BTreeSet::new();
    match names.iter().find(|name| !different.insert(*name)) {
        Some(twice) => Err(format!("two patches would be called {twice}")),
        None => Ok(names),
    }
}

/// The places that numbers are given to, and for each patch which of them it is in. A name without a number has its place
/// by the list alone, and so has one that stays though it is out of line. Neighbours of one number have one place.
fn places(patches: &[Patch<'_>], in_order: bool) -> (Vec<Place>, Vec<Option<usize>>) {
    let mut places: Vec<Place> = Vec::new();
    let mut place_of = Vec::new();
    // The highest number of all, and of those that stay as they are.
    let (mut above, mut above_fixed) = (None, None);
    // The last name among those in line.
    let mut before = "";
    for patch in patches {
        let was = patch.was().unwrap_or_default();
        let number = number_of(was);
        let fixed = matches!(patch, Patch::Other(_));
        let is_new = patch.was().is_none();
        let goes_on = |above| number > above || (number == above && before < was);
        let in_line = (!in_order || goes_on(above)) && (!fixed || goes_on(above_fixed));
        match places.last_mut() {
            Some(place) if number.is_some() && place.number == number && before < was => {
                place.fixed |= fixed;
                place_of.push(Some(places.len() - 1));
            }
            _ if is_new || (number.is_some() && in_line) => {
                places.push(Place { number, fixed });
                place_of.push(Some(places.len() - 1));
            }
            _ => {
                place_of.push(None);
                continue;
            }
        }
        if !is_new {
            before = was;
        }
        above = above.max(number);
        if fixed {
            above_fixed = above_fixed.max(number);
        }
    }
    (places, place_of)
}

/// `500-kconfig.patch` as 500 and `kconfig`.
pub fn parts(name: &str) -> Option<(u32, &str)> {
    let (number, rest) = name.split_once('-')?;
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
    let number = number.parse().ok().filter(|_| is_number)?;
    Some((number, rest.strip_suffix(".patch")?))
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
    use proptest::prelude::*;

    /// All names of the series to come, or what there is no room for: of known patches of a tree by their names and
    /// new ones by a slug, and others.
    fn all_named(patches: &[&str], listed: &[&str], others: &[&str]) -> Result<String, String> {
        let of_tree = patches.iter().enumerate().map(|(at, text)| Patch::Tree {
            at,
            was: text.contains('.').then_some(*text),
            slug: parts(text).map_or(*text, |(_, slug)| slug),
        });
        let tree: Vec<Patch<'_>> = of_tree.collect();
        let known: Vec<&str> = tree.iter().filter_map(Patch::was).collect();
        let in_order = is_same_order(&known, listed);
        let all = order(tree, others, listed, in_order);
        names(&all, in_order).map(|names| names.join(" "))
    }

    /// The same of what is listed and all in the tree.
    fn named(patches: &[&str]) -> Result<String, String> {
        let known = patches.iter().copied();
        let listed: Vec<&str> = known.filter(|name| name.contains('.')).collect();
        all_named(patches, &listed, &[])
    }

    fn is(text: &str) -> Result<String, String> {
        Ok(text.to_string())
    }

    #[test]
    fn what_stands_as_it_is_listed_keeps_its_name() {
        for list in [
            &["0001-fork.patch", "0002-exit.patch"][..],
            &["fork-thing.patch", "exit.patch", "fix.diff"],
            &["200-b.patch", "100-a.patch"],
            &["1001-far.patch", "000-first.patch", "000-again.patch"],
        ] {
            assert_eq!(named(list), Ok(list.join(" ")));
        }
    }

    #[test]
    fn a_new_one_goes_between_and_takes_the_form_of_the_others() {
        for (patches, names) in [
            (
                &["100-a.patch", "b", "200-c.patch"][..],
                "100-a.patch 150-b.patch 200-c.patch",
            ),
            (&["0001-a.patch", "b"], "0001-a.patch 0011-b.patch"),
            (&["a-thing.patch", "b"], "a-thing.patch 010-b.patch"),
            (
                &["0002-b.patch", "0001-a.patch", "c"],
                "0002-b.patch 0001-a.patch 0012-c.patch",
            ),
            (&["000-a.patch", "b"], "000-a.patch 010-b.patch"),
            (
                &["1000-a.patch", "1001-b.patch", "c"],
                "1000-a.patch 1001-b.patch 1011-c.patch",
            ),
            (&["+10-a.patch", "b"], "+10-a.patch 010-b.patch"),
        ] {
            assert_eq!(named(patches), is(names));
        }
    }

    #[test]
    fn neighbours_without_room_make_some() {
        for (patches, names) in [
            (
                &["0001-a.patch", "b", "0002-c.patch", "0009-e.patch"][..],
                "0001-a.patch 0002-b.patch 0003-c.patch 0009-e.patch",
            ),
            (
                &["01-a.patch", "b", "02-c.patch"],
                "01-a.patch 02-b.patch 03-c.patch",
            ),
            // Those of one number stay together, and behind what they stood behind.
            (
                &[
                    "100-a.patch",
                    "n",
                    "101-b.patch",
                    "101-c.patch",
                    "110-d.patch",
                ],
                "100-a.patch 101-n.patch 102-b.patch 102-c.patch 110-d.patch",
            ),
        ] {
            assert_eq!(named(patches), is(names));
        }
        let twice = named(&["fix", "100-b.patch", "050-fix.patch"]);
        assert_eq!(
            twice,
            Err("two patches would be called 050-fix.patch".to_string())
        );
    }

    #[test]
    fn who_moves_gets_another_number_if_it_has_one() {
        let moved = |tree: &[&str], listed: &[&str]| all_named(tree, listed, &[]);
        assert_eq!(
            moved(
                &["200-b.patch", "100-a.patch"],
                &["100-a.patch", "200-b.patch"]
            ),
            is("200-b.patch 210-a.patch")
        );
        assert_eq!(
            moved(&["b.patch", "a.patch"], &["a.patch", "b.patch"]),
            is("b.patch a.patch")
        );
        // Beside one that moves the others keep their names as they are.
        assert_eq!(
            moved(
                &["0002-b.patch", "0003-c.patch", "0001-a.patch"],
                &["0001-a.patch", "0002-b.patch", "0003-c.patch"],
            ),
            is("0002-b.patch 0003-c.patch 0013-a.patch")
        );
    }

    #[test]
    fn others_stand_where_they_are_listed() {
        let of =
            |patches: &[&str], listed: &[&str], others: &[&str]| all_named(patches, listed, others);
        let listed = ["z.patch", "o.patch", "p.patch", "w.patch", "q.patch"];
        let others = ["o.patch", "p.patch", "q.patch"];
        assert_eq!(
            of(&["z.patch", "w.patch"], &listed, &others),
            is("z.patch o.patch p.patch w.patch q.patch")
        );
        assert_eq!(
            of(&["w.patch", "z.patch"], &listed, &["q.patch"]),
            is("w.patch z.patch q.patch")
        );
        assert_eq!(
            of(&["w.patch"], &listed, &["o.patch"]),
            is("o.patch w.patch")
        );
        let known = ["100-a.patch", "120-o.patch", "200-c.patch"];
        assert_eq!(
            of(
                &["100-a.patch", "n", "200-c.patch"],
                &known,
                &["120-o.patch"]
            ),
            is("100-a.patch 120-o.patch 160-n.patch 200-c.patch")
        );
    }

    #[test]
    fn what_the_tree_does_not_know_keeps_its_name_and_its_place() {
        let of =
            |patches: &[&str], listed: &[&str], others: &[&str]| all_named(patches, listed, others);
        // What the tree stops short of stays behind it, whatever numbers it has.
        for (others, number) in [
            (&["200-c.patch"][..], 150),
            (&["200-c.patch", "200-d.patch"], 150),
            (&["300-c.patch", "200-d.patch"], 200),
        ] {
            let listed = [&["100-a.patch"], others].concat();
            let names = format!("100-a.patch {number}-b.patch {}", others.join(" "));
            assert_eq!(of(&["100-a.patch", "b"], &listed, others), Ok(names));
        }
        // It is an end to making room, also in the middle.
        let listed = ["100-a.patch", "101-b.patch", "102-o.patch", "110-c.patch"];
        let tree = ["100-a.patch", "n", "101-b.patch", "110-c.patch"];
        assert_eq!(of(&tree, &listed, &["102-o.patch"]), no_room("102-o.patch"));
        let listed = ["001-a.patch", "002-o.patch"];
        let none = of(&["001-a.patch", "n"], &listed, &["002-o.patch"]);
        assert_eq!(none, no_room("002-o.patch"));
        // The first of two with one number, and the tree ends there.
        let listed = ["100-a.patch", "200-b.patch", "200-o.patch"];
        assert_eq!(
            of(
                &["100-a.patch", "200-b.patch", "n"],
                &listed,
                &["200-o.patch"]
            ),
            is("100-a.patch 133-b.patch 166-n.patch 200-o.patch")
        );
        // In a tree with another order they keep theirs.
        let listed = [
            "100-a.patch",
            "150-o.patch",
            "200-b.patch",
            "250-p.patch",
            "300-c.patch",
        ];
        let tree = ["200-b.patch", "100-a.patch", "300-c.patch"];
        assert_eq!(
            of(&tree, &listed, &["150-o.patch", "250-p.patch"]),
            is("050-b.patch 100-a.patch 150-o.patch 250-p.patch 300-c.patch")
        );
    }

    fn no_room(before: &str) -> Result<String, String> {
        Err(format!(
            "there is no number left before {before}, which this tree does not have"
        ))
    }

    /// A patch that is listed: its number, whether the tree has it, and how many new ones stand behind it there.
    type Listed = (u32, bool, usize);

    fn tree_patch(at: usize, was: Option<&str>) -> Patch<'_> {
        let slug = was.and_then(parts).map_or("new", |(_, slug)| slug);
        Patch::Tree { at, was, slug }
    }

    fn listed_as(listed: &[Listed]) -> Vec<String> {
        let name = |(at, (number, ..)): (usize, &Listed)| {
            format!("{number:03}-{}.patch", (b'a' + at as u8) as char)
        };
        listed.iter().enumerate().map(name).collect()
    }

    proptest! {
        #[test]
        fn what_is_listed_stays_in_its_order(
            listed in prop::collection::vec((0u32..15, any::<bool>(), 0usize..3), 1..8),
            is_sorted in any::<bool>(),
        ) {
            let mut listed = listed;
            if is_sorted {
                listed.sort_by_key(|(number, ..)| *number);
            }
            let named = listed_as(&listed);
            let refs: Vec<&str> = named.iter().map(String::as_str).collect();
            let (mut tree, mut others) = (Vec::new(), Vec::new());
            for (at, (_, of_tree, new)) in listed.iter().enumerate() {
                match of_tree {
                    true => tree.push(tree_patch(tree.len(), Some(refs[at]))),
                    false => others.push(refs[at]),
                }
                for _ in 0..*new {
                    tree.push(tree_patch(tree.len(), None));
                }
            }
            let all = order(tree.clone(), &others, &refs, true);
            let known: Vec<&str> = all.iter().filter_map(Patch::was).collect();
            prop_assert_eq!(&known, &refs);
            let of_tree = |patch: &&Patch<'_>| matches!(patch, Patch::Tree { .. });
            let left: Vec<Patch<'_>> = all.iter().filter(of_tree).copied().collect();
            prop_assert_eq!(&left, &tree);
            // Two new ones may get one number where it is not the numbers that make the order.
            let Ok(names) = names(&all, true) else { return Ok(()) };
            for (patch, name) in all.iter().zip(&names) {
                if let Patch::Other(other) = patch {
                    prop_assert_eq!(other, name);
                }
            }
            if is_sorted {
                prop_assert!(names.is_sorted(), "{names:?} of {refs:?}");
            }
        }

        #[test]
        fn others_keep_their_order_whatever_the_trees_is(
            of_tree in prop::collection::vec(any::<bool>(), 1..9),
            shift in 0usize..9,
        ) {
            let listed: Vec<Listed> = of_tree.iter().enumerate().map(|(at, of_tree)| (10 * at as u32, *of_tree, 0)).collect();
            let named = listed_as(&listed);
            let refs: Vec<&str> = named.iter().map(String::as_str).collect();
            let (mut tree, mut others) = (Vec::new(), Vec::new());
            for (name, of_tree) in refs.iter().zip(&of_tree) {
                match of_tree {
                    true => tree.push(tree_patch(tree.len(), Some(name))),
                    false => others.push(*name),
                }
            }
            let middle = shift.min(tree.len());
            tree.rotate_left(middle);
            let all = order(tree.clone(), &others, &refs, false);
            let left = |wanted: bool| -> Vec<Patch<'_>> {
                let is_wanted = |patch: &&Patch<'_>| matches!(patch, Patch::Tree { .. }) == wanted;
                all.iter().filter(is_wanted).copied().collect()
            };
            prop_assert_eq!(left(true), tree);
            let others: Vec<Patch<'_>> = others.iter().map(|name| Patch::Other(name)).collect();
            prop_assert_eq!(left(false), others);
            if let Ok(names) = names(&all, false) {
                prop_assert!(names.is_sorted(), "{names:?}");
            }
        }
    }
}
