// SPDX-License-Identifier: GPL-2.0-only

//! The known faults in `docs/restart.md`, P1 to P21: each row names host tests and scenarios that exist, and these
//! say the row's number themselves.

use std::collections::BTreeSet;
use std::path::Path;

/// A fault's number, and the name of a host test or scenario that shows what becomes of it.
type Shown = BTreeSet<(u32, String)>;

/// The numbers in a text: 4 and 5 of "P4, P5: ...".
fn numbers(text: &str) -> impl Iterator<Item = u32> + '_ {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    words.filter_map(|word| word.strip_prefix('P')?.parse().ok())
}

/// What the rows of the table name.
fn named(document: &str) -> Shown {
    let row = |line: &str| -> Option<Shown> {
        let (number, rest) = line.strip_prefix("| P")?.split_once(" |")?;
        let number = number.parse().ok()?;
        let quoted = rest.split('`').skip(1).step_by(2);
        let names = quoted.filter(|name| name.contains("::") || name.ends_with(".toml"));
        Some(names.map(|name| (number, name.to_string())).collect())
    };
    document.lines().filter_map(row).flatten().collect()
}

/// The host tests and scenarios that there are, and the numbers that they say.
#[derive(Default)]
struct Found {
    names: BTreeSet<String>,
    said: Shown,
}

impl Found {
    fn add(&mut self, name: String, numbers: impl Iterator<Item = u32>) {
        self.said.extend(numbers.map(|n| (n, name.clone())));
        self.names.insert(name);
    }

    /// A scenario says it in its description and in comments.
    fn scenario(&mut self, file: &str, text: &str) {
        let says = |line: &&str| line.starts_with('#') || line.starts_with("description =");
        let lines = text.lines().filter(says);
        self.add(file.to_string(), lines.flat_map(numbers));
    }

    /// A module, as `module::*`, and its tests: functions, or lines of the macro in `mutants`, which begin with
    /// the name and a colon.
    fn module(&mut self, module: &str, text: &str) {
        let of_all = text.lines().filter(|line| line.starts_with("//!"));
        self.add(format!("{module}::*"), of_all.flat_map(numbers));
        let (mut comment, mut is_test) = (String::new(), false);
        for line in text.lines().map(str::trim) {
            if line.starts_with("///") {
                comment += line;
            } else if line.starts_with("#[") {
                is_test |= line == "#[test]";
            } else {
                let function = line.strip_prefix("fn ").filter(|_| is_test);
                let name = function.and_then(|rest| Some(rest.split_once('(')?.0));
                if let Some(name) = name.or(line.strip_suffix(':')) {
                    self.add(format!("{module}::{name}"), numbers(&comment));
                }
                (comment, is_test) = (String::new(), false);
            }
        }
    }

    /// What does not fit, and what to do about it.
    fn problems(&self, document: &str) -> Vec<String> {
        let named = named(document);
        let without = (1..=21).filter(|number| named.iter().all(|(of, _)| of != number));
        let without = without.map(|n| format!("P{n} has no row that names anything: write one"));
        let unsaid = named.difference(&self.said);
        let unsaid = unsaid.map(|(n, name)| match self.names.contains(name) {
            true => format!("P{n} names {name}, which does not say `P{n}: ...`: have it say so"),
            false => format!("P{n} names {name}, which does not exist: correct the row"),
        });
        let unnamed = self.said.difference(&named);
        let unnamed = unnamed
            .map(|(n, name)| format!("{name} says P{n}, whose row does not name it: add it"));
        without.chain(unsaid).chain(unnamed).collect()
    }
}

#[test]
fn every_known_fault_is_shown_by_what_says_so() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut found = Found::default();
    for folder in [
        "tests",
        "rust-syscall/tests/image",
        "rust-syscall/tests/restart",
    ] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let text = || std::fs::read_to_string(&path).unwrap();
            match path.file_name().and_then(|name| name.to_str()).unwrap() {
                name if name.ends_with(".toml") => found.scenario(name, &text()),
                name if name.ends_with(".rs") => found.module(&name[..name.len() - 3], &text()),
                _ => {}
            }
        }
    }
    let document = std::fs::read_to_string(root.join("docs/restart.md")).unwrap();
    let problems = found.problems(&document);
    assert!(problems.is_empty(), "docs/restart.md: {problems:#?}");
}

#[test]
fn what_does_not_fit_is_told() {
    let mut found = Found::default();
    found.scenario("a.toml", "description = \"P1: a\"\n# P2: b\n");
    found.module(
        "m",
        "//! P1: m\n/// P4: t\n#[test]\nfn t() {}\nfn no_test() {}",
    );
    let rows = "| P1 | `a.toml`, `m::*` |\n| P3 | `a.toml`, `m::no_test` |\n| P4 | `m::t` |";
    let problems = found.problems(rows).join("\n");
    for expected in [
        "P2 has no row",
        "P3 names a.toml, which does not say",
        "P3 names m::no_test, which does not exist",
        "a.toml says P2, whose row does not name it",
    ] {
        assert!(problems.contains(expected), "{expected}: {problems}");
    }
    // 18 numbers have no row.
    assert_eq!(problems.lines().count(), 18 + 3, "{problems}");
}
