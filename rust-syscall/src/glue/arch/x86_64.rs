// SPDX-License-Identifier: GPL-2.0-only

//! x86_64: the note is `struct user_regs_struct`, and says all about an interrupted call: `ax`
//! its result, `orig_ax` its number.

use super::{set_word, word, Interrupted, RESTART_BLOCK};
use kernel::error::Result;
use kernel::regset::entry::{set_current_general, UserRegs};
use kernel::task::Task;

const AX: usize = 10;
const ORIG_AX: usize = 15;
const WORDS: usize = 27;

/// The most that each of THREAD's words can be: there are none.
pub(crate) const MOST: [u64; 4] = [0; 4];

/// Completes the general registers of a task that is being saved.
pub(crate) fn saved(_task: &Task, note: &mut [u8]) -> Interrupted {
    let in_call = word(note, ORIG_AX) as i64 != -1;
    Interrupted {
        by_restart_block: in_call && word(note, AX) as i64 == RESTART_BLOCK,
        words: [0; 4],
    }
}

/// What about the general registers cannot be carried.
pub(crate) fn obstacle(note: &[u8]) -> Option<&'static str> {
    user_regs(note).obstacle().map(|(why, _)| why)
}

/// Makes the general registers those of a system call that returns 0 and is not restarted.
pub(crate) fn returns_zero(note: &mut [u8]) {
    set_word(note, AX, 0);
    set_word(note, ORIG_AX, u64::MAX);
}

/// Sets the current task's general registers; returns what the system call has to return for its
/// result register to be as saved.
pub(crate) fn load(note: &[u8], _words: [u64; 4]) -> Result<isize> {
    if note.len() != WORDS * 8 {
        return Err(kernel::error::code::EINVAL);
    }
    set_current_general(&user_regs(note))?;
    Ok(word(note, AX) as isize)
}

/// What a note says.
fn user_regs(note: &[u8]) -> UserRegs {
    let w = |index| word(note, index);
    UserRegs {
        r15: w(0),
        r14: w(1),
        r13: w(2),
        r12: w(3),
        bp: w(4),
        bx: w(5),
        r11: w(6),
        r10: w(7),
        r9: w(8),
        r8: w(9),
        ax: w(AX),
        cx: w(11),
        dx: w(12),
        si: w(13),
        di: w(14),
        orig_ax: w(ORIG_AX),
        ip: w(16),
        cs: w(17),
        flags: w(18),
        sp: w(19),
        ss: w(20),
        fs_base: w(21),
        gs_base: w(22),
        ds: w(23),
        es: w(24),
        fs: w(25),
        gs: w(26),
    }
}
