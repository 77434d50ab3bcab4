// SPDX-License-Identifier: GPL-2.0-only

//! Paths that patches name: which are paths of files in a kernel tree, and what of a tree such a path meets.

use std::collections::BTreeSet;
use std::path::Path;

use crate::error::{AtPath, Error, Result};

/// Why a path is none of a file in a tree, as every tool reads it that is given the patch; `None` if it is one. Patches
/// come from anywhere: what is joined with such a path is to lie below.
pub fn oddity(path: &str) -> Option<&'static str> {
    let is_odd = |sign: char| sign.is_control() || (sign.is_whitespace() && sign != ' ');
    if path.contains(is_odd) {
        return Some("it has a blank or a control character in it that names do not have");
    }
    path.split('/').find_map(|name| match name {
        "" => Some("it is absolute, or has a name without a letter in it"),
        "." | ".." => Some("it has \".\" or \"..\" for a name"),
        _ if name.eq_ignore_ascii_case(".git") => Some("it is git's own"),
        _ => None,
    })
}

/// Paths that patches change, and which entries of a tree of files they meet.
pub struct Met<'a> {
    paths: BTreeSet<&'a str>,
    folders: BTreeSet<&'a str>,
}

impl<'a> Met<'a> {
    /// Of these paths.
    pub fn of(paths: impl Iterator<Item = &'a str>) -> Met<'a> {
        let paths: BTreeSet<&str> = paths.collect();
        let folders = paths.iter().flat_map(|path| above(path)).collect();
        Met { paths, folders }
    }

    /// Whether a file is one of them, lies where one of them wants a folder, or in a folder where one of them wants a file.
    pub fn has(&self, file: &str) -> bool {
        self.paths.contains(file)
            || self.folders.contains(file)
            || above(file).any(|folder| self.paths.contains(folder))
    }
}

/// The folders that a path lies in, the nearest first.
fn above(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(folder_of(path), |path| folder_of(path))
}

fn folder_of(path: &str) -> Option<&str> {
    path.rsplit_once('/').map(|(folder, _)| folder)
}

/// The files and links below `root` that `path` meets, in the sense of [`Met`]. A link is followed nowhere.
pub fn met_below(root: &Path, path: &str) -> Result<Vec<String>> {
    let mut folders: Vec<&str> = above(path).collect();
    folders.reverse();
    for at in folders.into_iter().chain([path]) {
        match root.join(at).symlink_metadata() {
            Err(_) => return Ok(Vec::new()),
            Ok(found) if found.is_dir() => {}
            Ok(_) => return Ok(vec![at.to_string()]),
        }
    }
    let folder = root.join(path);
    let mut files = Vec::new();
    for entry in walkdir::WalkDir::new(&folder).sort_by_file_name() {
        let entry = entry
            .map_err(|err| Error::lab(format!("listing {}", folder.display()), err.to_string()))?;
        let below = entry.path().strip_prefix(root).ok().and_then(Path::to_str);
        if !entry.file_type().is_dir() {
            files.extend(below.map(str::to_string));
        }
    }
    Ok(files)
}

/// Refuses a patch, for what is done to it, that changes `path`, where that lies at, or below, one of the links among the
/// entries of a tree: `patch` follows links to folders, and git does not.
pub fn refuse_link(doing: &str, path: &str, is_link: impl Fn(&str) -> bool) -> Result<()> {
    let mut places = std::iter::once(path).chain(above(path));
    match places.find(|place| is_link(place)) {
        None => Ok(()),
        Some(link) => Err(Error::usage(
            doing,
            format!("it names {path}: {link} is a link, and no patch changes one or what lies behind it"),
        )
        .hint("name the file by the path that it has without links")),
    }
}

/// Makes a link at `to`, in folders that are made for it, that is the same as the one at `from`.
pub fn copy_link(from: &Path, to: &Path) -> Result<()> {
    let target = std::fs::read_link(from).at("reading", from)?;
    crate::layout::create_dir(to.parent().unwrap_or(to))?;
    std::os::unix::fs::symlink(target, to).at("linking", to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_files_in_a_tree_are_told_from_others() {
        for path in [
            "Makefile",
            "k/a b.c",
            "k/.gitignore",
            "k/\u{fc}.c",
            "k/..c",
            "-x",
        ] {
            assert_eq!(oddity(path), None, "{path}");
        }
        for path in [
            "",
            "/etc/x",
            "k//x",
            "k/",
            "../x",
            "k/../../x",
            "./x",
            "k/.",
            ".git/config",
            "k/.GIT/x",
            "k/a\u{a0}",
            "k/a\rb",
            "k/a\0",
        ] {
            assert!(oddity(path).is_some(), "{path}");
        }
    }

    #[test]
    fn a_path_meets_what_is_in_its_place() {
        let met = Met::of(["k/a/x.c", "s"].into_iter());
        for file in ["k/a/x.c", "k/a", "k", "s", "s/y", "s/z/y"] {
            assert!(met.has(file), "{file}");
        }
        for file in ["k/a/x", "k/b", "sy", "x.c", ""] {
            assert!(!met.has(file), "{file}");
        }
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for file in ["k/a", "s/y", "s/z/y", "other"] {
            std::fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
            std::fs::write(root.join(file), "").unwrap();
        }
        std::os::unix::fs::symlink("s", root.join("l")).unwrap();
        for (path, files) in [
            ("k/a/x.c", &["k/a"][..]),
            ("k/a", &["k/a"]),
            ("k/b", &[]),
            ("s", &["s/y", "s/z/y"]),
            ("l/y", &["l"]),
            ("none/x", &[]),
        ] {
            assert_eq!(met_below(root, path).unwrap(), files, "{path}");
        }
    }
}
