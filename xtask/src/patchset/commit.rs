// SPDX-License-Identifier: GPL-2.0-only

//! Commits of a git tree that the lab has made, read back: which belong to the
//! series, what a patch of each says, and which files are the overlay's.

use std::path::{Path, PathBuf};

use crate::error::{AtPath, Error, Result};
use crate::patchset::git::{git, message, PATCH_TRAILER};
use crate::patchset::series::Patch;

/// Where files of the overlay lie in a kernel tree, and in the project. Longer ones first.
const PLACES: [(&str, &str); 5] = [
    ("kernel/checkpoint/Kconfig", "rust-syscall/Kconfig"),
    ("kernel/checkpoint/Makefile", "rust-syscall/Makefile"),
    ("kernel/checkpoint/", "rust-syscall/src/"),
    ("rust/kernel/", "rust-syscall/abstractions/"),
    ("rust/helpers/", "rust-syscall/helpers/"),
];
const DOING: &str = "refreshing the series";

/// One commit behind the source.
#[derive(Debug)]
pub struct Commit {
    hash: String,
    author: String,
    /// Without the trailer that names a patch.
    message: String,
    /// The patch that it was made from.
    pub patch: Option<String>,
    /// What it does to files of the source; empty if it is the overlay's alone.
    diff: String,
    stat: String,
}

/// Refuses a tree in which something is not committed, or in the middle of something.
pub fn refuse_unfinished(dir: &Path) -> Result<()> {
    let refused = |why: String, hint: &str| {
        Err(Error::usage(format!("{DOING} from {}", dir.display()), why).hint(hint))
    };
    for (file, what, end) in [
        (
            "rebase-merge",
            "a rebase",
            "git rebase --continue, or --abort",
        ),
        (
            "rebase-apply",
            "a rebase or git am",
            "git rebase --continue or git am --continue, or --abort",
        ),
        (
            "MERGE_HEAD",
            "a merge",
            "git merge --abort; the series is a line of commits",
        ),
        (
            "CHERRY_PICK_HEAD",
            "a cherry-pick",
            "git cherry-pick --continue, or --abort",
        ),
    ] {
        if dir.join(".git").join(file).exists() {
            return refused(format!("{what} is not finished"), end);
        }
    }
    let dirty = git(DOING, dir, ["status", "--porcelain"]).read()?;
    if dirty.is_empty() {
        return Ok(());
    }
    let first: Vec<&str> = dirty.lines().take(3).collect();
    refused(
        format!("not committed: {}", first.join("; ")),
        "git commit, or git stash --include-untracked",
    )
}

/// The commits behind the source, in order.
pub fn read_all(dir: &Path) -> Result<Vec<Commit>> {
    let list = git(DOING, dir, ["rev-list", "--reverse", "--parents", "HEAD"]).read()?;
    let mut commits = Vec::new();
    let mut source = None;
    for line in list.lines() {
        let mut hashes = line.split(' ');
        let hash = hashes.next().unwrap_or_default();
        match (hashes.count(), &source) {
            (0, None) => source = Some(hash.to_string()),
            (1, Some(source)) => commits.push(Commit::read(dir, hash, source)?),
            _ => {
                return Err(Error::usage(
                    format!("{DOING} from {}", dir.display()),
                    format!("{hash} is a merge, or has another beginning than the source"),
                )
                .hint("the series is a line of commits: git rebase makes one of a merge"))
            }
        }
    }
    Ok(commits)
}

/// Every file of the overlay in the last commit: its path in the project, and its content.
pub fn overlay_files(dir: &Path) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let source = git(DOING, dir, ["rev-list", "--max-parents=0", "HEAD"]).read()?;
    let mut files = Vec::new();
    for path in names(dir, &[source.trim(), "HEAD"])? {
        let Some(to) = place_of(dir, source.trim(), &path)? else {
            continue;
        };
        let from = dir.join(&path);
        if from.is_file() {
            files.push((
                PathBuf::from(to),
                std::fs::read(&from).at("reading", &from)?,
            ));
        }
    }
    Ok(files)
}

/// Paths that differ between two commits, or between one and its parent.
fn names(dir: &Path, commits: &[&str]) -> Result<Vec<String>> {
    let list = git(
        DOING,
        dir,
        [
            "diff-tree",
            "-r",
            "--name-only",
            "--no-renames",
            "--no-commit-id",
        ],
    );
    Ok(list
        .args(commits.iter().copied())
        .read()?
        .lines()
        .map(str::to_string)
        .collect())
}

