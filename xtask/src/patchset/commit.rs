// SPDX-License-Identifier: GPL-2.0-only

//! Commits of a git tree that the lab has made, read back: which belong to the
//! series, what a patch of each says, and which files are the overlay's.

mod unwritable;

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::kernel::tree::{is_laid_in, OVERLAY, PLACES};
use crate::patchset::git::{git, PATCH_TRAILER};
use crate::patchset::header::{without_blank_ends, Besides};

pub use unwritable::{misread, INDENT};

const DOING: &str = "refreshing the series";
/// Has git take paths for names, whatever signs they have.
const LITERALLY: &str = "--literal-pathspecs";
/// Letters of a name that is made of a subject, at the most.
const SLUG: usize = 60;

/// The commit of the source, the first of a tree.
#[derive(Debug, PartialEq)]
pub struct Source {
    /// Its hash.
    pub commit: String,
    /// That of its files.
    pub files: String,
    /// Whether an overlay belongs to the tree: new files are then its own, and no patch's.
    overlay: bool,
}

impl Source {
    /// Whether an overlay belongs to the tree.
    pub fn has_overlay(&self) -> bool {
        self.overlay
    }

    /// The first commit of the tree in `dir`.
    pub fn of(dir: &Path, overlay: bool) -> Result<Source> {
        let found = git(DOING, dir, ["rev-list", "--max-parents=0", "HEAD"]).read()?;
        let commit = found.trim().to_string();
        if commit.lines().count() != 1 {
            return Err(Error::usage(
                format!("{DOING} from {}", dir.display()),
                "it has several beginnings",
            )
            .hint("the series is a line of commits: git rebase makes one of a merge"));
        }
        let files = git(DOING, dir, ["rev-parse"]).arg(format!("{commit}^{{tree}}"));
        let files = files.read()?.trim().to_string();
        Ok(Source {
            commit,
            files,
            overlay,
        })
    }
}

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
        (
            "REVERT_HEAD",
            "a revert",
            "git revert --continue, or --abort",
        ),
        (
            "sequencer",
            "a cherry-pick or revert of several commits",
            "git cherry-pick --continue, or --abort",
        ),
    ] {
        if dir.join(".git").join(file).exists() {
            return refused(format!("{what} is not finished"), end);
        }
    }
    let dirty = git(DOING, dir, ["status", "--porcelain", "--untracked-files"]).read()?;
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
pub fn read_all(dir: &Path, source: &Source) -> Result<Vec<Commit>> {
    let doing = format!("{DOING} from {}", dir.display());
    let list = git(DOING, dir, ["rev-list", "--reverse", "--parents", "HEAD"]).read()?;
    let mut commits = Vec::new();
    for line in list.lines() {
        let mut hashes = line.split(' ');
        let hash = hashes.next().unwrap_or_default();
        match hashes.count() {
            0 => {}
            1 => commits.push(Commit::read(&doing, dir, hash, source)?),
            _ => {
                return Err(Error::usage(doing, format!("{hash} is a merge"))
                    .hint("the series is a line of commits: git rebase makes one of a merge"))
            }
        }
    }
    Ok(commits)
}

/// Refuses a tree in which no branch is checked out.
pub fn refuse_detached(doing: &str, dir: &Path) -> Result<()> {
    let head = git(DOING, dir, ["symbolic-ref", "-q", "HEAD"]).output()?;
    match head.status.success() {
        true => Ok(()),
        false => Err(Error::usage(doing, "no branch is checked out")
            .hint("git switch to the branch with the whole series")),
    }
}

/// The last commit.
pub fn last(doing: &str, dir: &Path, source: &Source) -> Result<Commit> {
    let head = git(doing, dir, ["rev-parse", "HEAD"]).read()?;
    Commit::read(doing, dir, head.trim(), source)
}

/// A file of the overlay in a git tree.
pub struct Laid {
    /// Its path there.
    pub tree: String,
    /// Where it lies in the project, if all kernels share it.
    pub shared: PathBuf,
    /// What is in it.
    pub content: Vec<u8>,
}

