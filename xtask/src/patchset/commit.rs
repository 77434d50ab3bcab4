// SPDX-License-Identifier: GPL-2.0-only

//! Commits of a git tree that the lab has made, read back: which belong to the
//! series, what a patch of each says, and which files are the overlay's.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::kernel::tree::{OVERLAY, PLACES};
use crate::patchset::git::{git, PATCH_TRAILER};

const DOING: &str = "refreshing the series";

/// One commit behind the source.
#[derive(Debug, PartialEq)]
pub struct Commit {
    /// Its hash.
    pub hash: String,
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
pub fn refuse_unfinished(doing: &str, dir: &Path) -> Result<()> {
    let refused = |why: String, hint: &str| Err(Error::usage(doing, why).hint(hint));
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
    let doing = || format!("{DOING} from {}", dir.display());
    if !git(DOING, dir, ["symbolic-ref", "-q", "HEAD"])
        .output()?
        .status
        .success()
    {
        return Err(Error::usage(doing(), "no branch is checked out")
            .hint("git switch to the branch with the whole series"));
    }
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
                    doing(),
                    format!("{hash} is a merge, or has another beginning than the source"),
                )
                .hint("the series is a line of commits: git rebase makes one of a merge"))
            }
        }
    }
    Ok(commits)
}

/// The last commit.
pub fn last(dir: &Path) -> Result<Commit> {
    let source = source_of(dir)?;
    Commit::read(
        dir,
        git(DOING, dir, ["rev-parse", "HEAD"]).read()?.trim(),
        &source,
    )
}

/// The commit of the source.
pub fn source_of(dir: &Path) -> Result<String> {
    let found = git(DOING, dir, ["rev-list", "--max-parents=0", "HEAD"]).read()?;
    Ok(found.trim().to_string())
}

/// Every file of the overlay in the last commit: its path in the project, and its content.
pub fn overlay_files(dir: &Path) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let source = source_of(dir)?;
    let mut files = Vec::new();
    for path in names(dir, &[&source, "HEAD"])? {
        let Some(to) = place_of(dir, &source, &path)? else {
            continue;
        };
        let Some(mode) = mode(dir, "HEAD", &path)? else {
            continue;
        };
        if mode != "100644" {
            return Err(Error::usage(
                format!("{DOING} from {}", dir.display()),
                format!("{path} has mode {mode}, and files of the overlay are plain (100644)"),
            )
            .hint("git add a copy instead of a link, or git update-index --chmod=-x, and commit"));
        }
        // Not from the folder: a sparse one has not all of them.
        let blob = format!("HEAD:{path}");
        files.push((
            PathBuf::from(to),
            git(DOING, dir, ["cat-file", "blob", &blob]).read_bytes()?,
        ));
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
    let list = list.args(commits.iter().copied()).read()?;
    Ok(list.lines().map(str::to_string).collect())
}

/// What a path is in a commit, as git writes it ("100644"); `None` if it is not there.
fn mode(dir: &Path, commit: &str, path: &str) -> Result<Option<String>> {
    let found = git(DOING, dir, ["ls-tree", commit, "--", path]).read()?;
    Ok(found.split_whitespace().next().map(str::to_string))
}

/// Where a file of the tree lies in the project, if it is one of the overlay's and all kernels share it: in its folders, and
/// not in the source. A new file elsewhere is refused.
fn place_of(dir: &Path, source: &str, path: &str) -> Result<Option<String>> {
    if mode(dir, source, path)?.is_some() {
        return Ok(None);
    }
    let place = |(tree, project): &(&str, &str)| match tree.ends_with('/') {
        true => path
            .strip_prefix(tree)
            .map(|rest| format!("{OVERLAY}/{project}{rest}")),
        false => (path == *tree).then(|| format!("{OVERLAY}/{project}")),
    };
    PLACES.iter().find_map(place).map(Some).ok_or_else(|| {
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
        let about = |how: &[&str]| match paths.is_empty() {
            true => Ok(Vec::new()),
            false => git(
                DOING,
                dir,
                ["diff-tree", "-r", "--no-commit-id", "--no-renames"],
            )
            .args([
                "--no-color",
                "--abbrev=12",
                "--no-ext-diff",
                "--no-textconv",
            ])
            .args(how.iter().copied())
            .args([hash, "--"])
            .args(paths.iter().cloned())
            .read_bytes(),
        };
        let commit = Commit {
            hash: hash.to_string(),
            author: author.trim().to_string(),
            message: rest.join("\n").trim().to_string(),
            patch: patch.map(|name| name.trim().to_string()),
            stat: text_of(dir, hash, about(&["--stat=72", "--summary"])?)?,
            diff: text_of(dir, hash, about(&["-p"])?)?,
        };
        commit.refuse_unwritable(dir)?;
        Ok(commit)
    }

    /// Refuses what a patch cannot say.
    fn refuse_unwritable(&self, dir: &Path) -> Result<()> {
        let refused = |why: &str| {
            let doing = format!("{DOING} from {}", dir.display());
            Err(Error::usage(doing, format!("{}: {why}", self.hash)))
        };
        if self
            .diff
            .lines()
            .any(|line| line.starts_with("Binary files "))
        {
            return refused("it changes a binary file");
        }
        let cuts =
            |line: &str| line == "---" || line.starts_with("--- ") || line.starts_with("diff ");
        if self.is_patch() && self.message.lines().any(cuts) {
            return refused("its message has a line that looks like the beginning of a diff");
        }
        Ok(())
    }

    /// Whether it changes anything of the source.
    pub fn is_patch(&self) -> bool {
        !self.diff.is_empty()
    }

    /// Its message, without what the lab has added.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Author, message and change, without the names of blobs, which depend on the other patches.
    pub fn says(&self) -> String {
        let lines = self.diff.split_inclusive('\n');
        let change: String = lines.filter(|line| !line.starts_with("index ")).collect();
        format!("{}\n{}\n\n{change}", self.author, self.message)
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

/// What git wrote, which a patch can carry as text only.
fn text_of(dir: &Path, hash: &str, bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|_| {
        Error::usage(
            format!("{DOING} from {}", dir.display()),
            format!("{hash}: it changes a file that is not UTF-8"),
        )
    })
}
