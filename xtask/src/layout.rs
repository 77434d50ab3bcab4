// SPDX-License-Identifier: GPL-2.0-only

//! Every path of the lab: the project's own folders and all below `target/lab`.
//! Owns the making of files that appear whole.

mod lock;

use std::collections::HashMap;
use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::arch::Arch;
use crate::error::{AtPath, Error, Kind, Result};
pub use lock::Lock;

/// The project's root and what is where below it.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
    lab: PathBuf,
}

impl Layout {
    /// The layout of the project at `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        let lab = root.join("target/lab");
        Layout { root, lab }
    }

    /// Finds the project: the folder above cargo's manifest, or the nearest one above the working directory with a `lab.toml`.
    pub fn find() -> Result<Self> {
        let cwd = std::env::current_dir().at("reading", Path::new("the working directory"))?;
        if let Some(root) = cwd.ancestors().find(|dir| dir.join("lab.toml").is_file()) {
            return Ok(Self::new(root));
        }
        let manifest = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        match manifest.as_deref().and_then(Path::parent) {
            Some(root) if root.join("Cargo.toml").is_file() => Ok(Self::new(root)),
            _ => Err(Error::usage(
                "looking for the project",
                format!("no lab.toml in {} or above it", cwd.display()),
            )
            .hint("run `cargo xtask` inside the project's folder")),
        }
    }

    /// The project's root.
    pub fn root(&self) -> &Path {
        &self.root
    }
    /// `lab.toml`.
    pub fn config(&self) -> PathBuf {
        self.root.join("lab.toml")
    }
    /// Folder of the kernel series.
    pub fn series(&self) -> PathBuf {
        self.root.join("kernel-patches")
    }
    /// Folder of kernel config fragments.
    pub fn fragments(&self) -> PathBuf {
        self.root.join("images/kernel")
    }
    /// What goes into every initramfs.
    pub fn initramfs_manifest(&self) -> PathBuf {
        self.root.join("images/initramfs.toml")
    }
    /// Folder of the kernel side's Rust.
    pub fn rust_syscall(&self) -> PathBuf {
        self.root.join("rust-syscall")
    }
    /// Folder of the guest programs' source.
    pub fn guest(&self) -> PathBuf {
        self.root.join("guest")
    }
    /// Folder of the project's scenarios.
    pub fn scenarios(&self) -> PathBuf {
        self.root.join("tests")
    }

    /// Everything the lab makes.
    pub fn lab(&self) -> &Path {
        &self.lab
    }
    /// Downloads: sources, packages.
    pub fn cache(&self) -> PathBuf {
        self.lab.join("cache")
    }
    /// A kernel source: the tarball, and what is known of it.
    pub fn source(&self, name: &str) -> PathBuf {
        self.cache().join("source").join(name)
    }
    /// Programs the lab builds for its own use.
    pub fn tools(&self) -> PathBuf {
        self.lab.join("tools")
    }
    /// The patched tree of a kernel source.
    pub fn tree(&self, source: &str) -> PathBuf {
        self.lab.join("src").join(source)
    }
    /// Pristine copies of the files that the series touches, and the state of the tree.
    pub fn tree_state(&self, source: &str) -> PathBuf {
        self.lab.join("src").join(format!("{source}.state"))
    }
    /// A kernel source in git's packs.
    pub fn packed(&self, source: &str) -> PathBuf {
        self.lab.join("src").join(format!("{source}.packed"))
    }
    /// All object folders.
    pub fn objects(&self) -> PathBuf {
        self.lab.join("obj")
    }
    /// Object folder of a kernel.
    pub fn obj(&self, kernel: &str, arch: Arch) -> PathBuf {
        self.objects().join(format!("{kernel}-{arch}"))
    }
    /// Finished images of a kernel.
    pub fn kernel_out(&self, kernel: &str, arch: Arch) -> PathBuf {
        self.lab.join("out").join(format!("kernel-{kernel}-{arch}"))
    }
    /// Finished guest programs.
    pub fn guest_out(&self, arch: Arch) -> PathBuf {
        self.lab.join("out").join(format!("guest-{arch}"))
    }
    /// Cargo's target folder for guest programs.
    pub fn guest_target(&self, arch: Arch) -> PathBuf {
        self.objects().join(format!("guest-{arch}"))
    }
    /// The initramfs of an architecture.
    pub fn initramfs(&self, arch: Arch) -> PathBuf {
        self.lab.join("out").join(format!("initramfs-{arch}.cpio"))
    }
    /// Full logs of builds.
    pub fn log(&self, name: &str) -> PathBuf {
        self.lab.join("logs").join(format!("{name}.log"))
    }
    /// The stamp of a stage.
    pub fn stamp(&self, name: &str) -> PathBuf {
        self.lab.join("stamps").join(format!("{name}.json"))
    }
    /// Runs: `<id>/<arch>/<scenario>/`, and `latest`.
    pub fn runs(&self) -> PathBuf {
        self.lab.join("runs")
    }
    /// Half-made things; emptied by whoever takes the lock.
    pub fn tmp(&self) -> PathBuf {
        self.lab.join("tmp")
    }

    /// `path` as shown to the user: relative to the root where it is below it.
    pub fn show<'a>(&self, path: &'a Path) -> std::path::Display<'a> {
        path.strip_prefix(&self.root).unwrap_or(path).display()
    }

    /// A fresh folder below `target/lab/tmp`, removed when dropped.
    pub fn scratch(&self, what: &str) -> Result<tempfile::TempDir> {
        let tmp = self.tmp();
        create_dir(&tmp)?;
        tempfile::Builder::new()
            .prefix(&format!("{what}."))
            .tempdir_in(&tmp)
            .at("making a folder in", &tmp)
    }
}

