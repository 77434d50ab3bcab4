// SPDX-License-Identifier: GPL-2.0-only

//! What Kconfig files say a symbol depends on, to tell why one did not come
//! through. Reads the language as far as that takes: entries, `if`, `menu` and
//! `choice` around them, `depends on`, prompts and sources.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::nearest;

mod expr;

/// Values by symbol, without `CONFIG_`.
pub type Values<'a> = BTreeMap<&'a str, &'a str>;

/// A place where a symbol is defined.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Definition {
    /// File and line.
    place: String,
    /// Each must hold for the symbol to be offered.
    conditions: Vec<Condition>,
    /// Whether it can be set, and not only be selected by another.
    has_prompt: bool,
}

/// Something that a symbol depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Condition {
    what: String,
    /// It counts only where this holds: `depends on WHAT if ONLY_IF`.
    only_if: Option<String>,
}

impl Condition {
    /// One that always counts.
    fn always(what: &str) -> Self {
        Condition {
            what: what.trim().to_string(),
            only_if: None,
        }
    }

    /// What stands behind `depends on`.
    fn parse(text: &str) -> Self {
        match text.split_once(" if ") {
            None => Condition::always(text),
            Some((what, only_if)) => Condition {
                only_if: Some(only_if.trim().to_string()),
                ..Condition::always(what)
            },
        }
    }

    /// The parts of it that do not hold.
    fn unmet(&self, values: &Values<'_>) -> Vec<String> {
        let counts = |only_if: &String| expr::unmet(only_if, values).is_empty();
        match self.only_if.as_ref().is_none_or(counts) {
            true => expr::unmet(&self.what, values),
            false => Vec::new(),
        }
    }
}

/// All definitions of a kernel's Kconfig files.
#[derive(Debug, Default)]
pub struct Symbols(BTreeMap<String, Vec<Definition>>);

impl Symbols {
    /// Reads the files of a tree for an architecture, by its name under `arch/`.
    pub fn read(tree: &Path, srcarch: &str) -> Symbols {
        let mut reader = Reader {
            tree,
            srcarch,
            frames: Vec::new(),
            entry: None,
            in_comment: false,
            symbols: Symbols::default(),
        };
        reader.file("Kconfig", 0);
        reader.symbols
    }

    /// Whether any file defines a symbol.
    pub fn defines(&self, symbol: &str) -> bool {
        self.0.contains_key(symbol)
    }

    /// Why a symbol may not have come through that was asked for with this value, in words.
    pub fn why(&self, symbol: &str, asked: &str, values: &Values<'_>) -> String {
        let Some(definitions) = self.0.get(symbol) else {
            let meant = nearest(symbol, self.0.keys().map(String::as_str));
            let meant = meant.map(|name| format!(" (did you mean {name}?)"));
            return format!(
                "no Kconfig file of this kernel defines it{}",
                meant.unwrap_or_default()
            );
        };
        let whys = |found: &mut dyn Iterator<Item = &Definition>| {
            found.map(|found| found.why(values)).collect::<Vec<_>>()
        };
        if asked != "m" || values.contains_key("MODULES") {
            return whys(&mut definitions.iter()).join("; ");
        }
        let unmet = |found: &&Definition| !found.unmet(values).is_empty();
        let mut reasons = vec!["as a module it depends on MODULES".to_string()];
        reasons.extend(whys(&mut definitions.iter().filter(unmet)));
        reasons.join("; ")
    }
}

impl Definition {
    /// What it depends on that is not so, each once.
    fn unmet(&self, values: &Values<'_>) -> Vec<String> {
        let mut unmet: Vec<String> = Vec::new();
        for part in self
            .conditions
            .iter()
            .flat_map(|condition| condition.unmet(values))
        {
            if !unmet.contains(&part) {
                unmet.push(part);
            }
        }
        unmet
    }

    fn why(&self, values: &Values<'_>) -> String {
        let unmet = self.unmet(values);
        match (unmet.is_empty(), self.has_prompt) {
            (false, _) => format!("{} depends on {}", self.place, unmet.join(", ")),
            (true, false) => format!("{} has no prompt: other symbols decide", self.place),
            (true, true) => format!(
                "{} has all that it depends on: a choice or another symbol decides",
                self.place
            ),
        }
    }
}

/// Deepest nesting of files; the kernel's is below ten.
const DEPTH: usize = 32;

