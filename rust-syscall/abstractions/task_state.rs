// SPDX-License-Identifier: GPL-2.0

//! What a task is up to, what it shares, and what it uses: questions that are answered with yes or
//! no.
//!
//! A task that does not run answers them for good; of any other they are snapshots. A task that
//! is killed meanwhile does no harm: what its exit frees is only looked at under the lock that
//! the exit takes, or compared and not followed.
//!
//! Lock order: `tasklist_lock` and `alloc_lock` are each taken alone here.
//!
//! C headers: [`include/linux/sched.h`](srctree/include/linux/sched.h) and
//! [`include/linux/sched/signal.h`](srctree/include/linux/sched/signal.h).

use crate::task::Task;
use crate::types::ScopeGuard;
use core::mem::offset_of;
use core::ptr;

/// Kernel threads, and threads that the kernel runs for a user process.
const KERNEL_WORKERS: u32 =
    bindings::PF_KTHREAD | bindings::PF_IO_WORKER | bindings::PF_USER_WORKER;
/// Reads a field of the task; for fields that are words or are compared only.
macro_rules! field {
    ($task:expr, $($field:tt)+) => {
        // SAFETY: the task is valid, and the field is a word that may be read at any time.
        unsafe { ptr::addr_of!((*$task.as_raw()).$($field)+).read() }
    };
}

/// Reads a field of the task's `signal_struct`, as above.
macro_rules! signal_field {
    ($task:expr, $($field:tt)+) => {
        // SAFETY: a task keeps its `signal_struct` for as long as it is referenced; the field
        // is a word that may be read at any time.
        unsafe { ptr::addr_of!((*(*$task.as_raw()).signal).$($field)+).read() }
    };
}

mod uses;

impl Task {
    /// Whether the cgroup freezer holds the task.
    pub fn is_cgroup_frozen(&self) -> bool {
        // SAFETY: the task is valid.
        unsafe { bindings::task_struct::frozen_raw(self.as_raw()) != 0 }
    }

    /// Waits until the task is off the CPU, asleep as a frozen task is; then the count of its
    /// switches, made different from 0. `None` if it wakes up or never sleeps so.
    pub fn wait_inactive(&self) -> Option<u64> {
        // SAFETY: the task is valid and not the current one, or it does not sleep and this fails.
        let count =
            unsafe { bindings::wait_task_inactive(self.as_raw(), bindings::TASK_INTERRUPTIBLE) };
        (count != 0).then_some(count as u64)
    }

    /// Whether the task is dead or dying, or its process is being killed or dumps core.
    pub fn is_exiting(&self) -> bool {
        field!(self, exit_state) != 0
            || field!(self, flags) & bindings::PF_EXITING != 0
            || signal_field!(self, flags) & bindings::SIGNAL_GROUP_EXIT != 0
            || !signal_field!(self, core_state).is_null()
            || !signal_field!(self, group_exec_task).is_null()
    }

    /// Whether job control has stopped the task's process, or is about to.
    pub fn is_stopped(&self) -> bool {
        signal_field!(self, flags) & bindings::SIGNAL_STOP_STOPPED != 0
            || signal_field!(self, group_stop_count) != 0
            || field!(self, jobctl) as u64 & u64::from(bindings::JOBCTL_STOP_PENDING) != 0
    }

    /// Whether the task belongs to the kernel.
    pub fn is_kernel_worker(&self) -> bool {
        field!(self, flags) & KERNEL_WORKERS != 0 || field!(self, mm).is_null()
    }

    /// Whether the process has more than one thread.
    pub fn has_threads(&self) -> bool {
        signal_field!(self, nr_threads) != 1
    }

    /// Whether another task traces this one.
    pub fn is_traced(&self) -> bool {
        field!(self, ptrace) != 0
    }

    /// Whether the task traces another one.
    pub fn is_tracer(&self) -> bool {
        // SAFETY: the task is valid; the list head's address is compared only.
        unsafe {
            let head = ptr::addr_of_mut!((*self.as_raw()).ptraced);
            ptr::addr_of!((*head).next).read() != head
        }
    }

    /// Whether the parent sleeps in `vfork` until this task lets go of its address space.
    pub fn is_vfork_child(&self) -> bool {
        !field!(self, vfork_done).is_null()
    }

