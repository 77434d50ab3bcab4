// SPDX-License-Identifier: GPL-2.0-only

//! The series carried to another source: a git tree of that source, on which `git am` puts one patch after
//! the other. What does not fit is merged in three ways or left to the user, as with any rebase; a refresh
//! makes the series of the other kernel of what has come about.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::error::{AtPath, Error, Result};
use crate::event::Sink;
use crate::layout::{read_text, read_written, remove_dir};
use crate::patchset::base::BASE;
use crate::patchset::commit::{misread, INDENT};
use crate::patchset::git::{self, git, Contents, EPOCH, LAB, PATCH_TRAILER};
use crate::patchset::header::{message, without_blank_ends};
use crate::patchset::origin::Origin;
use crate::patchset::parts::change_of;
use crate::patchset::series::{Patch, Series};

const DOING: &str = "carrying the series over";

/// Makes the tree of `onto` in `dir`, and puts the patches of `series` on it. `before`, where it can be
/// had, is a folder with the files that the series changes as they were, which is used up. Gives the names of
/// patches that changed nothing any more.
///
/// A patch that does not fit is an error that says what to do; the tree stays, with `git am` in it.
pub fn rebase(
    series: &Series,
    before: Option<&Path>,
    onto: &Contents<'_>,
    dir: &Path,
    sink: &dyn Sink,
) -> Result<Vec<String>> {
    let messages = messages(series)?;
    let first = git::apply(onto, dir, None, sink)?;
    let dir = std::fs::canonicalize(dir).at("looking for", dir)?;
    keep_present(series, onto, &dir)?;
    // Without its patches the tree is none of a series: what fails before them leaves nothing.
    let mails = mails(series, &messages, before, &dir).inspect_err(|_| drop(remove_dir(&dir)))?;
    put(series, &mails, &dir)?;
    let range = format!("{first}..HEAD");
    let said = git(DOING, &dir, ["log", "--format=%B", &range]).read()?;
    let in_it = |patch: &&Patch| said.contains(&format!("{PATCH_TRAILER}: {}", patch.name));
    let gone = series.patches.iter().filter(|patch| !in_it(patch));
    Ok(gone.map(|patch| patch.name.clone()).collect())
}

/// Who wrote each patch and what it says. What `git am` would read otherwise is told of all of them at once.
fn messages(series: &Series) -> Result<Vec<(String, String)>> {
    let (mut messages, mut problems) = (Vec::new(), Vec::new());
    for patch in &series.patches {
        let (author, text) = message(patch)?;
        git::refuse_marked(&format!("{DOING}: {}", patch.name), &text)?;
        let misread = misread(text.lines().skip(1));
        problems.extend(misread.iter().map(|why| format!("{}: {why}", patch.name)));
        messages.push((author, text));
    }
    match problems.is_empty() {
        true => Ok(messages),
        false => Err(Error::usage(DOING, problems.join("\n")).hint(INDENT)),
    }
}

/// The patches, of which each says this, as mails.
fn mails(
    series: &Series,
    messages: &[(String, String)],
    before: Option<&Path>,
    dir: &Path,
) -> Result<Vec<Vec<u8>>> {
    let mut mails = Vec::new();
    for (patch, message) in series.patches.iter().zip(messages) {
        let diff = match before {
            Some(before) => change(series, patch, before, dir)?,
            None => change_of(&read_written(&series.dir.join(&patch.name))?).into_bytes(),
        };
        mails.push(mail(patch, message, &diff));
    }
    Ok(mails)
}

/// Keeps which patches are carried, and what the other kernel's series is now, so that a refresh sees what becomes of each.
fn keep_present(carried: &Series, onto: &Contents<'_>, dir: &Path) -> Result<()> {
    let (mut origin, root) = (Origin::of(DOING, dir)?, onto.layout.root());
    let names = carried.patches.iter().map(|patch| patch.name.clone());
    origin.carry(names.collect());
    origin.write()?;
    if !onto.series.dir.join("series").is_file() {
        return Ok(());
    }
    let present = Series::read(&onto.series.dir)?;
    origin.keep(root, &[], &present, &present.patches)?;
    origin.keep_file(root, &present.dir.join(BASE))
}