/// Makes a folder and those above it.
pub fn create_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).at("creating", path)
}

/// Removes a folder and all in it, if it is there.
pub fn remove_dir(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.at("removing", path),
    }
}

/// What is free on the disk once a folder is gone, in bytes. What cannot be looked at counts nothing, and a file that
/// has a link outside of the folder neither: it stays.
pub fn disk_bytes(dir: &Path) -> u64 {
    let entries = walkdir::WalkDir::new(dir).into_iter().flatten();
    let mut bytes = 0;
    // Links that are still to be found, by file.
    let mut linked: HashMap<(u64, u64), u64> = HashMap::new();
    for meta in entries.filter_map(|entry| entry.metadata().ok()) {
        if !meta.is_dir() && meta.nlink() > 1 {
            let left = linked.entry((meta.dev(), meta.ino()));
            let left = left.or_insert_with(|| meta.nlink());
            *left = left.saturating_sub(1);
            if *left > 0 {
                continue;
            }
        }
        bytes += meta.blocks() * 512;
    }
    bytes
}

/// Reads a text file.
pub fn read_text(path: &Path) -> Result<String> {
    fs::read_to_string(path).at("reading", path)
}

/// Reads a text file that people write: that it is missing, or is no text, is theirs to mend.
pub fn read_written(path: &Path) -> Result<String> {
    let bytes = fs::read(path).map_err(|err| {
        let is_theirs = matches!(err.kind(), ErrorKind::NotFound | ErrorKind::IsADirectory);
        let error = Err::<(), _>(err).at("reading", path).unwrap_err();
        match is_theirs {
            true => error.with_kind(Kind::Usage),
            false => error,
        }
    })?;
    String::from_utf8(bytes).map_err(|err| {
        let at = err.utf8_error().valid_up_to();
        let (before, byte) = (&err.as_bytes()[..at], err.as_bytes()[at]);
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        Error::usage(
            format!("reading {}", path.display()),
            format!("expected UTF-8, found byte {byte:#04x} in line {line}"),
        )
    })
}

/// The place of a file or folder that a user names.
pub fn resolve(path: &Path) -> Result<PathBuf> {
    let found = fs::canonicalize(path).at("looking for", path);
    found.map_err(|err| err.with_kind(Kind::Usage))
}

/// What the name of a file begins with that is being written.
pub const UNFINISHED: &str = ".new-";

/// Writes a file that appears whole or not at all.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    create_dir(dir)?;
    let mut file = tempfile::Builder::new()
        .prefix(UNFINISHED)
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(dir)
        .at("making a file in", dir)?;
    file.write_all(bytes).at("writing", path)?;
    file.persist(path)
        .map_err(|err| err.error)
        .at("renaming to", path)?;
    Ok(())
}

/// Copies a file so that the copy appears whole or not at all; keeps its mode.
pub fn copy_whole(from: &Path, to: &Path) -> Result<()> {
    let dir = to.parent().unwrap_or(Path::new("."));
    create_dir(dir)?;
    let staged = tempfile::Builder::new()
        .prefix(UNFINISHED)
        .tempfile_in(dir)
        .at("making a file in", dir)?;
    fs::copy(from, staged.path()).at("copying", from)?;
    staged
        .persist(to)
        .map_err(|err| err.error)
        .at("renaming to", to)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_two_names_is_freed_once_and_with_one_elsewhere_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let inside = dir.path().join("inside");
        create_dir(&inside).unwrap();
        let empty = disk_bytes(&inside);
        fs::write(inside.join("one"), [1u8; 100_000]).unwrap();
        let one = disk_bytes(&inside);
        assert!(one >= empty + 100_000, "{one}");
        fs::hard_link(inside.join("one"), inside.join("two")).unwrap();
        assert_eq!(disk_bytes(&inside), one);
        fs::hard_link(inside.join("one"), dir.path().join("outside")).unwrap();
        assert_eq!(disk_bytes(&inside), empty);
    }
}