    /// Whether another process uses the task's address space.
    pub fn shares_mm(&self) -> bool {
        let mm = field!(self, mm);
        let Some(held) = self.address_space() else { return false };
        // One user is the task, one is `held`: the common case needs no search.
        if held.users() <= 2 {
            return false;
        }
        let leader = field!(self, group_leader);
        any_process_thread(|process, thread| {
            !ptr::eq(process, leader)
                // SAFETY: the walk hands out valid tasks.
                && unsafe { (*thread).mm == mm && (*thread).flags & bindings::PF_KTHREAD == 0 }
        })
    }

    /// Whether another process uses the task's signal handlers.
    pub fn shares_sighand(&self) -> bool {
        let mut flags = 0;
        // SAFETY: the task is valid; under the lock, if it could be taken, the handlers are there.
        unsafe {
            let sighand = crate::variant::lock_task_sighand(self.as_raw(), &mut flags);
            if sighand.is_null() {
                return false;
            }
            let users = (*sighand).count.refs.counter;
            bindings::unlock_task_sighand(self.as_raw(), &mut flags);
            users > 1
        }
    }

    /// Whether another task uses the task's descriptor table.
    pub fn shares_files(&self) -> bool {
        self.with_lock(|task| {
            // SAFETY: `alloc_lock` keeps the table from going away.
            unsafe { !(*task).files.is_null() && (*(*task).files).count.counter > 1 }
        })
    }

    /// Whether another task uses the task's root, working directory and umask.
    pub fn shares_fs(&self) -> bool {
        self.with_lock(|task| {
            // SAFETY: `alloc_lock` keeps the structure from going away.
            unsafe { !(*task).fs.is_null() && (*(*task).fs).users > 1 }
        })
    }

    /// The first kind of namespace in which the task is not where `other` is.
    pub fn foreign_namespace(&self, other: &Task) -> Option<&'static str> {
        if self.with_cred(|cred| cred.user_ns) != other.with_cred(|cred| cred.user_ns) {
            return Some("another user namespace");
        }
        let (own, others) = (self.namespaces()?, other.namespaces()?);
        let kinds = [
            (own.uts_ns == others.uts_ns, "another UTS namespace"),
            (own.ipc_ns == others.ipc_ns, "another IPC namespace"),
            (own.mnt_ns == others.mnt_ns, "another mount namespace"),
            (own.net_ns == others.net_ns, "another network namespace"),
            (
                own.cgroup_ns == others.cgroup_ns,
                "another cgroup namespace",
            ),
            (
                own.pid_ns_for_children == others.pid_ns_for_children,
                "another pid namespace for its children",
            ),
            (
                own.time_ns == others.time_ns
                    && own.time_ns_for_children == others.time_ns_for_children,
                "another time namespace",
            ),
        ];
        kinds.iter().find(|(same, _)| !same).map(|(_, why)| *why)
    }

    /// What the task has in a namespace that is not the caller's, and that is not carried.
    pub fn lost_with_namespaces(&self) -> Option<&'static str> {
        let caller = crate::task_current::current_task();
        if self.is_current() {
            return None;
        }
        if self.with_cred(|cred| cred.user_ns) != caller.with_cred(|cred| cred.user_ns) {
            return Some("user namespace other than that of the caller of checkpoint");
        }
        self.with_lock(|task| {
            // SAFETY: `alloc_lock` keeps the task's proxy from going away, and a proxy its namespaces;
            // the current task keeps its own.
            unsafe {
                let own = (*task).nsproxy.as_ref()?;
                let others = (*caller.as_raw()).nsproxy.as_ref()?;
                lost_between(own, others)
            }
        })
    }

    /// Whether the task's ids are those of the first user namespace, in which 0 is root itself.
    pub fn is_in_first_user_namespace(&self) -> bool {
        let first = ptr::addr_of!(bindings::init_user_ns);
        self.with_cred(|cred| ptr::eq(cred.user_ns, first))
    }

    /// Whether the task sees other mounts than the caller.
    pub fn has_other_mounts(&self) -> bool {
        let caller = crate::task_current::current_task();
        match (self.namespaces(), caller.namespaces()) {
            (Some(own), Some(others)) => own.mnt_ns != others.mnt_ns,
            _ => false,
        }
    }

    /// The task's namespaces, to be compared only; `None` once it is gone.
    fn namespaces(&self) -> Option<bindings::nsproxy> {
        self.with_lock(|task| {
            // SAFETY: `alloc_lock` keeps the proxy from going away while it is copied.
            unsafe { (*task).nsproxy.as_ref().copied() }
        })
    }

    /// Calls `look` with the task's credentials.
    fn with_cred<T>(&self, look: impl FnOnce(&bindings::cred) -> T) -> T {
        // SAFETY: the task is valid and has credentials until its last reference is gone; the
        // count that is taken on them is given back.
        unsafe {
            let cred = bindings::get_task_cred(self.as_raw());
            let answer = look(&*cred);
            bindings::put_cred(cred);
            answer
        }
    }

    /// Calls `look` with the task's `alloc_lock` held.
    fn with_lock<T>(&self, look: impl FnOnce(*mut bindings::task_struct) -> T) -> T {
        let task = self.as_raw();
        // SAFETY: the task is valid; the lock is given back below.
        unsafe { bindings::spin_lock(ptr::addr_of_mut!((*task).alloc_lock)) };
        let _unlock = ScopeGuard::new(|| {
            // SAFETY: locked above.
            unsafe { bindings::spin_unlock(ptr::addr_of_mut!((*task).alloc_lock)) };
        });
        look(task)
    }
}

