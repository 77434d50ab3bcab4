// SPDX-License-Identifier: GPL-2.0-only

//! newc cpio archives: entries in, the same bytes out every time (sorted, owned
//! by root, no times). The kernel unpacks several archives one after the other,
//! so what only one run needs is an archive of its own.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use cpio::newc::{Builder, ModeFileType};

use crate::arch::Arch;
use crate::error::{AtPath, Error, Result};
use crate::initramfs::libraries;
use crate::layout::{create_dir, write_whole};
use crate::stamp::files_below;

/// The kernel wants each archive to start at a multiple of 4; QEMU loads pages.
const ALIGNMENT: usize = 512;
/// Folders that are links into `/usr` in the guest.
const MERGED: [&str; 4] = ["bin", "sbin", "lib", "lib64"];

/// What an entry is.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// A folder.
    Folder,
    /// A file with these bytes.
    Bytes(Vec<u8>),
    /// A copy of a file of the host.
    File(PathBuf),
    /// A symbolic link.
    Link(String),
    /// A character device.
    Device {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
}

/// An archive in the making.
#[derive(Debug, Clone, Default)]
pub struct Archive(BTreeMap<String, (u32, Content)>);

/// A file of the user's to be put into the guest.
#[derive(Debug, Clone, PartialEq)]
pub struct ExtraFile {
    /// Where it is on the host.
    pub from: PathBuf,
    /// Where it goes in the guest.
    pub to: String,
}

impl Archive {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an entry with its permission bits; folders above it are added with it. A later entry replaces an earlier one.
    pub fn add(&mut self, path: &str, mode: u32, content: Content) -> Result<()> {
        let path = guest_path(path)?;
        let mut above = Path::new(&path);
        while let Some(parent) = above.parent().filter(|parent| *parent != Path::new("")) {
            let parent_name = parent.display().to_string();
            self.0
                .entry(parent_name)
                .or_insert((0o755, Content::Folder));
            above = parent;
        }
        self.0.insert(path, (mode & 0o7777, content));
        Ok(())
    }

    /// Adds everything below a folder of the host, with its modes and links.
    pub fn add_tree(&mut self, root: &Path, wanted: impl Fn(&Path) -> bool) -> Result<()> {
        for entry in walkdir::WalkDir::new(root).min_depth(1).sort_by_file_name() {
            let entry = entry.map_err(|err| {
                Error::lab(format!("listing {}", root.display()), err.to_string())
            })?;
            let below = entry.path().strip_prefix(root).unwrap_or(entry.path());
            if !wanted(below) {
                continue;
            }
            let name = below.display().to_string();
            let meta = std::fs::symlink_metadata(entry.path()).at("looking at", entry.path())?;
            let content = if meta.is_dir() {
                if MERGED.contains(&name.as_str()) {
                    continue;
                }
                Content::Folder
            } else if meta.is_symlink() {
                let target =
                    std::fs::read_link(entry.path()).at("reading the link", entry.path())?;
                Content::Link(String::from_utf8_lossy(target.as_os_str().as_bytes()).into_owned())
            } else if meta.is_file() {
                Content::File(entry.path().to_path_buf())
            } else {
                continue;
            };
            self.add(&name, meta.permissions().mode(), content)?;
        }
        Ok(())
    }

    /// Whether a path is in it.
    pub fn contains(&self, path: &str) -> bool {
        guest_path(path).is_ok_and(|path| self.0.contains_key(&path))
    }

    /// The archive's bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        for (inode, (path, (mode, content))) in self.0.iter().enumerate() {
            let mut entry = Builder::new(path).ino(inode as u32 + 1).mode(*mode);
            let mut read = Vec::new();
            let bytes: &[u8] = match content {
                Content::Folder => {
                    entry = entry.nlink(2).set_mode_file_type(ModeFileType::Directory);
                    &[]
                }
                Content::Bytes(bytes) => {
                    entry = entry.set_mode_file_type(ModeFileType::Regular);
                    bytes
                }
                Content::File(from) => {
                    entry = entry.set_mode_file_type(ModeFileType::Regular);
                    read.extend(std::fs::read(from).at("reading", from)?);
                    &read
                }
                Content::Link(target) => {
                    entry = entry.mode(0o777).set_mode_file_type(ModeFileType::Symlink);
                    target.as_bytes()
                }
                Content::Device { major, minor } => {
                    entry = entry
                        .set_mode_file_type(ModeFileType::Char)
                        .rdev_major(*major)
                        .rdev_minor(*minor);
                    &[]
                }
            };
            write_entry(&mut out, entry, path, bytes)?;
        }
        cpio::newc::trailer(&mut out)
            .map_err(|err| Error::lab("packing an initramfs", err.to_string()))?;
        out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
        Ok(out)
    }
}

