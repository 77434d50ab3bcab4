// SPDX-License-Identifier: GPL-2.0

//! Attributes of a task that `prctl(2)`, `nice(2)`, `personality(2)` and /proc set.
//!
//! Setters act on the current task and ask for no privilege but where they say so.
//!
//! C headers: [`include/linux/sched.h`](srctree/include/linux/sched.h),
//! [`include/linux/sched/signal.h`](srctree/include/linux/sched/signal.h) and
//! [`include/linux/sched/coredump.h`](srctree/include/linux/sched/coredump.h).

use crate::error::{code::*, Result};
use crate::ffi::{c_int, c_ulong, c_void};
use crate::mm::MmWithUser;
use crate::task::Task;
use crate::variant;
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of a task's name with the NUL that ends it.
pub const COMM_LEN: usize = bindings::TASK_COMM_LEN as usize;

const NICE_0_PRIO: i32 = 120;
const DUMP_FILTER_MASK: u64 =
    ((1 << bindings::MMF_DUMP_FILTER_BITS) - 1) << bindings::MMF_DUMP_FILTER_SHIFT;
const NO_NEW_PRIVS: c_ulong = 1 << bindings::PFA_NO_NEW_PRIVS;

impl Task {
    /// The task's name, ended by a NUL.
    pub fn comm(&self) -> [u8; COMM_LEN] {
        let task = self.as_raw();
        // SAFETY: the task is valid; its name is always within the array. It is copied under the
        // lock that writers of 6.12 take; on later kernels a frozen task's name has no writer.
        let mut comm = unsafe {
            bindings::spin_lock(ptr::addr_of_mut!((*task).alloc_lock));
            let comm = ptr::addr_of!((*task).comm).cast::<[u8; COMM_LEN]>().read();
            bindings::spin_unlock(ptr::addr_of_mut!((*task).alloc_lock));
            comm
        };
        // What follows the name is a longer one's rest.
        let mut ended = false;
        for byte in comm.iter_mut() {
            ended |= *byte == 0;
            if ended {
                *byte = 0;
            }
        }
        comm
    }

    /// The signal that the parent gets when the task exits; 0 for none.
    pub fn exit_signal(&self) -> i32 {
        // SAFETY: the task is valid; this is a word.
        unsafe { (*self.as_raw()).exit_signal }
    }

    /// The signal that the task gets when its parent exits; 0 for none.
    pub fn pdeath_signal(&self) -> i32 {
        // SAFETY: as above.
        unsafe { (*self.as_raw()).pdeath_signal }
    }

    /// The execution domain, as `personality(2)` shows it.
    pub fn personality(&self) -> u32 {
        // SAFETY: as above.
        unsafe { (*self.as_raw()).personality }
    }

    /// Whether `execve` can give the task no privileges.
    pub fn no_new_privs(&self) -> bool {
        // SAFETY: as above.
        unsafe { (*self.as_raw()).atomic_flags & NO_NEW_PRIVS != 0 }
    }

    /// Whether the task adopts orphans below it.
    pub fn is_child_subreaper(&self) -> bool {
        // SAFETY: a task keeps its `signal_struct` for as long as it is referenced.
        unsafe { variant::is_child_subreaper((*self.as_raw()).signal) }
    }

    /// The nice value.
    pub fn nice(&self) -> i32 {
        // SAFETY: the task is valid; this is a word.
        unsafe { (*self.as_raw()).static_prio - NICE_0_PRIO }
    }

    /// How much the out-of-memory killer likes the task.
    pub fn oom_score_adj(&self) -> i16 {
        // SAFETY: a task keeps its `signal_struct` for as long as it is referenced.
        unsafe { (*(*self.as_raw()).signal).oom_score_adj }
    }

    /// By how many nanoseconds timers of the task may be late.
    pub fn timer_slack_ns(&self) -> u64 {
        // SAFETY: the task is valid; this is a word.
        unsafe { (*self.as_raw()).timer_slack_ns }
    }

    /// What `PR_SET_TIMERSLACK` with 0 makes that.
    pub fn default_timer_slack_ns(&self) -> u64 {
        // SAFETY: the task is valid; this is a word.
        unsafe { (*self.as_raw()).default_timer_slack_ns }
    }
}

impl MmWithUser {
    /// Which mappings a core dump has: `MMF_DUMP_*`, as /proc shows them.
    pub fn dump_filter(&self) -> u64 {
        (self.flags() & DUMP_FILTER_MASK) >> bindings::MMF_DUMP_FILTER_SHIFT
    }

    /// Sets which mappings a core dump has; other bits of `filter` are ignored.
    pub fn set_dump_filter(&self, filter: u64) {
        const MASK: usize = DUMP_FILTER_MASK as usize;
        let new = (filter as usize) << bindings::MMF_DUMP_FILTER_SHIFT & MASK;
        // SAFETY: the mm is valid, and its flags are a word that is only changed atomically.
        let flags = unsafe { AtomicUsize::from_ptr(variant::mm_flags(self.as_raw())) };
        flags.fetch_and(!MASK | new, Ordering::SeqCst);
        flags.fetch_or(new, Ordering::SeqCst);
    }
}

