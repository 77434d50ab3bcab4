// SPDX-License-Identifier: GPL-2.0-only

//! What the kernel's own `checkpatch.pl` says about the series and the C of the overlay.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::exec::tool;
use crate::kernel::tree::OverlayFile;
use crate::patchset::series::Series;

/// Functions in Rust have no header that a C file could include.
const IGNORED: &str = "AVOID_EXTERNS";
/// The tree has no history in which to look for the commits that a patch names.
const UNKNOWABLE: &str = "UNKNOWN_COMMIT_ID";

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
    if !script.is_file() {
        let found = "the source has no scripts/checkpatch.pl";
        return Err(
            Error::usage("looking for the kernel's own check of patches", found)
                .hint("every kernel has it: look at what the source of lab.toml holds"),
        );
    }
    let output = tool("running checkpatch.pl", "perl")
        .arg(&script)
        .arg("--root")
        .arg(tree)
        .args(["--terse", "--show-types", "--no-summary"])
        .args(["--ignore", UNKNOWABLE])
        .args(how.iter().copied())
        .args(files)
        // A .checkpatch.conf of the user's has no say, nor a repository around: it looks for the one where the variable
        // leads to, in the present folder, in HOME and in .scripts, and for .git in the present folder.
        .dir(tree)
        .env("HOME", tree)
        .env_remove("CHECKPATCH_CONFIG_DIR")
        .env_remove_all("GIT_")
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
    use crate::exec::which;
    use crate::patchset::series::Patch;

    /// What the script of `text` says about a series of one patch, in a tree beside the series.
    fn said(text: &str) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let (tree, series) = (dir.path().join("tree"), dir.path().join("series"));
        std::fs::create_dir_all(tree.join("scripts")).unwrap();
        std::fs::write(tree.join("scripts/checkpatch.pl"), text).unwrap();
        std::fs::create_dir(&series).unwrap();
        std::fs::write(series.join("100-x.patch"), "").unwrap();
        let series = Series {
            dir: series,
            patches: vec![Patch::parse("100-x.patch", "").unwrap()],
            ..Series::none()
        };
        let place = format!("{}/", dir.path().canonicalize().unwrap().display());
        let problems = problems(&tree, &series, &[]).unwrap();
        let shown = problems.iter().map(|line| line.replace(&place, ""));
        shown.collect()
    }

    #[test]
    fn nothing_of_the_users_surroundings_has_a_say() {
        if which("perl").is_none() {
            return;
        }
        let script = "use Cwd; my $cwd = getcwd();\n\
                      print \"x: WARNING:WHERE: $cwd $ENV{HOME}\\n\";\n\
                      print \"x: WARNING:ASKED: @ARGV\\n\"; exit 1;\n";
        let said = said(script);
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].ends_with(": tree tree (checkpatch.pl)"), "{said:?}");
        assert!(said[1].contains(" --ignore UNKNOWN_COMMIT_ID "), "{said:?}");
    }

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
