// SPDX-License-Identifier: GPL-2.0-only

//! `images/initramfs.toml`: what every guest's root file system holds beside the guest programs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use guest::programs::BINARY;
use serde::Deserialize;

use crate::arch::Arch;
use crate::error::{Error, Result};
use crate::event::{Sink, Stage, Step};
use crate::initramfs::guest_programs::GuestPrograms;
use crate::initramfs::pack::{Archive, Content};
use crate::layout::{read_written, write_whole, Layout};
use crate::stage::Cached;
use crate::stamp::{self, Inputs};

/// The whole of `images/initramfs.toml`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Manifest {
    /// Folder of the guest programs: their executable, and a link to it for each name.
    pub programs: String,
    /// Guest programs whose link is elsewhere: name to path.
    #[serde(default)]
    pub program_paths: BTreeMap<String, String>,
    /// Folders: path to octal mode.
    #[serde(default)]
    pub folders: BTreeMap<String, String>,
    /// Symbolic links: path to target.
    #[serde(default)]
    pub links: BTreeMap<String, String>,
    /// Character devices.
    #[serde(default)]
    pub devices: BTreeMap<String, Device>,
    /// Files.
    #[serde(default)]
    pub files: BTreeMap<String, FileEntry>,
}

/// A character device.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Octal mode.
    pub mode: String,
}

/// A file: its text, or a file of the project.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Its content.
    pub text: Option<String>,
    /// A file to be copied, relative to the project's root.
    pub from: Option<PathBuf>,
    /// Octal mode, 644 without.
    pub mode: Option<String>,
}

impl Manifest {
    /// Reads the text of the manifest; `file` is its name in errors.
    pub fn parse(file: &str, text: &str) -> Result<Manifest> {
        toml::from_str(text).map_err(|err| {
            Error::usage(
                format!("reading {file}"),
                err.to_string().trim_end().to_string(),
            )
        })
    }

    /// The archive of the manifest and the guest programs.
    pub fn archive(&self, root: &Path, programs: &GuestPrograms) -> Result<Archive> {
        let mut archive = Archive::new();
        for (path, mode) in &self.folders {
            archive.add(path, octal(path, mode)?, Content::Folder)?;
        }
        for (path, target) in &self.links {
            archive.add(path, 0o777, Content::Link(target.clone()))?;
        }
        for (path, device) in &self.devices {
            let content = Content::Device {
                major: device.major,
                minor: device.minor,
            };
            archive.add(path, octal(path, &device.mode)?, content)?;
        }
        for (path, file) in &self.files {
            let mode = octal(path, file.mode.as_deref().unwrap_or("644"))?;
            archive.add(path, mode, file.content(path, root)?)?;
        }
        self.add_programs(&mut archive, programs)?;
        Ok(archive)
    }

    /// Adds the executable and its links.
    fn add_programs(&self, archive: &mut Archive, programs: &GuestPrograms) -> Result<()> {
        let executable = format!("{}/{BINARY}", self.programs);
        let content = Content::File(programs.executable.clone());
        archive.add(&executable, 0o755, content)?;
        for name in &programs.names {
            let (path, target) = match self.program_paths.get(name) {
                Some(path) => (path.clone(), format!("/{executable}")),
                None => (format!("{}/{name}", self.programs), BINARY.to_string()),
            };
            archive.add(&path, 0o777, Content::Link(target))?;
        }
        for (name, path) in &self.program_paths {
            if !programs.names.contains(name) {
                return Err(Error::usage(
                    "reading images/initramfs.toml",
                    format!(
                        "program-paths puts \"{name}\" at {path}; there is no such guest program"
                    ),
                ));
            }
        }
        Ok(())
    }
}

impl FileEntry {
    fn content(&self, path: &str, root: &Path) -> Result<Content> {
        match (&self.text, &self.from) {
            (Some(text), None) => Ok(Content::Bytes(text.clone().into_bytes())),
            (None, Some(from)) => Ok(Content::File(root.join(from))),
            _ => Err(Error::usage(
                "reading images/initramfs.toml",
                format!("file \"{path}\" needs either text or from"),
            )),
        }
    }
}