/// Sets the current task's name; it is cut at the first NUL.
pub fn set_current_comm(comm: &[u8; COMM_LEN]) {
    let mut ended = *comm;
    if let Some(last) = ended.last_mut() {
        *last = 0;
    }
    // SAFETY: the name is ended by a NUL, and is copied.
    unsafe { bindings::__set_task_comm(bindings::get_current(), ended.as_ptr().cast(), false) };
}

/// Sets the signal that the current task's parent gets when it exits. The caller has checked that
/// it is one that may be sent there.
pub fn set_current_exit_signal(signo: i32) {
    // SAFETY: the current task's own field, a word.
    unsafe { (*bindings::get_current()).exit_signal = signo };
}

/// Sets the signal that the current task gets when its parent exits.
pub fn set_current_pdeath_signal(signo: i32) {
    // SAFETY: the current task's own field, a word.
    unsafe { (*bindings::get_current()).pdeath_signal = signo };
}

/// Whether this machine has the execution domain; `EINVAL` if not.
pub fn check_personality(personality: u32) -> Result {
    let domain = personality & bindings::PER_MASK as u32;
    if cfg!(CONFIG_ARM64) && domain == bindings::PER_LINUX32 as u32 {
        return Err(EINVAL);
    }
    Ok(())
}

/// Sets the current task's execution domain, which [`check_personality`] has found good.
pub fn set_current_personality(personality: u32) {
    // SAFETY: the current task's own field, a word.
    unsafe { (*bindings::get_current()).personality = personality };
}

/// Sets the current task's nice value, -20 to 19. `EACCES` for more than RLIMIT_NICE allows
/// without CAP_SYS_NICE.
pub fn set_current_nice(nice: i32) -> Result {
    let now = crate::current!().nice();
    if !(-20..=19).contains(&nice) {
        return Err(EINVAL);
    }
    // SAFETY: the current task is valid; `can_nice` asks for the privilege.
    unsafe {
        let task = bindings::get_current();
        if nice < now && bindings::can_nice(task, nice) == 0 {
            return Err(EACCES);
        }
        if nice != now {
            bindings::set_user_nice(task, nice as _);
        }
    }
    Ok(())
}

/// Sets how much the out-of-memory killer likes the current process, -1000 to 1000. `EACCES` for
/// less than its least value without CAP_SYS_RESOURCE.
pub fn set_current_oom_score_adj(adj: i32) -> Result {
    if !(-1000..=1000).contains(&adj) {
        return Err(EINVAL);
    }
    // SAFETY: the current process's own words; `capable` asks for the privilege.
    unsafe {
        let signal = (*bindings::get_current()).signal;
        if adj < i32::from((*signal).oom_score_adj_min)
            && !bindings::capable(bindings::CAP_SYS_RESOURCE as c_int)
        {
            return Err(EACCES);
        }
        (*signal).oom_score_adj = adj as i16;
    }
    Ok(())
}

/// Sets by how many nanoseconds the current task's timers may be late, and what that becomes when
/// the task gives up its wish.
pub fn set_current_timer_slack_ns(slack: u64, default: u64) {
    // SAFETY: the current task's own fields, words.
    unsafe {
        let task = bindings::get_current();
        (*task).timer_slack_ns = slack;
        (*task).default_timer_slack_ns = default;
    }
}

/// Sees to it that `execve` can never again give the current task privileges.
pub fn set_current_no_new_privs() {
    // SAFETY: sets a bit of the current task's word of atomic flags, which is live and aligned.
    unsafe {
        let flags = ptr::addr_of_mut!((*bindings::get_current()).atomic_flags);
        AtomicUsize::from_ptr(flags.cast()).fetch_or(NO_NEW_PRIVS as usize, Ordering::SeqCst);
    }
}

/// Makes the current process adopt orphans below it, or not: `PR_SET_CHILD_SUBREAPER`.
pub fn set_current_child_subreaper(yes: bool) {
    // SAFETY: the current process's own bit, of which only itself changes the neighbours, or
    // its parents under `tasklist_lock`, before it has a say itself.
    unsafe {
        let task = bindings::get_current();
        variant::set_is_child_subreaper((*task).signal, yes);
        if yes {
            bindings::walk_process_tree(task, Some(announce_subreaper), ptr::null_mut());
        }
    }
}

/// Tells one process that there is a subreaper above it; 1 to go on with its children.
unsafe extern "C" fn announce_subreaper(task: *mut bindings::task_struct, _: *mut c_void) -> c_int {
    // SAFETY: `walk_process_tree` calls this under `tasklist_lock` with valid tasks, which keep
    // their pid under it.
    unsafe {
        let pid = (*task).thread_pid;
        let level = (*pid).level as usize;
        let numbers = ptr::addr_of!((*pid).numbers).cast::<bindings::upid>();
        let is_init = (*numbers.add(level)).nr == 1;
        let signal = (*task).signal;
        if is_init || variant::has_child_subreaper(signal) {
            return 0;
        }
        variant::set_has_child_subreaper(signal);
    }
    1
}
