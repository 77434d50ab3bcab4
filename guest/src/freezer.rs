// SPDX-License-Identifier: GPL-2.0-only

//! Freezing, thawing and killing the cgroup (v2) of a process tree.

use crate::{procfs, wait};
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use std::fs::{self, File};
use std::io::{Read, Seek};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Where cgroup v2 is mounted.
pub const MOUNT: &str = "/sys/fs/cgroup";

/// How long a cgroup may take to be frozen, or to be empty after a kill,
const PATIENCE: Duration = Duration::from_secs(10);
/// and how much longer for each of its processes: every one has to get a processor for that.
const FOR_EACH: Duration = Duration::from_millis(50);

/// A cgroup v2 that can be frozen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroup {
    folder: PathBuf,
    /// Its path below the mount, as /proc/PID/cgroup gives it.
    path: String,
}

impl Cgroup {
    /// The cgroup which holds the whole tree of `pid`, and not the caller.
    pub fn of_tree(pid: i32, wanted: Option<&str>) -> Result<Cgroup, String> {
        let found = procfs::cgroup_of(&pid.to_string()).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound if procfs::task(pid).is_none() => {
                format!("task {pid}: no such process")
            }
            _ => format!("task {pid}: {e}"),
        })?;
        let path = match wanted {
            Some(path) => format!("/{}", path.trim_start_matches(MOUNT).trim_matches('/')),
            None => found,
        };
        let cgroup = Cgroup {
            folder: Path::new(MOUNT).join(path.trim_start_matches('/')),
            path,
        };
        if cgroup.path == "/" {
            return Err(format!("task {pid} is in the root cgroup, which cannot be frozen: move its tree to one of its own"));
        }
        if !cgroup.folder.join("cgroup.freeze").exists() {
            return Err(format!(
                "{}: no cgroup v2 that can be frozen",
                cgroup.folder.display()
            ));
        }
        let own = procfs::cgroup_of("self").map_err(|e| e.to_string())?;
        if cgroup.holds(&own) {
            return Err(format!(
                "cgroup {} is the caller's own, freezing it would freeze the caller",
                cgroup.path
            ));
        }
        cgroup.check_tree(pid)?;
        Ok(cgroup)
    }

    fn holds(&self, path: &str) -> bool {
        path.strip_prefix(self.path.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    fn check_tree(&self, pid: i32) -> Result<(), String> {
        let tasks = procfs::tasks().map_err(|e| format!("/proc: {e}"))?;
        for task in procfs::subtree(&tasks, pid) {
            // A task that ends meanwhile is none that has to be frozen.
            let Ok(found) = procfs::cgroup_of(&task.pid.to_string()) else {
                continue;
            };
            if !self.holds(&found) {
                return Err(format!(
                    "task {} ({}) of the tree of {pid} is in cgroup {found}, not in {}: it would go on running",
                    task.pid, task.comm, self.path
                ));
            }
        }
        Ok(())
    }

    fn write(&self, file: &str, text: &str) -> Result<(), String> {
        let path = self.folder.join(file);
        fs::write(&path, text).map_err(|e| format!("writing {text} to {}: {e}", path.display()))
    }

    /// Whether the cgroup was told to freeze already.
    pub fn is_frozen(&self) -> bool {
        fs::read_to_string(self.folder.join("cgroup.freeze")).is_ok_and(|text| text.trim() == "1")
    }

    /// The file that freezes the cgroup and, by `0`, thaws it, open for writing.
    pub fn open_freeze(&self) -> Result<File, String> {
        let path = self.folder.join("cgroup.freeze");
        let file = File::options().write(true).open(&path);
        file.map_err(|e| format!("{}: {e}", path.display()))
    }

    /// Freezes all tasks and waits until they are.
    pub fn freeze(&self) -> Result<(), String> {
        let patience = self.patience();
        self.write("cgroup.freeze", "1")?;
        let result = self.wait_event("frozen 1", patience);
        if result.is_err() {
            let _ = self.thaw();
        }
        result
    }

    /// How long its processes, as many as they are now, may take to do what they are told.
    fn patience(&self) -> Duration {
        wait::scaled(PATIENCE + FOR_EACH * processes_below(&self.folder))
    }

    /// Waits for a line of cgroup.events.
    fn wait_event(&self, wanted: &str, patience: Duration) -> Result<(), String> {
        let path = self.folder.join("cgroup.events");
        let failure = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
        let mut events = File::open(&path).map_err(|e| failure(&e))?;
        let start = Instant::now();
        loop {
            let mut text = String::new();
            events
                .rewind()
                .and_then(|()| events.read_to_string(&mut text))
                .map_err(|e| failure(&e))?;
            if text.lines().any(|line| line == wanted) {
                return Ok(());
            }
            let Some(left) = patience.checked_sub(start.elapsed()) else {
                let left = processes_below(&self.folder);
                return Err(failure(&format_args!(
                    "no `{wanted}` after {patience:?}, {left} processes are in it"
                )));
            };
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            let mut fds = [PollFd::new(events.as_fd(), PollFlags::POLLPRI)];
            match poll(&mut fds, timeout) {
                Ok(_) | Err(nix::errno::Errno::EINTR) => (),
                Err(err) => return Err(failure(&err)),
            }
        }
    }

    /// Lets the tasks run.
    pub fn thaw(&self) -> Result<(), String> {
        self.write("cgroup.freeze", "0")
    }

    /// Kills every task, frozen or not, thaws, and waits until all have ended.
    pub fn kill(&self) -> Result<(), String> {
        let patience = self.patience();
        self.write("cgroup.kill", "1")?;
        self.thaw()?;
        self.wait_event("populated 0", patience)
    }
}

/// How many processes are in a cgroup and those below it, as far as it can be seen.
fn processes_below(folder: &Path) -> u32 {
    let procs = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    let below = fs::read_dir(folder).into_iter().flatten().flatten();
    let below = below.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let below: u32 = below.map(|entry| processes_below(&entry.path())).sum();
    procs.lines().count() as u32 + below
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_of_cgroups_below_count_too() {
        let top = tempfile::tempdir().unwrap();
        let below = top.path().join("a/b");
        fs::create_dir_all(&below).unwrap();
        fs::write(top.path().join("cgroup.procs"), "12\n13\n").unwrap();
        fs::write(below.join("cgroup.procs"), "7\n").unwrap();
        assert_eq!(processes_below(top.path()), 3);
    }
}
