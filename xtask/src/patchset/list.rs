// SPDX-License-Identifier: GPL-2.0-only

//! The file `series` rewritten: what stands above a patch (comments, empty lines) stays above it, also when
//! it changes its name or its place. What stands above the first one is the file's heading, and stays on top.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::{Error, Result};
use crate::patchset::paths::oddity;
use crate::patchset::series::is_name;

/// The patches that a list names, in its order.
pub fn names(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| is_name(line)).map(str::trim)
}

/// The patches that the list in `file`, with this `text`, names, in its order. Each is a file below the folder of the list:
/// a refresh writes it there.
pub fn read<'a>(file: &Path, text: &'a str) -> Result<Vec<&'a str>> {
    match names(text).find_map(|name| Some((name, oddity(name)?))) {
        None => Ok(names(text).collect()),
        Some((name, why)) => Err(Error::usage(
            format!("reading {}", file.display()),
            format!("it lists {name:?}: {why}"),
        )
        .hint("list patches by their paths below the folder that the list is in, and copy others there")),
    }
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
