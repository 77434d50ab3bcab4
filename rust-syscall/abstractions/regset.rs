// SPDX-License-Identifier: GPL-2.0

//! Register sets: a task's user registers by ELF note type.
//!
//! C header: [`include/linux/regset.h`](srctree/include/linux/regset.h).

use crate::error::{code::*, to_result, Error, Result};
use crate::task::Task;
use core::ffi::c_void;
use core::ptr;

/// Note type of the general registers, on both architectures.
pub const NT_PRSTATUS: u32 = bindings::NT_PRSTATUS;
/// Note type of x86's extended registers.
#[cfg(CONFIG_X86_64)]
const NT_X86_XSTATE: u32 = 0x202;
/// Note type of arm64's system call number.
pub const NT_ARM_SYSTEM_CALL: u32 = 0x404;
/// Note types of arm64's hardware break- and watchpoints.
pub const NT_ARM_HW_BREAK: u32 = 0x402;
/// See [`NT_ARM_HW_BREAK`].
pub const NT_ARM_HW_WATCH: u32 = 0x403;

/// One kind of registers.
#[derive(Clone, Copy)]
pub struct Regset(&'static bindings::user_regset);

impl Task {
    /// The ELF machine number of the task's program.
    pub fn elf_machine(&self) -> u16 {
        self.view().e_machine
    }

    /// All kinds of registers that the task's architecture has.
    pub fn regsets(&self) -> impl Iterator<Item = Regset> {
        let view = self.view();
        // SAFETY: a view is constant and its array has `n` elements.
        unsafe { core::slice::from_raw_parts(view.regsets, view.n as usize) }.iter().map(Regset)
    }

    fn view(&self) -> &'static bindings::user_regset_view {
        // SAFETY: the task is valid; views are constants.
        unsafe { &*bindings::task_user_regset_view(self.as_raw()) }
    }
}

impl Regset {
    /// The ELF note type, by which images know it; 0 for one that has none.
    pub fn note(self) -> u32 {
        self.0.core_note_type
    }

    /// Whether the registers can be set.
    pub fn is_settable(self) -> bool {
        self.0.set.is_some()
    }

    /// Bytes at the most.
    pub fn max_size(self) -> usize {
        self.0.n as usize * self.0.size as usize
    }

    /// Whether the task has anything in them.
    pub fn is_active(self, task: &Task) -> bool {
        // SAFETY: the task is valid, and the function belongs to this regset.
        self.0.active.map_or(true, |active| unsafe { active(task.as_raw(), self.0) > 0 })
    }

    /// Reads the registers of a task that does not run, or of the current one; returns the length.
    pub fn get(self, task: &Task, out: &mut [u8]) -> Result<usize> {
        // SAFETY: the task is valid, and the buffer is as long as stated.
        let n = unsafe {
            bindings::regset_get(task.as_raw(), self.0, out.len() as u32, out.as_mut_ptr().cast())
        };
        let len = usize::try_from(n).map_err(|_| Error::from_errno(n))?;
        #[cfg(CONFIG_X86_64)]
        if self.note() == NT_X86_XSTATE {
            protection_keys::save(task, &mut out[..len])?;
        }
        Ok(len)
    }

    /// Whether so many bytes are whole registers, and no more than there are: what the kernel's own
    /// callers see to, and many a `set` relies on.
    fn takes(self, len: usize) -> bool {
        let size = self.0.size as usize;
        len > 0 && len <= self.max_size() && size > 0 && len % size == 0
    }

    /// Sets the registers of the current task, whose live ones have been put out of the way by
    /// [`flush_current`]. `EINVAL` if the bytes are not whole registers, or more than there are.
    pub fn set_current(self, bytes: &[u8]) -> Result {
        let set = self.0.set.ok_or(EINVAL)?;
        #[cfg(CONFIG_X86_64)]
        let longer = match self.note() {
            NT_X86_XSTATE => xstate::lengthened(bytes, self.max_size())?,
            _ => None,
        };
        #[cfg(CONFIG_X86_64)]
        let bytes = longer.as_deref().unwrap_or(bytes);
        if !self.takes(bytes.len()) {
            return Err(EINVAL);
        }
        let live = is_live(self.note());
        // SAFETY: `set` belongs to this regset, the length is one that it takes, the current task is
        // valid. For registers that live in the CPU also in the kernel, preemption is off
        // until they are loaded, or a switch would save the old ones over the new; their
        // `set` only copies.
        let ret = unsafe {
            if live {
                bindings::preempt_disable();
            }
            let ret = set(
                bindings::get_current(),
                self.0,
                0,
                bytes.len() as u32,
                bytes.as_ptr().cast::<c_void>(),
                ptr::null(),
            );
            if live {
                bindings::regset_load_live(self.note());
                bindings::preempt_enable();
            }
            ret
        };
        to_result(ret)?;
        #[cfg(CONFIG_X86_64)]
        if self.note() == NT_X86_XSTATE {
            protection_keys::load();
        }
        Ok(())
    }
}

// NT_ARM_TLS, NT_ARM_PACA_KEYS and NT_ARM_PACG_KEYS.
fn is_live(note: u32) -> bool {
    cfg!(CONFIG_ARM64) && matches!(note, 0x401 | 0x407 | 0x408)
}

/// Drops the current task's live floating point, vector and TLS registers, as exec does.
pub fn flush_current() {
    // SAFETY: always allowed for the current task in a system call.
    unsafe { bindings::flush_thread() };
}

/// The words that say which instruction set extensions programs can see here.
pub fn cpu_features(words: &mut [u64; 32]) -> usize {
    // SAFETY: there is room for more words than any architecture fills in.
    unsafe { bindings::cpu_features(words.as_mut_ptr()) as usize }
}

#[cfg(CONFIG_X86_64)]
mod protection_keys;
#[cfg(CONFIG_X86_64)]
mod xstate;

/// The registers at the entry to the kernel, arch by arch: what no regset can do to the current task.
pub mod entry;
