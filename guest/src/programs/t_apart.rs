// SPDX-License-Identifier: GPL-2.0-only

//! Has something that none outside its namespaces has, or shares it with a task that is in no tree of its own,
//! and lives on to be refused.
//!
//! Arguments: STATUS KIND

use crate::shared::Words;
use crate::stage::{self, Stage};
use crate::{sys, tree};
use nix::errno::Errno;
use nix::mount::{mount, MsFlags};
use nix::sched::{unshare, CloneFlags};
use std::any::Any;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::process::ExitCode;

const KINDS: &str = "user self cgroup host-name semaphores queue file directory memory";

/// Anything that is kept until the end.
type Held = Box<dyn Any>;

fn apart(kinds: CloneFlags) -> Result<(), String> {
    unshare(kinds).map_err(|e| format!("making {kinds:?}: {e}"))
}

/// A tmpfs that is mounted in this program's container alone.
fn own_mount(place: &str) -> Result<(), String> {
    fs::create_dir(place).map_err(|e| format!("{place}: {e}"))?;
    let (kind, none) = (Some("tmpfs"), None::<&str>);
    mount(kind, place, kind, MsFlags::empty(), none)
        .map_err(|e| format!("mounting on {place}: {e}"))
}

/// The words of a memory: the orphan is there, it is to go.
const THERE: usize = 0;
const LEAVE: usize = 1;

/// Lets the orphan go.
struct WithOrphan(Words);

impl Drop for WithOrphan {
    fn drop(&mut self) {
        self.0.set(LEAVE, 1);
    }
}

/// Memory shared with a grandchild whose parent has gone.
fn shared_with_orphan() -> Result<Held, String> {
    let words = Words::map(2)?;
    let parent = tree::spawn("its parent", || {
        let orphan = tree::spawn("the orphan", || {
            words.set(THERE, 1);
            u8::from(!words.wait_at_least(LEAVE, 1, tree::patience()))
        });
        u8::from(orphan.is_err())
    })?;
    tree::reap(&[parent], false)?;
    match words.wait_at_least(THERE, 1, tree::patience()) {
        true => Ok(Box::new(WithOrphan(words))),
        false => Err("the orphan did not come up".to_owned()),
    }
}

/// The image that a program with ids of its own writes of itself.
const IMAGE: &str = "self.ckpt";

/// Saves itself as root of a user namespace, and must not come back as root of another.
fn saves_itself() -> Result<(), String> {
    let image = File::create(IMAGE).map_err(|e| format!("{IMAGE}: {e}"))?;
    let (uid, gid) = (nix::unistd::getuid(), nix::unistd::getgid());
    apart(CloneFlags::CLONE_NEWUSER)?;
    for (file, text) in [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("0 {uid} 1")),
        ("gid_map", format!("0 {gid} 1")),
    ] {
        let path = format!("/proc/self/{file}");
        fs::write(&path, text).map_err(|e| format!("{path}: {e}"))?;
    }
    match sys::checkpoint(0, image.as_fd(), 0, None) {
        Ok(0) => Err("it was restarted where its ids are others'".to_owned()),
        Ok(_) => Ok(()),
        Err(err) => Err(format!("checkpoint: {err}")),
    }
}

fn hold(kind: &str) -> Result<Held, String> {
    let nothing: Held = Box::new(());
    match kind {
        "user" => apart(CloneFlags::CLONE_NEWUSER).map(|()| nothing),
        "self" => saves_itself().map(|()| nothing),
        "cgroup" => apart(CloneFlags::CLONE_NEWCGROUP).map(|()| nothing),
        "host-name" => {
            apart(CloneFlags::CLONE_NEWUTS)?;
            nix::unistd::sethostname("apart").map_err(|e| format!("sethostname: {e}"))?;
            Ok(nothing)
        }
        "semaphores" => {
            apart(CloneFlags::CLONE_NEWIPC)?;
            // SAFETY: takes numbers only.
            let made = unsafe { libc::semget(libc::IPC_PRIVATE, 1, 0o600) };
            Errno::result(made).map_err(|e| format!("semget: {e}"))?;
            Ok(nothing)
        }
        "queue" => {
            apart(CloneFlags::CLONE_NEWIPC)?;
            let flags = libc::O_CREAT | libc::O_RDWR;
            let attributes = std::ptr::null::<libc::mq_attr>();
            // SAFETY: a C string, two numbers, and no attributes.
            let made = unsafe { libc::mq_open(c"/apart".as_ptr(), flags, 0o600, attributes) };
            let queue = Errno::result(made).map_err(|e| format!("mq_open: {e}"))?;
            // SAFETY: the descriptor is this function's own.
            Errno::result(unsafe { libc::close(queue) }).map_err(|e| format!("close: {e}"))?;
            Ok(nothing)
        }
        "file" => {
            own_mount("own")?;
            let file = File::create("own/file").map_err(|e| format!("own/file: {e}"))?;
            Ok(Box::new(file))
        }
        "directory" => {
            own_mount("own.cwd")?;
            std::env::set_current_dir("own.cwd").map_err(|e| format!("own.cwd: {e}"))?;
            Ok(nothing)
        }
        "memory" => shared_with_orphan(),
        _ => Err(format!("kind {kind:?}: expected one of: {KINDS}")),
    }
}

/// Runs with the arguments of the process.
pub fn main() -> ExitCode {
    stage::run(|stage: &Stage| {
        let expected = || format!("expected a kind: {KINDS}");
        let _held = hold(stage.args.first().ok_or_else(expected)?)?;
        stage.ready()?;
        stage::wait_for_term()
    })
}
