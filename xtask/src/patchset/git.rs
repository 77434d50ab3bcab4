// SPDX-License-Identifier: GPL-2.0-only

//! The series as a git tree, to be worked on with git: the source, then the
//! overlay's commits, then one commit a patch. The same inputs give the same
//! commits, down to their hashes. They are made in git's index, patches by the `patch`
//! that the lab builds with; files are checked out last, as the tree's attributes want them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::error::{AtPath, Error, Kind, Result};
use crate::event::{Event, Sink, Stage, Step};
use crate::exec::{tool, Invocation};
use crate::kernel::source::Fetched;
use crate::kernel::tree::OverlayFile;
use crate::layout::{create_dir, read_written, Layout};
use crate::patchset::commit;
use crate::patchset::header::{identity, message};
use crate::patchset::origin::Origin;
use crate::patchset::overlay::{self, Division, Part};
use crate::patchset::packed::packed;
use crate::patchset::series::{Patch, Series};
use crate::patchset::staging::Staging;

const DOING: &str = "making a git tree";
/// The trailer by which a commit names its patch.
pub const PATCH_TRAILER: &str = "Patch-file";
/// Who commits the source and the overlay: name and address.
pub const LAB: (&str, &str) = ("Restart Lab", "lab@restart-lab.invalid");
/// What a file of git's that tells of other files is called.
const ATTRIBUTES: &str = ".gitattributes";
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
    /// The project, in which both lie.
    pub layout: &'a Layout,
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
    /// The files about languages that are written out.
    attributes: Vec<String>,
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
    refuse_full(DOING, dir)?;
    // Made beside its place: what a failure leaves is no half of a tree.
    let dir = place(dir)?;
    let beside = dir.parent().unwrap_or(&dir);
    create_dir(beside)?;
    let scratch = tempfile::tempdir_in(beside).at("making a folder in", beside)?;
    let made = scratch.path().join("tree");
    let head = commits(contents, &parts, patches, &made, sink)?;
    git(DOING, &made, ["reset", "-q", "--hard"]).read()?;
    if dir.exists() {
        std::fs::remove_dir(&dir).at("replacing", &dir)?;
    }
    std::fs::rename(&made, &dir).at("renaming to", &dir)?;
    Ok(head)
}

/// A git tree of all commits in `dir`, which must not exist, in which no files are checked out. Gives the hash of the
/// last commit.
pub fn apply_without_files(contents: &Contents<'_>, dir: &Path, sink: &dyn Sink) -> Result<String> {
    let parts = contents.division.divide(contents.overlay)?;
    commits(contents, &parts, &contents.series.patches, dir, sink)
}

