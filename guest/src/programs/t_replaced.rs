// SPDX-License-Identifier: GPL-2.0-only

//! A file that is open while it is saved, and what somebody puts in its place before the restart.
//!
//! Arguments: STATUS hold CONTENT [drop], where CONTENT is what the file holds in the end, and root drops what it is
//! when it has opened a file that it alone may open; or STATUS HOW, as root:
//! `link`, `hard-link` or `folder` to a file that only root may read, `closed` for one of the same owner that is
//! closed to its group, `new` for one like the first, `back` for the first.

use crate::stage::{self, expect, Stage};
use nix::unistd::{setgroups, setresgid, setresuid, Gid, Uid};
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{chown, symlink, FileExt, MetadataExt, PermissionsExt};
use std::process::ExitCode;

const FOLDER: &str = "box";
const FILE: &str = "box/mine";
const KEPT: &str = "box.kept";
/// A folder that only root may enter, with a file of the same name as the other.
const CLOSED: &str = "closed";
const SECRET: &str = "closed/mine";
const HOWS: &str = "hold link hard-link folder closed new back";

fn hold(stage: &Stage) -> Result<(), String> {
    let failed = |e: io::Error| format!("{FILE}: {e}");
    let content = stage.args.get(1).ok_or("expected what the file will hold")?;
    fs::create_dir(FOLDER).map_err(|e| format!("{FOLDER}: {e}"))?;
    let mut file = File::options().read(true).write(true).create_new(true).open(FILE).map_err(failed)?;
    let drops = stage.args.get(2).is_some();
    let mode = if drops { 0o600 } else { 0o660 };
    file.set_permissions(Permissions::from_mode(mode))
        .map_err(failed)?;
    file.write_all(b"first").map_err(failed)?;
    if drops {
        let (uid, gid) = (Uid::from_raw(1000), Gid::from_raw(1000));
        setgroups(&[])
            .and_then(|()| setresgid(gid, gid, gid))
            .and_then(|()| setresuid(uid, uid, uid))
            .map_err(|e| format!("becoming user {uid}: {e}"))?;
        // A change of ids has taken it away: who may not be looked at is not saved.
        nix::sys::prctl::set_dumpable(true).map_err(|e| format!("being dumpable: {e}"))?;
    }
    stage.ready()?;
    stage::wait_for_term()?;
    let mut found = [0; 5];
    file.read_exact_at(&mut found, 0).map_err(failed)?;
    expect("the open file", content.as_str(), &String::from_utf8_lossy(&found))
}

/// A file in the place of the open one, as that was but for its content and mode.
fn put(content: &[u8], mode: u32) -> io::Result<()> {
    let owner = fs::metadata(KEPT)?;
    fs::write(FILE, content)?;
    fs::set_permissions(FILE, Permissions::from_mode(mode))?;
    chown(FILE, Some(owner.uid()), Some(owner.gid()))
}

fn replace(how: &str) -> io::Result<()> {
    if !fs::exists(KEPT)? {
        fs::rename(FILE, KEPT)?;
        fs::create_dir(CLOSED)?;
        fs::set_permissions(CLOSED, Permissions::from_mode(0o700))?;
        fs::write(SECRET, "SECRET")?;
        fs::set_permissions(SECRET, Permissions::from_mode(0o600))?;
    }
    if fs::symlink_metadata(FOLDER)?.is_symlink() {
        fs::remove_file(FOLDER)?;
        fs::rename("box.old", FOLDER)?;
    }
    match fs::remove_file(FILE) {
        Err(err) if err.kind() != io::ErrorKind::NotFound => return Err(err),
        _ => {}
    }
    match how {
        "link" => symlink(fs::canonicalize(SECRET)?, FILE),
        "hard-link" => fs::hard_link(SECRET, FILE),
        "folder" => {
            fs::rename(FOLDER, "box.old")?;
            symlink(CLOSED, FOLDER)
        }
        "closed" => put(b"other", 0o600),
        "new" => put(b"other", 0o660),
        "back" => fs::hard_link(KEPT, FILE),
        _ => Err(io::Error::other(format!("expected one of: {HOWS}"))),
    }
}

/// Runs with the arguments of the process.
pub fn main() -> ExitCode {
    stage::run(|stage| match stage.args.first().map(String::as_str) {
        Some("hold") => hold(stage),
        Some(how) => replace(how).map_err(|e| format!("{how}: {e}")),
        None => Err(format!("expected one of: {HOWS}")),
    })
}
