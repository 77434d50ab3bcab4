// SPDX-License-Identifier: GPL-2.0-only

//! The series as a git tree, to be worked on with git: the source, then the
//! overlay's commits, then one commit a patch. The same inputs give the same
//! commits, down to their hashes.

use std::path::Path;

use crate::error::{AtPath, Error, Kind, Result};
use crate::event::{Event, Sink, Stage, Step};
use crate::exec::{tool, Invocation};
use crate::kernel::source::Fetched;
use crate::kernel::tree::OverlayFile;
use crate::layout::{copy_whole, create_dir};
use crate::patchset::commit;
use crate::patchset::origin::Origin;
use crate::patchset::overlay::{Division, Part};
use crate::patchset::series::{Patch, Series};

/// The trailer by which a commit names its patch.
pub const PATCH_TRAILER: &str = "Patch-file";
/// Who commits the source and the overlay: name and address.
pub const LAB: (&str, &str) = ("Restart Lab", "lab@restart-lab.invalid");
/// When the first commit was made, in seconds since 1970: the first day of 2025. Each later one is a
/// second younger, so that tools that sort by time keep the order.
pub const EPOCH: u64 = 1_735_689_600;

/// What becomes a git tree.
pub struct Contents<'a> {
    /// The source at its root.
    pub source: &'a Fetched,
    /// The overlay and how it is divided.
    pub overlay: &'a [OverlayFile],
    /// See there.
    pub division: &'a Division,
    /// The patches.
    pub series: &'a Series,
    /// Folder of the project, in which both lie.
    pub root: &'a Path,
    /// Whether a commit names its patch, which is of use to who refreshes and to nobody else.
    pub named: bool,
    /// What the series' file `base` is to say once it has been carried to this source.
    pub base: Option<String>,
}

/// A git tree that is being made.
struct Tree<'a> {
    dir: &'a Path,
    commits: u64,
    named: bool,
    sink: &'a dyn Sink,
}

/// Makes the tree in `dir`, which must not exist or be empty, up to the patch that `upto` names by
/// its number or its whole name. Gives the hash of the last commit.
pub fn apply(
    contents: &Contents<'_>,
    dir: &Path,
    upto: Option<&str>,
    sink: &dyn Sink,
) -> Result<String> {
    let patches = chosen(contents.series, upto)?;
    let parts = contents.division.divide(contents.overlay)?;
    refuse_full(dir)?;
    // Made beside its place: what a failure leaves is no half of a tree.
    let dir = std::path::absolute(dir).at("looking for", dir)?;
    let beside = dir.parent().unwrap_or(&dir);
    create_dir(beside)?;
    let scratch = tempfile::tempdir_in(beside).at("making a folder in", beside)?;
    let made = scratch.path().join("tree");
    create_dir(&made)?;
    let head = fill(contents, &parts, patches, &made, sink)?;
    if dir.exists() {
        std::fs::remove_dir(&dir).at("replacing", &dir)?;
    }
    std::fs::rename(&made, &dir).at("renaming to", &dir)?;
    Ok(head)
}

/// All commits, in an empty folder; the hash of the last one.
fn fill(
    contents: &Contents<'_>,
    parts: &[Part<'_>],
    patches: &[Patch],
    dir: &Path,
    sink: &dyn Sink,
) -> Result<String> {
    let mut tree = Tree {
        dir,
        commits: 0,
        named: contents.named,
        sink,
    };
    tree.git(["init", "-q", "-b", "lab", "--template="])
        .read()?;
    // From here on the copies are looked at: what is edited meanwhile was not part of the tree.
    let series = &contents.series.dir;
    let mut origin = Origin::new(dir, contents.root, series, contents.base.clone())?;
    origin.keep(contents.root, contents.overlay, contents.series, patches)?;
    tree.tell(format!("unpacking {}", contents.source.origin));
    contents.source.unpack(dir)?;
    tree.commit(LAB, &format!("Linux {}\n", contents.source.version))?;
    for (commit, files) in parts {
        for file in files {
            let to = dir.join(&file.to);
            if to.exists() {
                return Err(Error::usage(
                    "laying the overlay over the kernel",
                    format!("{} is in the source already", file.to),
                ));
            }
            copy_whole(&origin.copy(contents.root, &file.from)?, &to)?;
        }
        tree.commit(LAB, &commit.text())?;
    }
    for patch in patches {
        let file = origin.copy(contents.root, &contents.series.dir.join(&patch.name))?;
        tree.patch(contents.series, patch, &file)?;
        origin.remember(&commit::last(dir)?, &patch.name);
    }
    origin.write()?;
    tree.git(["rev-parse", "HEAD"]).read()
}

/// The patches up to the one that is named.
fn chosen<'a>(series: &'a Series, upto: Option<&str>) -> Result<&'a [Patch]> {
    let Some(upto) = upto else {
        return Ok(&series.patches);
    };
    let is_named = |patch: &Patch| {
        let number = patch.name.split('-').next();
        patch.name == upto || number == Some(upto)
    };
    let Some(at) = series.patches.iter().position(is_named) else {
        let names: Vec<&str> = series
            .patches
            .iter()
            .map(|patch| patch.name.as_str())
            .collect();
        return Err(Error::usage(
            "choosing patches",
            format!(
                "no patch is called \"{upto}\"; there are {}",
                names.join(", ")
            ),
        ));
    };
    Ok(&series.patches[..=at])
}

