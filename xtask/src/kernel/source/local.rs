// SPDX-License-Identifier: GPL-2.0-only

//! Sources of the user's own: a commit of a git repository, packed into the cache like any other source,
//! and a tree that is built where it lies.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{version, Fetched};
use crate::error::{AtPath, Error, Kind, Result};
use crate::exec::{tool, Invocation};
use crate::layout::read_written;
use crate::plan::Plan;
use crate::stamp::{self, is_left_out, is_leftover};

const DOING: &str = "looking at what has changed in a kernel tree";

fn git<const N: usize>(doing: &str, dir: &Path, args: [&str; N]) -> Invocation {
    let doing = format!("{doing} ({})", dir.display());
    // The environment may be that of a hook of another repository.
    tool(doing, "git")
        .env_remove_all("GIT_")
        .arg("-C")
        .arg(dir)
        .args(args)
        .failure(Kind::Usage)
}

/// The hash of the commit that is meant.
pub fn commit(dir: &Path, rev: Option<&str>) -> Result<String> {
    let rev = format!("{}^{{commit}}", rev.unwrap_or("HEAD"));
    let found = git("looking for a commit", dir, ["rev-parse", "--verify", &rev]).read()?;
    Ok(found.trim().to_string())
}

/// A commit of a repository as a tarball in the cache.
pub fn archive(plan: &Plan, repository: &Path, rev: Option<&str>) -> Result<Fetched> {
    let dir = plan.layout.root().join(repository);
    let commit = commit(&dir, rev)?;
    let scratch = plan.layout.scratch("source")?;
    let made = scratch.path().join("linux.tar");
    git(
        "packing a commit",
        &dir,
        ["archive", "--format=tar", "--prefix=linux/", "-o"],
    )
    .arg(&made)
    .arg(&commit)
    .read()?;
    let sha256 = stamp::hash_file(&made)?;
    let makefile = format!("{commit}:Makefile");
    let makefile = git("reading a Makefile", &dir, ["cat-file", "-p", &makefile]).read();
    let version = version::said(makefile)?;
    Ok(Fetched {
        name: plan.kernel.source_name.clone(),
        origin: format!("{} {}", repository.display(), &commit[..12]),
        version: version.unwrap_or_else(|| commit[..12].to_string()),
        sha256,
        tarball: super::keep(plan, &made, "linux.tar")?,
        in_place: false,
    })
}

/// A tree that is built where it lies. Nothing is written into it.
pub fn in_place(plan: &Plan, path: &Path) -> Result<Fetched> {
    let dir = plan.layout.root().join(path);
    let doing = || format!("using the kernel tree {}", dir.display());
    if !plan.kernel.is_plain() {
        return Err(Error::usage(
            doing(),
            format!(
                "kernel \"{}\" has a series or an overlay, and a tree in place is not written to",
                plan.kernel.name
            ),
        )
        .hint("git = \"...\" takes a commit of a repository, which can have both"));
    }
    if !dir.join("Kconfig").is_file() || !dir.join("Makefile").is_file() {
        return Err(Error::usage(doing(), "there is no kernel tree"));
    }
    for left in [".config", "include/config", "include/generated"] {
        if dir.join(left).exists() {
            return Err(
                Error::usage(doing(), format!("it has been built in: {left} is there"))
                    .hint("make mrproper there; the lab builds in folders of its own"),
            );
        }
    }
    let state = state(&dir)?;
    let version = version::of_makefile(&read_written(&dir.join("Makefile"))?);
    Ok(Fetched {
        name: plan.kernel.source_name.clone(),
        origin: path.display().to_string(),
        version: version.unwrap_or_else(|| state[..12].to_string()),
        sha256: state,
        tarball: dir,
        in_place: true,
    })
}

/// Fails if a tree in place is no longer what it was when its build began: nobody could say what was built.
pub fn refuse_changed(source: &Fetched) -> Result<()> {
    let dir = &source.tarball;
    if !source.in_place || !dir.join(".git").exists() || state(dir)? == source.sha256 {
        return Ok(());
    }
    let doing = format!("building the kernel tree {}", dir.display());
    Err(Error::usage(doing, "it was edited meanwhile").hint("run the same again"))
}

