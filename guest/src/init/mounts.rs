// SPDX-License-Identifier: GPL-2.0-only

//! The file systems of the guest.

use nix::errno::Errno;
use nix::mount::{mount, MsFlags};
use std::fs;

struct Mount {
    kind: &'static str,
    target: &'static str,
    data: Option<&'static str>,
}

/// In the order in which they are mounted.
const MOUNTS: [Mount; 9] = [
    Mount {
        kind: "devtmpfs",
        target: "/dev",
        data: None,
    },
    Mount {
        kind: "proc",
        target: "/proc",
        data: None,
    },
    Mount {
        kind: "sysfs",
        target: "/sys",
        data: None,
    },
    Mount {
        kind: "tmpfs",
        target: "/run",
        data: Some("mode=0755"),
    },
    Mount {
        kind: "tmpfs",
        target: "/tmp",
        data: Some("mode=1777"),
    },
    Mount {
        kind: "tmpfs",
        target: "/dev/shm",
        data: Some("mode=1777"),
    },
    Mount {
        kind: "devpts",
        target: "/dev/pts",
        data: Some("mode=0620,ptmxmode=0666"),
    },
    Mount {
        kind: "debugfs",
        target: "/sys/kernel/debug",
        data: None,
    },
    Mount {
        kind: "cgroup2",
        target: "/sys/fs/cgroup",
        data: None,
    },
];

/// Mounts everything; a kernel without a file system that the requests do not
/// need is no error.
pub fn mount_all() -> Result<(), String> {
    for Mount { kind, target, data } in &MOUNTS {
        // In sysfs the folder is the kernel's to make; the mount tells if it is missing.
        let _ = fs::create_dir_all(target);
        match mount(Some(*kind), *target, Some(*kind), MsFlags::MS_NOSUID, *data) {
            Ok(()) | Err(Errno::EBUSY) => (),
            Err(Errno::ENODEV) if matches!(*kind, "devpts" | "debugfs") => (),
            // Without the kind the kernel has not made its folder either.
            Err(Errno::ENOENT) if *kind == "debugfs" => (),
            Err(err) => return Err(format!("mounting {kind} on {target}: {err}")),
        }
    }
    for (link, target) in [
        ("/dev/fd", "/proc/self/fd"),
        ("/dev/stdin", "/proc/self/fd/0"),
        ("/dev/stdout", "/proc/self/fd/1"),
        ("/dev/stderr", "/proc/self/fd/2"),
    ] {
        // Only a convenience of scripts.
        let _ = std::os::unix::fs::symlink(target, link);
    }
    Ok(())
}