/// Refuses a folder that has something in it.
pub fn refuse_full(dir: &Path) -> Result<()> {
    let doing = || format!("making a git tree in {}", dir.display());
    match std::fs::read_dir(dir) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(Error::usage(doing(), "the folder is not empty")
                .hint("name one that does not exist")),
        },
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(err) => Err(Error::usage(doing(), err.to_string())),
    }
}

/// A patch's author, and its message: the subject, and what the header says beside it.
pub fn message(patch: &Patch) -> Result<(String, String)> {
    let field = |name: &str| {
        let mut lines = patch.header.lines();
        let found = lines.find_map(|line| line.strip_prefix(name));
        found.map(|rest| rest.trim().to_string())
    };
    let (Some(author), Some(subject)) = (field("From:"), field("Subject:")) else {
        return Err(Error::usage(
            format!("reading {}", patch.name),
            "its header has no \"From:\" or no \"Subject:\"",
        ));
    };
    let body: Vec<&str> = patch
        .header
        .lines()
        .skip_while(|line| !line.trim().is_empty())
        .take_while(|line| *line != "---")
        .collect();
    Ok((author, format!("{subject}\n\n{}", body.join("\n").trim())))
}

/// `A <a@b>` as name and address.
pub fn identity(author: &str) -> Option<(&str, &str)> {
    let (name, rest) = author.split_once('<')?;
    Some((name.trim(), rest.strip_suffix('>')?))
}

/// A git command in a tree that no configuration of the user's changes.
pub fn git<const N: usize>(doing: &str, dir: &Path, args: [&str; N]) -> Invocation {
    let mut git = tool(format!("{doing} ({})", dir.display()), "git");
    for setting in [
        "core.autocrlf=false",
        "core.fileMode=true",
        "core.quotePath=false",
        "core.attributesFile=/dev/null",
        "core.hooksPath=/dev/null",
        "gc.auto=0",
    ] {
        git = git.args(["-c", setting]);
    }
    // Whatever the caller's environment says to git: it may be a hook's, or point elsewhere.
    git.env_remove_all("GIT_")
        .args(args)
        .dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .env("GIT_ATTR_NOSYSTEM", "1")
        .env("LC_ALL", "C")
        .failure(Kind::Build)
}

impl Tree<'_> {
    fn git<const N: usize>(&self, args: [&str; N]) -> Invocation {
        git("making a git tree", self.dir, args)
    }

    fn tell(&self, text: String) {
        self.sink.emit(Event::StepProgress {
            step: Step::once(Stage::Tree),
            done: self.commits,
            total: None,
            text,
        });
    }

    fn patch(&mut self, series: &Series, patch: &Patch, file: &Path) -> Result<()> {
        let (author, mut text) = message(patch)?;
        text.push('\n');
        if self.named {
            // The last paragraph is the trailers'.
            text.push_str(&format!("{PATCH_TRAILER}: {}\n", patch.name));
        }
        let author = identity(&author).ok_or_else(|| {
            Error::usage(
                format!("reading {}", patch.name),
                format!("From: expected \"Name <address>\", found \"{author}\""),
            )
        })?;
        git("applying a patch", self.dir, ["apply", "--whitespace=nowarn"])
            .arg(file)
            .read()
            .map_err(|err| {
                let (base, name) = (&series.base, &patch.name);
                err.hint(format!(
                    "{name} was made for {base}: apply --upto the one before it, put its change in by hand, commit, refresh"
                ))
            })?;
        self.commit(author, &text)
    }

    /// Commits whatever is in the folder, also what the kernel's own rules ignore.
    fn commit(&mut self, (name, address): (&str, &str), text: &str) -> Result<()> {
        self.tell(text.lines().next().unwrap_or_default().to_string());
        let scratch = tempfile::NamedTempFile::new()
            .map_err(|err| Error::lab("writing a commit's message", err.to_string()))?;
        std::fs::write(scratch.path(), text).at("writing", scratch.path())?;
        self.git(["add", "--all", "--force", "."]).read()?;
        let date = format!("{} +0000", EPOCH + self.commits);
        self.git([
            "commit",
            "-q",
            "--no-verify",
            "--cleanup=verbatim",
            "--no-gpg-sign",
            "-F",
        ])
        .arg(scratch.path())
        .env("GIT_AUTHOR_NAME", name)
        .env("GIT_AUTHOR_EMAIL", address)
        .env("GIT_AUTHOR_DATE", &date)
        .env("GIT_COMMITTER_NAME", name)
        .env("GIT_COMMITTER_EMAIL", address)
        .env("GIT_COMMITTER_DATE", &date)
        .read()?;
        self.commits += 1;
        Ok(())
    }
}