struct Reader<'a> {
    tree: &'a Path,
    srcarch: &'a str,
    /// What stands around the present line: the conditions of each `if`, `menu` and `choice`.
    frames: Vec<Vec<Condition>>,
    /// The entry that lines belong to, by symbol; `None` directly inside a frame.
    entry: Option<(String, Definition)>,
    /// A comment's conditions are its own.
    in_comment: bool,
    symbols: Symbols,
}

impl Reader<'_> {
    fn file(&mut self, name: &str, depth: usize) {
        // One that is missing is optional (`osource`), or none of this kernel's.
        let Ok(text) = std::fs::read_to_string(self.tree.join(name)) else {
            return;
        };
        let mut lines = Lines::new(&text);
        while let Some((number, line)) = lines.next() {
            let (word, rest) = split_word(&line);
            match word {
                "config" | "menuconfig" => {
                    self.end_entry();
                    let definition = Definition {
                        place: format!("{name}:{number}"),
                        conditions: self.frames.concat(),
                        has_prompt: false,
                    };
                    self.entry = Some((rest.to_string(), definition));
                }
                "if" => {
                    self.end_entry();
                    self.frames.push(vec![Condition::always(rest)]);
                }
                "menu" | "choice" => {
                    self.end_entry();
                    self.frames.push(Vec::new());
                }
                "endif" | "endmenu" | "endchoice" => {
                    self.end_entry();
                    self.frames.pop();
                }
                "comment" => {
                    self.end_entry();
                    self.in_comment = true;
                }
                "mainmenu" => self.end_entry(),
                "source" | "osource" if depth < DEPTH => {
                    self.end_entry();
                    let path = rest.trim_matches('"').replace("$(SRCARCH)", self.srcarch);
                    self.file(&path, depth + 1);
                }
                "depends" => self.depend(rest.strip_prefix("on").unwrap_or(rest).trim()),
                "bool" | "tristate" | "string" | "int" | "hex" | "prompt" => self.prompt(rest),
                "help" | "---help---" => lines.skip_help(),
                _ => {}
            }
        }
        self.end_entry();
    }

    fn depend(&mut self, condition: &str) {
        if self.in_comment {
            return;
        }
        let conditions = match &mut self.entry {
            Some((_, definition)) => Some(&mut definition.conditions),
            None => self.frames.last_mut(),
        };
        if let Some(conditions) = conditions {
            conditions.push(Condition::parse(condition));
        }
    }

    /// A type with a prompt, and perhaps the condition under which that is shown.
    fn prompt(&mut self, rest: &str) {
        let Some((_, definition)) = &mut self.entry else {
            return;
        };
        let Some(quote) = rest.chars().next().filter(|c| *c == '"' || *c == '\'') else {
            return;
        };
        definition.has_prompt = true;
        let behind = rest[1..]
            .split_once(quote)
            .map_or("", |(_, behind)| behind)
            .trim();
        if let Some(condition) = behind.strip_prefix("if ") {
            definition.conditions.push(Condition::always(condition));
        }
    }

    fn end_entry(&mut self) {
        self.in_comment = false;
        if let Some((symbol, definition)) = self.entry.take() {
            self.symbols.0.entry(symbol).or_default().push(definition);
        }
    }
}

fn split_word(line: &str) -> (&str, &str) {
    let line = line.trim();
    let end = line.find(|c: char| c.is_whitespace()).unwrap_or(line.len());
    (&line[..end], line[end..].trim())
}

/// Lines with their numbers, continued ones joined, comments removed.
struct Lines<'a> {
    lines: std::iter::Peekable<std::iter::Enumerate<std::str::Lines<'a>>>,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        Lines {
            lines: text.lines().enumerate().peekable(),
        }
    }

    /// Skips a help text: all lines that stand as far to the right as its first one.
    fn skip_help(&mut self) {
        let indent = |line: &str| {
            let width = |c: char| if c == '\t' { 8 } else { 1 };
            line.chars()
                .take_while(|c| c.is_whitespace())
                .map(width)
                .sum::<usize>()
        };
        let mut first = None;
        while let Some((_, line)) = self.lines.peek() {
            if !line.trim().is_empty() {
                let own = indent(line);
                if own == 0 || own < *first.get_or_insert(own) {
                    return;
                }
            }
            self.lines.next();
        }
    }
}

