// SPDX-License-Identifier: GPL-2.0-only

//! `checkpoint(2)`: writes a frozen tree of processes, or the calling process alone.

use super::failure::{self, Context, Failure};
use super::saver::Saver;
use super::{creds, files, fs, limits, memory, regs, signals, task, thread, vdso};
use crate::image::header::Kind;
use crate::image::list::Entry;
use crate::image::record::head::{HEAD_OWN_IDS, MAX_TREE_ENTRIES};
use crate::image::record::{End, TaskEnd, TreeEntry};
use crate::image::{MAGIC, MAX_TASKS, VERSION};
use core::ptr;
use core::sync::atomic::{AtomicI32, Ordering};
use kernel::alloc::{flags::GFP_KERNEL, KVVec, KVec};
use kernel::error::code::*;
use kernel::fs::File;
use kernel::page::PAGE_SIZE;
use kernel::pid::Pid;
use kernel::pid_namespace::PidNamespace;
use kernel::regset::cpu_features;
use kernel::sync::aref::ARef;
use kernel::task::Task;
use kernel::task_current::current_task;
use kernel::task_hold::NoExec;

/// Numbers the images that this kernel has written.
static NEXT_ID: AtomicI32 = AtomicI32::new(1);

/// The system call.
pub(crate) fn checkpoint(pid: i32, fd: i32, flags: usize, logfd: i32) -> isize {
    let log = match failure::log_file(logfd) {
        Ok(log) => log,
        Err(failure) => return failure.result(),
    };
    let mut at = pid;
    match run(pid, fd, flags, &mut at) {
        Ok(id) => id as isize,
        Err(failure) => {
            failure::log(log.as_deref(), "checkpoint", at, &failure);
            failure.result()
        }
    }
}

/// Writes the image; `at` is left as the pid of the task that a failure is about.
fn run(pid: i32, fd: i32, flags: usize, at: &mut i32) -> Result<i32, Failure> {
    if flags != 0 {
        return Err(Failure::mismatch(EINVAL, "flags", 0, flags as u64));
    }
    let file = u32::try_from(fd)
        .map_err(|_| EBADF)
        .and_then(File::of_descriptor)
        .doing("taking the image's file from fd")?;
    let root = find_root(pid)?;
    let ns = root
        .get_pid_ns()
        .ok_or(Failure::doing(ESRCH, "finding the tree's pid namespace"))?;
    let tasks = find_tasks(&root)?;
    let entries = describe(&tasks, &ns, at)?;
    let mut switches = KVVec::new();
    for (task, entry) in tasks.iter().zip(&entries) {
        *at = entry.pid;
        let count = first_look(task, &root)?;
        switches.push(count, GFP_KERNEL).doing("listing the tree")?;
    }
    let mut out = Saver::new(file, ns, root.has_other_mounts())?;
    save_head(&root, entries.len(), &mut out)?;
    for part in entries.chunks(MAX_TREE_ENTRIES) {
        out.record(Kind::Tree, |payload| {
            part.iter().try_for_each(|entry| entry.encode(payload))
        })?;
    }
    for (task, entry) in tasks.iter().zip(&entries) {
        *at = entry.pid;
        save_task(task, &root, entry.pid, &mut out)?;
    }
    out.refuse_shared_outside(at)?;
    refuse_changed(&root, &tasks, &switches)?;
    let (records, bulk) = out.totals();
    out.put(&End { records, bulk })?;
    out.finish();
    // An id is positive; after the greatest one they start again.
    let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
    Ok((id & i32::MAX).max(1))
}

fn find_root(pid: i32) -> Result<ARef<Task>, Failure> {
    if pid == 0 {
        return Ok(current_task());
    }
    let root = Pid::find(pid)
        .and_then(|pid| pid.process())
        .ok_or(ESRCH)
        .doing("finding the root of the tree")?;
    Ok(root)
}

fn find_tasks(root: &ARef<Task>) -> Result<KVec<ARef<Task>>, Failure> {
    if !root.is_current() {
        return root.collect_tree().doing("listing the tree");
    }
    let mut alone = KVec::new();
    alone
        .push(root.clone(), GFP_KERNEL)
        .doing("listing the tree")?;
    Ok(alone)
}

/// Refuses a tree that has not been still, and whole, from its listing on.
fn refuse_changed(
    root: &ARef<Task>,
    tasks: &[ARef<Task>],
    switches: &[u64],
) -> Result<(), Failure> {
    let now = find_tasks(root)?;
    let same = now.len() == tasks.len()
        && now.iter().zip(tasks).all(|(now, then)| ptr::eq(&**now, &**then));
    if !same {
        return Err(Failure::doing(EBUSY, "saving the tree: it got other tasks meanwhile"));
    }
    for (task, then) in tasks.iter().zip(switches) {
        if settled(task)? != *then {
            return Err(Failure::doing(EBUSY, "saving the tree: a task ran meanwhile"));
        }
    }
    Ok(())
}

