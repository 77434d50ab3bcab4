// SPDX-License-Identifier: GPL-2.0-only

//! The file `series` rewritten: what stands above a patch (comments, empty lines) stays above it, also when
//! it changes its name or its place. What stands above the first one is the file's heading, and stays on top.

use std::collections::BTreeMap;

use crate::patchset::series::is_name;

/// The patches that a list names, in its order.
pub fn names(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| is_name(line)).map(str::trim)
}

/// The order of a tree's patches, `names`, and of `others` that the project's list has and the tree does not. By name,
/// where both go by it; else each of the others stands before the one that it is listed before. `renamed` gives
/// the new name of one that has another.
pub fn order(
    names: &[String],
    others: &[String],
    listed: &[&str],
    renamed: &BTreeMap<String, String>,
) -> Vec<String> {
    let mut all = names.to_vec();
    if names.is_sorted() && listed.is_sorted() {
        all.extend_from_slice(others);
        all.sort();
        all.dedup();
        return all;
    }
    let now = |name: &&str| renamed.get(*name).map_or(*name, String::as_str).to_string();
    // From the last one on: what stands before it finds it there.
    for other in others.iter().rev().filter(|other| !names.contains(other)) {
        let behind = listed.iter().skip_while(|name| *name != other).skip(1);
        let place = behind
            .map(now)
            .find_map(|next| all.iter().position(|name| *name == next));
        all.insert(place.unwrap_or(all.len()), other.clone());
    }
    all
}

/// A list of `wanted`, in this order. `renamed` gives the new name of one that has another. What stood
/// above a patch that goes is said above the one after it.
pub fn rewrite(text: &str, wanted: &[String], renamed: &BTreeMap<String, String>) -> String {
    let mut above: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let heading = text.lines().take_while(|line| !is_name(line)).count();
    let mut lines: Vec<&str> = text.lines().take(heading).collect();
    let mut besides = Vec::new();
    for line in text.lines().skip(heading) {
        let name = line.trim();
        if !is_name(line) {
            besides.push(line);
            continue;
        }
        let now = renamed.get(name).map_or(name, String::as_str);
        if wanted.iter().any(|other| other == now) {
            above.entry(now).or_default().append(&mut besides);
        }
    }
    for name in wanted {
        lines.extend(above.remove(name.as_str()).unwrap_or_default());
        lines.push(name);
    }
    lines.append(&mut besides);
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_stand_where_they_are_listed() {
        let strings = |names: &[&str]| {
            names
                .iter()
                .map(|name| name.to_string())
                .collect::<Vec<_>>()
        };
        let ordered = |names: &[&str], others: &[&str], listed: &[&str]| {
            let renamed = BTreeMap::from([("was".to_string(), "is".to_string())]);
            order(&strings(names), &strings(others), listed, &renamed).join(" ")
        };
        let sorted = ordered(&["100", "150"], &["120", "200"], &["100", "120", "200"]);
        assert_eq!(sorted, "100 120 150 200");
        let listed = ["z", "o", "p", "was", "q"];
        assert_eq!(
            ordered(&["z", "is", "new"], &["o", "p", "q"], &listed),
            "z o p is new q"
        );
        assert_eq!(ordered(&["is", "z"], &["q"], &listed), "is z q");
    }

    const TEXT: &str =
        "# the series\n\n100-a.patch\n\n# tables\n200-b.patch\n300-c.patch\n# the end\n";

    fn rewritten(wanted: &[&str], renamed: &[(&str, &str)]) -> String {
        let wanted: Vec<String> = wanted.iter().map(|name| name.to_string()).collect();
        let pair = |(old, new): &(&str, &str)| (old.to_string(), new.to_string());
        rewrite(TEXT, &wanted, &renamed.iter().map(pair).collect())
    }

    #[test]
    fn the_same_names_make_the_same_bytes() {
        assert_eq!(
            rewritten(&["100-a.patch", "200-b.patch", "300-c.patch"], &[]),
            TEXT
        );
    }

    #[test]
    fn what_stands_above_a_patch_follows_it() {
        let moved = rewritten(
            &["100-a.patch", "150-x.patch", "300-c.patch", "400-b.patch"],
            &[("200-b.patch", "400-b.patch")],
        );
        assert_eq!(
            moved,
            "# the series\n\n100-a.patch\n150-x.patch\n300-c.patch\n\n# tables\n400-b.patch\n# the end\n"
        );
    }

    #[test]
    fn what_stood_above_a_patch_that_goes_is_kept() {
        assert_eq!(
            rewritten(&["100-a.patch", "300-c.patch"], &[]),
            "# the series\n\n100-a.patch\n\n# tables\n300-c.patch\n# the end\n"
        );
        assert_eq!(rewritten(&[], &[]).matches('#').count(), 3);
    }
}
