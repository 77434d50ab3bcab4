// SPDX-License-Identifier: GPL-2.0

//! What a thread's C library has told the kernel about it: addresses that the kernel writes or
//! reads when the thread exits, and its restartable sequences area.
//!
//! C headers: [`include/linux/sched.h`](srctree/include/linux/sched.h) and
//! [`include/linux/rseq.h`](srctree/include/linux/rseq.h).

use crate::error::{code::*, Result};
use crate::task::Task;
use crate::variant;

/// Bytes of the head of a robust futex list, the only length that the kernel takes.
pub const ROBUST_LIST_LEN: u64 = core::mem::size_of::<bindings::robust_list_head>() as u64;

/// User addresses of a thread; 0 for none. The kernel checks each when it uses it.
#[derive(Clone, Copy, Default)]
#[allow(missing_docs)]
pub struct Pointers {
    pub set_child_tid: u64,
    pub clear_child_tid: u64,
    pub robust_list: u64,
}

/// A restartable sequences area; an address of 0 is none.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Rseq {
    /// Its address.
    pub address: u64,
    /// Its bytes.
    pub len: u32,
    /// What stands in front of abort handlers.
    pub signature: u32,
}

impl Task {
    /// The addresses that the thread has given. It must not run, or be the current one.
    pub fn thread_pointers(&self) -> Pointers {
        let task = self.as_raw();
        // SAFETY: the task is valid; each is a word.
        unsafe {
            Pointers {
                set_child_tid: (*task).set_child_tid as u64,
                clear_child_tid: (*task).clear_child_tid as u64,
                robust_list: *variant::robust_list(task) as u64,
            }
        }
    }

    /// The thread's restartable sequences area. It must not run, or be the current one.
    pub fn rseq(&self) -> Rseq {
        #[cfg(CONFIG_RSEQ)]
        return variant::rseq_of(self);
        #[cfg(not(CONFIG_RSEQ))]
        Rseq::default()
    }
}

/// Sets the current thread's addresses.
pub fn set_current_pointers(pointers: &Pointers) {
    // SAFETY: the current task's own fields; the kernel takes them for untrusted user addresses.
    unsafe {
        let task = bindings::get_current();
        (*task).set_child_tid = pointers.set_child_tid as *mut i32;
        (*task).clear_child_tid = pointers.clear_child_tid as *mut i32;
        *variant::robust_list(task) = pointers.robust_list as *mut bindings::robust_list_head;
    }
}

/// Puts `rseq` in the place of the current thread's restartable sequences area, without touching
/// what the program has in either; the memory of the new one has to be there. The area is brought up to date, and a sequence that the thread is in is
/// aborted, on the way back to user space.
///
/// The rules are those of `rseq(2)`: `EINVAL` for a wrong length or alignment, `EFAULT` for an
/// address that is no user address, `ENOEXEC` if the kernel has none.
#[cfg(CONFIG_RSEQ)]
pub fn set_current_rseq(rseq: &Rseq) -> Result {
    const ORIGINAL_LEN: u32 = 32;
    const FEATURES_END: u32 = core::mem::offset_of!(bindings::rseq, end) as u32;
    const ALIGN: u64 = FEATURES_END.next_power_of_two() as u64;
    if rseq.address == 0 {
        if *rseq != Rseq::default() {
            return Err(EINVAL);
        }
    } else {
        let align = if rseq.len == ORIGINAL_LEN {
            ORIGINAL_LEN as u64
        } else {
            ALIGN
        };
        let too_short = rseq.len < ORIGINAL_LEN.max(FEATURES_END);
        if rseq.len != ORIGINAL_LEN && too_short || rseq.address % align != 0 {
            return Err(EINVAL);
        }
        let end = rseq.address.checked_add(u64::from(rseq.len));
        if !end.is_some_and(|end| end <= crate::mm::space::task_size()) {
            return Err(EFAULT);
        }
    }
    variant::set_current_rseq(rseq)
}

/// As above, for a kernel without restartable sequences.
#[cfg(not(CONFIG_RSEQ))]
pub fn set_current_rseq(rseq: &Rseq) -> Result {
    if *rseq == Rseq::default() {
        Ok(())
    } else {
        Err(ENOEXEC)
    }
}
