// SPDX-License-Identifier: GPL-2.0

//! What this kernel keeps elsewhere than others do, under one name for all of them.

use crate::error::Result;
use crate::fs::fdtable::locked;
use crate::mm::MmWithUser;
use crate::task::Task;
#[cfg(CONFIG_RSEQ)]
use crate::thread::Rseq;
use core::ffi::c_char;
use core::ptr;

pub(crate) use crate::init::PinInit;
pub(crate) use bindings::__lock_task_sighand as lock_task_sighand;

impl Task {
    /// Who may look into the task, whose address space is `mm`: `PR_GET_DUMPABLE`.
    pub fn dumpable(&self, mm: &MmWithUser) -> u32 {
        (mm.flags() & bindings::MMF_DUMPABLE_MASK as u64) as u32
    }
}

impl MmWithUser {
    /// Sets who may look into the current task, whose address space this is; 0 nobody, else its user.
    pub fn set_current_dumpable(&self, by_user: bool) {
        // SAFETY: the mm is valid, and both values are allowed.
        unsafe { bindings::set_dumpable(self.as_raw(), i32::from(by_user)) };
    }
}

/// The word that holds the first `MMF_*` bits.
///
/// # Safety
///
/// `mm` must be valid.
pub(crate) unsafe fn mm_flags(mm: *mut bindings::mm_struct) -> *mut usize {
    // SAFETY: by the function's contract.
    unsafe { ptr::addr_of_mut!((*mm).__bindgen_anon_1.flags) }
}

/// The number that tells a process from all others since boot: that of its inode in pidfs.
///
/// # Safety
///
/// `pid` must be valid.
pub(crate) unsafe fn pid_serial(pid: *mut bindings::pid) -> *mut u64 {
    // SAFETY: by the function's contract.
    unsafe { ptr::addr_of_mut!((*pid).ino) }
}

/// Runs `f` with the lock of an `fs_struct` held.
///
/// # Safety
///
/// `fs` must be valid, its lock not held by the caller; `f` must not sleep.
pub(crate) unsafe fn with_fs_lock<R>(fs: *mut bindings::fs_struct, f: impl FnOnce() -> R) -> R {
    // SAFETY: by the function's contract.
    unsafe { locked(ptr::addr_of_mut!((*fs).lock), f) }
}

/// A new object of shared memory that counts as promised, or an error pointer.
///
/// # Safety
///
/// `name` must be a C string.
pub(crate) unsafe fn shmem_kernel_file_setup(name: *const c_char, size: i64) -> *mut bindings::file {
    // SAFETY: by the function's contract; the name is copied.
    unsafe { bindings::shmem_kernel_file_setup(name.cast(), size, 0) }
}

/// Where a task's floating point and vector registers are kept.
///
/// # Safety
///
/// `task` must be valid.
#[cfg(CONFIG_X86_64)]
pub(crate) unsafe fn task_fpu(task: *mut bindings::task_struct) -> *mut bindings::fpu {
    // SAFETY: by the function's contract.
    unsafe { ptr::addr_of_mut!((*task).thread.fpu) }
}

/// The restartable sequences area of a thread that does not run, or of the current one.
#[cfg(CONFIG_RSEQ)]
pub(crate) fn rseq_of(task: &Task) -> Rseq {
    let task = task.as_raw();
    // SAFETY: the task is valid, and nobody but itself changes these.
    unsafe {
        Rseq {
            address: (*task).rseq as u64,
            len: (*task).rseq_len,
            signature: (*task).rseq_sig,
        }
    }
}

/// Sets that of the current thread, which the caller has checked.
#[cfg(CONFIG_RSEQ)]
pub(crate) fn set_current_rseq(rseq: &Rseq) -> Result {
    // SAFETY: the current task's own fields, which the kernel uses on its way to user space only.
    // The area is taken for untrusted user memory there.
    unsafe {
        let task = bindings::get_current();
        (*task).rseq = rseq.address as *mut bindings::rseq;
        (*task).rseq_len = rseq.len;
        (*task).rseq_sig = rseq.signature;
        bindings::rseq_preempt();
    }
    Ok(())
}

