// SPDX-License-Identifier: GPL-2.0-only

//! The JSON schema of scenario files, for editors: `docs/scenario.schema.json`, made of the types that files
//! are read into and of their documentation.

use serde_json::{json, Value};

use crate::scenario::file::ScenarioFile;

/// A placeholder of `[matrix]`, alone in its quotes, stands for a number or a switch.
const PLACEHOLDER: &str = r"^\$\{[^}]+\}$";

/// The schema's text.
pub fn text() -> String {
    let mut schema = schemars::schema_for!(ScenarioFile).to_value();
    adapt(&mut schema);
    format!("{schema:#}\n")
}

/// From what the program's types take to what authors write.
fn adapt(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(adapt),
        Value::Object(object) => {
            // These refer to other types of the program.
            let of_program =
                |text: &Value| text.as_str().is_some_and(|text| text.starts_with("See ["));
            if object.get("description").is_some_and(of_program) {
                object.remove("description");
            }
            if let Some(kinds) = object.get("type").and_then(with_placeholder) {
                object.insert("type".into(), kinds);
                object.insert("pattern".into(), PLACEHOLDER.into());
            }
            // So it does for a word that is one of several.
            let is_word = |of: &Value| of.get("const").is_some();
            if let Some(Value::Array(words)) = object.get_mut("oneOf") {
                if words.iter().all(is_word) {
                    words.push(json!({ "type": "string", "pattern": PLACEHOLDER }));
                }
            }
            object.values_mut().for_each(adapt);
        }
        _ => {}
    }
}

/// The types that a number or a switch can be written as; `None` for another type.
fn with_placeholder(kind: &Value) -> Option<Value> {
    let kinds = match kind {
        Value::String(kind) => vec![kind.as_str()],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => return None,
    };
    let bare = kinds
        .iter()
        .any(|kind| matches!(*kind, "integer" | "boolean"));
    (bare && !kinds.contains(&"string")).then(|| json!([kinds, vec!["string"]].concat()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::Value;

    use crate::layout::Layout;

    #[test]
    fn the_file_is_up_to_date() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let path = root.join("docs/scenario.schema.json");
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == super::text(),
            "cargo xtask lab schema > docs/scenario.schema.json makes it new"
        );
    }

    #[test]
    fn it_takes_every_scenario_of_the_project_and_no_unknown_key() {
        let schema: Value = serde_json::from_str(&super::text()).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let judge = |text: &str| {
            let file: Value = toml::from_str(text).unwrap();
            validator
                .iter_errors(&file)
                .map(|error| error.to_string())
                .collect::<Vec<_>>()
        };
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let scenarios = crate::scenario::all(&Layout::new(root)).unwrap();
        for scenario in &scenarios {
            let text = std::fs::read_to_string(&scenario.path).unwrap();
            let errors = judge(&text);
            assert!(errors.is_empty(), "{}: {errors:?}", scenario.path.display());
        }
        let step = |step: &str| format!("description = 'x'\n[[step]]\n{step}\n");
        assert!(judge(&step("expect-tasks = { comm = 'x', count = '${n}' }")).is_empty());
        for wrong in [
            "expect-tasks = { comm = 'x', count = 'many' }",
            "restart = { name = 'x', image = 'x', mode = 'rot' }",
            "expect-tasks = { comm = 'x', count = 1, cuont = 1 }",
            "spwan = { name = 'x', argv = ['x'] }",
        ] {
            assert!(!judge(&step(wrong)).is_empty(), "{wrong}");
        }
    }
}
