// SPDX-License-Identifier: GPL-2.0-only

//! The examples of `docs/scenarios.md` are scenarios: each is read, and every step with every key of it is in one.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::scenario::Scenario;

/// The TOML in a document, block by block.
fn blocks(text: &str) -> Vec<&str> {
    let after = text.split("```toml\n").skip(1);
    after
        .filter_map(|rest| rest.split_once("```").map(|(block, _)| block))
        .collect()
}

/// The example as a file: what it has not of its own is put before it.
fn as_file(block: &str) -> String {
    match block.contains("description =") {
        true => block.to_string(),
        false => format!("description = \"an example\"\n{block}"),
    }
}

/// "spawn.argv" for every key of every step in a file.
fn keys(text: &str, found: &mut BTreeSet<String>) {
    let file: Value = toml::from_str(text).unwrap();
    for step in file["step"].as_array().unwrap() {
        for (name, value) in step.as_object().unwrap() {
            found.insert(name.clone());
            let keys = value.as_object().into_iter().flatten();
            found.extend(keys.map(|(key, _)| format!("{name}.{key}")));
        }
    }
}

/// The same for all that the schema knows.
fn known() -> BTreeSet<String> {
    let schema: Value = serde_json::from_str(&super::schema::text()).unwrap();
    let mut known = BTreeSet::new();
    for step in schema["$defs"]["Step"]["oneOf"].as_array().unwrap() {
        let (name, value) = step["properties"]
            .as_object()
            .unwrap()
            .iter()
            .next()
            .unwrap();
        known.insert(name.clone());
        let definition = value["$ref"]
            .as_str()
            .and_then(|path| path.rsplit('/').next());
        let properties = definition.and_then(|of| schema["$defs"][of]["properties"].as_object());
        let keys = properties.into_iter().flatten();
        known.extend(keys.map(|(key, _)| format!("{name}.{key}")));
    }
    known
}

#[test]
fn every_example_is_read_and_none_is_missing() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let text = std::fs::read_to_string(root.join("docs/scenarios.md")).unwrap();
    let mut found = BTreeSet::new();
    let mut problems = Vec::new();
    for block in blocks(&text) {
        let file = as_file(block);
        match Scenario::cases(Path::new("example.toml"), "example", &file) {
            Ok(_) => keys(&file, &mut found),
            // An image, a tree or a file that an example does not make is made before it.
            Err(err) => problems.push(format!("{block}\n{err}")),
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    let missing: Vec<String> = known().difference(&found).cloned().collect();
    assert!(
        missing.is_empty(),
        "docs/scenarios.md has no example of {missing:?}"
    );
}
