// SPDX-License-Identifier: GPL-2.0-only

//! How the overlay's files are divided into commits: `kernel-patches/overlay.toml`.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::kernel::tree::{OverlayFile, OVERLAY};
use crate::layout::{read_written, Layout};
use crate::patchset::series::{Patch, Series};

/// The folder that is the overlay's alone.
const FOLDER: &str = "kernel/checkpoint/";
/// Name of the file, beside the series.
pub const FILE: &str = "overlay.toml";

/// The whole file.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Division {
    /// In order.
    commit: Vec<OverlayCommit>,
}

/// One commit of overlay files.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OverlayCommit {
    /// Its first line.
    pub subject: String,
    /// What follows the subject.
    pub message: String,
    /// Paths in the kernel tree; a folder ends in `/`.
    files: Vec<String>,
}

/// A commit and its files.
pub type Part<'a> = (&'a OverlayCommit, Vec<&'a OverlayFile>);

impl OverlayCommit {
    /// Its message, as in git.
    pub fn text(&self) -> String {
        format!("{}\n\n{}\n", self.subject, self.message.trim())
    }

    fn names(&self, path: &str) -> bool {
        self.files.iter().any(|file| match file.ends_with('/') {
            true => path.starts_with(file.as_str()),
            false => path == file,
        })
    }
}

impl Division {
    /// That of an overlay: the file that [`Division::read`] reads. Where nothing is laid in nothing is divided.
    pub fn of(overlay: &[OverlayFile], dir: &Path, own: &Path) -> Result<Division> {
        match overlay.is_empty() {
            true => Ok(Division::default()),
            false => Division::read(dir, own),
        }
    }

    /// Reads the file beside a series or, where there is none, beside the project's own.
    pub fn read(dir: &Path, own: &Path) -> Result<Division> {
        let path = beside(FILE, dir, own);
        toml::from_str(&read_written(&path)?).map_err(|err| {
            Error::usage(
                format!("reading {}", path.display()),
                err.to_string().trim_end().to_string(),
            )
        })
    }

    /// Its commits in order.
    pub fn commits(&self) -> &[OverlayCommit] {
        &self.commit
    }

    /// Whether one of its commits has this message.
    pub fn says(&self, message: &str) -> bool {
        let same = |commit: &OverlayCommit| commit.text().trim() == message.trim();
        self.commit.iter().any(same)
    }

    /// What a division of the files with these paths in the kernel tree would fail for.
    pub fn problems(&self, paths: &[&str]) -> Vec<String> {
        let first = |path: &&str| self.commit.iter().position(|commit| commit.names(path));
        let unnamed = paths.iter().filter(|path| first(path).is_none());
        let mut problems: Vec<String> = unnamed
            .map(|path| format!("no commit names {path}"))
            .collect();
        let used: Vec<usize> = paths.iter().filter_map(first).collect();
        let commits = self.commit.iter().enumerate();
        let empty = commits.filter(|(at, _)| !used.contains(at));
        problems.extend(empty.map(|(_, commit)| format!("\"{}\" has no files", commit.subject)));
        problems
    }

    /// Each commit with its files. A file that none names, and a commit without files, are errors.
    pub fn divide<'a>(&'a self, overlay: &'a [OverlayFile]) -> Result<Vec<Part<'a>>> {
        let paths: Vec<&str> = overlay.iter().map(|file| file.to.as_str()).collect();
        let problems = self.problems(&paths);
        let mut parts: Vec<Part<'_>> = self
            .commit
            .iter()
            .map(|commit| (commit, Vec::new()))
            .collect();
        for file in overlay {
            if let Some((_, files)) = parts.iter_mut().find(|(commit, _)| commit.names(&file.to)) {
                files.push(file);
            }
        }
        match problems.is_empty() {
            true => Ok(parts),
            false => Err(Error::usage(
                format!("dividing the overlay by {FILE}"),
                problems.join("\n"),
            )),
        }
    }
}