/// All commits in an empty folder, in which no files are checked out but [`ATTRIBUTES`]; the hash of the last one.
fn commits(
    contents: &Contents<'_>,
    parts: &[Part<'_>],
    patches: &[Patch],
    dir: &Path,
    sink: &dyn Sink,
) -> Result<String> {
    let (layout, source) = (contents.layout, contents.source);
    refuse_patched(contents, patches)?;
    let packed = packed(layout, source, sink)?;
    create_dir(dir)?;
    let mut tree = Tree {
        dir,
        commits: 0,
        named: contents.named,
        attributes: Vec::new(),
        sink,
    };
    tree.git(["init", "-q", "-b", "lab", "--template="])
        .read()?;
    packed.put_into(dir)?;
    // Of this kind is what is neither an interrupt nor a full disk.
    let read = tree.git(["read-tree", &packed.tree]).failure(Kind::Build);
    read.read().map_err(|err| match err.kind() {
        Kind::Build => err.with_kind(Kind::Lab).hint(packed.hint()),
        _ => err,
    })?;
    tree.commit("the source", LAB, &format!("Linux {}\n", source.version))?;
    tree.write_attributes()?;
    let root = layout.root();
    // From here on the copies are looked at: what is edited meanwhile was not part of the tree.
    let source = commit::Source::of(dir, !contents.overlay.is_empty())?;
    let mut origin = Origin::new(dir, contents, &source)?;
    origin.keep(root, contents.overlay, contents.series, patches)?;
    tree.refuse_overwriting(contents.overlay)?;
    for (commit, files) in parts {
        let mut copies = Vec::new();
        for file in files {
            copies.push((origin.copy(root, &file.from)?, file.to.as_str()));
        }
        tree.add(&copies)?;
        refuse_marked(&format!("{DOING}: {}", overlay::FILE), &commit.text())?;
        tree.commit(overlay::FILE, LAB, &commit.text())?;
        tree.follow_attributes(files.iter().map(|file| file.to.as_str()))?;
    }
    let touched = patches.iter().flat_map(|patch| &patch.files);
    let touched = touched.map(|file| file.path.clone()).collect();
    let scratch = layout.scratch("staging")?;
    let staging = Staging::of(DOING, dir, "HEAD", &touched, scratch)?;
    for patch in patches {
        let file = origin.copy(root, &contents.series.dir.join(&patch.name))?;
        tree.patch(contents, patch, &file, &staging)?;
        tree.follow_attributes(patch.files.iter().map(|file| file.path.as_str()))?;
        let doing = format!("{DOING}: {}", patch.name);
        origin.remember(&commit::last(&doing, dir, &source)?, &patch.name);
    }
    origin.write()?;
    tree.git(["rev-parse", "HEAD"]).read()
}

/// Refuses a series that changes what the overlay lays in, and those of its patches that no refresh could bring back.
fn refuse_patched(contents: &Contents<'_>, patches: &[Patch]) -> Result<()> {
    let problems = overlay::patched(contents.series, contents.overlay, contents.layout);
    if !problems.is_empty() {
        return Err(Error::usage(DOING, problems.join("\n"))
            .hint("files of the overlay are edited where they lie"));
    }
    let problems: Vec<String> = match contents.overlay.is_empty() {
        true => Vec::new(),
        false => patches.iter().flat_map(overlay::unsuited).collect(),
    };
    match problems.is_empty() {
        true => Ok(()),
        false => Err(Error::usage(DOING, problems.join("\n")).hint(
            "take it out of the patch: `cargo xtask patchset check` has all that is wrong with the series",
        )),
    }
}

/// Refuses a message that says of itself what only the lab says.
pub fn refuse_marked(doing: &str, text: &str) -> Result<()> {
    let mark = format!("{PATCH_TRAILER}: ");
    match text.lines().find(|line| line.starts_with(&mark)) {
        None => Ok(()),
        Some(line) => {
            let found = format!("a message has a line by which the lab marks commits: {line}");
            Err(Error::usage(doing, found).hint("take it out"))
        }
    }
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

/// Where a folder that is to be made comes to lie: of a link where it leads to.
fn place(dir: &Path) -> Result<PathBuf> {
    match dir.is_symlink() {
        true => std::fs::canonicalize(dir).at("following the link", dir),
        false => std::path::absolute(dir).at("looking for", dir),
    }
}

/// Refuses a folder that has something in it, for what is being done.
pub fn refuse_full(doing: &str, dir: &Path) -> Result<()> {
    let doing = || format!("{doing} in {}", dir.display());
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

/// A git command in a tree that no configuration of the user's changes.
pub fn git<const N: usize>(doing: &str, dir: &Path, args: [&str; N]) -> Invocation {
    let mut git = tool(format!("{doing} ({})", dir.display()), "git");
    for setting in [
        "core.autocrlf=false",
        "core.fileMode=true",
        "core.quotePath=false",
        "core.attributesFile=/dev/null",
        "core.hooksPath=/dev/null",
        "core.bigFileThreshold=512m",
        "diff.suppressBlankEmpty=false",
        "i18n.commitEncoding=UTF-8",
        "i18n.logOutputEncoding=UTF-8",
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
        git(DOING, self.dir, args)
    }

    fn tell(&self, text: String) {
        self.sink.emit(Event::StepProgress {
            step: Step::once(Stage::Tree),
            done: self.commits,
            total: None,
            text,
        });
    }

    /// Commits a patch that lies in `file`, put on what is staged of the commit before.
    fn patch(
        &mut self,
        contents: &Contents<'_>,
        patch: &Patch,
        file: &Path,
        staging: &Staging<'_>,
    ) -> Result<()> {
        let (author, mut text) = message(patch)?;
        let doing = format!("{DOING}: {}", patch.name);
        refuse_marked(&doing, &text)?;
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
        let change = read_written(file)?;
        let (series, source) = (contents.series, contents.source);
        staging.refuse_links(patch, &source.told())?;
        series.apply_one(patch, &change, staging.path(), &source.told())?;
        staging.add(&doing, patch.files.iter().map(|file| file.path.as_str()))?;
        self.commit(&patch.name, author, &text)
    }

    /// Writes the files by which git knows what language a file is in: a hunk's heading goes by it, and
    /// git looks for them in the folder.
    fn write_attributes(&mut self) -> Result<()> {
        for path in self.attributes.drain(..) {
            let path = self.dir.join(path);
            std::fs::remove_file(&path).at("removing", &path)?;
        }
        let all = self.git(["ls-files", "-z", "--"]);
        let all = all.arg(format!(":(glob)**/{ATTRIBUTES}")).read_bytes()?;
        let names = String::from_utf8_lossy(&all).into_owned();
        let names = names.split('\0').filter(|name| !name.is_empty());
        self.attributes.extend(names.map(str::to_string));
        self.git(["checkout-index", "--"])
            .args(&self.attributes)
            .read()
            .map(drop)
    }

    /// Writes them again if a commit with these paths has changed any.
    fn follow_attributes<'p>(&mut self, mut paths: impl Iterator<Item = &'p str>) -> Result<()> {
        match paths.any(|path| path.rsplit('/').next() == Some(ATTRIBUTES)) {
            true => self.write_attributes(),
            false => Ok(()),
        }
    }

    /// Fails if a file of the overlay is one of the source's, or in a folder that is a file there.
    fn refuse_overwriting(&self, overlay: &[OverlayFile]) -> Result<()> {
        let files: BTreeSet<&Path> = overlay.iter().map(|file| Path::new(&file.to)).collect();
        let all = files.iter().flat_map(|file| file.ancestors());
        let all: BTreeSet<&Path> = all.filter(|path| !path.as_os_str().is_empty()).collect();
        if all.is_empty() {
            return Ok(());
        }
        let there = self.git(["ls-tree", "-z", "HEAD", "--"]).args(&all);
        let there = there.read()?;
        let entries = there.split('\0').filter_map(|entry| entry.split_once('\t'));
        for (what, path) in entries {
            let at = Path::new(path);
            // git names what lies beside them as well.
            if all.contains(at) && (files.contains(at) || !what.contains(" tree ")) {
                return Err(Error::usage(
                    "laying the overlay over the kernel",
                    format!("{path} is in the source already"),
                ));
            }
        }
        Ok(())
    }

    /// Adds files, each with its path in the tree, to what the next commit has.
    fn add(&self, files: &[(PathBuf, &str)]) -> Result<()> {
        let write = self.git(["hash-object", "-w", "--no-filters", "--"]);
        let blobs = write.args(files.iter().map(|(from, _)| from)).read()?;
        let mut update = self.git(["update-index", "--add"]);
        for (blob, (_, to)) in blobs.lines().zip(files) {
            // Whatever it is in the project: files of the overlay are plain.
            let entry = format!("100644,{blob},{to}");
            update = update.arg("--cacheinfo").arg(entry);
        }
        update.read().map(drop)
    }

    /// Commits what the index has, which is to differ from the commit before; it is what this file says, or the source.
    fn commit(&mut self, file: &str, (name, address): (&str, &str), text: &str) -> Result<()> {
        let subject = text.lines().next().unwrap_or_default();
        self.tell(subject.to_string());
        let message = tempfile::NamedTempFile::new()
            .map_err(|err| Error::lab("writing a commit's message", err.to_string()))?;
        std::fs::write(message.path(), text).at("writing", message.path())?;
        let tree = self.git(["write-tree"]).read()?;
        let date = format!("{} +0000", EPOCH + self.commits);
        let behind: &[&str] = if self.commits == 0 {
            &[]
        } else if self.git(["rev-parse", "HEAD^{tree}"]).read()? == tree {
            let found = "it changes nothing that git keeps, and would be an empty commit";
            return Err(Error::usage(
                format!("{DOING}: {file}"),
                format!("{subject:?}: {found}"),
            ));
        } else {
            &["-p", "HEAD"]
        };
        let commit = self
            .git(["commit-tree", "--no-gpg-sign", "-F"])
            .arg(message.path())
            .args(behind)
            .arg(tree)
            .env("GIT_AUTHOR_NAME", name)
            .env("GIT_AUTHOR_EMAIL", address)
            .env("GIT_AUTHOR_DATE", &date)
            .env("GIT_COMMITTER_NAME", name)
            .env("GIT_COMMITTER_EMAIL", address)
            .env("GIT_COMMITTER_DATE", &date)
            .read()?;
        self.git(["update-ref", "HEAD", &commit]).read()?;
        self.commits += 1;
        Ok(())
    }
}
