// SPDX-License-Identifier: GPL-2.0

//! The saved user registers of the kernel entry (`struct pt_regs`), for the current task and for
//! what is not in any regset.

#[cfg(CONFIG_X86_64)]
use crate::error::{code::*, to_result, Error, Result};
#[cfg(CONFIG_ARM64)]
use crate::task::Task;

#[cfg(CONFIG_ARM64)]
impl Task {
    /// The first argument of the system call that the task is in.
    pub fn first_argument(&self) -> u64 {
        // SAFETY: a user task always has these registers at the top of its kernel stack.
        unsafe { (*bindings::task_pt_regs(self.as_raw())).orig_x0 }
    }

    /// The result of the system call that a signal (or the freezer) cut short, before the
    /// registers were made ready to restart it; 0 if there is none.
    #[cfg(CONFIG_CHECKPOINT)]
    pub fn interrupted_result(&self) -> i64 {
        // SAFETY: the task is valid; it does not run, or is the current one.
        unsafe { (*self.as_raw()).thread.interrupted as i64 }
    }
}

/// Sets the part of the current task's entry registers that decides about system call restart.
#[cfg(CONFIG_ARM64)]
pub fn set_current_syscall(number: i32, first_argument: u64) {
    // SAFETY: the current task's own entry registers, which nobody else touches.
    unsafe {
        let regs = bindings::task_pt_regs(bindings::get_current());
        (*regs).orig_x0 = first_argument;
        (*regs).syscallno = number;
    }
}

/// `struct user_regs_struct`: what the general registers' note holds.
#[cfg(CONFIG_X86_64)]
#[derive(Clone, Copy, Default)]
#[allow(missing_docs)]
pub struct UserRegs {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub bp: u64,
    pub bx: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub ax: u64,
    pub cx: u64,
    pub dx: u64,
    pub si: u64,
    pub di: u64,
    pub orig_ax: u64,
    pub ip: u64,
    pub cs: u64,
    pub flags: u64,
    pub sp: u64,
    pub ss: u64,
    pub fs_base: u64,
    pub gs_base: u64,
    pub ds: u64,
    pub es: u64,
    pub fs: u64,
    pub gs: u64,
}

#[cfg(CONFIG_X86_64)]
impl UserRegs {
    /// CF PF AF ZF SF TF DF OF NT AC, as ptrace allows, RF, and ID, which any program may set.
    const USER_FLAGS: u64 = 0x0025_4dd5;
    /// IF, and the one that is always set.
    const ALWAYS: u64 = 0x202;

    /// What of these [`set_current_general`] does not take, and the error that it gives for it.
    pub fn obstacle(&self) -> Option<(&'static str, Error)> {
        let limit = crate::mm::space::task_size();
        if !self.has_usual_segments() {
            return Some(("segments that the program has loaded itself", EINVAL));
        }
        if self.flags & !(Self::USER_FLAGS | Self::ALWAYS) != 0 {
            return Some(("flags that are not the program's to set", EPERM));
        }
        if self.ip >= limit || self.sp > limit {
            return Some(("instruction or stack pointer in the kernel's half", EINVAL));
        }
        if self.fs_base >= limit || self.gs_base >= limit {
            return Some(("FS or GS base in the kernel's half", EPERM));
        }
        None
    }

    /// Whether the segments are those of a 64-bit program that has loaded none itself.
    fn has_usual_segments(&self) -> bool {
        const USER_CS: u64 = 0x33;
        const USER_DS: u64 = 0x2b;
        self.cs == USER_CS
            && self.ss == USER_DS
            && self.ds | self.es | self.fs | self.gs == 0
    }
}

/// Sets the current task's general registers: what the regset's `set` does for a stopped task, it
/// refuses (with a warning) for the current one.
///
/// Fails, with nothing set, if there is an obstacle ([`UserRegs::obstacle`]).
#[cfg(CONFIG_X86_64)]
pub fn set_current_general(new: &UserRegs) -> Result {
    // From asm/prctl.h.
    const ARCH_SET_GS: i32 = 0x1001;
    const ARCH_SET_FS: i32 = 0x1002;
    if let Some((_, error)) = new.obstacle() {
        return Err(error);
    }
    for (option, base) in
        [(ARCH_SET_FS, new.fs_base), (ARCH_SET_GS, new.gs_base)]
    {
        // SAFETY: the current task is valid; the call checks the address.
        to_result(unsafe {
            bindings::do_arch_prctl_64(bindings::get_current(), option, base as _) as i32
        })?;
    }
    // SAFETY: the current task's own entry registers, which nobody else touches. Segments keep
    // the values that a 64-bit system call enters with.
    unsafe {
        let regs = &mut *bindings::task_pt_regs(bindings::get_current());
        regs.r15 = new.r15 as _;
        regs.r14 = new.r14 as _;
        regs.r13 = new.r13 as _;
        regs.r12 = new.r12 as _;
        regs.bp = new.bp as _;
        regs.bx = new.bx as _;
        regs.r11 = new.r11 as _;
        regs.r10 = new.r10 as _;
        regs.r9 = new.r9 as _;
        regs.r8 = new.r8 as _;
        regs.ax = new.ax as _;
        regs.cx = new.cx as _;
        regs.dx = new.dx as _;
        regs.si = new.si as _;
        regs.di = new.di as _;
        regs.orig_ax = new.orig_ax as _;
        regs.ip = new.ip as _;
        regs.sp = new.sp as _;
        regs.flags = ((new.flags & UserRegs::USER_FLAGS) | UserRegs::ALWAYS) as _;
    }
    Ok(())
}
