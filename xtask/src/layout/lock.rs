// SPDX-License-Identifier: GPL-2.0-only

//! The lock on `target/lab`: one lab at a time builds there, and the next one is told who has it.

use std::fs::{self, File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use procfs::process::{all_processes, FDInfo, FDTarget, Process};
use rustix::io::{fcntl_setfd, FdFlags};

use crate::error::{AtPath, Result};
use crate::event::{Event, Sink};
use crate::layout::{create_dir, remove_dir, Layout};

impl Layout {
    /// Takes the lock on `target/lab`, waiting for its holder, and clears what a cut run left half-made.
    pub fn lock(&self, sink: &dyn Sink) -> Result<Lock> {
        let (mut file, path) = self.open_lock()?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = file.read_to_string(&mut holder);
                sink.emit(Event::Waiting {
                    holder: shown_holder(holder.trim(), &users_of(&path)),
                });
                file.lock().at("waiting for the lock", &path)?;
            }
            Err(TryLockError::Error(err)) => return Err(err).at("locking", &path),
        }
        self.hold(file, &path)
    }

    /// Takes the lock if nobody holds it.
    pub fn try_lock(&self) -> Result<Option<Lock>> {
        let (file, path) = self.open_lock()?;
        match file.try_lock() {
            Ok(()) => self.hold(file, &path).map(Some),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(err)) => Err(err).at("locking", &path),
        }
    }

    fn open_lock(&self) -> Result<(File, PathBuf)> {
        let path = self.lab.join("lock");
        create_dir(&self.lab)?;
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .at("opening the lock", &path)?;
        Ok((file, path))
    }

    /// Says in a lock that was taken who has it.
    fn hold(&self, mut file: File, path: &Path) -> Result<Lock> {
        let who = format!(
            "process {}: {}\n",
            std::process::id(),
            std::env::args().skip(1).collect::<Vec<_>>().join(" ")
        );
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(who.as_bytes()))
            .at("writing", path)?;
        fcntl_setfd(&file, FdFlags::empty())
            .map_err(std::io::Error::from)
            .at("letting programs inherit", path)?;
        remove_dir(&self.tmp())?;
        Ok(Lock { file: Some(file) })
    }
}

/// The lock on `target/lab`; let go when dropped. The programs that are started meanwhile inherit it: of a lab that is
/// killed they go on, and nobody builds in the same folders before the last of them has ended.
#[derive(Debug)]
pub struct Lock {
    /// Gone only where a test plays a lab that was killed.
    file: Option<File>,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: a service that a package started may have inherited it, and stays.
        if let Some(file) = &self.file {
            let _ = file.unlock();
        }
    }
}

/// Who has the lock, in words, from what it wrote into it, "process 7: lab run", and who else has its file open.
fn shown_holder(wrote: &str, users: &[String]) -> String {
    let pid = wrote.strip_prefix("process ").and_then(|rest| {
        let (pid, _) = rest.split_once(':')?;
        pid.parse().ok()
    });
    // One that nobody has waited for yet is gone all the same.
    let is_gone = |pid: i32| {
        let stat = Process::new(pid).and_then(|process| process.stat());
        stat.map_or(true, |stat| stat.state == 'Z')
    };
    match pid {
        Some(pid) if is_gone(pid) && users.is_empty() => {
            format!("{wrote} (there is no such process to be seen from here)")
        }
        Some(pid) if is_gone(pid) => {
            let users = users.join(", ");
            format!("{wrote} (it is gone; what it had started is still at work: {users})")
        }
        Some(_) => wrote.to_string(),
        None => "one that has just begun".to_string(),
    }
}

/// The other processes that have a file open and locked, as far as they can be seen: "make (812)".
fn users_of(path: &Path) -> Vec<String> {
    let (Ok(path), Ok(all)) = (path.canonicalize(), all_processes()) else {
        return Vec::new();
    };
    // Who waits has the file open as well, and so has what is left of a lab that has let go.
    let is_locked = |pid: i32, fd: i32| {
        let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/{fd}"));
        info.is_ok_and(|text| text.lines().any(|line| line.starts_with("lock:")))
    };
    let is_it = |pid: i32, fd: FDInfo| {
        matches!(fd.target, FDTarget::Path(target) if target == path) && is_locked(pid, fd.fd)
    };
    let mut users = Vec::new();
    for process in all.flatten() {
        let mut fds = process.fd().into_iter().flatten().flatten();
        let has_it = fds.any(|fd| is_it(process.pid, fd));
        if has_it && process.pid.unsigned_abs() != std::process::id() {
            let name = process.stat().map_or("?".into(), |stat| stat.comm);
            users.push(format!("{name} ({})", process.pid));
        }
    }
    users
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn what_a_killed_lab_had_started_keeps_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let mut lock = layout.try_lock().unwrap().unwrap();
        let mut started = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        assert!(layout.try_lock().unwrap().is_none());
        // As the kernel does it: closed, and not let go.
        drop(lock.file.take());
        let path = layout.lab.join("lock");
        let mut waits = std::process::Command::new("sleep")
            .arg("60")
            .stdin(File::open(&path).unwrap())
            .spawn()
            .unwrap();
        let users = users_of(&path);
        let named = |child: &std::process::Child| format!("sleep ({})", child.id());
        assert!(users.contains(&named(&started)), "{users:?}");
        assert!(!users.contains(&named(&waits)), "{users:?}");
        waits.kill().unwrap();
        waits.wait().unwrap();
        assert!(layout.try_lock().unwrap().is_none());
        started.kill().unwrap();
        started.wait().unwrap();
        // What other tests have started meanwhile has inherited it too.
        let given_up = Instant::now() + Duration::from_secs(60);
        while layout.try_lock().unwrap().is_none() {
            assert!(Instant::now() < given_up, "it is still held");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn a_lock_that_is_dropped_is_free_whatever_inherited_it() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let lock = layout.try_lock().unwrap().unwrap();
        let mut stays = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        drop(lock);
        assert!(layout.try_lock().unwrap().is_some());
        stays.kill().unwrap();
        stays.wait().unwrap();
    }

    #[test]
    fn the_holder_of_a_lock_is_told() {
        let me = format!("process {}: lab run", std::process::id());
        assert_eq!(shown_holder(&me, &[]), me);
        assert_eq!(shown_holder("", &[]), "one that has just begun");
        let mut ended = std::process::Command::new("true").spawn().unwrap();
        let wrote = format!("process {}: kernel build", ended.id());
        let given_up = Instant::now() + Duration::from_secs(60);
        while shown_holder(&wrote, &[]) == wrote {
            assert!(Instant::now() < given_up, "it is still there");
            std::thread::sleep(Duration::from_millis(5));
        }
        let users = ["make (8)", "cc1 (9)"].map(String::from);
        let gone = " (it is gone; what it had started is still at work: make (8), cc1 (9))";
        assert_eq!(shown_holder(&wrote, &users), format!("{wrote}{gone}"));
        let unseen = " (there is no such process to be seen from here)";
        assert_eq!(shown_holder(&wrote, &[]), format!("{wrote}{unseen}"));
        ended.wait().unwrap();
    }
}
