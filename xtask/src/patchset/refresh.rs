// SPDX-License-Identifier: GPL-2.0-only

//! From a git tree back to patches: commits become patches again, files of the
//! overlay go back to `rust-syscall/`. Everything is read and compared before
//! anything is written; what did not change keeps every byte. `patches` is about
//! the series, `picked` about commits from another tree of it, `naming` about what its patches are called, `trial` about
//! whether they fit together.

mod naming;
mod patches;
mod picked;
mod trial;

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::{AtPath, Error, Result};
use crate::kernel::tree::{KERNELS, OVERLAY};
use crate::layout::{resolve, Layout};
use crate::patchset::base;
use crate::patchset::commit::{self, Commit, Laid, Source};
use crate::patchset::origin::{Change, Origin};
use crate::patchset::overlay::{self, Division};
use crate::patchset::unseen;

/// What to do where the tree cannot follow what the project has become.
const ANEW: &str =
    "make a tree of the project's by `cargo xtask patchset apply --to`, and do there what was done here: \
     git fetch and git cherry-pick";

/// What a refresh does to the project's files.
#[derive(Debug, Default, PartialEq)]
pub struct Changes {
    /// New content by path in the project.
    pub written: Vec<(PathBuf, Vec<u8>)>,
    /// Files that go.
    pub removed: Vec<PathBuf>,
    /// Patches and files that stay as they are.
    pub same: usize,
    /// What is in the tree and goes nowhere.
    pub notes: Vec<String>,
    /// All files of the tree that have a place in the project.
    files: Vec<(PathBuf, Vec<u8>)>,
    /// The commits that are patches, each with the name of its patch.
    patches: Vec<(Commit, String)>,
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (path, _) in &self.written {
            writeln!(f, "write {}", path.display())?;
        }
        for path in &self.removed {
            writeln!(f, "remove {}", path.display())?;
        }
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        let (written, removed) = (self.written.len(), self.removed.len());
        write!(
            f,
            "{written} to write, {removed} to remove, {} as they were",
            self.same
        )
    }
}

fn doing(dir: &Path) -> String {
    format!("refreshing from {}", dir.display())
}

/// Finds out what the tree in `dir` changes in the project; writes nothing.
pub fn compare(layout: &Layout, dir: &Path) -> Result<Changes> {
    let dir = resolve(dir)?;
    let doing = doing(&dir);
    let origin = Origin::of(&doing, &dir)?;
    if origin.is_pending() {
        return Err(Error::usage(doing, "a refresh from here was cut")
            .hint("`cargo xtask patchset refresh`, not a dry run, finishes it first; with --abort it is given up"));
    }
    commit::refuse_unfinished(&doing, &dir)?;
    commit::refuse_detached(&doing, &dir)?;
    let source = Source::of(&dir, origin.has_overlay()?)?;
    unseen::refuse(&doing, &dir, &source)?;
    origin.refuse_other(&doing, &source)?;
    base::refuse_other(layout, &doing, &origin)?;
    let commits = commit::read_all(&dir, &source)?;
    if origin.base().is_some() && !commits.iter().any(Commit::is_patch) {
        return Err(Error::usage(
            doing,
            "a series was being carried to this source, and no patch of it is here",
        )
        .hint("the rebase was given up: make the tree again by `cargo xtask patchset rebase`"));
    }
    if commits.is_empty() && (source.has_overlay() || !origin.patches()?.is_empty()) {
        return Err(Error::usage(doing, "nothing of the series or the overlay is here").hint(
            "make the tree again by `cargo xtask patchset apply`; who wants to be rid of all of it removes the files of the project",
        ));
    }
    let mut refresh = Refresh {
        layout,
        dir: &dir,
        source: &source,
        origin,
        changes: Changes::default(),
        trial: None,
        conflicts: Vec::new(),
        in_the_way: Vec::new(),
    };
    let laid = commit::overlay_files(&dir, &source)?;
    match source.has_overlay() {
        true => refresh.division(&commits, &laid)?,
        false => refresh.empty(&commits),
    }
    refresh.patches(&doing, commits)?;
    refresh.overlay(laid)?;
    refresh.find_in_the_way()?;
    if refresh.in_the_way.is_empty() && refresh.conflicts.is_empty() {
        refresh.try_out(&doing)?;
    }
    if !refresh.in_the_way.is_empty() {
        let found = format!("in the way: {}", refresh.in_the_way.join(", "));
        return Err(Error::usage(doing, found).hint(
            "the tree knows nothing of what is there: move it away, or list it in the series",
        ));
    }
    if refresh.conflicts.is_empty() {
        return Ok(refresh.changes);
    }
    Err(Error::usage(
        doing,
        format!(
            "edited in the tree and in the project since: {}",
            refresh.conflicts.join(", ")
        ),
    )
    .hint("undo one side's edit, refresh, and make it again"))
}

