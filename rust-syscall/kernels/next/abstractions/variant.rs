// SPDX-License-Identifier: GPL-2.0

//! What this kernel keeps elsewhere than others do, under one name for all of them.

use crate::error::{to_result, Result};
use crate::mm::MmWithUser;
use crate::task::Task;
#[cfg(CONFIG_RSEQ)]
use crate::thread::Rseq;
use core::ffi::c_char;
use core::ptr;

pub(crate) use bindings::lock_task_sighand;
pub(crate) use pin_init::PinInit;

impl Task {
    /// Who may look into the task, whose address space is `mm`: `PR_GET_DUMPABLE`.
    pub fn dumpable(&self, _mm: &MmWithUser) -> u32 {
        // SAFETY: the task is valid, and one of a user until it is gone.
        unsafe { bindings::task_exec_state_get_dumpable(self.as_raw()) }
    }
}

impl MmWithUser {
    /// Sets who may look into the current task, whose address space this is; 0 nobody, else its user.
    pub fn set_current_dumpable(&self, by_user: bool) {
        let value = if by_user {
            bindings::task_dumpable_TASK_DUMPABLE_OWNER
        } else {
            bindings::task_dumpable_TASK_DUMPABLE_OFF
        };
        // SAFETY: acts on the current task, which is one of a user.
        unsafe { bindings::task_exec_state_set_dumpable(value) };
    }
}

/// The word that holds the first `MMF_*` bits.
///
/// # Safety
///
/// `mm` must be valid.
pub(crate) unsafe fn mm_flags(mm: *mut bindings::mm_struct) -> *mut usize {
    // SAFETY: by the function's contract.
    unsafe { ptr::addr_of_mut!((*mm).__bindgen_anon_1.flags.__mm_flags).cast() }
}

/// The number that tells a process from all others since boot: that of its inode in pidfs.
///
/// # Safety
///
/// `pid` must be valid.
pub(crate) unsafe fn pid_serial(pid: *mut bindings::pid) -> *mut u64 {
    // SAFETY: by the function's contract.
    unsafe { ptr::addr_of_mut!((*pid).__bindgen_anon_1.ino) }
}

/// Runs `f` with the lock of an `fs_struct` held.
///
/// # Safety
///
/// `fs` must be valid, its lock not held by the caller; `f` must not sleep.
pub(crate) unsafe fn with_fs_lock<R>(fs: *mut bindings::fs_struct, f: impl FnOnce() -> R) -> R {
    // SAFETY: by the function's contract. Writers are kept out, readers are not.
    unsafe { crate::fs::fdtable::locked(ptr::addr_of_mut!((*fs).seq.lock), f) }
}

/// A new object of shared memory that counts as promised, or an error pointer.
///
/// # Safety
///
/// `name` must be a C string.
pub(crate) unsafe fn shmem_kernel_file_setup(
    name: *const c_char,
    size: i64,
) -> *mut bindings::file {
    // SAFETY: by the function's contract; the name is copied.
    unsafe {
        bindings::shmem_kernel_file_setup(name.cast(), size, bindings::vma_flags_t::default())
    }
}

#[cfg(CONFIG_X86_64)]
pub(crate) use bindings::task_fpu;

/// The restartable sequences area of a thread that does not run, or of the current one.
#[cfg(CONFIG_RSEQ)]
pub(crate) fn rseq_of(task: &Task) -> Rseq {
    // SAFETY: the task is valid, and nobody but itself changes these.
    unsafe {
        let rseq = ptr::addr_of!((*task.as_raw()).rseq);
        Rseq {
            address: (*rseq).usrptr as u64,
            len: (*rseq).len,
            signature: (*rseq).sig,
        }
    }
}

/// Sets that of the current thread, which the caller has checked.
#[cfg(CONFIG_RSEQ)]
pub(crate) fn set_current_rseq(rseq: &Rseq) -> Result {
    // SAFETY: acts on the current thread, as registering does. The area is taken for untrusted
    // user memory here and on the way to user space.
    to_result(unsafe {
        bindings::rseq_replace(rseq.address as *mut bindings::rseq, rseq.len, rseq.signature)
    })
}

/// `MMF_*` bits of a process that is not to have huge pages.
pub(crate) const THP_DISABLED: u64 = 1 << bindings::MMF_DISABLE_THP_COMPLETELY
    | 1 << bindings::MMF_DISABLE_THP_EXCEPT_ADVISED;

