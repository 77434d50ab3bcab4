// SPDX-License-Identifier: GPL-2.0-only

//! Packages unpacked into folders: what they bring, without an installation.

use std::path::{Path, PathBuf};

use crate::apt::PrivateApt;
use crate::arch::Arch;
use crate::error::{AtPath, Error, Result};
use crate::exec::tool;
use crate::layout::{create_dir, Layout};
use crate::stamp;

/// Unpacks package files into one folder; `watch` hears how many are done and what comes next.
pub fn unpack(files: &[PathBuf], into: &Path, watch: impl Fn(u64, String)) -> Result<()> {
    for (done, file) in files.iter().enumerate() {
        let text = format!("unpacking {}", file_name(file));
        watch(done as u64, text.clone());
        tool(text, "dpkg").arg("-x").arg(file).arg(into).read()?;
    }
    Ok(())
}

/// One package in an exact version, unpacked under the cache: for what the lab itself needs of a foreign architecture.
pub fn unpack_one(layout: &Layout, arch: Arch, package: &str, version: &str) -> Result<PathBuf> {
    let folder = layout.cache().join(arch.name());
    let into = folder.join(format!("{package}_{version}"));
    if into.is_dir() {
        return Ok(into);
    }
    let scratch = layout.scratch("package")?;
    PrivateApt::new(layout, arch)?.download(&format!("{package}={version}"), scratch.path())?;
    let unpacked = scratch.path().join("unpacked");
    let deb = stamp::files_below(scratch.path())?
        .into_iter()
        .find(|path| path.extension().is_some_and(|ext| ext == "deb"))
        .ok_or_else(|| {
            Error::host(
                format!("downloading {package}"),
                "apt-get left no .deb file",
            )
        })?;
    unpack(&[deb], &unpacked, |_, _| {})?;
    create_dir(&folder)?;
    std::fs::rename(&unpacked, &into).at("renaming to", &into)?;
    Ok(into)
}

/// Name of a package file, without its folder.
pub fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}
