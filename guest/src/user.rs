// SPDX-License-Identifier: GPL-2.0-only

//! Giving up root for a user.

use nix::unistd::{setgroups, setresgid, setresuid, Gid, Uid};

/// Makes the caller, who is root, the user `id` of the group with the same number and of no other.
pub fn become_user(id: u32) -> Result<(), String> {
    let failed =
        |what: &'static str| move |e: nix::Error| format!("becoming user {id}: {what}: {e}");
    let (uid, gid) = (Uid::from_raw(id), Gid::from_raw(id));
    setgroups(&[]).map_err(failed("setgroups"))?;
    setresgid(gid, gid, gid).map_err(failed("setresgid"))?;
    setresuid(uid, uid, uid).map_err(failed("setresuid"))
}