/// The flags that new mappings get: what `mlockall(2)` leaves.
pub(crate) fn default_vma_flags(mm: &MmWithUser) -> u64 {
    // SAFETY: the mm is valid, and the field is a word that may be read at any time.
    unsafe {
        let mm = ptr::addr_of!((*mm.as_raw()).__bindgen_anon_1);
        ptr::addr_of!((*mm).__bindgen_anon_2.def_flags).read() as u64
    }
}

/// `vm.max_map_count`.
pub(crate) fn max_map_count() -> i32 {
    // SAFETY: reads a word.
    unsafe { bindings::max_map_count() }
}

/// Where a file was opened.
///
/// # Safety
///
/// `file` must be valid.
pub(crate) unsafe fn file_path(file: *mut bindings::file) -> *const bindings::path {
    // SAFETY: by the function's contract.
    unsafe { ptr::addr_of!((*file).__bindgen_anon_1.f_path) }
}

/// When an interrupted `poll(2)` ends: seconds, and nanoseconds beyond.
pub(crate) fn poll_end(block: &PollBlock) -> (i64, i64) {
    (block.end_time.tv_sec, block.end_time.tv_nsec as i64)
}

/// Sets that.
pub(crate) fn set_poll_end(block: &mut PollBlock, seconds: i64, rest: i64) {
    block.end_time.tv_sec = seconds;
    block.end_time.tv_nsec = rest as _;
}

type PollBlock = bindings::restart_block__bindgen_ty_1__bindgen_ty_3;

/// Whether a process adopts orphans below it.
///
/// # Safety
///
/// `signal` must be valid, here and below.
pub(crate) unsafe fn is_child_subreaper(signal: *mut bindings::signal_struct) -> bool {
    // SAFETY: by the function's contract.
    unsafe { (*signal).is_child_subreaper }
}

/// Sets that.
///
/// # Safety
///
/// As above.
pub(crate) unsafe fn set_is_child_subreaper(signal: *mut bindings::signal_struct, yes: bool) {
    // SAFETY: by the function's contract.
    unsafe { (*signal).is_child_subreaper = yes };
}

/// Whether a process knows of one above it.
///
/// # Safety
///
/// As above.
pub(crate) unsafe fn has_child_subreaper(signal: *mut bindings::signal_struct) -> bool {
    // SAFETY: by the function's contract.
    unsafe { (*signal).has_child_subreaper }
}

/// Has it know.
///
/// # Safety
///
/// As above.
pub(crate) unsafe fn set_has_child_subreaper(signal: *mut bindings::signal_struct) {
    // SAFETY: by the function's contract.
    unsafe { (*signal).has_child_subreaper = true };
}

/// Whether a timer runs.
pub(crate) fn is_queued(timer: &bindings::hrtimer) -> bool {
    timer.is_queued
}

/// The head of a thread's robust futexes.
///
/// # Safety
///
/// `task` must be valid.
pub(crate) unsafe fn robust_list(
    task: *mut bindings::task_struct,
) -> *mut *mut bindings::robust_list_head {
    // SAFETY: by the function's contract.
    unsafe { ptr::addr_of_mut!((*task).futex.robust_list) }
}

/// Whether the kernel reaps a process when it exits (`CLONE_AUTOREAP`).
///
/// # Safety
///
/// `signal` must be valid, here and below.
pub(crate) unsafe fn is_autoreaped(signal: *mut bindings::signal_struct) -> bool {
    // SAFETY: by the function's contract.
    unsafe { bindings::signal_struct::autoreap_raw(signal) != 0 }
}

/// Whether a process chooses the ids of its timers (PR_TIMER_CREATE_RESTORE_IDS).
///
/// # Safety
///
/// As above.
pub(crate) unsafe fn chooses_timer_ids(signal: *mut bindings::signal_struct) -> bool {
    // SAFETY: by the function's contract.
    unsafe { bindings::signal_struct::timer_create_restore_ids_raw(signal) != 0 }
}

/// Whether a task may use only some of io_uring.
#[cfg(CONFIG_IO_URING)]
pub(crate) fn has_io_uring_restriction(task: &Task) -> bool {
    // SAFETY: the task is valid, and the field is a word that may be read at any time.
    unsafe { !ptr::addr_of!((*task.as_raw()).io_uring_restrict).read().is_null() }
}

/// Whether a thread has asked for longer slices in restartable sequences.
pub(crate) fn has_rseq_slices(task: &Task) -> bool {
    #[cfg(CONFIG_RSEQ_SLICE_EXTENSION)]
    // SAFETY: the task is valid, and the field is a word that may be read at any time.
    return unsafe { ptr::addr_of!((*task.as_raw()).rseq.slice.state).read().state != 0 };
    #[cfg(not(CONFIG_RSEQ_SLICE_EXTENSION))]
    {
        let _ = task;
        false
    }
}