/// `MMF_*` bits of a process that is not to have huge pages.
pub(crate) const THP_DISABLED: u64 = 1 << bindings::MMF_DISABLE_THP;

/// The flags that new mappings get: what `mlockall(2)` leaves.
pub(crate) fn default_vma_flags(mm: &MmWithUser) -> u64 {
    // SAFETY: the mm is valid, and the field is a word that may be read at any time.
    unsafe { ptr::addr_of!((*mm.as_raw()).__bindgen_anon_1.def_flags).read() as u64 }
}

/// `vm.max_map_count`.
pub(crate) fn max_map_count() -> i32 {
    // SAFETY: a word that may be read at any time.
    unsafe { ptr::addr_of!(bindings::sysctl_max_map_count).read_volatile() }
}

/// Where a file was opened.
///
/// # Safety
///
/// `file` must be valid.
pub(crate) unsafe fn file_path(file: *mut bindings::file) -> *const bindings::path {
    // SAFETY: by the function's contract.
    unsafe { ptr::addr_of!((*file).f_path) }
}

/// When an interrupted `poll(2)` ends: seconds, and nanoseconds beyond.
pub(crate) fn poll_end(block: &PollBlock) -> (i64, i64) {
    let word = |word| i64::try_from(word).unwrap_or(i64::MAX);
    (word(block.tv_sec), word(block.tv_nsec))
}

/// Sets that.
pub(crate) fn set_poll_end(block: &mut PollBlock, seconds: i64, rest: i64) {
    block.tv_sec = seconds as _;
    block.tv_nsec = rest as _;
}

type PollBlock = bindings::restart_block__bindgen_ty_1__bindgen_ty_3;

/// Whether a process adopts orphans below it.
///
/// # Safety
///
/// `signal` must be valid, here and below.
pub(crate) unsafe fn is_child_subreaper(signal: *mut bindings::signal_struct) -> bool {
    // SAFETY: by the function's contract.
    unsafe { bindings::signal_struct::is_child_subreaper_raw(signal) != 0 }
}

/// Sets that.
///
/// # Safety
///
/// As above.
pub(crate) unsafe fn set_is_child_subreaper(signal: *mut bindings::signal_struct, yes: bool) {
    // SAFETY: by the function's contract.
    unsafe { bindings::signal_struct::set_is_child_subreaper_raw(signal, u32::from(yes)) };
}

/// Whether a process knows of one above it.
///
/// # Safety
///
/// As above.
pub(crate) unsafe fn has_child_subreaper(signal: *mut bindings::signal_struct) -> bool {
    // SAFETY: by the function's contract.
    unsafe { bindings::signal_struct::has_child_subreaper_raw(signal) != 0 }
}

/// Has it know.
///
/// # Safety
///
/// As above.
pub(crate) unsafe fn set_has_child_subreaper(signal: *mut bindings::signal_struct) {
    // SAFETY: by the function's contract.
    unsafe { bindings::signal_struct::set_has_child_subreaper_raw(signal, 1) };
}

/// Whether a timer runs.
pub(crate) fn is_queued(timer: &bindings::hrtimer) -> bool {
    timer.state != 0
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
    unsafe { ptr::addr_of_mut!((*task).robust_list) }
}

/// Whether the kernel reaps a process when it exits; here it never does.
///
/// # Safety
///
/// None, here and below: later kernels look at `signal`.
pub(crate) unsafe fn is_autoreaped(_signal: *mut bindings::signal_struct) -> bool {
    false
}

/// Whether a process chooses the ids of its timers; here it cannot.
///
/// # Safety
///
/// As above.
pub(crate) unsafe fn chooses_timer_ids(_signal: *mut bindings::signal_struct) -> bool {
    false
}

/// Whether a task may use only some of io_uring; here there is no such thing.
#[cfg(CONFIG_IO_URING)]
pub(crate) fn has_io_uring_restriction(_task: &Task) -> bool {
    false
}

/// Whether a thread has asked for longer slices in restartable sequences; here it cannot.
pub(crate) fn has_rseq_slices(_task: &Task) -> bool {
    false
}