/// Patches that change what the overlay lays in, in words: files of the overlay are changed where they lie.
pub fn patched(series: &Series, overlay: &[OverlayFile], layout: &Layout) -> Vec<String> {
    let mut problems = Vec::new();
    for patch in &series.patches {
        for touched in &patch.files {
            let file = overlay.iter().find(|file| file.to == touched.path);
            let owner = match file {
                Some(file) => format!("which is the overlay's {}", layout.show(&file.from)),
                None if !overlay.is_empty() && touched.path.starts_with(FOLDER) => {
                    "which lies in the overlay's folder".to_string()
                }
                None => continue,
            };
            problems.push(format!(
                "{}: it changes {}, {owner}",
                patch.name, touched.path
            ));
        }
    }
    problems
}

/// What a patch does that none may beside an overlay, in words: a refresh could not bring it back.
pub fn unsuited(patch: &Patch) -> Vec<String> {
    let has_lines = |path: &str| {
        let mut files = patch.files.iter();
        files.any(|file| file.path == path && file.hunks > 0)
    };
    let wrong = patch.files.iter().filter_map(|file| {
        let what = match file {
            _ if file.created => format!("creates {}; new files belong into {OVERLAY}/", file.path),
            _ if file.deleted => format!("deletes {}", file.path),
            _ if file.turned && !has_lines(&file.path) => {
                format!("changes no line of {}, but its mode", file.path)
            }
            _ => return None,
        };
        Some(format!("{}: it {what}", patch.name))
    });
    wrong.collect()
}

/// A file beside a series that shares it with the project's own, unless it has one.
pub fn beside(name: &str, dir: &Path, own: &Path) -> PathBuf {
    let path = dir.join(name);
    match path.exists() {
        true => path,
        false => own.join(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{LabConfig, SeriesChoice};

    fn file(to: &str) -> OverlayFile {
        OverlayFile {
            from: "x".into(),
            to: to.into(),
        }
    }

    fn division(text: &str) -> Division {
        toml::from_str(text).unwrap()
    }

    const TWO: &str = "[[commit]]\nsubject = 'a'\nmessage = ''\nfiles = ['k/a.rs', 'k/a/']\n\
                       [[commit]]\nsubject = 'b'\nmessage = ''\nfiles = ['k/']\n";

    #[test]
    fn a_file_belongs_to_the_first_commit_that_names_it() {
        let (division, files) = (
            division(TWO),
            [file("k/b.rs"), file("k/a/x.rs"), file("k/a.rs")],
        );
        let parts = division.divide(&files).unwrap();
        let names =
            |at: usize| -> Vec<&str> { parts[at].1.iter().map(|file| file.to.as_str()).collect() };
        assert_eq!(
            (names(0), names(1)),
            (vec!["k/a/x.rs", "k/a.rs"], vec!["k/b.rs"])
        );
    }

    #[test]
    fn what_nobody_names_and_who_names_nothing_is_told() {
        let error = division(TWO)
            .divide(&[file("k/b.rs"), file("other.c")])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("no commit names other.c") && error.contains("\"a\" has no files"),
            "{error}"
        );
    }

    #[test]
    fn each_overlay_of_lab_toml_is_divided_without_rest_and_has_its_series() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let layout = crate::layout::Layout::new(root);
        let text = read_written(&layout.config()).unwrap();
        let config = LabConfig::parse("lab.toml", &text).unwrap();
        let mut seen = 0;
        for kernel in config.kernel.values() {
            let Some(kind) = &kernel.overlay else {
                continue;
            };
            let dir = match &kernel.series {
                SeriesChoice::Folder(folder) => root.join(folder),
                SeriesChoice::Own(_) => layout.series(),
            };
            let overlay = crate::kernel::tree::overlay_files(&layout, kind).unwrap();
            let division = Division::read(&dir, &layout.series()).unwrap();
            division.divide(&overlay).unwrap();
            assert!(!Series::read(&dir).unwrap().patches.is_empty());
            seen += 1;
        }
        assert!(seen > 1);
    }
}