/// Every file of the overlay in the last commit.
pub fn overlay_files(dir: &Path, source: &Source) -> Result<Vec<Laid>> {
    let mut files = Vec::new();
    let doing = format!("{DOING} from {}", dir.display());
    for path in names(dir, &[&source.commit, "HEAD"])? {
        let Some(shared) = place_of(&doing, dir, source, &path)? else {
            continue;
        };
        let Some(mode) = mode(dir, "HEAD", &path)? else {
            continue;
        };
        if mode != "100644" {
            return Err(Error::usage(
                doing,
                format!("{path} has mode {mode}, and files of the overlay are plain (100644)"),
            )
            .hint("git add a copy instead of a link, or git update-index --chmod=-x, and commit"));
        }
        // Not from the folder: a sparse one has not all of them.
        let blob = format!("HEAD:{path}");
        files.push(Laid {
            content: git(DOING, dir, ["cat-file", "blob", &blob]).read_bytes()?,
            shared: PathBuf::from(shared),
            tree: path,
        });
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
            "-z",
            "--name-only",
            "--no-renames",
            "--no-commit-id",
        ],
    );
    let list = list.args(commits.iter().copied()).read_bytes()?;
    let list = String::from_utf8(list).map_err(|_| {
        let doing = format!("{DOING} from {}", dir.display());
        let found = format!(
            "{} changes a file whose name is not UTF-8",
            commits.join(" to ")
        );
        Error::usage(doing, found).hint("git mv it to another name")
    })?;
    let names = list.split('\0').filter(|name| !name.is_empty());
    Ok(names.map(str::to_string).collect())
}

/// What a path is in a commit, as git writes it ("100644"); `None` if it is not there.
fn mode(dir: &Path, commit: &str, path: &str) -> Result<Option<String>> {
    let found = git(DOING, dir, [LITERALLY, "ls-tree", commit, "--", path]).read()?;
    Ok(found.split_whitespace().next().map(str::to_string))
}

/// Where a file of the tree lies in the project, if it is one of the overlay's and all kernels share it: in its folders, and
/// not in the source. A new file elsewhere is refused where there is an overlay.
fn place_of(doing: &str, dir: &Path, source: &Source, path: &str) -> Result<Option<String>> {
    if !source.overlay || mode(dir, &source.commit, path)?.is_some() {
        return Ok(None);
    }
    let place = |(tree, project): &(&str, &str)| match tree.ends_with('/') {
        true => path
            .strip_prefix(tree)
            .map(|rest| format!("{OVERLAY}/{project}{rest}")),
        false => (path == *tree).then(|| format!("{OVERLAY}/{project}")),
    };
    let Some(place) = PLACES.iter().find_map(place) else {
        return Err(
            Error::usage(doing, format!("{path} is new, and no patch creates files"))
                .hint("new files belong into kernel/checkpoint, rust/kernel or rust/helpers"),
        );
    };
    match is_laid_in(path) {
        true => Ok(Some(place)),
        false => Err(Error::usage(
            doing,
            format!("{path} is new, and would not be laid in: hidden files, folders called target and what editors and compilers leave are not"),
        )
        .hint("git rm it, or give it another name")),
    }
}

impl Commit {
    fn read(doing: &str, dir: &Path, hash: &str, source: &Source) -> Result<Commit> {
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
            if place_of(doing, dir, source, &path)?.is_none() {
                paths.push(path);
            }
        }
        let about = |how: &[&str]| match paths.is_empty() {
            true => Ok(Vec::new()),
            false => git(
                DOING,
                dir,
                [
                    LITERALLY,
                    "diff-tree",
                    "-r",
                    "--no-commit-id",
                    "--no-renames",
                ],
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
        if commit.is_patch() {
            commit.refuse_unwritable(doing, &paths, source)?;
        }
        Ok(commit)
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

    /// The first line of its message.
    pub fn subject(&self) -> &str {
        self.message.lines().next().unwrap_or_default()
    }

    /// The patch as a file that says this besides.
    pub fn text(&self, besides: &Besides) -> String {
        let (subject, body) = self.message.split_once('\n').unwrap_or((&self.message, ""));
        format!(
            "From: {}\nSubject: {subject}\n{}\n{}\n---\n{}{}\n{}",
            self.author,
            besides.fields,
            without_blank_ends(body),
            besides.notes,
            self.stat,
            self.diff
        )
    }

    /// A name for a new patch, from its subject: the words behind the last colon.
    pub fn slug(&self) -> String {
        let subject = self.subject();
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
        let mut slug = parts.join("-");
        slug.truncate(SLUG);
        match slug.trim_end_matches('-') {
            "" => "change".to_string(),
            slug => slug.to_string(),
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
