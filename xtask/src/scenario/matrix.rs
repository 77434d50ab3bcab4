// SPDX-License-Identifier: GPL-2.0-only

//! The `[matrix]` of a scenario file: each combination of its values is a case of its own. Placeholders are
//! replaced in the text of the file, so that an error names the line that its author wrote. Pure.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use crate::error::{nearest, Error, Result};

/// The placeholder for a case's seed, which is known when it is run.
pub const SEED: &str = "seed";
/// Most cases that one file may be.
const MOST: usize = 256;

/// Values by parameter.
pub type Matrix = BTreeMap<String, Vec<Value>>;

/// A value of a parameter, or what has been put in its place.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a text, a number, true or false")]
pub enum Value {
    /// A number; `"${name}"` alone in its quotes becomes one.
    Number(i64),
    /// True or false; `"${name}"` alone in its quotes becomes one.
    Switch(bool),
    /// Letters, digits, `.`, `_` and `-`.
    Word(String),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Number(number) => write!(f, "{number}"),
            Value::Switch(on) => write!(f, "{on}"),
            Value::Word(word) => f.write_str(word),
        }
    }
}

/// A text, which may be a number that a placeholder stood for.
pub fn text<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<String, D::Error> {
    Value::deserialize(deserializer).map(|value| value.to_string())
}

/// Texts, of which each may be a number.
pub fn texts<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Vec<String>, D::Error> {
    let values = Vec::<Value>::deserialize(deserializer)?;
    Ok(values.iter().map(Value::to_string).collect())
}

/// Texts by name, of which each may be a number.
pub fn named_texts<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<BTreeMap<String, String>, D::Error> {
    let values = BTreeMap::<String, Value>::deserialize(deserializer)?;
    Ok(values
        .into_iter()
        .map(|(name, value)| (name, value.to_string()))
        .collect())
}

/// One combination.
#[derive(Debug, Clone, PartialEq)]
pub struct Combination {
    /// What its values add to the file's name: "-8tasks-root".
    pub suffix: String,
    /// The file's text with them in it.
    pub text: String,
}

/// The file's text for each combination of its matrix; once, as it is, if it has none. `file` is its name in errors.
pub fn expand(file: &str, text: &str) -> Result<Vec<Combination>> {
    let as_it_is = || Combination {
        suffix: String::new(),
        text: text.to_string(),
    };
    // What is no TOML, or no matrix, is told by whoever reads the whole file, with the line.
    let Ok(table) = text.parse::<toml::Table>() else {
        return Ok(vec![as_it_is()]);
    };
    let matrix = match table
        .get("matrix")
        .map(|matrix| matrix.clone().try_into::<Matrix>())
    {
        None => Matrix::new(),
        Some(Ok(matrix)) => matrix,
        Some(Err(_)) => return Ok(vec![as_it_is()]),
    };
    let problems = problems(&matrix, text);
    if !problems.is_empty() {
        let lines: Vec<String> = problems
            .iter()
            .map(|problem| format!("{file}: {problem}"))
            .collect();
        return Err(Error::usage(format!("expanding {file}"), lines.join("\n"))
            .hint("docs/scenarios.md describes [matrix]"));
    }
    let mut cases = vec![as_it_is()];
    for (name, values) in &matrix {
        let with = |case: &Combination, value: &Value| Combination {
            suffix: format!("{}-{}", case.suffix, shown(name, value)),
            text: replace(&case.text, name, value),
        };
        cases = cases
            .iter()
            .flat_map(|case| values.iter().map(move |value| with(case, value)))
            .collect();
    }
    Ok(cases)
}

/// The text with the seed in it.
pub fn with_seed(text: &str, seed: u64) -> String {
    text.replace(&placeholder(SEED), &seed.to_string())
}

fn placeholder(name: &str) -> String {
    format!("${{{name}}}")
}

/// A value in a case's name: `8tasks`, `root`, `no-swap`.
fn shown(name: &str, value: &Value) -> String {
    match value {
        Value::Number(number) => format!("{number}{name}"),
        Value::Switch(true) => name.to_string(),
        Value::Switch(false) => format!("no-{name}"),
        Value::Word(word) => word.clone(),
    }
}

fn replace(text: &str, name: &str, value: &Value) -> String {
    let placeholder = placeholder(name);
    let bare = match value {
        Value::Word(_) => text.to_string(),
        _ => text.replace(&format!("\"{placeholder}\""), &value.to_string()),
    };
    bare.replace(&placeholder, &value.to_string())
}

/// Placeholders of a text, by name.
fn placeholders(text: &str) -> Vec<&str> {
    let after = text.split("${").skip(1);
    after
        .filter_map(|rest| rest.split_once('}').map(|(name, _)| name))
        .collect()
}

fn is_word(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !text.is_empty() && text.chars().all(plain)
}