/// Whether two fields hold the same text; what is behind its end may be of an older one.
fn same_text<C: Copy + Default + PartialEq>(one: &[C], other: &[C]) -> bool {
    let text = |field: &[C]| field.iter().position(|c| *c == C::default()).unwrap_or(field.len());
    one[..text(one)] == other[..text(other)]
}

/// What is in the first's namespaces, and not in the second's.
///
/// # Safety
///
/// Both, and their namespaces, must be valid.
unsafe fn lost_between(
    own: &bindings::nsproxy,
    others: &bindings::nsproxy,
) -> Option<&'static str> {
    if own.net_ns != others.net_ns {
        return Some("network namespace other than that of the caller of checkpoint");
    }
    if own.cgroup_ns != others.cgroup_ns {
        return Some("cgroup namespace other than that of the caller of checkpoint");
    }
    if own.time_ns != others.time_ns {
        return Some("time namespace other than that of the caller of checkpoint");
    }
    // SAFETY: by the function's contract. Names may change meanwhile: either is a name of its own.
    let named_alike = unsafe {
        let (own, others) = (&(*own.uts_ns).name, &(*others.uts_ns).name);
        same_text(&own.nodename, &others.nodename) && same_text(&own.domainname, &others.domainname)
    };
    if !named_alike {
        return Some("host or domain name of its own (UTS namespace)");
    }
    if own.ipc_ns != others.ipc_ns {
        // SAFETY: by the function's contract; both are plain numbers.
        let (in_use, queues) = unsafe {
            let ids = &(*own.ipc_ns).ids;
            (ids.iter().any(|ids| ids.in_use != 0), (*own.ipc_ns).mq_queues_count)
        };
        if in_use {
            return Some("System V IPC of its own (IPC namespace)");
        }
        if queues != 0 {
            return Some("message queues of its own (IPC namespace)");
        }
    }
    None
}

/// Whether `test` says yes to any thread of any process; it gets the process's first thread and
/// the thread.
fn any_process_thread(
    test: impl Fn(*const bindings::task_struct, *const bindings::task_struct) -> bool,
) -> bool {
    const TASKS: usize = offset_of!(bindings::task_struct, tasks);
    const THREAD: usize = offset_of!(bindings::task_struct, thread_node);
    // SAFETY: given back by the guard; nothing below sleeps.
    unsafe { bindings::tasklist_read_lock() };
    let _unlock = ScopeGuard::new(|| {
        // SAFETY: locked above.
        unsafe { bindings::tasklist_read_unlock() };
    });
    // SAFETY: `tasklist_lock` keeps both kinds of lists and all tasks on them in place. The list
    // of processes starts at the boot task, that of threads at the `signal_struct`.
    unsafe {
        let first = ptr::addr_of!(bindings::init_task.tasks);
        let mut link = (*first).next.cast_const();
        while link != first {
            let process = link.byte_sub(TASKS).cast::<bindings::task_struct>();
            let head = ptr::addr_of!((*(*process).signal).thread_head);
            let mut node = (*head).next.cast_const();
            while node != head {
                if test(process, node.byte_sub(THREAD).cast()) {
                    return true;
                }
                node = (*node).next;
            }
            link = (*link).next;
        }
    }
    false
}
