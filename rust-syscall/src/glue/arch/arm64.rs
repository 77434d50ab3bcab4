// SPDX-License-Identifier: GPL-2.0-only

//! arm64: the note is `struct user_pt_regs`. By the time a task freezes, `do_signal` has made its
//! registers ready to restart the call and has forgotten that there was one, so the state before
//! that is put together again: then it is decided once more after the restart, by the signals
//! that are there then.

use super::{set_word, word, Interrupted, RESTART_BLOCK};
use kernel::error::{code::*, Result};
use kernel::regset::entry::set_current_syscall;
use kernel::regset::NT_PRSTATUS;
use kernel::task::Task;

const X0: usize = 0;
const X8: usize = 8;
const PC: usize = 32;
const WORDS: usize = 34;
const NO_SYSCALL: i32 = -1;
/// The most that each of THREAD's words can be: the first argument of the call that was cut short, and its
/// number.
pub(crate) const MOST: [u64; 4] = [u64::MAX, u32::MAX as u64, 0, 0];
/// ERESTARTSYS, ERESTARTNOINTR, ERESTARTNOHAND and ERESTART_RESTARTBLOCK.
const RESTARTED: [i64; 4] = [-512, -513, -514, RESTART_BLOCK];

/// Completes the general registers of a task that is being saved.
pub(crate) fn saved(task: &Task, note: &mut [u8]) -> Interrupted {
    let result = task.interrupted_result();
    if task.is_current() || !RESTARTED.contains(&result) {
        return Interrupted {
            words: [0, NO_SYSCALL as u32 as u64, 0, 0],
            ..Interrupted::default()
        };
    }
    let first_argument = word(note, X0);
    set_word(note, X0, result as u64);
    set_word(note, PC, word(note, PC).wrapping_add(4));
    Interrupted {
        by_restart_block: result == RESTART_BLOCK,
        words: [first_argument, word(note, X8) & 0xffff_ffff, 0, 0],
    }
}

/// What about the general registers cannot be carried: nothing.
pub(crate) fn obstacle(_note: &[u8]) -> Option<&'static str> {
    None
}

/// Makes the general registers those of a system call that returns 0 and is not restarted.
pub(crate) fn returns_zero(note: &mut [u8]) {
    set_word(note, X0, 0);
}

/// Sets the current task's general registers; returns what the system call has to return for its
/// result register to be as saved.
pub(crate) fn load(note: &[u8], words: [u64; 4]) -> Result<isize> {
    if note.len() != WORDS * 8 {
        return Err(EINVAL);
    }
    let general = kernel::current!()
        .regsets()
        .find(|set| set.note() == NT_PRSTATUS)
        .ok_or(ENOENT)?;
    // With a number set, the regset's `set` expects a debugger that has stopped the task.
    set_current_syscall(NO_SYSCALL, 0);
    general.set_current(note)?;
    let number = words[1] as u32 as i32;
    set_current_syscall(number, words[0]);
    Ok(word(note, X0) as isize)
}