fn problems(matrix: &Matrix, text: &str) -> Vec<String> {
    let used = placeholders(text);
    let mut problems = Vec::new();
    for name in &used {
        if *name != SEED && !matrix.contains_key(*name) {
            let known = matrix.keys().map(String::as_str).chain([SEED]);
            let meant = nearest(name, known).map(|name| format!("; did you mean ${{{name}}}?"));
            let meant = meant.unwrap_or_default();
            problems.push(format!("${{{name}}} is no parameter of [matrix]{meant}"));
        }
    }
    for (name, values) in matrix {
        if !is_word(name) || name == SEED {
            problems.push(format!("[matrix] cannot have a parameter \"{name}\""));
        } else if !used.contains(&name.as_str()) {
            problems.push(format!("nothing uses the parameter ${{{name}}}"));
        }
        if values.is_empty() {
            problems.push(format!("the parameter \"{name}\" has no value"));
        }
        for value in values {
            if matches!(value, Value::Word(word) if !is_word(word)) {
                problems.push(format!(
                    "the parameter \"{name}\" has a value that is no word: \"{value}\""
                ));
            }
            if values.iter().filter(|other| *other == value).count() > 1 {
                problems.push(format!(
                    "the parameter \"{name}\" has the value {value} more than once"
                ));
            }
        }
    }
    let cases = matrix
        .values()
        .try_fold(1usize, |cases, values| cases.checked_mul(values.len()));
    if cases.is_none_or(|cases| cases > MOST) {
        problems.push(format!("[matrix] makes more than {MOST} cases"));
    }
    problems.dedup();
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::file::ScenarioFile;
    use crate::scenario::step::Step;
    use proptest::prelude::*;

    const TEXT: &str = "description = '${tasks} tasks'\n[matrix]\ntasks = [1, 8]\nmode = ['root', 'coordinator']\n\
                        [[step]]\nexpect-tasks = { comm = 'x-${mode}', count = \"${tasks}\" }\n";

    #[test]
    fn each_combination_is_a_case() {
        let cases = expand("x", TEXT).unwrap();
        let names: Vec<&str> = cases.iter().map(|case| case.suffix.as_str()).collect();
        assert_eq!(
            names,
            [
                "-root-1tasks",
                "-root-8tasks",
                "-coordinator-1tasks",
                "-coordinator-8tasks"
            ]
        );
        assert!(
            cases[1].text.contains("comm = 'x-root', count = 8 }"),
            "{}",
            cases[1].text
        );
        // Where a text is wanted, the number is one.
        let text =
            "description = 'x'\n[matrix]\nn = [8]\n[[step]]\nrun = { argv = ['a', \"${n}\"] }\n";
        let file = ScenarioFile::parse("x", &expand("x", text).unwrap()[0].text).unwrap();
        assert!(matches!(&file.step[..], [Step::Run(run)] if run.argv == ["a", "8"]));
        assert!(cases[1].text.starts_with("description = '8 tasks'"));
    }

    #[test]
    fn a_file_without_a_matrix_is_one_case_as_it_is() {
        let text = "description = 'x'\n[[step]]\nwrite = { file = 'x', text = '${seed}' }\n";
        let cases = expand("x", text).unwrap();
        assert_eq!((cases.len(), cases[0].text.as_str()), (1, text));
        assert!(with_seed(text, 7).contains("text = '7'"));
    }

    #[test]
    fn what_does_not_fit_together_is_named() {
        let refused = |matrix: &str, rest: &str, words: &str| {
            let text = format!("description = 'x'\n[matrix]\n{matrix}\n[[step]]\n{rest}\n");
            let error = expand("x.toml", &text).unwrap_err().to_string();
            assert!(error.contains(words), "expected {words:?} in {error}");
        };
        refused(
            "tasks = [1]",
            "keep = '${task}'",
            "${task} is no parameter of [matrix]; did you mean ${tasks}?",
        );
        refused(
            "tasks = [1]",
            "sleep-ms = 1",
            "nothing uses the parameter ${tasks}",
        );
        refused("a = []", "keep = '${a}'", "\"a\" has no value");
        refused("a = [1, 1]", "keep = '${a}'", "the value 1 more than once");
        refused("a = ['x y']", "keep = '${a}'", "no word: \"x y\"");
        refused(
            "seed = [1]",
            "keep = '${seed}'",
            "cannot have a parameter \"seed\"",
        );
        let many: Vec<String> = (0..17).map(|n| n.to_string()).collect();
        let many = many.join(", ");
        refused(
            &format!("a = [{many}]\nb = [{many}]"),
            "keep = '${a}${b}'",
            "more than 256 cases",
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(\\PC|[\\n\"'\\[\\]{}$=]|matrix|\\$\\{a\\}){0,80}") {
            let _ = expand("x", &text);
        }
    }
}
