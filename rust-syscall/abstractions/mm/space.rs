// SPDX-License-Identifier: GPL-2.0

//! Address spaces: what they remember about their program.
//!
//! Lock order: `mmap_lock`, then `arg_lock`.
//!
//! C header: [`include/linux/mm.h`](srctree/include/linux/mm.h).

use super::MmWithUser;
use crate::fs::File;
use crate::sync::aref::ARef;
use crate::task::Task;
use core::ptr::{self, NonNull};

/// Size of `saved_auxv`, in words, on the largest of our architectures.
pub const MAX_AUXV: usize = 64;

/// The addresses that an address space remembers about its program.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Layout {
    pub start_code: u64,
    pub end_code: u64,
    pub start_data: u64,
    pub end_data: u64,
    pub start_brk: u64,
    pub brk: u64,
    pub start_stack: u64,
    pub arg_start: u64,
    pub arg_end: u64,
    pub env_start: u64,
    pub env_end: u64,
}

impl Task {
    /// The task's address space; `None` for kernel threads and tasks that are gone.
    pub fn address_space(&self) -> Option<ARef<MmWithUser>> {
        // SAFETY: the task is valid; the result owns a count or is null.
        let mm = unsafe { bindings::get_task_mm(self.as_raw()) };
        let mm = NonNull::new(mm.cast::<MmWithUser>())?;
        // SAFETY: `get_task_mm` gave a count, which the `ARef` takes over.
        Some(unsafe { ARef::from_raw(mm) })
    }
}

impl MmWithUser {
    /// How many users the address space has; the reference held here is one of them.
    pub fn users(&self) -> i32 {
        // SAFETY: the mm is valid; this is a plain atomic read.
        unsafe { core::ptr::addr_of!((*self.as_raw()).__bindgen_anon_1.mm_users.counter).read_volatile() }
    }

    /// The program's addresses.
    pub fn layout(&self) -> Layout {
        let mm = self.as_raw();
        // SAFETY: the mm is valid; `arg_lock` covers these fields for writers, and a torn
        // set cannot be seen under it.
        unsafe {
            bindings::spin_lock(ptr::addr_of_mut!((*mm).__bindgen_anon_1.arg_lock));
            let m = &(*mm).__bindgen_anon_1;
            let layout = Layout {
                start_code: m.start_code as u64,
                end_code: m.end_code as u64,
                start_data: m.start_data as u64,
                end_data: m.end_data as u64,
                start_brk: m.start_brk as u64,
                brk: m.brk as u64,
                start_stack: m.start_stack as u64,
                arg_start: m.arg_start as u64,
                arg_end: m.arg_end as u64,
                env_start: m.env_start as u64,
                env_end: m.env_end as u64,
            };
            bindings::spin_unlock(ptr::addr_of_mut!((*mm).__bindgen_anon_1.arg_lock));
            layout
        }
    }

    /// Sets the program's addresses, which the caller has checked, and the auxiliary vector.
    pub fn set_layout(&self, layout: &Layout, auxv: &[u64]) {
        let mm = self.as_raw();
        let _guard = self.read_lock();
        // SAFETY: the mm is valid and `mmap_lock` and `arg_lock` are held as
        // `prctl(PR_SET_MM_MAP)` does; the copy stays inside the array.
        unsafe {
            bindings::spin_lock(ptr::addr_of_mut!((*mm).__bindgen_anon_1.arg_lock));
            let m = &mut (*mm).__bindgen_anon_1;
            m.start_code = layout.start_code as _;
            m.end_code = layout.end_code as _;
            m.start_data = layout.start_data as _;
            m.end_data = layout.end_data as _;
            m.start_brk = layout.start_brk as _;
            m.brk = layout.brk as _;
            m.start_stack = layout.start_stack as _;
            m.arg_start = layout.arg_start as _;
            m.arg_end = layout.arg_end as _;
            m.env_start = layout.env_start as _;
            m.env_end = layout.env_end as _;
            let last = m.saved_auxv.len().saturating_sub(2);
            for (i, word) in m.saved_auxv.iter_mut().enumerate() {
                *word = if i < last { auxv.get(i).copied().unwrap_or(0) as _ } else { 0 };
            }
            bindings::spin_unlock(ptr::addr_of_mut!((*mm).__bindgen_anon_1.arg_lock));
        }
    }

    /// Copies the auxiliary vector out; returns the number of words.
    pub fn auxv(&self, out: &mut [u64; MAX_AUXV]) -> usize {
        // SAFETY: the mm is valid; the vector is only ever written by `prctl`, and a mix of
        // old and new words harms nobody but the program that changes it meanwhile.
        let words = unsafe { &(*self.as_raw()).__bindgen_anon_1.saved_auxv };
        for (to, from) in out.iter_mut().zip(words) {
            *to = *from as u64;
        }
        words.len().min(MAX_AUXV)
    }

    /// Where the vdso is mapped; 0 if it is not.
    pub fn vdso(&self) -> u64 {
        // SAFETY: the mm is valid.
        unsafe { bindings::mm_vdso(self.as_raw()) as u64 }
    }

    /// The file that the program was started from.
    pub fn exe_file(&self) -> Option<ARef<File>> {
        // SAFETY: the mm is valid; the result owns a count or is null.
        let file = unsafe { bindings::get_mm_exe_file(self.as_raw()) };
        // SAFETY: `get_mm_exe_file` gave a count.
        (!file.is_null()).then(|| unsafe { File::from_owned(file) })
    }

    /// Makes `file` the program of the address space; `EACCES` unless the current task could
    /// execute it.
    pub fn set_exe_file(&self, file: &File) -> crate::error::Result {
        if !file.may_execute() {
            return Err(crate::error::code::EACCES);
        }
        // SAFETY: both are valid and held.
        crate::error::to_result(unsafe {
            bindings::replace_mm_exe_file(self.as_raw(), file.as_ptr())
        })
    }
}

/// The end of user addresses for the current task.
pub fn task_size() -> u64 {
    // SAFETY: reads a property of the current task.
    unsafe { bindings::task_size() as u64 }
}