/// Carries changes out; the tree is from then on one of what the project has.
pub fn write(layout: &Layout, dir: &Path, changes: &Changes) -> Result<()> {
    begin(layout, dir, changes)?;
    finish(layout, dir).map(drop)
}

/// Writes down what is to be done, so that [`finish`] does it, now or when this was cut.
pub fn begin(layout: &Layout, dir: &Path, changes: &Changes) -> Result<()> {
    let change = Change {
        written: &changes.written,
        removed: &changes.removed,
        files: &changes.files,
        patches: &changes.patches,
    };
    Origin::of(&doing(dir), dir)?.begin(layout.root(), &change)
}

/// Finishes a refresh that was begun; whether one was.
pub fn finish(layout: &Layout, dir: &Path) -> Result<bool> {
    let dir = resolve(dir)?;
    let mut origin = Origin::of(&doing(&dir), &dir)?;
    match origin.is_pending() {
        true => origin.finish(&doing(&dir), layout.root()).map(|()| true),
        false => Ok(false),
    }
}

/// Gives up a refresh that was cut: what it has written stays, and counts as what the project has edited.
/// The folder with what it would have written.
pub fn abort(dir: &Path) -> Result<PathBuf> {
    let dir = resolve(dir)?;
    let origin = Origin::of(&doing(&dir), &dir)?;
    match origin.is_pending() {
        true => origin.abort(),
        false => Err(Error::usage(doing(&dir), "no refresh from here was cut")),
    }
}

struct Refresh<'a> {
    layout: &'a Layout,
    /// The tree, and its first commit.
    dir: &'a Path,
    source: &'a Source,
    origin: Origin,
    changes: Changes,
    /// What is to be tried before anything is written.
    trial: Option<trial::Trial>,
    /// What was edited on both sides.
    conflicts: Vec<String>,
    /// Files of the project where others have to go.
    in_the_way: Vec<String>,
}

