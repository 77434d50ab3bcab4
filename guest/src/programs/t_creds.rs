// SPDX-License-Identifier: GPL-2.0-only

//! Given up privileges stay given up: ids, groups, limits, no_new_privs, nice.
//!
//! Arguments: STATUS [UID]. To be started as root.

use crate::stage::{self, expect};
use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::resource::{getrlimit, setrlimit, Resource};
use nix::unistd::{getgroups, getresgid, getresuid, setgroups, setresgid, setresuid, Gid, Uid};
use std::process::ExitCode;

const NICE: i32 = 5;
const OPEN_FILES: (u64, u64) = (123, 456);

/// Everything that is compared, in one value.
#[derive(Debug, PartialEq)]
struct Found {
    uids: [u32; 3],
    gids: [u32; 3],
    groups: Vec<u32>,
    open_files: (u64, u64),
    core: (u64, u64),
    no_new_privs: bool,
    nice: i32,
    caps: Vec<String>,
}

fn found() -> Result<Found, String> {
    let failed = |what: &'static str| move |e: Errno| format!("{what}: {e}");
    let uids = getresuid().map_err(failed("getresuid"))?;
    let gids = getresgid().map_err(failed("getresgid"))?;
    let groups = getgroups().map_err(failed("getgroups"))?;
    Errno::clear();
    // SAFETY: plain integers; -1 can be a nice value, so errno decides.
    let nice = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
    let status = std::fs::read_to_string("/proc/self/status")
        .map_err(|e| format!("/proc/self/status: {e}"))?;
    Ok(Found {
        uids: [uids.real, uids.effective, uids.saved].map(Uid::as_raw),
        gids: [gids.real, gids.effective, gids.saved].map(Gid::as_raw),
        groups: groups.into_iter().map(Gid::as_raw).collect(),
        open_files: getrlimit(Resource::RLIMIT_NOFILE).map_err(failed("getrlimit"))?,
        core: getrlimit(Resource::RLIMIT_CORE).map_err(failed("getrlimit"))?,
        no_new_privs: prctl::get_no_new_privs().map_err(failed("PR_GET_NO_NEW_PRIVS"))?,
        nice,
        caps: status
            .lines()
            .filter(|line| line.starts_with("Cap"))
            .map(str::to_owned)
            .collect(),
    })
}

/// Runs with the arguments of the process.
pub fn main() -> ExitCode {
    stage::run(|stage| {
        let failed = |what: &'static str| move |e: Errno| format!("{what}: {e}");
        let id = stage.number(0, 1000)? as u32;
        setrlimit(Resource::RLIMIT_NOFILE, OPEN_FILES.0, OPEN_FILES.1)
            .map_err(failed("setrlimit"))?;
        setrlimit(Resource::RLIMIT_CORE, 0, 0).map_err(failed("setrlimit"))?;
        // SAFETY: plain integers.
        let set = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) };
        Errno::result(set).map_err(failed("setpriority"))?;
        prctl::set_no_new_privs().map_err(failed("PR_SET_NO_NEW_PRIVS"))?;
        setgroups(&[Gid::from_raw(100), Gid::from_raw(200)])
            .map_err(failed("setgroups (not root?)"))?;
        let (uid, gid) = (Uid::from_raw(id), Gid::from_raw(id + 1));
        setresgid(gid, gid, gid).map_err(failed("setresgid"))?;
        setresuid(uid, uid, uid).map_err(failed("setresuid"))?;
        let before = found()?;
        expect(
            "what was set",
            (id, OPEN_FILES, true, NICE),
            (
                before.uids[1],
                before.open_files,
                before.no_new_privs,
                before.nice,
            ),
        )?;
        stage.ready()?;
        stage::wait_for_term()?;
        expect("credentials and limits", before, found()?)?;
        match setresuid(Uid::from_raw(0), Uid::from_raw(0), Uid::from_raw(0)) {
            Err(Errno::EPERM) => Ok(()),
            other => Err(format!(
                "becoming root again: expected EPERM, found {other:?}"
            )),
        }
    })
}