fn write_entry(out: &mut Vec<u8>, entry: Builder, path: &str, bytes: &[u8]) -> Result<()> {
    let size = u32::try_from(bytes.len()).map_err(|_| {
        Error::usage(
            format!("packing {path}"),
            "a file of 4 GiB or more does not fit into an initramfs",
        )
    })?;
    let mut writer = entry.write(out, size);
    writer
        .write_all(bytes)
        .and_then(|()| writer.finish().map(|_| ()))
        .map_err(|err| Error::lab(format!("packing {path}"), err.to_string()))
}

/// A path as it lies in the archive: relative, merged into `/usr`.
fn guest_path(path: &str) -> Result<String> {
    let relative = path.trim_start_matches('/').trim_end_matches('/');
    let sound = |part: &str| !part.is_empty() && part != "." && part != "..";
    if relative.is_empty() || !relative.split('/').all(sound) {
        return Err(Error::usage(
            "packing an initramfs",
            format!("\"{path}\" is not a path in the guest"),
        ));
    }
    let merged = relative
        .split_once('/')
        .is_some_and(|(first, _)| MERGED.contains(&first));
    Ok(if merged {
        format!("usr/{relative}")
    } else {
        relative.to_string()
    })
}

/// Packs files of the user's, programs with the shared libraries they need, into an archive at `out`.
/// A folder is taken whole.
pub fn pack_extra(arch: Arch, files: &[ExtraFile], out: &Path) -> Result<()> {
    let mut archive = Archive::new();
    for file in files {
        let meta = std::fs::metadata(&file.from).map_err(|err| {
            Error::usage(
                format!("putting {} into the guest", file.from.display()),
                err.to_string(),
            )
        })?;
        if meta.is_dir() {
            for from in files_below(&file.from)? {
                let below = from
                    .strip_prefix(&file.from)
                    .unwrap_or(&from)
                    .display()
                    .to_string();
                add_program(
                    &mut archive,
                    arch,
                    &from,
                    &format!("{}/{below}", file.to.trim_end_matches('/')),
                )?;
            }
        } else {
            add_program(&mut archive, arch, &file.from, &file.to)?;
        }
    }
    write_whole(out, &archive.to_bytes()?)
}

fn add_program(archive: &mut Archive, arch: Arch, from: &Path, to: &str) -> Result<()> {
    let mode = std::fs::metadata(from)
        .at("looking at", from)?
        .permissions()
        .mode();
    archive.add(to, mode, Content::File(from.to_path_buf()))?;
    for library in libraries::closure(arch, from)? {
        archive.add(&library.to, 0o755, Content::File(library.from))?;
    }
    Ok(())
}

/// Several archives as one file; QEMU takes only one.
pub fn join(parts: &[&Path], out: &Path) -> Result<()> {
    if let Some(dir) = out.parent() {
        create_dir(dir)?;
    }
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend(std::fs::read(part).at("reading", part)?);
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
    }
    write_whole(out, &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(bytes: &[u8]) -> Vec<String> {
        let mut rest = bytes;
        let mut names = Vec::new();
        loop {
            let reader = cpio::NewcReader::new(rest).unwrap();
            if reader.entry().is_trailer() {
                return names;
            }
            names.push(format!(
                "{:o} {}",
                reader.entry().mode(),
                reader.entry().name()
            ));
            rest = reader.finish().unwrap();
        }
    }

    #[test]
    fn archives_are_sorted_whole_and_the_same_every_time() {
        let mut archive = Archive::new();
        archive
            .add("/lib64/ld.so", 0o755, Content::Bytes(vec![1, 2, 3]))
            .unwrap();
        archive
            .add("lib64", 0o777, Content::Link("usr/lib64".into()))
            .unwrap();
        archive
            .add("dev/console", 0o600, Content::Device { major: 5, minor: 1 })
            .unwrap();
        archive.add("init", 0o755, Content::Bytes(vec![])).unwrap();
        let bytes = archive.to_bytes().unwrap();
        assert_eq!(bytes, archive.clone().to_bytes().unwrap());
        assert_eq!(bytes.len() % ALIGNMENT, 0);
        insta::assert_snapshot!(names(&bytes).join("\n"), @r"
        40755 dev
        20600 dev/console
        100755 init
        120777 lib64
        40755 usr
        40755 usr/lib64
        100755 usr/lib64/ld.so
        ");
    }

    #[test]
    fn paths_that_leave_the_guest_are_refused() {
        for path in ["", "/", "a/../b", "a//b"] {
            assert!(guest_path(path).is_err(), "{path}");
        }
    }
}