/// What a patch does to the files in `before`, which are changed by it: a diff that names the objects that
/// its hunks were made for. They lie in the tree from now on, and git merges by them. Lines around the hunks need not be UTF-8.
fn change(series: &Series, patch: &Patch, before: &Path, dir: &Path) -> Result<Vec<u8>> {
    let old = tree_of(patch, before, dir)?;
    let one = Series {
        patches: vec![patch.clone()],
        ..series.clone()
    };
    one.apply(before, &format!("the source of {}", series.base))?;
    let new = tree_of(patch, before, dir)?;
    git(DOING, dir, ["diff-tree", "-r", "-p", "--full-index"])
        .arg("--no-renames")
        .args([old, new])
        .read_bytes()
}

/// The files that a patch changes as a tree object.
fn tree_of(patch: &Patch, before: &Path, dir: &Path) -> Result<String> {
    let index =
        tempfile::tempdir().map_err(|err| Error::lab("making an index", err.to_string()))?;
    let index = index.path().join("index");
    for file in &patch.files {
        let path = before.join(&file.path);
        if path.is_file() {
            let write = git(DOING, dir, ["hash-object", "-w", "--no-filters"]);
            let blob = write.arg(&path).read()?;
            git(DOING, dir, ["update-index", "--add", "--cacheinfo"])
                .arg(format!("{},{},{}", mode_of(&path)?, blob.trim(), file.path))
                .env("GIT_INDEX_FILE", &index)
                .read()?;
        }
    }
    let tree = git(DOING, dir, ["write-tree"]).env("GIT_INDEX_FILE", &index);
    tree.read().map(|hash| hash.trim().to_string())
}

/// How git writes a file's mode.
fn mode_of(path: &Path) -> Result<&'static str> {
    let mode = std::fs::metadata(path).at("looking at", path)?.mode();
    Ok(if mode & 0o100 == 0 {
        "100644"
    } else {
        "100755"
    })
}

/// A patch as a mail to `git am`.
fn mail(patch: &Patch, (author, text): &(String, String), diff: &[u8]) -> Vec<u8> {
    let (subject, body) = text.split_once('\n').unwrap_or((text, ""));
    let header = format!(
        "From: {author}\nDate: {EPOCH} +0000\nSubject: [PATCH] {subject}\n\n{}\n{PATCH_TRAILER}: {}\n---\n",
        without_blank_ends(body),
        patch.name
    );
    [header.as_bytes(), diff].concat()
}

/// Has `git am` commit the patches, or stop at one that does not fit.
fn put(series: &Series, mails: &[Vec<u8>], dir: &Path) -> Result<()> {
    let scratch =
        tempfile::tempdir().map_err(|err| Error::lab("writing mails", err.to_string()))?;
    let mut am = git(
        DOING,
        dir,
        ["am", "-q", "--3way", "--keep-cr", "--keep-non-patch"],
    );
    for (number, mail) in mails.iter().enumerate() {
        let path = scratch.path().join(number.to_string());
        std::fs::write(&path, mail).at("writing", &path)?;
        am = am.arg(path);
    }
    let (name, address) = LAB;
    let run = am
        .env("GIT_COMMITTER_NAME", name)
        .env("GIT_COMMITTER_EMAIL", address)
        .output()?;
    if run.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&[run.stdout, run.stderr].concat()).into_owned();
    if !dir.join(".git/rebase-apply").is_dir() {
        let doing = format!("{DOING}, by git am in {}", dir.display());
        return Err(Error::build(doing, said.trim().to_string()));
    }
    let next = read_text(&dir.join(".git/rebase-apply/next")).unwrap_or_default();
    let at: Option<usize> = next.trim().parse().ok();
    let stopped = at.and_then(|at| series.patches.get(at.checked_sub(1)?));
    let name = stopped.map_or("git am", |patch| &patch.name);
    let unmerged = git(DOING, dir, ["diff", "--name-only", "--diff-filter=U"]).read()?;
    let at = dir.display();
    let how = match unmerged.trim() {
        "" => format!(
            "in {at}, git am --show-current-patch=diff | git apply --reject puts in what fits"
        ),
        files => format!(
            "git -C {at} diff shows both sides in {}",
            files.replace('\n', ", ")
        ),
    };
    Err(Error::build(
        format!("{DOING}: {name} does not fit in {at}"),
        said.trim().to_string(),
    )
    .hint(format!(
        "{how}; then git -C {at} add --all and git -C {at} am --continue (by your user.name and user.email), until all \
         are in, and `cargo xtask patchset refresh --from {at}`"
    )))
}
