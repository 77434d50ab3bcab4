// SPDX-License-Identifier: GPL-2.0-only

//! The files for CI systems, and the documents: each command line of the lab in them is one that the lab takes.

use std::path::Path;

use clap::Parser;
use xtask::flags::Flags;

/// The command lines of the lab in a text, with a word in place of what the CI system or the reader fills in.
fn command_lines(text: &str) -> Vec<Vec<String>> {
    let text = text.replace("\\\n", " ");
    let mut lines = Vec::new();
    for line in text.lines() {
        let mut rest = line;
        while let Some(at) = rest.find("cargo xtask ") {
            rest = &rest[at + "cargo ".len()..];
            let end = rest
                .find(['`', '|', ';', ')', '#', '&'])
                .unwrap_or(rest.len());
            lines.push(words(&rest[..end]));
            rest = &rest[end..];
        }
    }
    lines
}

fn words(line: &str) -> Vec<String> {
    let mut line = line.to_string();
    while let (Some(from), Some(to)) = (line.find("${{"), line.find("}}")) {
        line.replace_range(from..to + 2, "7");
    }
    for (placeholder, value) in [
        ("$SHARD", "1/3"),
        ("$ARCH", "arm64"),
        ("I/N", "1/3"),
        (" ARCH", " arm64"),
    ] {
        line = line.replace(placeholder, value);
    }
    let words = shlex::split(&line).unwrap_or_else(|| panic!("no words of a shell: {line}"));
    let filled_in = |word: String| match word.starts_with('$') {
        true => "7".to_string(),
        false => word,
    };
    words.into_iter().map(filled_in).collect()
}

#[test]
fn every_command_line_is_one_that_the_lab_takes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for (file, least) in [
        (".github/workflows/nightly.yml", 3),
        ("docs/gitlab-ci.yml", 2),
        ("docs/ci.md", 2),
        ("README.md", 2),
    ] {
        let text = std::fs::read_to_string(root.join(file)).unwrap();
        let lines = command_lines(&text);
        assert!(lines.len() >= least, "{file}: {lines:?}");
        for line in lines {
            // A command that is named and not used, as in "`cargo xtask lab run` does ...", or with `...`.
            if line.iter().any(|word| word.contains("...")) {
                continue;
            }
            if let Err(err) = Flags::try_parse_from(&line) {
                panic!("{file}: {}: {err}", line.join(" "));
            }
        }
    }
}
