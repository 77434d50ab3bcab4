// SPDX-License-Identifier: GPL-2.0-only

//! Scenarios: finding and choosing them. The format is in `file`, the running
//! of one in `play`.

pub mod case;
pub mod check;
pub mod damage;
pub mod difference;
pub mod expect;
pub mod file;
pub mod images;
pub mod matrix;
pub mod order;
pub mod play;
pub mod reboot;
pub mod schema;
pub mod step;
pub mod steps;
pub mod tree;
pub mod trees;
pub mod verdict;

use std::path::{Path, PathBuf};

use crate::arch::Arch;
use crate::error::{nearest, AtPath, Error, Result};
use crate::layout::{read_written, Layout};
use crate::scenario::file::{Cpus, ScenarioFile};

/// A case of a scenario file: all of it, or one of several that it asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// The file's name without `.toml`; where the file is several cases, with what makes this one
    /// (`tree-8tasks-root`, `tree-4cpu`).
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// Processors of the guest, if not as many as the machine's.
    pub cpus: Option<u32>,
    /// The file's text, as it is for this case.
    pub text: String,
    /// What is in it.
    pub file: ScenarioFile,
}

impl Scenario {
    /// Reads one file, which may be several cases; `shown` is its name in errors.
    pub fn read(path: &Path, shown: &str) -> Result<Vec<Scenario>> {
        let text = read_written(path)?;
        Scenario::cases(path, shown, &text)
    }

    /// The cases of a file's text.
    pub fn cases(path: &Path, shown: &str, text: &str) -> Result<Vec<Scenario>> {
        let mut cases = Vec::new();
        for combination in matrix::expand(shown, text)? {
            let file = ScenarioFile::parse(shown, &combination.text)?;
            let stem = stem(path) + &combination.suffix;
            let numbers: Vec<(String, Option<u32>)> = match &file.cpus {
                None => vec![(stem, None)],
                Some(Cpus::One(cpus)) => vec![(stem, Some(*cpus))],
                Some(Cpus::Each(numbers)) => numbers
                    .iter()
                    .map(|cpus| (format!("{stem}-{cpus}cpu"), Some(*cpus)))
                    .collect(),
            };
            cases.extend(numbers.into_iter().map(|(name, cpus)| Scenario {
                name,
                path: path.to_path_buf(),
                cpus,
                text: combination.text.clone(),
                file: file.clone(),
            }));
        }
        Ok(cases)
    }

    /// The same with its seed in it.
    pub fn with_seed(&self, seed: u64) -> Result<Scenario> {
        let text = matrix::with_seed(&self.text, seed);
        let file = ScenarioFile::parse(&self.path.display().to_string(), &text)?;
        Ok(Scenario {
            text,
            file,
            ..self.clone()
        })
    }

    /// Whether a glob names it, or the file whose case it is.
    fn is_meant(&self, glob: &str) -> bool {
        matches(glob, &self.name) || matches(glob, &stem(&self.path))
    }
}

