// SPDX-License-Identifier: GPL-2.0-only

//! Registers: every regset by its note type, general registers through `arch`.

use super::arch::{self, Interrupted};
use super::failure::{Context, Failure};
use super::loader::{Loader, Record};
use super::saver::Saver;
use crate::image::header::Kind;
use crate::image::record::Regset as Body;
use kernel::alloc::{flags::GFP_KERNEL, KVVec, KVec};
use kernel::error::code::*;
use kernel::regset::{
    self, Regset, NT_ARM_HW_BREAK, NT_ARM_HW_WATCH, NT_ARM_SYSTEM_CALL, NT_PRSTATUS,
};
use kernel::sync::aref::ARef;
use kernel::task::Task;
use kernel::task_current::current_task;
use kernel::task_hold::NoThaw;

/// Debug registers belong to a debugger, not to the program; the system call number is in THREAD.
const LEFT_OUT: [u32; 3] = [NT_ARM_HW_BREAK, NT_ARM_HW_WATCH, NT_ARM_SYSTEM_CALL];

/// x86's I/O permission bitmap and shadow stack: active ones cannot be carried.
const REFUSED: [(u32, &str); 2] = [(0x201, "I/O permissions"), (0x204, "shadow stack")];

/// Saves the task's registers.
pub(crate) fn save(task: &Task, out: &mut Saver) -> Result<Interrupted, Failure> {
    let (sets, interrupted) = read_all(task)?;
    for (note, data) in &sets {
        out.put(&Body { note: *note, data })?;
    }
    Ok(interrupted)
}

/// Registers by note type.
type Sets = KVec<(u32, KVVec<u8>)>;

/// Reads all registers, of another task while it cannot be thawed: one that runs may free what is
/// being read.
fn read_all(task: &Task) -> Result<(Sets, Interrupted), Failure> {
    let _no_thaw = (!task.is_current()).then(NoThaw::begin);
    if !task.is_current() && (!task.is_cgroup_frozen() || task.wait_inactive().is_none()) {
        return Err(Failure::doing(EBUSY, "reading registers: the task is not frozen any more"));
    }
    let mut interrupted = Interrupted::default();
    let mut sets = KVec::new();
    for set in task.regsets() {
        let note = set.note();
        if let Some((_, why)) = REFUSED.iter().find(|(number, _)| *number == note) {
            if set.is_active(task) {
                return Err(Failure::refused("registers", note.into(), why));
            }
            continue;
        }
        let left_out = note == 0 || !set.is_settable() || LEFT_OUT.contains(&note);
        if left_out || !set.is_active(task) {
            continue;
        }
        let Some(mut bytes) = read(set, task)? else {
            continue;
        };
        if note == NT_PRSTATUS {
            if let Some(why) = arch::obstacle(&bytes) {
                return Err(Failure::refused("registers", note.into(), why));
            }
            interrupted = arch::saved(task, &mut bytes);
            if task.is_current() {
                arch::returns_zero(&mut bytes);
            }
        }
        sets.push((note, bytes), GFP_KERNEL)
            .doing("listing registers")?;
    }
    Ok((sets, interrupted))
}

/// The registers' bytes; `None` for those that this CPU does not have.
fn read(set: Regset, task: &Task) -> Result<Option<KVVec<u8>>, Failure> {
    let mut bytes = KVVec::new();
    bytes
        .extend_with(set.max_size(), 0, GFP_KERNEL)
        .doing("allocating room for registers")?;
    match set.get(task, &mut bytes) {
        Ok(len) => {
            bytes.truncate(len);
            Ok((len > 0).then_some(bytes))
        }
        // As in a core dump: a view lists registers that not every CPU has.
        Err(error) if error == EINVAL || error == ENODEV => Ok(None),
        Err(error) => Err(Failure::doing(error, "reading registers")),
    }
}

/// Registers that have been read but not set: the general ones, which come last.
pub(crate) struct General(Record);

/// Sets the current task's registers but for the general ones.
pub(crate) fn load(input: &mut Loader) -> Result<General, Failure> {
    let task: ARef<Task> = current_task();
    let mut general = None;
    regset::flush_current();
    while let Some(record) = input.take_if(Kind::Regset)? {
        let body: Body<'_> = record.body(input.limits)?;
        if body.note == NT_PRSTATUS {
            general = Some(record);
            continue;
        }
        // What is never saved is not taken either.
        let never = LEFT_OUT.contains(&body.note)
            || REFUSED.iter().any(|(number, _)| *number == body.note);
        let settable =
            |set: &Regset| set.note() == body.note && set.is_settable() && !never;
        task.regsets()
            .find(settable)
            .ok_or(EINVAL)
            .doing_on("finding the registers of note type", body.note.into())?
            .set_current(body.data)
            .doing_on("setting the registers of note type", body.note.into())?;
    }
    general
        .map(General)
        .ok_or(Failure::doing(EINVAL, "finding the general registers"))
}

impl General {
    /// Sets the current task's general registers; returns the system call's result.
    pub(crate) fn load(self, input: &Loader, words: [u64; 4]) -> Result<isize, Failure> {
        let body: Body<'_> = self.0.body(input.limits)?;
        arch::load(body.data, words).doing("setting the general registers")
    }
}
