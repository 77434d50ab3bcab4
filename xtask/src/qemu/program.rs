// SPDX-License-Identifier: GPL-2.0-only

//! Which QEMU runs the guests: the machine's own, or else one that the lab has
//! unpacked for itself where the machine's package system has no room for one
//! (Debian's `qemu-system-common` and a younger `qemu-utils` exclude each other).

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::apt::unpack::{file_name, unpack};
use crate::apt::PrivateApt;
use crate::arch::Arch;
use crate::error::{AtPath, Error, Result};
use crate::exec::{quote, tool, which};
use crate::layout::{create_dir, remove_dir, write_whole, Layout};

/// The C library must be that of the dynamic linker, which is the machine's.
const MACHINES_OWN: &str = "libc6_";

/// The QEMU for an architecture, if there is one: what to start it by.
pub fn find(layout: &Layout, arch: Arch) -> Option<PathBuf> {
    which(arch.qemu())
        .map(|_| PathBuf::from(arch.qemu()))
        .or_else(|| Some(own(layout, arch)).filter(|path| path.is_file()))
}

/// Debian's package of it.
pub fn package(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "qemu-system-x86",
        Arch::Arm64 => "qemu-system-arm",
    }
}

/// Where the lab's own QEMU for an architecture is started.
fn own(layout: &Layout, arch: Arch) -> PathBuf {
    folder(layout, arch).join(arch.qemu())
}

fn folder(layout: &Layout, arch: Arch) -> PathBuf {
    layout.tools().join(format!("qemu-{arch}"))
}

/// Gets a QEMU of the lab's own: its package and all that it depends on, of the machine's release,
/// unpacked below the lab's tools. Needs no root and changes nothing of the machine. `watch` hears
/// what is being done.
pub fn get_own(layout: &Layout, arch: Arch, watch: impl Fn(u64, &str)) -> Result<()> {
    watch(0, &format!("downloading {}", package(arch)));
    let mut files = PrivateApt::for_host(layout)?.download_closure(&[package(arch).to_string()])?;
    files.retain(|file| !file_name(file).starts_with(MACHINES_OWN));
    let scratch = layout.scratch("qemu")?;
    unpack(&files, scratch.path(), |done, text| watch(done, &text))?;
    let into = folder(layout, arch);
    let start = scratch.path().join(arch.qemu());
    write_whole(&start, script(scratch.path(), &into, arch)?.as_bytes())?;
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&start, executable).at("making executable", &start)?;
    tool(
        "trying QEMU",
        scratch.path().join("usr/bin").join(arch.qemu()),
    )
    .env(
        "LD_LIBRARY_PATH",
        libraries(scratch.path(), scratch.path())?,
    )
    .arg("--version")
    .read()?;
    create_dir(&layout.tools())?;
    remove_dir(&into)?;
    std::fs::rename(scratch.path(), &into).at("renaming to", &into)
}

/// What starts the unpacked QEMU with its own libraries, modules and firmware.
fn script(unpacked: &Path, home: &Path, arch: Arch) -> Result<String> {
    let at = |below: &str| quote(home.join(below).as_os_str());
    let modules = library_folders(unpacked)?
        .into_iter()
        .map(|folder| folder.join("qemu"))
        .find(|folder| unpacked.join(folder).is_dir())
        .unwrap_or_else(|| "usr/lib/qemu".into());
    Ok(format!(
        "#!/bin/sh\n\
         # SPDX-License-Identifier: GPL-2.0-only\n\
         export LD_LIBRARY_PATH={}\n\
         export QEMU_MODULE_DIR={}\n\
         exec {} -L {} -L {} \"$@\"\n",
        quote(libraries(unpacked, home)?.as_ref()),
        quote(home.join(modules).as_os_str()),
        at(&format!("usr/bin/{}", arch.qemu())),
        at("usr/share/qemu"),
        at("usr/share/seabios"),
    ))
}

/// Every folder with libraries, as they will lie below `home`: a value of LD_LIBRARY_PATH.
fn libraries(unpacked: &Path, home: &Path) -> Result<String> {
    let folders = library_folders(unpacked)?;
    let paths: Vec<String> = folders
        .iter()
        .map(|folder| home.join(folder).display().to_string())
        .collect();
    Ok(paths.join(":"))
}

/// Folders with shared libraries, relative: `lib/TRIPLE`, `usr/lib/TRIPLE` and those that some
/// libraries have below it.
fn library_folders(unpacked: &Path) -> Result<Vec<PathBuf>> {
    let host = Arch::host()
        .ok_or_else(|| Error::host("unpacking QEMU", "this machine's architecture is not known"))?;
    let triple = host.gnu_triple();
    let above = [format!("lib/{triple}"), format!("usr/lib/{triple}")];
    let below = ["", "pulseaudio", "blas", "lapack"];
    Ok(above
        .iter()
        .flat_map(|above| below.iter().map(move |below| Path::new(above).join(below)))
        .filter(|folder| unpacked.join(folder).is_dir())
        .collect())
}