impl Iterator for Lines<'_> {
    type Item = (usize, String);

    fn next(&mut self) -> Option<(usize, String)> {
        let (number, line) = self.lines.next()?;
        let mut whole = String::new();
        let mut line = line;
        loop {
            let part = line.trim_end();
            let Some(part) = part.strip_suffix('\\') else {
                whole.push_str(part);
                break;
            };
            whole.push_str(part);
            match self.lines.next() {
                Some((_, next)) => line = next,
                None => break,
            }
        }
        // A number sign inside quotes belongs to a prompt.
        let comment = whole
            .char_indices()
            .find(|(at, c)| *c == '#' && whole[..*at].matches('"').count().is_multiple_of(2));
        if let Some((at, _)) = comment {
            whole.truncate(at);
        }
        Some((number + 1, whole))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbols(files: &[(&str, &str)]) -> Symbols {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        Symbols::read(dir.path(), "x86")
    }

    fn why(text: &str, symbol: &str, values: &[(&str, &str)]) -> String {
        let values = values.iter().copied().collect();
        symbols(&[("Kconfig", text)]).why(symbol, "y", &values)
    }

    const TEXT: &str = "mainmenu \"x\" # comment\n\nmenu \"debugging\"\n\tdepends on EXPERT\n\nif NET && !SMALL\n\n\
                        config KASAN\n\tbool \"find errors\" if HAVE_KASAN\n\tdepends on SLUB || \\\n\t\t(SLAB && 64BIT)\n\
                        \tselect STACKDEPOT\n\thelp\n\t  config NOT_ONE\n\n\t  depends on NOTHING\n\nendif\n\
                        comment \"not now\"\n\tdepends on LATER\nconfig LAST\n\tbool \"last\"\nendmenu\n\n\
                        config STACKDEPOT\n\tbool\n";

    #[test]
    fn everything_around_a_symbol_counts() {
        assert_eq!(
            why(
                TEXT,
                "KASAN",
                &[
                    ("64BIT", "y"),
                    ("SMALL", "y"),
                    ("NET", "y"),
                    ("HAVE_KASAN", "y")
                ]
            ),
            "Kconfig:8 depends on EXPERT, !SMALL, SLUB || (SLAB && 64BIT)"
        );
        let all = [("EXPERT", "y"), ("NET", "y"), ("SLUB", "y")];
        assert_eq!(why(TEXT, "KASAN", &all), "Kconfig:8 depends on HAVE_KASAN");
        assert_eq!(why(TEXT, "LAST", &[]), "Kconfig:21 depends on EXPERT");
    }

    #[test]
    fn a_dependency_can_depend_on_something() {
        let text = "menu \"usb\"\n\tdepends on GADGET if !USB\n\
                    config CDNS\n\tbool \"x\"\n\tdepends on PHY || QUIRK if USB && OF\nendmenu\n";
        assert_eq!(why(text, "CDNS", &[]), "Kconfig:3 depends on GADGET");
        let usb = [("USB", "y"), ("OF", "y")];
        assert_eq!(why(text, "CDNS", &usb), "Kconfig:3 depends on PHY || QUIRK");
        assert_eq!(
            why(text, "CDNS", &[("USB", "y")]),
            "Kconfig:3 has all that it depends on: a choice or another symbol decides"
        );
    }

    #[test]
    fn what_cannot_be_set_or_does_not_exist_is_told() {
        assert_eq!(
            why(TEXT, "STACKDEPOT", &[]),
            "Kconfig:25 has no prompt: other symbols decide"
        );
        assert_eq!(
            why(TEXT, "KASON", &[]),
            "no Kconfig file of this kernel defines it (did you mean KASAN?)"
        );
        assert_eq!(
            why(TEXT, "NOT_ONE", &[]),
            "no Kconfig file of this kernel defines it"
        );
    }

    #[test]
    fn conditions_reach_into_sourced_files() {
        let found = symbols(&[
            (
                "Kconfig",
                "if NET\nsource \"arch/$(SRCARCH)/Kconfig\"\nendif\n",
            ),
            ("arch/x86/Kconfig", "config X\n\tbool \"x\"\n"),
        ]);
        assert_eq!(
            found.why("X", "y", &Values::new()),
            "arch/x86/Kconfig:1 depends on NET"
        );
    }
}
