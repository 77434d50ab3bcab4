// SPDX-License-Identifier: GPL-2.0-only

//! Open files: offsets, flags, close-on-exec, duplicates with one offset,
//! directories, devices; working directory and umask.
//!
//! Arguments: STATUS. Works in the folder t_files.d of the working directory.

use crate::stage::{self, expect, Stage};
use nix::fcntl::{fcntl, open, FcntlArg, OFlag};
use nix::sys::stat::{fstat, umask, Mode};
use nix::unistd::{dup3_raw, lseek, read, write, Whence};
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::ExitCode;

const FOLDER: &str = "t_files.d";
const UMASK: u32 = 0o027;
/// A descriptor number far above the others.
const FAR: i32 = 77;

fn opened(path: &str, flags: OFlag) -> Result<OwnedFd, String> {
    open(path, flags, Mode::from_bits_truncate(0o640)).map_err(|e| format!("open {path}: {e}"))
}

/// See [`state`].
type State = (i64, i32, i32, u32, u64);

/// Offset, status flags, descriptor flags, mode and device of each descriptor.
fn state(files: &[OwnedFd]) -> Result<Vec<State>, String> {
    let one = |fd: &OwnedFd| {
        let stat = fstat(fd)?;
        // Devices have no offset.
        let offset = lseek(fd, 0, Whence::SeekCur).unwrap_or(-1);
        Ok((
            offset,
            fcntl(fd, FcntlArg::F_GETFL)?,
            fcntl(fd, FcntlArg::F_GETFD)?,
            stat.st_mode,
            stat.st_rdev as u64,
        ))
    };
    files
        .iter()
        .map(|fd| one(fd).map_err(|e: nix::Error| format!("fd {}: {e}", fd.as_raw_fd())))
        .collect()
}

fn run(stage: &Stage) -> Result<(), String> {
    let failed = |what: &'static str| move |e: nix::Error| format!("{what}: {e}");
    fs::create_dir_all(FOLDER)
        .and_then(|()| std::env::set_current_dir(FOLDER))
        .map_err(|e| format!("{FOLDER}: {e}"))?;
    umask(Mode::from_bits_truncate(UMASK));
    let cwd = std::env::current_dir().map_err(|e| format!("getcwd: {e}"))?;
    let fresh = OFlag::O_CREAT | OFlag::O_TRUNC;
    let files = [
        opened("plain", fresh | OFlag::O_RDWR)?,
        opened("append", fresh | OFlag::O_WRONLY | OFlag::O_APPEND)?,
        opened("cloexec", fresh | OFlag::O_RDWR | OFlag::O_CLOEXEC)?,
        opened(".", OFlag::O_RDONLY | OFlag::O_DIRECTORY)?,
        opened("/dev/null", OFlag::O_WRONLY)?,
        opened("/dev/zero", OFlag::O_RDONLY | OFlag::O_NONBLOCK)?,
        opened("/dev/urandom", OFlag::O_RDONLY)?,
    ];
    let [plain, append, cloexec, folder, null, zero, random] = &files;
    write(plain, b"0123456789").map_err(failed("write"))?;
    lseek(plain, 4, Whence::SeekSet).map_err(failed("lseek"))?;
    write(append, b"one").map_err(failed("write"))?;
    write(cloexec, b"content").map_err(failed("write"))?;
    // SAFETY: nothing else uses descriptor FAR.
    let twin = unsafe { dup3_raw(plain, FAR, OFlag::empty()) }.map_err(failed("dup3"))?;
    let before = state(&files)?;
    stage.ready()?;
    stage::wait_for_term()?;

    expect(
        "working directory",
        cwd,
        std::env::current_dir().map_err(|e| format!("getcwd: {e}"))?,
    )?;
    expect(
        "umask",
        UMASK,
        umask(Mode::from_bits_truncate(UMASK)).bits(),
    )?;
    expect(
        "offset, flags, close-on-exec, mode, device",
        before,
        state(&files)?,
    )?;
    let mut bytes = [0; 3];
    read(&twin, &mut bytes).map_err(failed("read"))?;
    expect("read through the duplicate", *b"456", bytes)?;
    read(plain, &mut bytes).map_err(failed("read"))?;
    expect("read behind it", *b"789", bytes)?;
    write(append, b"two").map_err(failed("write"))?;
    expect(
        "appended file",
        "onetwo".to_owned(),
        fs::read_to_string("append").map_err(|e| format!("append: {e}"))?,
    )?;
    expect(
        "directory",
        fstat(folder).map_err(failed("fstat"))?.st_ino,
        nix::sys::stat::stat(".").map_err(failed("stat"))?.st_ino,
    )?;
    expect(
        "written to /dev/null",
        3,
        write(null, &bytes).map_err(failed("/dev/null"))?,
    )?;
    let mut many = [1; 32];
    read(zero, &mut many).map_err(failed("/dev/zero"))?;
    expect("read from /dev/zero", [0; 32], many)?;
    read(random, &mut many).map_err(failed("/dev/urandom"))?;
    expect("zeros from /dev/urandom", false, many == [0; 32])
}

/// Runs with the arguments of the process.
pub fn main() -> ExitCode {
    stage::run(run)
}
