// SPDX-License-Identifier: GPL-2.0

//! Which facilities of the kernel a task uses, as far as they leave a trace in it.

#[cfg(CONFIG_X86_64)]
use crate::pid::TasklistGuard;
use crate::task::Task;
use crate::variant;
use core::ptr;

/// `PFA_SPEC_*`: mitigations of speculation, by `prctl`.
const SPECULATION: u64 = 1 << bindings::PFA_SPEC_SSB_DISABLE
    | 1 << bindings::PFA_SPEC_SSB_FORCE_DISABLE
    | 1 << bindings::PFA_SPEC_IB_DISABLE
    | 1 << bindings::PFA_SPEC_IB_FORCE_DISABLE
    | 1 << bindings::PFA_SPEC_SSB_NOEXEC;

impl Task {
    /// Whether the task is confined by seccomp.
    pub fn has_seccomp(&self) -> bool {
        #[cfg(CONFIG_SECCOMP)]
        return field!(self, seccomp.mode) != 0;
        #[cfg(not(CONFIG_SECCOMP))]
        false
    }

    /// Whether the process has timers by `timer_create`.
    pub fn has_posix_timers(&self) -> bool {
        #[cfg(CONFIG_POSIX_TIMERS)]
        return !signal_field!(self, posix_timers.first).is_null();
        #[cfg(not(CONFIG_POSIX_TIMERS))]
        false
    }

    /// Whether the process chooses the ids of its timers (PR_TIMER_CREATE_RESTORE_IDS).
    pub fn chooses_timer_ids(&self) -> bool {
        // SAFETY: a task keeps its `signal_struct` for as long as it is referenced.
        unsafe { variant::chooses_timer_ids((*self.as_raw()).signal) }
    }

    /// Whether nobody is to wait for the process: the kernel reaps it when it exits.
    pub fn is_autoreaped(&self) -> bool {
        // SAFETY: as above.
        unsafe { variant::is_autoreaped((*self.as_raw()).signal) }
    }

    /// Whether the thread has asked for longer slices in restartable sequences.
    pub fn has_rseq_slices(&self) -> bool {
        variant::has_rseq_slices(self)
    }

    /// Whether an interval timer (`alarm`, `setitimer`) of the process is armed.
    pub fn has_interval_timers(&self) -> bool {
        #[cfg(CONFIG_POSIX_TIMERS)]
        {
            let cpu = signal_field!(self, it);
            variant::is_queued(&signal_field!(self, real_timer))
                || signal_field!(self, it_real_incr) != 0
                || cpu
                    .iter()
                    .any(|timer| timer.expires != 0 || timer.incr != 0)
        }
        #[cfg(not(CONFIG_POSIX_TIMERS))]
        false
    }

    /// Whether the task has used io_uring.
    pub fn has_io_uring(&self) -> bool {
        #[cfg(CONFIG_IO_URING)]
        return !field!(self, io_uring).is_null() || variant::has_io_uring_restriction(self);
        #[cfg(not(CONFIG_IO_URING))]
        false
    }

    /// Whether the task has System V semaphore adjustments to undo.
    pub fn has_semaphore_undo(&self) -> bool {
        #[cfg(CONFIG_SYSVIPC)]
        return !field!(self, sysvsem.undo_list).is_null();
        #[cfg(not(CONFIG_SYSVIPC))]
        false
    }

    /// Whether the process has a controlling terminal.
    pub fn has_tty(&self) -> bool {
        !signal_field!(self, tty).is_null()
    }

    /// Whether performance events count the task.
    pub fn has_perf_events(&self) -> bool {
        #[cfg(CONFIG_PERF_EVENTS)]
        return !field!(self, perf_event_ctxp).is_null();
        #[cfg(not(CONFIG_PERF_EVENTS))]
        false
    }

    /// Whether the task has hit user-space probes.
    pub fn has_uprobes(&self) -> bool {
        #[cfg(CONFIG_UPROBES)]
        return !field!(self, utask).is_null();
        #[cfg(not(CONFIG_UPROBES))]
        false
    }

