// SPDX-License-Identifier: GPL-2.0-only

//! What makes a process the init of a container: namespaces and its own /proc.

use nix::mount::{mount, MsFlags};

/// Its own pids, and mounts so that /proc can show them.
pub const PIDS: u64 = (libc::CLONE_NEWPID | libc::CLONE_NEWNS) as u64;

/// [`PIDS`], and its own host name and System V IPC.
pub const FULL: u64 = PIDS | (libc::CLONE_NEWUTS | libc::CLONE_NEWIPC) as u64;

/// Mounts a /proc that shows the caller's pid namespace, in the caller's fresh
/// mount namespace alone.
pub fn mount_own_proc() -> Result<(), String> {
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .map_err(|e| format!("making the container's mounts private: {e}"))?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "/proc", Some("proc"), flags, none)
        .map_err(|e| format!("mounting the container's /proc: {e}"))
}