/// Where a file of the tree lies in the project, if it is one of the overlay's: in its folders, and
/// not in the source. A new file elsewhere is refused.
fn place_of(dir: &Path, source: &str, path: &str) -> Result<Option<String>> {
    let spec = format!("{source}:{path}");
    if git(DOING, dir, ["cat-file", "-e", &spec])
        .output()?
        .status
        .success()
    {
        return Ok(None);
    }
    let found = PLACES
        .iter()
        .find_map(|(tree, project)| Some(format!("{project}{}", path.strip_prefix(tree)?)));
    found.map(Some).ok_or_else(|| {
        Error::usage(
            format!("{DOING} from {}", dir.display()),
            format!("{path} is new, and no patch creates files"),
        )
        .hint("new files belong into kernel/checkpoint, rust/kernel or rust/helpers")
    })
}

impl Commit {
    fn read(dir: &Path, hash: &str, source: &str) -> Result<Commit> {
        let said = git(DOING, dir, ["show", "-s", "--format=%an <%ae>%n%B", hash]).read()?;
        let (author, message) = said.split_once('\n').unwrap_or((&said, ""));
        let trailer = format!("{PATCH_TRAILER}: ");
        let patch = message.lines().find_map(|line| line.strip_prefix(&trailer));
        let rest: Vec<&str> = message
            .lines()
            .filter(|line| !line.starts_with(&trailer))
            .collect();
        let mut paths = Vec::new();
        for path in names(dir, &[hash])? {
            if place_of(dir, source, &path)?.is_none() {
                paths.push(path);
            }
        }
        let about = |how: [&str; 2]| match paths.is_empty() {
            true => Ok(String::new()),
            false => git(
                DOING,
                dir,
                [
                    "diff-tree",
                    "-r",
                    "--no-commit-id",
                    "--no-renames",
                    "--no-color",
                    "--abbrev=12",
                ],
            )
            .args(how)
            .args([hash, "--"])
            .args(paths.iter().cloned())
            .output()
            .map(|output| String::from_utf8_lossy(&output.stdout).into_owned()),
        };
        Ok(Commit {
            hash: hash.to_string(),
            author: author.trim().to_string(),
            message: rest.join("\n").trim().to_string(),
            patch: patch.map(|name| name.trim().to_string()),
            diff: about(["-p", "--no-ext-diff"])?,
            stat: about(["--stat=72", "--summary"])?,
        })
    }

    /// Whether it changes anything of the source.
    pub fn is_patch(&self) -> bool {
        !self.diff.is_empty()
    }

    /// Whether a patch says the same: author, message and change.
    pub fn is_made_of(&self, patch: &[u8]) -> Result<bool> {
        let text = String::from_utf8_lossy(patch);
        let name = self.patch.as_deref().unwrap_or(&self.hash);
        let parsed = Patch::parse(name, &text)?;
        let (author, said) = message(&parsed)?;
        let same_words = author == self.author && said.trim() == self.message;
        Ok(same_words && changes(&text) == changes(&self.diff))
    }

    /// The patch as a file.
    pub fn text(&self) -> String {
        let (subject, body) = self.message.split_once('\n').unwrap_or((&self.message, ""));
        format!(
            "From: {}\nSubject: {subject}\n\n{}\n---\n{}\n{}",
            self.author,
            body.trim(),
            self.stat,
            self.diff
        )
    }

    /// A name for a new patch, from its subject: the words behind the last colon.
    pub fn slug(&self) -> String {
        let subject = self.message.lines().next().unwrap_or_default();
        let words = subject.rsplit(':').next().unwrap_or(subject);
        let letters: String = words
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() {
                    c.to_ascii_lowercase()
                } else {
                    '-'
                }
            })
            .collect();
        let parts: Vec<&str> = letters
            .split('-')
            .filter(|part| !part.is_empty())
            .take(6)
            .collect();
        match parts.is_empty() {
            true => "change".to_string(),
            false => parts.join("-"),
        }
    }
}

/// The lines of a diff that say what changes: without the names of blobs, which depend on the other
/// patches, without what names the files once more, and without the function behind a hunk's numbers.
fn changes(text: &str) -> Vec<String> {
    let lines = text
        .lines()
        .skip_while(|line| !line.starts_with("diff ") && !line.starts_with("--- "));
    let lines = lines.take_while(|line| *line != "-- ");
    lines
        .filter(|line| !line.starts_with("index ") && !line.starts_with("diff "))
        .map(|line| {
            match line
                .strip_prefix("@@ ")
                .and_then(|rest| rest.split_once(" @@"))
            {
                Some((numbers, _)) => format!("@@ {numbers} @@"),
                None => line.to_string(),
            }
        })
        .collect()
}
