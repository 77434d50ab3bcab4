// SPDX-License-Identifier: GPL-2.0-only

//! Debian's packages for the guest: fetched with what they depend on for the
//! guest's architecture, unpacked and packed as an archive of their own.

use std::path::{Path, PathBuf};

use crate::apt::unpack::{file_name, unpack};
use crate::apt::PrivateApt;
use crate::arch::Arch;
use crate::error::{Error, Result};
use crate::event::{Event, Sink, Stage, Step};
use crate::initramfs::pack::{Archive, Content};
use crate::layout::write_whole;
use crate::plan::Plan;
use crate::stage::Cached;
use crate::stamp::{self, Inputs};

/// Parts of packages that no program needs at run time.
const UNWANTED: &[&str] = &[
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/info",
    "usr/share/lintian",
];

/// The archive of these packages and all they depend on, made if it is not there.
pub fn packages_archive(
    plan: &Plan,
    arch: Arch,
    packages: &[String],
    sink: &dyn Sink,
) -> Result<PathBuf> {
    let mut names = packages.to_vec();
    names.sort();
    names.dedup();
    check_names(&names)?;
    let key = format!(
        "packages-{arch}-{}",
        &stamp::hash_bytes(names.join(" ").as_bytes())[..12]
    );
    let out = plan.layout.lab().join("out").join(format!("{key}.cpio"));
    let mut inputs = Inputs::new();
    inputs.text(names.join(" "), "wanted");
    let stage = Cached {
        step: Step::of(Stage::Packages, arch),
        stamp: plan.layout.stamp(&key),
        inputs: &inputs,
        sink,
    };
    let _files: Vec<String> = stage.get(
        |_| vec![out.clone()],
        || fetch_and_pack(plan, arch, &names, &out, sink),
    )?;
    Ok(out)
}

/// Makes the archive; the names of the package files in it.
fn fetch_and_pack(
    plan: &Plan,
    arch: Arch,
    names: &[String],
    out: &Path,
    sink: &dyn Sink,
) -> Result<Vec<String>> {
    let step = Step::of(Stage::Packages, arch);
    let progress = |done, total, text| {
        sink.emit(Event::StepProgress {
            step,
            done,
            total,
            text,
        });
    };
    progress(0, None, format!("downloading {}", names.join(", ")));
    let files = PrivateApt::new(&plan.layout, arch)?.download_closure(names)?;
    let scratch = plan.layout.scratch("packages")?;
    unpack(&files, scratch.path(), |done, text| {
        progress(done, Some(files.len() as u64), text);
    })?;
    write_whole(out, &archive(scratch.path())?.to_bytes()?)?;
    Ok(files.iter().map(|file| file_name(file)).collect())
}

fn archive(root: &Path) -> Result<Archive> {
    let mut archive = Archive::new();
    archive.add_tree(root, |path| {
        !UNWANTED.iter().any(|unwanted| path.starts_with(unwanted))
    })?;
    // What dash's own installation script would have made.
    if archive.contains("bin/dash") && !archive.contains("bin/sh") {
        archive.add("bin/sh", 0o777, Content::Link("dash".into()))?;
    }
    Ok(archive)
}

fn check_names(names: &[String]) -> Result<()> {
    let sound = |name: &str| {
        name.len() > 1
            && name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && name
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c))
    };
    match names.iter().find(|name| !sound(name)) {
        Some(name) => Err(Error::usage(
            "getting packages for the guest",
            format!("\"{name}\" is not a package's name"),
        )),
        None => Ok(()),
    }
}