/// A hash over what git knows of a tree: its commit, what differs from it, what is new, ignored or not, but for
/// products. Of a tree without git nothing is known, and make has to look at every file each time.
pub fn state(dir: &Path) -> Result<String> {
    if !dir.join(".git").exists() {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        return Ok(stamp::hash_bytes(format!("{now:?}").as_bytes()));
    }
    let mut said = commit(dir, None)?.into_bytes();
    // It writes what it finds out about unchanged files into the index, whatever it is told about locks: into a copy.
    let ask = ["rev-parse", "--path-format=absolute", "--git-path", "index"];
    let index = PathBuf::from(git(DOING, dir, ask).read()?);
    let copied = tempfile::tempdir().map_err(|err| Error::lab(DOING, err.to_string()))?;
    let copy = copied.path().join("index");
    if index.is_file() {
        std::fs::copy(&index, &copy).at("copying", &index)?;
    }
    let diff = git(DOING, dir, ["diff", "--binary", "--no-ext-diff", "HEAD"]);
    said.extend(diff.env("GIT_INDEX_FILE", &copy).read_bytes()?);
    const NEW: [&str; 4] = ["ls-files", "-z", "--others", "--exclude-standard"];
    let new = git(DOING, dir, NEW).read_bytes()?;
    // The rules of some trees ignore all that is new.
    let ignored = git(DOING, dir, NEW).args(["--ignored", "--directory"]);
    let ignored = ignored.read_bytes()?;
    // A folder that is ignored as a whole, or a repository of its own, is named as such.
    let is_whole = |name: &&OsStr| name.as_encoded_bytes().ends_with(b"/");
    for name in names(&new).filter(|name| !is_whole(name)) {
        let path = dir.join(name);
        said.extend(name.as_encoded_bytes());
        let meta = std::fs::symlink_metadata(&path).at("looking at", &path)?;
        if meta.is_symlink() {
            let target = std::fs::read_link(&path).at("reading", &path)?;
            said.extend(target.into_os_string().into_encoded_bytes());
        } else if meta.is_file() {
            said.extend(stamp::hash_file(&path)?.into_bytes());
        }
    }
    for name in names(&new).filter(is_whole).chain(names(&ignored)) {
        said.extend(seen_below(&dir.join(name)).into_bytes());
    }
    Ok(stamp::hash_bytes(&said))
}

/// What is seen of a file of a tree, or of all of a folder, by names, sizes and times: there may be much that is no part of
/// a kernel. What builds make and editors leave is left out, and as a whole folders called target and those that a kernel is
/// built in. What cannot be read is not seen.
fn seen_below(path: &Path) -> String {
    let is_left = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        is_left_out(&name) || is_product(&name) || path.join(".config").exists()
    };
    let below = walkdir::WalkDir::new(path)
        .follow_root_links(false)
        .sort_by_file_name();
    let mut seen = String::new();
    let entries = below
        .into_iter()
        .filter_entry(|entry| !is_left(entry.path()));
    for entry in entries
        .flatten()
        .filter(|entry| !entry.file_type().is_dir())
    {
        if let Ok(meta) = entry.metadata() {
            let (size, time, part) = (meta.size(), meta.mtime(), meta.mtime_nsec());
            seen.push_str(&format!("{:?} {size} {time} {part}\n", entry.path()));
        }
    }
    seen
}

/// Whether a name is that of what builds make, editors and patch leave, or indexes of a source are called.
fn is_product(name: &str) -> bool {
    const ENDS: [&str; 9] = [
        ".o", ".a", ".so", ".ko", ".mod", ".mod.c", ".order", ".symvers", ".pyc",
    ];
    const INDEXES: [&str; 7] = [
        "tags",
        "TAGS",
        "GPATH",
        "GRTAGS",
        "GSYMS",
        "GTAGS",
        "rust-project.json",
    ];
    is_leftover(name)
        || ENDS.iter().any(|end| name.ends_with(end))
        || INDEXES.contains(&name)
        || name.starts_with("cscope.")
}

/// The names in a list of git's, each with a zero behind it.
fn names(list: &[u8]) -> impl Iterator<Item = &OsStr> {
    let names = list.split(|byte| *byte == 0).map(OsStr::from_bytes);
    names.filter(|name| !name.is_empty())
}