impl Refresh<'_> {
    /// What the project's file holds now.
    fn present(&self, path: &Path) -> Result<Option<Vec<u8>>> {
        let path = self.layout.root().join(path);
        match path.is_file() {
            true => std::fs::read(&path).at("reading", &path).map(Some),
            false => Ok(None),
        }
    }

    /// Puts a file of the tree beside that of the project, and what both were.
    fn settle(&mut self, path: PathBuf, wanted: Option<Vec<u8>>) -> Result<()> {
        let (was, is) = (self.origin.text(&path)?, self.present(&path)?);
        if let Some(content) = &wanted {
            self.changes.files.push((path.clone(), content.clone()));
        }
        if wanted == is || wanted == was {
            // The same on both sides, or edited in the project alone.
            self.changes.same += usize::from(is.is_some());
            return Ok(());
        }
        if was != is {
            self.conflicts.push(path.display().to_string());
        } else if let Some(content) = wanted {
            self.changes.written.push((path, content));
        } else {
            self.changes.removed.push(path);
        }
        Ok(())
    }

    /// Finds what lies where a file has to go: a folder that does not become empty, or a file or link in the place of one of
    /// its folders.
    fn find_in_the_way(&mut self) -> Result<()> {
        let root = self.layout.root();
        let goes = |path: &Path| self.changes.removed.iter().any(|other| other == path);
        let mut found = Vec::new();
        for (path, _) in &self.changes.written {
            let mut folders = path
                .ancestors()
                .skip(1)
                .filter(|folder| folder.components().count() > 0);
            // A link to a folder is one.
            let in_place = folders.find(|folder| {
                let place = root.join(folder);
                place.symlink_metadata().is_ok() && !place.is_dir() && !goes(folder)
            });
            found.extend(
                in_place.map(|folder| format!("{} (a folder has to be there)", folder.display())),
            );
            let place = root.join(path);
            if place.symlink_metadata().is_ok_and(|is| is.is_dir()) {
                for entry in walkdir::WalkDir::new(&place) {
                    let entry = entry.map_err(|err| {
                        Error::lab(format!("listing {}", place.display()), err.to_string())
                    })?;
                    let below = entry.path().strip_prefix(root).unwrap_or(entry.path());
                    if !entry.file_type().is_dir() && !goes(below) {
                        found.push(format!(
                            "{} ({} is to be a file)",
                            below.display(),
                            path.display()
                        ));
                        break;
                    }
                }
            }
        }
        self.in_the_way.extend(found);
        Ok(())
    }

    /// Notes commits that are no patches, where there is nothing that they could be instead.
    fn empty(&mut self, commits: &[Commit]) {
        for commit in commits.iter().filter(|commit| !commit.is_patch()) {
            let note = format!("\"{}\" changes nothing: it is no patch", commit.subject());
            self.changes.notes.push(note);
        }
    }

    /// Notes what the overlay's division does not say, or says of files that are not there: messages that no file
    /// keeps, files and commits that do not belong together any more.
    fn division(&mut self, commits: &[Commit], laid: &[Laid]) -> Result<()> {
        let dir = self.layout.root().join(self.origin.series());
        let own = self.layout.series();
        let division = Division::read(&dir, &own)?;
        let file = overlay::beside(overlay::FILE, &dir, &own);
        let file = self.layout.show(&file);
        let unsaid = |commit: &&Commit| !commit.is_patch() && !division.says(commit.message());
        for commit in commits.iter().filter(unsaid) {
            self.changes.notes.push(format!(
                "\"{}\" changes nothing of the source: its message is not kept (those of the overlay are in {file})",
                commit.subject()
            ));
        }
        let paths: Vec<&str> = laid.iter().map(|file| file.tree.as_str()).collect();
        let problems = division.problems(&paths).into_iter();
        let notes = problems.map(|problem| format!("{file} has to follow: {problem}"));
        self.changes.notes.extend(notes);
        Ok(())
    }

    fn overlay(&mut self, laid: Vec<Laid>) -> Result<()> {
        let known = self.origin.files(Path::new(OVERLAY))?;
        let mut gone: BTreeSet<&PathBuf> = known.iter().collect();
        for file in laid {
            // What one kind of kernel has for itself goes back to its folder.
            let own = known.iter().find(|path| shared_path(path) == file.shared);
            match own {
                Some(path) => gone.remove(path),
                None => self.refuse_hidden(&file).map(|()| false)?,
            };
            let path = own.cloned().unwrap_or(file.shared);
            self.settle(path, Some(file.content))?;
        }
        for path in gone {
            self.settle(path.clone(), None)?;
        }
        Ok(())
    }

    /// Refuses a new file that would go to where all kernels share it, though some kind has its own of that name: laid over
    /// that one both would be in one place.
    fn refuse_hidden(&self, file: &Laid) -> Result<()> {
        let overlay = self.layout.root().join(OVERLAY);
        let below = file.shared.strip_prefix(OVERLAY);
        let below = below.unwrap_or(&file.shared);
        let Ok(kinds) = std::fs::read_dir(overlay.join(KERNELS)) else {
            return Ok(());
        };
        let own = kinds.flatten().map(|kind| kind.path().join(below));
        let mut own: Vec<PathBuf> = own.filter(|path| path.exists()).collect();
        own.sort();
        let Some(path) = own.first() else {
            return Ok(());
        };
        Err(Error::usage(
            "taking files of the overlay back",
            format!(
                "{} is new and would become {}, for all kernels; {} is there for one kind of them",
                file.tree,
                file.shared.display(),
                self.layout.show(path)
            ),
        )
        .hint(format!(
            "put it into the folder of this kernel's kind in {OVERLAY}/{KERNELS}/ by hand, take it out of the tree, refresh; or call it something else"
        )))
    }
}

/// Where a file would be if all kernels shared it: `kernels/6.12/src/x` as `src/x`, in the overlay's folder.
fn shared_path(path: &Path) -> PathBuf {
    let own = path.strip_prefix(Path::new(OVERLAY).join(KERNELS));
    match own {
        Ok(below) => Path::new(OVERLAY).join(below.components().skip(1).collect::<PathBuf>()),
        Err(_) => path.to_path_buf(),
    }
}
