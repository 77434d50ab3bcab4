// SPDX-License-Identifier: GPL-2.0-only

//! Files of a git tree in a folder, as they are stored, where `patch` puts patches on them as it does in the tree that
//! the lab builds. `git apply` looks for a hunk's place in another order, and where lines repeat finds another one.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{symlink, PermissionsExt};
use std::path::Path;

use crate::error::{AtPath, Error, Result};
use crate::layout::create_dir;
use crate::patchset::git::git;
use crate::patchset::paths::{refuse_link, Met};
use crate::patchset::series::{applying, Patch};

const PLAIN: &str = "100644";
const EXECUTABLE: &str = "100755";
const LINK: &str = "120000";
/// Paths that git is asked about at once.
const AT_ONCE: usize = 500;
/// In the place of a blob's hash.
const GONE: &str = "0000000000000000000000000000000000000000";

/// Files of one tree.
pub struct Staging<'a> {
    /// The repository.
    dir: &'a Path,
    folder: tempfile::TempDir,
    /// Those of the files that are links.
    links: BTreeSet<String>,
}

impl<'a> Staging<'a> {
    /// The files of a commit of the repository in `dir` that these paths meet, in an empty folder.
    pub fn of(
        doing: &str,
        dir: &'a Path,
        commit: &str,
        paths: &BTreeSet<String>,
        folder: tempfile::TempDir,
    ) -> Result<Self> {
        let mut staging = Staging {
            dir,
            folder,
            links: BTreeSet::new(),
        };
        if paths.is_empty() {
            return Ok(staging);
        }
        let list = git(doing, dir, ["ls-tree", "-r", "-z", "--full-tree", commit]);
        let list = list.read_bytes()?;
        let list = String::from_utf8_lossy(&list).into_owned();
        let entries = list.split('\0').filter_map(Entry::parse);
        let met = Met::of(paths.iter().map(String::as_str));
        let entries: Vec<Entry<'_>> = entries.filter(|entry| met.has(entry.path)).collect();
        let links = entries.iter().filter(|entry| entry.mode == LINK);
        staging.links = links.map(|entry| entry.path.to_string()).collect();
        let names: String = entries
            .iter()
            .map(|file| format!("{}\n", file.blob))
            .collect();
        let blobs = git(doing, dir, ["cat-file", "--batch"]).input(names);
        let blobs = blobs.read_bytes()?;
        let mut rest = blobs.as_slice();
        for entry in entries {
            let content = blob(&mut rest)
                .ok_or_else(|| Error::lab(doing, format!("git gives no {}", entry.path)))?;
            staging.write(&entry, content)?;
        }
        Ok(staging)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Refuses a patch that changes a link among the files, which are those of `source`, or what lies behind one.
    pub fn refuse_links(&self, patch: &Patch, source: &str) -> Result<()> {
        let doing = applying(&patch.name, source);
        let mut paths = patch.files.iter().map(|file| &file.path);
        paths.try_for_each(|path| refuse_link(&doing, path, |place| self.links.contains(place)))
    }

    fn write(&self, entry: &Entry<'_>, content: &[u8]) -> Result<()> {
        let path = self.path().join(entry.path);
        create_dir(path.parent().unwrap_or(self.path()))?;
        if entry.mode == LINK {
            return symlink(OsStr::from_bytes(content), &path).at("linking", &path);
        }
        fs::write(&path, content).at("writing", &path)?;
        let mode = if entry.mode == EXECUTABLE {
            0o755
        } else {
            0o644
        };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).at("writing", &path)
    }

    /// Has the repository's index say of these paths what is here, for what is being done.
    pub fn add<'p>(&self, doing: &str, paths: impl Iterator<Item = &'p str>) -> Result<()> {
        let paths: BTreeSet<&str> = paths.collect();
        // Those that have gone first: a file may have come where a folder was.
        let (mut gone, mut names, mut there) = (String::new(), String::new(), Vec::new());
        for path in &paths {
            let file = self.path().join(path);
            let mode = match file.symlink_metadata() {
                Ok(found) if found.is_symlink() => {
                    let found = format!("{path} is a link, which no patch of the lab changes");
                    return Err(Error::usage(doing, found));
                }
                Ok(found) if found.is_file() && found.permissions().mode() & 0o100 != 0 => {
                    EXECUTABLE
                }
                Ok(found) if found.is_file() => PLAIN,
                _ => {
                    gone.push_str(&format!("0 {GONE}\t{path}\0"));
                    continue;
                }
            };
            names.push_str(&format!("{}\n", file.display()));
            there.push((mode, *path));
        }
        let write = ["hash-object", "-w", "--no-filters", "--stdin-paths"];
        let blobs = git(doing, self.dir, write).input(names).read()?;
        let mut entries = gone;
        for (blob, (mode, path)) in blobs.lines().zip(&there) {
            entries.push_str(&format!("{mode} {blob}\t{path}\0"));
        }
        let update = ["update-index", "--add", "-z", "--index-info"];
        git(doing, self.dir, update).input(entries).read()?;
        self.refuse_other_names(doing, &there)
    }

    /// Fails if the index has not got all of these: git takes no file whose name it keeps to itself, and says nothing.
    fn refuse_other_names(&self, doing: &str, there: &[(&str, &str)]) -> Result<()> {
        let mut kept = BTreeSet::new();
        for some in there.chunks(AT_ONCE) {
            let list = ["--literal-pathspecs", "ls-files", "-z", "--"];
            let list = git(doing, self.dir, list).args(some.iter().map(|(_, path)| *path));
            kept.extend(list.read()?.split('\0').map(str::to_string));
        }
        match there.iter().find(|(_, path)| !kept.contains(*path)) {
            None => Ok(()),
            Some((_, path)) => Err(Error::usage(
                doing,
                format!("git takes no file of the name {path}"),
            )
            .hint("give the file another name in the patch")),
        }
    }
}

/// One line of `git ls-tree`.
struct Entry<'a> {
    mode: &'a str,
    blob: &'a str,
    path: &'a str,
}

impl<'a> Entry<'a> {
    /// Reads it, if it is a file's.
    fn parse(line: &'a str) -> Option<Self> {
        let (what, path) = line.split_once('\t')?;
        let mut words = what.split(' ');
        let (mode, kind, blob) = (words.next()?, words.next()?, words.next()?);
        (kind == "blob").then_some(Entry { mode, blob, path })
    }
}

/// The next content of what `git cat-file --batch` writes: a line that ends in its length, the content, a newline.
fn blob<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let head = std::str::from_utf8(&rest[..end]).ok()?;
    let length: usize = head.rsplit(' ').next()?.parse().ok()?;
    let content = rest.get(end + 1..)?.get(..length)?;
    *rest = rest.get(end + 2 + length..)?;
    Some(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_come_one_after_the_other() {
        let mut rest = &b"ab blob 3\na\n\0\ncd blob 0\n\n"[..];
        assert_eq!(blob(&mut rest), Some(&b"a\n\0"[..]));
        assert_eq!(blob(&mut rest), Some(&b""[..]));
        assert_eq!(blob(&mut rest), None);
        let mut cut = &b"ab blob 3\na\n"[..];
        assert_eq!(blob(&mut cut), None);
    }
}
