// SPDX-License-Identifier: GPL-2.0-only

//! A case that finds nothing of those before it, and leaves all that a case can leave: a host name, mounts,
//! files in /tmp and /dev/shm, a System V segment.
//!
//! Arguments: STATUS

use crate::stage;
use nix::mount::{mount, MsFlags};
use nix::unistd::{gethostname, sethostname};
use std::fs;
use std::path::Path;
use std::process::ExitCode;

const NAME: &str = "left-behind";
const KEY: libc::key_t = 0x1ab;
/// Where a mount is left, and where it is seen.
const PLACE: &str = "/dev/pts";

/// Runs with the arguments of the process.
pub fn main() -> ExitCode {
    stage::run(|_| find_nothing().and_then(|()| leave_all()))
}

fn find_nothing() -> Result<(), String> {
    let host = gethostname().map_err(|e| format!("host name: {e}"))?;
    if host == NAME {
        return Err(format!("the host is called {NAME}"));
    }
    for file in files() {
        if Path::new(&file).exists() {
            return Err(format!("there is a {file}"));
        }
    }
    let mounts = fs::read_to_string("/proc/self/mounts").map_err(|e| format!("mounts: {e}"))?;
    let here = |line: &&str| line.split(' ').nth(1) == Some(PLACE);
    match mounts.lines().filter(here).count() {
        0 | 1 => Ok(()),
        found => Err(format!("{found} file systems are mounted on {PLACE}")),
    }
}

fn leave_all() -> Result<(), String> {
    sethostname(NAME).map_err(|e| format!("host name: {e}"))?;
    for file in files() {
        fs::write(&file, "").map_err(|e| format!("{file}: {e}"))?;
    }
    let kind = Some("tmpfs");
    mount(kind, PLACE, kind, MsFlags::empty(), None::<&str>)
        .map_err(|e| format!("mounting on {PLACE}: {e}"))?;
    // SAFETY: shmget takes integers only.
    let segment = unsafe { libc::shmget(KEY, 4096, libc::IPC_CREAT | libc::IPC_EXCL | 0o600) };
    match segment {
        -1 => Err(format!("a segment: {}", std::io::Error::last_os_error())),
        _ => Ok(()),
    }
}

fn files() -> [String; 2] {
    ["/tmp", "/dev/shm"].map(|folder| format!("{folder}/{NAME}"))
}
