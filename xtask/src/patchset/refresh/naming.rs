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

/// The patches of a tree, in order, and among them `others`, as `listed` has them: behind the one that it is listed
/// behind; at the end, if none that the tree knows is listed behind it.
pub fn merge<'a>(tree: Vec<Patch<'a>>, others: &[&'a str], listed: &[&str]) -> Vec<Patch<'a>> {
    let mut all = tree;
    let known: BTreeSet<&str> = all.iter().filter_map(Patch::was).collect();
    for other in others {
        let place = listed.iter().position(|name| name == other);
        let (before, behind) = listed.split_at(place.unwrap_or(listed.len()));
        let is_last = !behind.iter().any(|name| known.contains(name));
        let find = |name: &&str| all.iter().position(|patch| patch.was() == Some(name));
        let at = match is_last {
            true => all.len(),
            false => before.iter().rev().find_map(find).map_or(0, |at| at + 1),
        };
        all.insert(at, Patch::Other(other));
    }
    all
}

/// A name for each patch of the series to come. `listed` is what the project's series names now. An error says what
/// there is no room for.
pub fn names(patches: &[Patch<'_>], listed: &[&str]) -> Result<Vec<String>, String> {
    let known: Vec<&str> = patches.iter().filter_map(Patch::was).collect();
    let in_order = {
        let here = known.iter().filter(|name| listed.contains(name));
        listed.iter().filter(|name| known.contains(name)).eq(here)
    };
    if in_order && known.len() == patches.len() {
        return Ok(known.into_iter().map(str::to_string).collect());
    }
    let (places, place_of) = places(patches, in_order);
    let digits = known.iter().filter_map(|name| digits_of(name)).max();
    let digits = digits.unwrap_or(DIGITS);
    let last = 10_u32.saturating_pow(digits as u32).saturating_sub(1);
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
            None => format!("there is no number of {digits} digits left behind the last patch"),
        }
    })?;
    let mut names = Vec::new();
    for (patch, place) in patches.iter().zip(&place_of) {
        let number = place.map(|place| numbers[place]);
        let kept = |name: &&str| number.is_none() || number_of(name) == number;
        let name = match (patch.was().filter(kept), number, patch) {
            (None, Some(number), Patch::Tree { was, slug }) => {
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
        let in_line = match fixed {
            true => number > above_fixed && (!in_order || number > above),
            false => !in_order || number > above || (number == above && before < was),
        };
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
        let of_tree = patches.iter().map(|text| Patch::Tree {
            was: text.contains('.').then_some(*text),
            slug: parts(text).map_or(*text, |(_, slug)| slug),
        });
        let all = merge(of_tree.collect(), others, listed);
        names(&all, listed).map(|names| names.join(" "))
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
        assert_eq!(
            of(&tree, &listed, &["102-o.patch"]),
            is("099-a.patch 100-n.patch 101-b.patch 102-o.patch 110-c.patch")
        );
        let none = of(
            &["001-a.patch", "n"],
            &["001-a.patch", "002-o.patch"],
            &["002-o.patch"],
        );
        assert_eq!(
            none,
            Err(
                "there is no number left before 002-o.patch, which this tree does not have"
                    .to_string()
            )
        );
        let none = of(&["n"], &["999-o.patch", "999-p.patch"], &[]);
        assert_eq!(none, is("010-n.patch"));
        let none = of(
            &["999-a.patch", "n"],
            &["000-o.patch", "999-a.patch"],
            &["000-o.patch"],
        );
        assert_eq!(none, is("000-o.patch 998-a.patch 999-n.patch"));
    }

    /// A patch that is listed: its number, whether the tree has it, and how many new ones stand behind it there.
    type Listed = (u32, bool, usize);

    fn listed_as(listed: &[Listed]) -> Vec<String> {
        let name = |(at, (number, ..)): (usize, &Listed)| {
            format!("{number:03}-{}.patch", (b'a' + at as u8) as char)
        };
        listed.iter().enumerate().map(name).collect()
    }

    proptest! {
        #[test]
        fn what_is_listed_stays_in_its_order(
            listed in prop::collection::vec((0u32..40, any::<bool>(), 0usize..3), 1..8),
            is_sorted in any::<bool>(),
        ) {
            let mut listed = listed;
            if is_sorted {
                listed.sort();
            }
            let all = listed_as(&listed);
            let refs: Vec<&str> = all.iter().map(String::as_str).collect();
            let (mut tree, mut others) = (Vec::new(), Vec::new());
            for (at, (_, of_tree, new)) in listed.iter().enumerate() {
                match of_tree {
                    true => tree.push(Patch::Tree { was: Some(refs[at]), slug: parts(refs[at]).unwrap().1 }),
                    false => others.push(refs[at]),
                }
                tree.extend((0..*new).map(|_| Patch::Tree { was: None, slug: "new" }));
            }
            let merged = merge(tree, &others, &refs);
            let order: Vec<&str> = merged.iter().filter_map(Patch::was).collect();
            prop_assert_eq!(&order, &refs);
            // Two new ones may get one number where it is not the numbers that make the order.
            let Ok(names) = names(&merged, &refs) else { return Ok(()) };
            for (patch, name) in merged.iter().zip(&names) {
                if let Patch::Other(other) = patch {
                    prop_assert_eq!(other, name);
                }
            }
            if is_sorted {
                prop_assert!(names.is_sorted(), "{names:?} of {all:?}");
            }
        }
    }
}