fn describe(
    tasks: &[ARef<Task>],
    ns: &PidNamespace,
    at: &mut i32,
) -> Result<KVVec<TreeEntry>, Failure> {
    if tasks.len() > MAX_TASKS as usize {
        return Err(Failure::mismatch(E2BIG, "number of tasks", MAX_TASKS.into(), tasks.len() as u64));
    }
    let mut entries = KVVec::new();
    for task in tasks {
        let numbers = task.numbers_in(ns);
        *at = numbers.pid;
        if !task.may_attach() {
            return Err(Failure::doing(EPERM, "asking for access to the task"));
        }
        if task.is_exiting() {
            return Err(Failure::refused("task", numbers.pid as u64, "zombie, or about to be one"));
        }
        if !task.is_current() && !task.is_cgroup_frozen() {
            return Err(Failure::doing(EBUSY, "looking at the task: it is not frozen"));
        }
        entries
            .push(
                TreeEntry {
                    pid: numbers.pid,
                    tgid: numbers.tgid,
                    ppid: numbers.ppid,
                    pgid: numbers.pgid,
                    sid: numbers.sid,
                },
                GFP_KERNEL,
            )
            .doing("listing the tree")?;
    }
    Ok(entries)
}

fn save_head(root: &Task, nr_tasks: usize, out: &mut Saver) -> Result<(), Failure> {
    let own_mm = kernel::current!()
        .address_space()
        .ok_or(ESRCH)
        .doing("finding the own address space")?;
    let vdso_hash = vdso::hash(&own_mm)?;
    let mut features = [0; 32];
    let words = cpu_features(&mut features);
    let flags = if root.is_in_first_user_namespace() { 0 } else { HEAD_OWN_IDS };
    out.record(Kind::Head, |payload| {
        payload.put_u64(MAGIC)?;
        payload.put_u32(VERSION)?;
        payload.put_u32(root.elf_machine().into())?;
        payload.put_u32(PAGE_SIZE as u32)?;
        payload.put_u32(nr_tasks as u32)?;
        payload.put_u64(flags)?;
        payload.put_u64(vdso_hash)?;
        payload.put_u32(words as u32)?;
        payload.put_u32(0)?;
        payload.put_u64s(features.get(..words).unwrap_or(&[]))?;
        payload.put_bytes(kernel::utsname::release())
    })
}

/// Refuses what cannot be carried of a task, before anything is written; the count of its switches.
fn first_look(task: &Task, root: &Task) -> Result<u64, Failure> {
    let _no_exec = hold(task)?;
    // What keeps a task from ever being still has a name.
    task::refuse(task, root)?;
    settled(task)
}

/// Saves one task, which stays as it is meanwhile: frozen and off its CPU, or the caller.
fn save_task(task: &Task, root: &Task, pid: i32, out: &mut Saver) -> Result<(), Failure> {
    // Access is asked for again under the lock: until it is dropped the task stays the program
    // that the caller may look at.
    let _no_exec = hold(task)?;
    let switches = settled(task)?;
    task::refuse(task, root)?;
    task::save(task, pid, out)?;
    creds::save(task, out)?;
    fs::save(task, out)?;
    files::save(task, out)?;
    memory::save(task, out)?;
    let interrupted = regs::save(task, out)?;
    thread::save(task, out, interrupted.by_restart_block, interrupted.words)?;
    signals::save(task, out)?;
    limits::save(task, out)?;
    out.put(&TaskEnd { pid })?;
    if settled(task)? != switches {
        return Err(Failure::doing(EBUSY, "saving the task: it ran meanwhile"));
    }
    Ok(())
}

fn hold(task: &Task) -> Result<Option<NoExec>, Failure> {
    if task.is_current() {
        return Ok(None);
    }
    let held = task.hold_off_exec().doing("waiting for the task's exec to end")?;
    if !task.may_attach() {
        return Err(Failure::doing(EPERM, "asking for access to the task"));
    }
    if !task.is_cgroup_frozen() {
        return Err(Failure::doing(EBUSY, "looking at the task: it is not frozen any more"));
    }
    Ok(Some(held))
}

/// Waits until a frozen task is off its CPU; returns a count that changes when it runs.
fn settled(task: &Task) -> Result<u64, Failure> {
    if task.is_current() {
        return Ok(0);
    }
    task.wait_inactive()
        .ok_or(Failure::doing(EBUSY, "saving the task: it is not frozen any more"))
}