/// A file's name without its ending.
fn stem(path: &Path) -> String {
    path.file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// All scenarios of the project, by name. The problems of all files are reported at once.
pub fn all(layout: &Layout) -> Result<Vec<Scenario>> {
    let dir = layout.scenarios();
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(&dir).at("listing", &dir)? {
        let path = entry.at("listing", &dir)?.path();
        if path.extension().is_some_and(|end| end == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    let mut problems = Vec::new();
    let mut scenarios = Vec::new();
    for path in paths {
        match Scenario::read(&path, &layout.show(&path).to_string()) {
            Ok(cases) => scenarios.extend(cases),
            Err(err) => problems.push(err.to_string()),
        }
    }
    for (at, scenario) in scenarios.iter().enumerate() {
        if let Some(other) = scenarios[..at]
            .iter()
            .find(|other| other.name == scenario.name)
        {
            problems.push(format!(
                "{} and {} both have a scenario \"{}\"",
                layout.show(&other.path),
                layout.show(&scenario.path),
                scenario.name
            ));
        }
    }
    match problems.is_empty() {
        true => Ok(scenarios),
        false => Err(Error::usage("reading the scenarios", problems.join("\n"))),
    }
}

/// The scenarios that `globs` name (all without one), and those of `files` on top.
pub fn select(layout: &Layout, globs: &[String], files: &[PathBuf]) -> Result<Vec<Scenario>> {
    let mut chosen = Vec::new();
    // With files alone, only these are meant.
    if !globs.is_empty() || files.is_empty() {
        chosen = choose(all(layout)?, globs)?;
    }
    for path in files {
        for scenario in Scenario::read(path, &path.display().to_string())? {
            if chosen.iter().any(|other| other.name == scenario.name) {
                return Err(Error::usage(
                    format!("reading {}", path.display()),
                    format!(
                        "there is another scenario \"{}\" in this run",
                        scenario.name
                    ),
                ));
            }
            chosen.push(scenario);
        }
    }
    Ok(chosen)
}

/// Those whose names one of `globs` matches, without those that one with `!` before it matches; each glob
/// must match one.
fn choose(all: Vec<Scenario>, globs: &[String]) -> Result<Vec<Scenario>> {
    let names: Vec<&str> = all.iter().map(|scenario| scenario.name.as_str()).collect();
    let (out, of): (Vec<&str>, Vec<&str>) = globs
        .iter()
        .map(String::as_str)
        .partition(|glob| glob.starts_with('!'));
    let out: Vec<&str> = out.iter().map(|glob| &glob[1..]).collect();
    for glob in of.iter().chain(&out) {
        if !all.iter().any(|scenario| scenario.is_meant(glob)) {
            let meant = nearest(glob, names.iter().copied());
            let meant = meant
                .map(|name| format!(" (did you mean \"{name}\"?)"))
                .unwrap_or_default();
            return Err(Error::usage(
                "choosing scenarios",
                format!("no scenario is called \"{glob}\"{meant}"),
            )
            .hint("`cargo xtask lab list` lists them"));
        }
    }
    let any =
        |globs: &[&str], scenario: &Scenario| globs.iter().any(|glob| scenario.is_meant(glob));
    let wanted =
        |scenario: &Scenario| (of.is_empty() || any(&of, scenario)) && !any(&out, scenario);
    Ok(all.into_iter().filter(wanted).collect())
}

/// Whether a name fits a glob of letters, `*` and `?`.
fn matches(glob: &str, name: &str) -> bool {
    let (glob, name): (Vec<char>, Vec<char>) = (glob.chars().collect(), name.chars().collect());
    let (mut g, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match glob.get(g) {
            Some('*') => {
                star = Some((g, n));
                g += 1;
            }
            Some(c) if *c == '?' || *c == name[n] => {
                g += 1;
                n += 1;
            }
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    g = at + 1;
                    n = taken + 1;
                }
                None => return false,
            },
        }
    }
    glob[g..].iter().all(|c| *c == '*')
}

/// `lab list` as text: name, architectures, description.
pub fn list_text(scenarios: &[Scenario]) -> String {
    let width = scenarios
        .iter()
        .map(|scenario| scenario.name.len())
        .max()
        .unwrap_or(0);
    let line = |scenario: &Scenario| {
        let arches = match scenario.file.arch.len() == Arch::ALL.len() {
            true => String::new(),
            false => format!(
                " ({} only)",
                scenario
                    .file
                    .arch
                    .iter()
                    .map(|arch| arch.name())
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
        };
        format!(
            "{:<width$}  {}{arches}\n",
            scenario.name, scenario.file.description
        )
    };
    scenarios.iter().map(line).collect()
}

/// `lab list --json`.
pub fn list_json(scenarios: &[Scenario]) -> serde_json::Value {
    let entry = |scenario: &Scenario| {
        serde_json::json!({
            "name": scenario.name,
            "description": scenario.file.description,
            "arch": scenario.file.arch,
            "file": scenario.path,
        })
    };
    scenarios.iter().map(entry).collect()
}

#[cfg(test)]
mod examples;
#[cfg(test)]
mod faults;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        assert!(
            matches("tree-*", "tree-new-pids")
                && matches("*", "x")
                && matches("t?ee*s", "tree-new-pids")
        );
        assert!(matches("*pids", "tree-pids-new-pids") && matches("self", "self"));
        assert!(!matches("tree", "tree-new-pids") && !matches("tree-?", "tree-new"));
    }

    #[test]
    fn every_scenario_of_the_project_is_sound() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let found = all(&Layout::new(root)).unwrap();
        assert!(!found.is_empty());
    }

    #[test]
    fn an_unknown_scenario_comes_with_a_suggestion() {
        let text = "description = 'x'\n[[step]]\nsleep-ms = 1\n";
        let scenarios = Scenario::cases(Path::new("futex.toml"), "x", text).unwrap();
        let error = choose(scenarios, &["futx".to_string()])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("no scenario is called \"futx\" (did you mean \"futex\"?)"),
            "{error}"
        );
    }

    #[test]
    fn a_matrix_and_processors_multiply() {
        let text = "description = 'x'\ncpus = [1, 4]\n[matrix]\ntasks = [1, 8]\n[[step]]\nkeep = '${tasks}'\n";
        let cases = Scenario::cases(Path::new("tests/tree.toml"), "x", text).unwrap();
        let names: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "tree-1tasks-1cpu",
                "tree-1tasks-4cpu",
                "tree-8tasks-1cpu",
                "tree-8tasks-4cpu"
            ]
        );
        assert_eq!(cases[2].file.step, [step::Step::Keep("8".into())]);
    }

    #[test]
    fn the_seed_is_part_of_the_text_when_it_is_known() {
        let text = "description = 'x'\n[[step]]\nkeep = 'x-${seed}'\n";
        let cases = Scenario::cases(Path::new("x.toml"), "x", text).unwrap();
        let seeded = cases[0].with_seed(9).unwrap();
        assert_eq!(seeded.file.step, [step::Step::Keep("x-9".into())]);
    }

    #[test]
    fn what_has_a_mark_before_it_is_left_out() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let names = |globs: &[&str]| -> Vec<String> {
            let globs: Vec<String> = globs.iter().map(|glob| glob.to_string()).collect();
            let chosen = select(&Layout::new(root), &globs, &[]).unwrap();
            chosen.into_iter().map(|scenario| scenario.name).collect()
        };
        assert_eq!(
            names(&["tree-*", "!tree-new-*", "!tree-container-root"]),
            ["tree-container-coordinator"]
        );
        assert_eq!(names(&["!boot"]).len() + 1, names(&[]).len());
    }

    #[test]
    fn a_number_of_processors_each_is_a_case_each() {
        let cases = |cpus: &str| -> Vec<(String, Option<u32>)> {
            let text = format!("description = 'x'\n{cpus}\n[[step]]\nsleep-ms = 1\n");
            let cases = Scenario::cases(Path::new("tests/tree.toml"), "x", &text).unwrap();
            let meant = choose(cases.clone(), &["tree".to_string()]).unwrap();
            assert_eq!(meant, cases, "the file's name means all its cases");
            cases
                .into_iter()
                .map(|case| (case.name, case.cpus))
                .collect()
        };
        assert_eq!(cases(""), [("tree".to_string(), None)]);
        assert_eq!(cases("cpus = 4"), [("tree".to_string(), Some(4))]);
        let each = [("tree-1cpu", 1), ("tree-4cpu", 4)];
        let each = each.map(|(name, cpus)| (name.to_string(), Some(cpus)));
        assert_eq!(cases("cpus = [4, 1, 4]"), each);
        let text =
            |cpus: &str| format!("description = 'x'\ncpus = {cpus}\n[[step]]\nsleep-ms = 1\n");
        for wrong in ["[]", "[1, 9]", "0", "'4'"] {
            let error = ScenarioFile::parse("x", &text(wrong))
                .unwrap_err()
                .to_string();
            assert!(error.contains("cpus"), "{wrong}: {error}");
        }
    }
}
