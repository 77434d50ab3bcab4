// SPDX-License-Identifier: GPL-2.0-only

//! What the kernel's own `checkpatch.pl` says about the series and the C of the overlay.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::exec::tool;
use crate::kernel::tree::OverlayFile;
use crate::patchset::series::Series;

/// Functions in Rust have no header that a C file could include.
const IGNORED: &str = "AVOID_EXTERNS";

/// All errors and warnings. `tree`: an unpacked kernel, whose script it is.
pub fn problems(tree: &Path, series: &Series, overlay: &[OverlayFile]) -> Result<Vec<String>> {
    let patches = series
        .patches
        .iter()
        .map(|patch| series.dir.join(&patch.name));
    let is_c = |file: &&OverlayFile| [".c", ".h", ".S"].iter().any(|end| file.to.ends_with(end));
    let files = overlay.iter().filter(is_c).map(|file| file.from.clone());
    let mut problems = run(tree, &[], patches.collect())?;
    problems.extend(run(
        tree,
        &["--file", "--ignore", IGNORED],
        files.collect(),
    )?);
    Ok(problems)
}

fn run(tree: &Path, how: &[&str], files: Vec<PathBuf>) -> Result<Vec<String>> {
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let script = tree.join("scripts/checkpatch.pl");
    let output = tool("running checkpatch.pl", "perl")
        .arg(&script)
        .arg("--root")
        .arg(tree)
        .args(["--terse", "--show-types", "--no-summary"])
        .args(how.iter().copied())
        .args(files)
        // A user's .checkpatch.conf has no say.
        .env("HOME", tree)
        .env("LC_ALL", "C")
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let found = findings(&said);
    if !output.status.success() && found.is_empty() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        return Err(Error::lab(
            format!("running {}", script.display()),
            format!("{}{}", said.trim(), stderr.trim()),
        ));
    }
    Ok(found)
}

/// Its lines that tell of a problem, with the file's name alone.
fn findings(said: &str) -> Vec<String> {
    let tells = |line: &&str| {
        [": ERROR:", ": WARNING:"]
            .iter()
            .any(|word| line.contains(word))
    };
    let named = |line: &str| match line.split_once(':') {
        Some((path, rest)) => {
            let name = path.rsplit('/').next().unwrap_or(path);
            format!("{name}:{rest} (checkpatch.pl)")
        }
        None => line.to_string(),
    };
    said.lines().filter(tells).map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_told_by_file_and_line() {
        let said = "/a/b/410-x.patch:4: WARNING:COMMIT_LOG_LONG_LINE: Prefer 75\n\
                    total: 0 errors, 1 warnings, 71 lines checked\n";
        assert_eq!(
            findings(said),
            ["410-x.patch:4: WARNING:COMMIT_LOG_LONG_LINE: Prefer 75 (checkpatch.pl)"]
        );
        assert!(findings("total: 0 errors, 0 warnings, 7 lines checked\n").is_empty());
    }
}