fn octal(path: &str, mode: &str) -> Result<u32> {
    u32::from_str_radix(mode, 8)
        .ok()
        .filter(|mode| *mode <= 0o7777)
        .ok_or_else(|| {
            Error::usage(
                "reading images/initramfs.toml",
                format!("\"{path}\": mode \"{mode}\" is not octal, as \"755\" is"),
            )
        })
}

/// A finished initramfs.
#[derive(Debug, Clone)]
pub struct Initramfs {
    /// The archive.
    pub path: PathBuf,
    /// Its sha256.
    pub sha256: String,
}

/// Packs the initramfs of an architecture, unless it is up to date.
pub fn build(
    layout: &Layout,
    arch: Arch,
    programs: &GuestPrograms,
    sink: &dyn Sink,
) -> Result<Initramfs> {
    let file = layout.initramfs_manifest();
    let shown = layout.show(&file).to_string();
    let text = read_written(&file)?;
    let manifest = Manifest::parse(&shown, &text)?;
    let mut inputs = Inputs::new();
    inputs.text(shown, stamp::hash_bytes(text.as_bytes()));
    inputs.text("guest programs", programs.sha256.clone());
    for from in manifest
        .files
        .values()
        .filter_map(|file| file.from.as_ref())
    {
        inputs.file(from.display().to_string(), &layout.root().join(from))?;
    }
    let path = layout.initramfs(arch);
    let stage = Cached {
        step: Step::of(Stage::Initramfs, arch),
        stamp: layout.stamp(&format!("initramfs-{arch}")),
        inputs: &inputs,
        sink,
    };
    let sha256 = stage.get(
        |_| vec![path.clone()],
        || {
            let bytes = manifest.archive(layout.root(), programs)?.to_bytes()?;
            write_whole(&path, &bytes)?;
            Ok(stamp::hash_bytes(&bytes))
        },
    )?;
    Ok(Initramfs { path, sha256 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_programs_are_links_to_one_executable() {
        let executable = tempfile::NamedTempFile::new().unwrap();
        let programs = GuestPrograms {
            executable: executable.path().to_path_buf(),
            names: vec!["init".into(), "mktree".into()],
            sha256: String::new(),
        };
        let text = "programs = 'usr/bin'\nprogram-paths = { init = 'init' }\n";
        let manifest = Manifest::parse("images/initramfs.toml", text).unwrap();
        let mut expected = Archive::new();
        let file = Content::File(programs.executable.clone());
        expected.add("usr/bin/guest", 0o755, file).unwrap();
        for (path, target) in [("init", "/usr/bin/guest"), ("usr/bin/mktree", "guest")] {
            let link = Content::Link(target.to_string());
            expected.add(path, 0o777, link).unwrap();
        }
        assert_eq!(
            expected.to_bytes().unwrap(),
            manifest
                .archive(Path::new("/"), &programs)
                .unwrap()
                .to_bytes()
                .unwrap()
        );
    }

    #[test]
    fn wrong_entries_are_named() {
        let programs = GuestPrograms {
            executable: "/nowhere".into(),
            names: vec![],
            sha256: String::new(),
        };
        let parse = |text: &str| Manifest::parse("images/initramfs.toml", text);
        let error = |text: &str| {
            parse(text)
                .unwrap()
                .archive(Path::new("/"), &programs)
                .unwrap_err()
                .to_string()
        };
        assert!(parse("programs = 'bin'\nfrob = 1\n")
            .unwrap_err()
            .to_string()
            .contains("unknown field `frob`"));
        assert!(error("programs = 'bin'\nfolders = { tmp = '99' }\n")
            .contains("mode \"99\" is not octal"));
        assert!(
            error("programs = 'bin'\nfiles = { a = { mode = '644' } }\n")
                .contains("needs either text or from")
        );
        assert!(
            error("programs = 'bin'\nprogram-paths = { init = 'init' }\n")
                .contains("no such guest program")
        );
    }
}