    /// Whether the task is scheduled by any policy but SCHED_OTHER, or has set anything else
    /// about its scheduling but its nice value.
    pub fn has_special_scheduling(&self) -> bool {
        let task = self.as_raw();
        // SAFETY: the task is valid.
        let resets = unsafe { bindings::task_struct::sched_reset_on_fork_raw(task) != 0 };
        #[cfg(CONFIG_UCLAMP_TASK)]
        {
            let clamps = field!(self, uclamp_req);
            if clamps.iter().any(|clamp| clamp.user_defined() != 0) {
                return true;
            }
        }
        #[cfg(CONFIG_SCHED_CORE)]
        if field!(self, core_cookie) != 0 {
            return true;
        }
        let own_slice = field!(self, se.custom_slice) != 0;
        resets || own_slice || field!(self, policy) != bindings::SCHED_NORMAL
    }

    /// Whether somebody has bound the task to some of the CPUs.
    pub fn has_cpu_affinity(&self) -> bool {
        #[cfg(CONFIG_SMP)]
        if !field!(self, user_cpus_ptr).is_null() {
            // SAFETY: the mask of possible CPUs does not change after boot.
            let possible = unsafe { ptr::addr_of!(bindings::__cpu_possible_mask).read() };
            let allowed = field!(self, cpus_mask);
            let pairs = possible.bits.iter().zip(&allowed.bits);
            return pairs.into_iter().any(|(all, own)| all & !own != 0);
        }
        false
    }

    /// Whether the task has an I/O priority of its own.
    pub fn has_io_priority(&self) -> bool {
        #[cfg(CONFIG_BLOCK)]
        return self.with_lock(|task| {
            // SAFETY: `alloc_lock` keeps the I/O context from going away.
            unsafe { !(*task).io_context.is_null() && (*(*task).io_context).ioprio != 0 }
        });
        #[cfg(not(CONFIG_BLOCK))]
        false
    }

    /// Whether the task has a NUMA memory policy.
    pub fn has_memory_policy(&self) -> bool {
        #[cfg(CONFIG_NUMA)]
        return !field!(self, mempolicy).is_null();
        #[cfg(not(CONFIG_NUMA))]
        false
    }

    /// Whether the task has keyrings.
    pub fn has_keyrings(&self) -> bool {
        #[cfg(CONFIG_KEYS)]
        return self.with_cred(|cred| {
            !cred.session_keyring.is_null()
                || !cred.process_keyring.is_null()
                || !cred.thread_keyring.is_null()
        });
        #[cfg(not(CONFIG_KEYS))]
        false
    }

    /// Whether the task has asked for a mitigation of speculation.
    pub fn has_speculation_control(&self) -> bool {
        field!(self, atomic_flags) as u64 & SPECULATION != 0
    }

    /// Whether the task has set how memory errors or its own I/O treat it (PR_MCE_KILL,
    /// PR_SET_IO_FLUSHER).
    pub fn has_memory_flags(&self) -> bool {
        const FLAGS: u32 = bindings::PF_MCE_PROCESS
            | bindings::PF_MCE_EARLY
            | bindings::PF_MEMALLOC_NOIO
            | bindings::PF_LOCAL_THROTTLE;
        field!(self, flags) & FLAGS != 0
    }

    /// Whether system calls of the task go to a handler in user space.
    pub fn has_syscall_dispatch(&self) -> bool {
        #[cfg(CONFIG_GENERIC_ENTRY)]
        {
            const DISPATCH: u64 =
                1 << bindings::syscall_work_bit_SYSCALL_WORK_BIT_SYSCALL_USER_DISPATCH;
            field!(self, thread_info.syscall_work) as u64 & DISPATCH != 0
        }
        #[cfg(not(CONFIG_GENERIC_ENTRY))]
        false
    }

    /// Whether the program is one for 32 bits.
    pub fn is_32bit(&self) -> bool {
        #[cfg(CONFIG_X86_64)]
        const FLAG: u32 = bindings::TIF_ADDR32;
        #[cfg(CONFIG_ARM64)]
        const FLAG: u32 = bindings::TIF_32BIT;
        self.has_thread_flag(FLAG)
    }

