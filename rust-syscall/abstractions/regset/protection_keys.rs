// SPDX-License-Identifier: GPL-2.0

//! Rights by protection key: the one part of x86's extended registers that lives in the CPU also in
//! the kernel. A task that does not run has them in `thread.pkru`, whatever its saved state says.

use crate::error::{code::*, Result};
use crate::task::Task;
use crate::variant;
use core::arch::asm;
use core::ffi::c_int;
use core::ptr;

/// Their number among the extended registers.
const PKRU: u32 = bindings::xfeature_XFEATURE_PKRU;
/// Where the standard format says which registers are not as after a reset.
const XSTATE_BV: usize = 512;

/// Whether this machine has them, and the kernel uses them.
fn are_there() -> bool {
    // SAFETY: written once, at boot.
    let features = unsafe { ptr::addr_of!(bindings::fpu_kernel_cfg.max_features).read() };
    features & 1 << PKRU != 0
}

/// The rights of a task that does not run, or of the current one.
fn rights_of(task: &Task) -> u32 {
    if !task.is_current() {
        // SAFETY: the task is valid, and a switch away from it has written this.
        return unsafe { ptr::addr_of!((*task.as_raw()).thread.pkru).read() };
    }
    let rights;
    // SAFETY: the register is there ([`are_there`]), and reading it does nothing else.
    unsafe { asm!("rdpkru", in("ecx") 0, out("eax") rights, out("edx") _, options(nomem, nostack)) };
    rights
}

/// Puts a task's rights into its extended registers, which are in XSAVE's standard format. The regset's
/// `get` has taken them from `thread.pkru`, which is of the last switch, and has left them out where
/// the saved state calls them as after a reset: that was true when it was saved.
pub(super) fn save(task: &Task, registers: &mut [u8]) -> Result {
    if !are_there() {
        return Ok(());
    }
    let at = super::xstate::place(PKRU).start;
    let bit = PKRU as usize;
    *registers.get_mut(XSTATE_BV + bit / 8).ok_or(EINVAL)? |= 1 << (bit % 8);
    let place = registers.get_mut(at..at + 4).ok_or(EINVAL)?;
    place.copy_from_slice(&rights_of(task).to_le_bytes());
    Ok(())
}

/// Puts the rights into the CPU that the regset's `set` has put into the current task's saved state. They
/// are not taken from `thread.pkru`, where they are as well: `set` may sleep, and a switch after it puts
/// those of the CPU there.
pub(super) fn load() {
    if !are_there() {
        return;
    }
    // SAFETY: the current task is valid. `flush_current` has set TIF_NEED_FPU_LOAD, which only the
    // return to user space clears: until then nothing writes the saved state but `set`. It begins
    // with what XSAVE writes, where the rights are asked for only if this machine has them.
    unsafe {
        let fpu = variant::task_fpu(bindings::get_current());
        let saved = ptr::addr_of_mut!((*(*fpu).fpstate).regs);
        let rights = bindings::get_xsave_addr(saved.cast(), PKRU as c_int).cast::<u32>();
        // What is not saved is as after a reset: every access is allowed.
        bindings::write_pkru(if rights.is_null() { 0 } else { rights.read() });
    }
}
