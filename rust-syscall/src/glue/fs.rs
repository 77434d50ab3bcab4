// SPDX-License-Identifier: GPL-2.0-only

//! Root directory, working directory and umask: the FS record.
//!
//! The FILE objects that it names stand before it, and their paths are seen from the root of the
//! task that called `checkpoint`, so that all can go on inside one chroot; or from the top of the
//! mount namespace, if that root does not lead to them or if the caller saves itself. Those of all
//! other FILE objects are seen from the task's own root, which is in place when they are opened
//! because FDS and MM come later.

use super::failure::{Context, Failure};
use super::files;
use super::loader::Loader;
use super::saver::Saver;
use crate::image::header::Kind;
use crate::image::record::Fs;
use kernel::current;
use kernel::error::code::*;
use kernel::fs::path::{self, FsState, Path, PATH_MAX};
use kernel::task::Task;

/// Writes the task's directories, then the record.
pub(crate) fn save(task: &Task, out: &mut Saver) -> Result<(), Failure> {
    let state = state_of(task)?;
    let pid = files::pid_of(task, out);
    let refused = |why| Err(Failure::refused("task", pid, why));
    if state.shared {
        return refused("root and working directory shared with another process (CLONE_FS)");
    }
    if state.root.is_unlinked() {
        return refused("root directory that has been removed");
    }
    if state.cwd.is_unlinked() {
        return refused("working directory that has been removed");
    }
    if state.root.is_inside_procfs() {
        return refused("root directory in procfs");
    }
    if state.cwd.is_inside_procfs() {
        return refused("working directory in procfs");
    }
    let mut buf = files::path_buffer()?;
    match state
        .cwd
        .seen_from(&state.root, &mut buf)
        .doing("naming the working directory")?
    {
        None => return refused("working directory outside its root directory"),
        Some(name) if !files::leads_to(&state.root, name, &state.cwd)? => {
            return refused("working directory that its name no longer leads to")
        }
        Some(_) => {}
    }
    if out.other_mounts {
        if !files::is_found_by_caller(&state.root)? {
            return refused("root directory that the caller of checkpoint does not find by its name");
        }
        if !files::is_found_by_caller(&state.cwd)? {
            return refused("working directory that the caller of checkpoint does not find by its name");
        }
    }
    let mine = state_of(current!())?.root;
    let from = if is_caller(task) {
        None
    } else {
        let seen = state.root.seen_from(&mine, &mut buf);
        seen.doing("naming the root directory")?.map(|_| &mine)
    };
    let root = save_place(&state.root, from, out)?;
    let cwd = save_place(&state.cwd, from, out)?;
    out.put(&Fs {
        umask: state.umask & 0o777,
        root,
        cwd,
    })
}

fn is_caller(task: &Task) -> bool {
    task.is_current()
}

/// Writes a directory as an object, named as seen from `from` or from the top of its mount
/// namespace.
fn save_place(place: &Path, from: Option<&Path>, out: &mut Saver) -> Result<u32, Failure> {
    let mut buf = files::path_buffer()?;
    let name = match from {
        Some(root) => place.seen_from(root, &mut buf),
        None => place.absolute(&mut buf).map(Some),
    };
    let name = name
        .and_then(|name| name.ok_or(EXDEV))
        .doing("naming a directory")?;
    files::save_directory(place, name, out)
}

/// Takes the saved directories and umask.
pub(crate) fn load(input: &mut Loader) -> Result<(), Failure> {
    let record = input.take(Kind::Fs)?;
    let saved: Fs = record.body(input.limits)?;
    let root = input.file(saved.root)?.path();
    let cwd = input.file(saved.cwd)?.path();
    path::unshare_fs().doing("unsharing root and working directory")?;
    let state = state_of(current!())?;
    if !root.is(&state.root) {
        path::set_root(&root).doing("changing the root directory, as chroot does")?;
    }
    if !cwd.is(&state.cwd) {
        path::set_cwd(&cwd).doing("changing the working directory")?;
    }
    path::set_umask(saved.umask);
    Ok(())
}

fn state_of(task: &Task) -> Result<FsState, Failure> {
    task.fs_state()
        .ok_or(ESRCH)
        .doing("reading root and working directory of an exiting task")
}

const _: () = assert!(PATH_MAX == 4096, "MAX_PATH of the image format follows it");