    /// Whether the task has given up reading the time stamp counter, or CPUID.
    pub fn has_trapped_instructions(&self) -> bool {
        #[cfg(CONFIG_X86_64)]
        return self.has_thread_flag(bindings::TIF_NOTSC)
            || self.has_thread_flag(bindings::TIF_NOCPUID);
        #[cfg(CONFIG_ARM64)]
        return self.has_thread_flag(bindings::TIF_TSC_SIGSEGV);
    }

    /// Whether the task may use I/O ports.
    pub fn has_io_ports(&self) -> bool {
        #[cfg(CONFIG_X86_64)]
        return self.has_thread_flag(bindings::TIF_IO_BITMAP);
        #[cfg(not(CONFIG_X86_64))]
        false
    }

    /// Whether the task has a shadow stack.
    pub fn has_shadow_stack(&self) -> bool {
        #[cfg(CONFIG_X86_USER_SHADOW_STACK)]
        return field!(self, thread.features) != 0;
        #[cfg(not(CONFIG_X86_USER_SHADOW_STACK))]
        false
    }

    /// Whether the task has segment descriptors of its own (`set_thread_area`), which only
    /// programs for 32 bits can load.
    pub fn has_tls_segments(&self) -> bool {
        #[cfg(CONFIG_X86_64)]
        {
            const SIZE: usize = core::mem::size_of::<bindings::desc_struct>();
            let segments = field!(self, thread.tls_array);
            // SAFETY: a descriptor is 8 bytes of plain data.
            let unused = |segment: &bindings::desc_struct| unsafe {
                ptr::from_ref(segment).cast::<[u8; SIZE]>().read() == [0; SIZE]
            };
            return !segments.iter().all(unused);
        }
        #[cfg(not(CONFIG_X86_64))]
        false
    }

    /// Whether the task is in a system call of the 32-bit kind (`int 0x80`), which a restart would
    /// take for one of the other.
    pub fn is_in_compat_call(&self) -> bool {
        #[cfg(CONFIG_X86_64)]
        return field!(self, thread_info.status) & bindings::TS_COMPAT != 0;
        #[cfg(not(CONFIG_X86_64))]
        false
    }

    /// Whether the process may use registers that have to be asked for (ARCH_REQ_XCOMP_PERM).
    pub fn has_extended_state_permission(&self) -> bool {
        #[cfg(CONFIG_X86_64)]
        {
            // SAFETY: written once, at boot.
            let default = unsafe { ptr::addr_of!(bindings::fpu_kernel_cfg.default_features).read() };
            let _guard = TasklistGuard::new();
            // SAFETY: the task is valid; of one that has its pid the thread group leader, who keeps
            // this, is too under `tasklist_lock`: it is released after its threads.
            let permission = unsafe {
                let task = self.as_raw();
                if (*task).thread_pid.is_null() {
                    return false;
                }
                let fpu = variant::task_fpu((*task).group_leader);
                ptr::addr_of!((*fpu).perm.__state_perm).read()
            };
            return permission & !default != 0;
        }
        #[cfg(not(CONFIG_X86_64))]
        false
    }

    /// Whether the program that the task executes next is to have vectors of another length
    /// (PR_SVE_SET_VL_ONEXEC, PR_SME_SET_VL_ONEXEC). Inherited lengths are part of the registers.
    pub fn has_vector_length_on_exec(&self) -> bool {
        #[cfg(CONFIG_ARM64_SVE)]
        {
            let now = field!(self, thread.vl);
            let next = field!(self, thread.vl_onexec);
            return now.iter().zip(&next).any(|(now, next)| *next != 0 && next != now);
        }
        #[cfg(not(CONFIG_ARM64_SVE))]
        false
    }

    fn has_thread_flag(&self, flag: u32) -> bool {
        field!(self, thread_info.flags) as u64 & (1 << flag) != 0
    }
}
