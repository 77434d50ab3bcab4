// SPDX-License-Identifier: GPL-2.0-only

//! What a case has for itself: mounts, /tmp and /dev/shm, host name, System V IPC. `/init` lives in the
//! namespaces of the case, and so does every program that it starts; the next case gets others, and what the
//! last one did to its own goes with it. Pids are not among them: scenarios restart trees outside of containers.

use crate::protocol::CASE_DIR;
use nix::mount::{mount, MsFlags};
use nix::sched::{setns, unshare, CloneFlags};
use std::fs::File;
use std::io::ErrorKind;

/// The namespaces that a case has of its own, and the kernel's names for them.
const OF_CASE: [(&str, CloneFlags); 3] = [
    ("mnt", CloneFlags::CLONE_NEWNS),
    ("uts", CloneFlags::CLONE_NEWUTS),
    ("ipc", CloneFlags::CLONE_NEWIPC),
];

/// The namespaces of the boot, from which those of the cases are made.
#[derive(Debug)]
pub struct Surroundings {
    of_boot: Vec<(File, CloneFlags)>,
}

impl Surroundings {
    /// Keeps those that the caller is in; a kernel may be without some.
    pub fn of_boot() -> Result<Self, String> {
        // The first process shares root and working directory with the kernel's threads; who shares them
        // cannot go to other mounts.
        unshare(CloneFlags::CLONE_FS).map_err(|e| format!("having own directories: {e}"))?;
        let mut of_boot = Vec::new();
        for (name, kind) in OF_CASE {
            let path = format!("/proc/self/ns/{name}");
            match File::open(&path) {
                Ok(file) => of_boot.push((file, kind)),
                Err(err) if err.kind() == ErrorKind::NotFound => {}
                Err(err) => return Err(format!("{path}: {err}")),
            }
        }
        Ok(Surroundings { of_boot })
    }

    /// Leaves the namespaces of a case for those of the boot, in which nothing that the case has mounted is
    /// in the way.
    pub fn leave(&self) -> Result<(), String> {
        for (file, kind) in &self.of_boot {
            setns(file, *kind).map_err(|e| format!("going back to the boot's {kind:?}: {e}"))?;
        }
        std::env::set_current_dir(CASE_DIR).map_err(|e| format!("going to {CASE_DIR}: {e}"))
    }

    /// Goes from the namespaces of the boot to fresh ones, of the next case.
    pub fn enter(&self) -> Result<(), String> {
        let kinds = self.of_boot.iter().map(|(_, kind)| *kind);
        let fresh: CloneFlags = kinds.collect();
        unshare(fresh).map_err(|e| format!("making {fresh:?}: {e}"))?;
        if fresh.contains(CloneFlags::CLONE_NEWNS) {
            for target in ["/tmp", "/dev/shm"] {
                let (kind, data) = (Some("tmpfs"), Some("mode=1777"));
                mount(kind, target, kind, MsFlags::MS_NOSUID, data)
                    .map_err(|e| format!("mounting a tmpfs on {target}: {e}"))?;
            }
        }
        Ok(())
    }
}
