// SPDX-License-Identifier: GPL-2.0-only

//! A task's attributes: the TASK record; and what about a task cannot be carried.

use super::failure::{Context, Failure};
use super::loader::Loader;
use super::saver::Saver;
use crate::image::header::Kind;
use crate::image::record::task::{TASK_CHILD_SUBREAPER, TASK_CONTINUED, TASK_NO_NEW_PRIVS};
use crate::image::record::Task as Body;
use kernel::current;
use kernel::error::code::*;
use kernel::mm::MmWithUser;
use kernel::sighand;
use kernel::task::Task;
use kernel::task_attributes as attributes;

/// The signal that a parent gets by default.
const SIGCHLD: i32 = 17;
/// A core of such a process is root's alone: it has been more than its user.
const DUMPABLE_BY_ROOT: u32 = 2;

/// A question about a task, and what a yes means.
type Question<T> = (fn(&T) -> bool, &'static str);

/// What neither a saved task nor one that is to become a restored one can have: the second would
/// keep it, or lose it for those who share it.
const NEVER: [Question<Task>; 17] = [
    (Task::is_exiting, "exiting or dead"),
    (Task::is_stopped, "stopped by job control"),
    (Task::is_kernel_worker, "runs in the kernel only"),
    (Task::has_threads, "more than one thread"),
    (Task::is_tracer, "traces another task"),
    (Task::is_vfork_child, "its parent waits in vfork"),
    (Task::shares_mm, "memory shared by CLONE_VM"),
    (
        Task::shares_sighand,
        "signal handlers shared by CLONE_SIGHAND",
    ),
    (Task::has_posix_timers, "POSIX timers"),
    (Task::has_interval_timers, "interval timer or alarm"),
    (Task::chooses_timer_ids, "PR_TIMER_CREATE_RESTORE_IDS"),
    (Task::is_autoreaped, "CLONE_AUTOREAP"),
    (Task::has_rseq_slices, "PR_RSEQ_SLICE_EXTENSION"),
    (Task::has_io_uring, "io_uring"),
    (Task::has_shadow_stack, "shadow stack"),
    (Task::has_semaphore_undo, "System V semaphore undo"),
    (
        Task::has_syscall_dispatch,
        "system calls dispatched to user space",
    ),
];

/// What a saved task cannot have besides.
const NOT_SAVED: [Question<Task>; 22] = [
    (sends_unusual_signal, "sends another signal than SIGCHLD at its exit"),
    (Task::is_traced, "traced by another task"),
    (Task::is_32bit, "32-bit program"),
    (Task::shares_files, "descriptors shared by CLONE_FILES"),
    (Task::shares_fs, "working directory shared by CLONE_FS"),
    (Task::has_seccomp, "seccomp"),
    (Task::has_tty, "controlling terminal"),
    (Task::has_perf_events, "performance events"),
    (Task::has_uprobes, "user-space probes"),
    (Task::has_special_scheduling, "scheduling policy"),
    (Task::has_cpu_affinity, "CPU affinity"),
    (Task::has_io_priority, "I/O priority"),
    (Task::has_memory_policy, "NUMA memory policy"),
    (Task::has_keyrings, "keyrings"),
    (Task::has_speculation_control, "PR_SET_SPECULATION_CTRL"),
    (Task::has_memory_flags, "PR_MCE_KILL or PR_SET_IO_FLUSHER"),
    (
        Task::has_trapped_instructions,
        "PR_SET_TSC or ARCH_SET_CPUID",
    ),
    (Task::has_io_ports, "I/O ports"),
    (Task::has_tls_segments, "segment descriptors of set_thread_area"),
    (Task::is_in_compat_call, "32-bit system call"),
    (Task::has_extended_state_permission, "ARCH_REQ_XCOMP_PERM"),
    (
        Task::has_vector_length_on_exec,
        "PR_SVE_SET_VL or PR_SME_SET_VL with ONEXEC",
    ),
];

/// Whether the parent gets a signal that `clone` was asked for: `mktree` makes tasks as `fork` does.
fn sends_unusual_signal(task: &Task) -> bool {
    ![0, SIGCHLD].contains(&task.exit_signal())
}

/// What the address space of either kind of task cannot have.
const NEVER_OF_MM: [Question<MmWithUser>; 5] = [
    (MmWithUser::has_aio, "asynchronous I/O contexts"),
    (MmWithUser::has_default_vma_flags, "mlockall"),
    (MmWithUser::denies_write_exec, "PR_SET_MDWE"),
    (MmWithUser::has_ldt, "modify_ldt"),
    (MmWithUser::has_address_masking, "masked addresses"),
];

/// What the address space of a saved task cannot have besides.
const NOT_SAVED_OF_MM: [Question<MmWithUser>; 4] = [
    (MmWithUser::has_thp_disabled, "PR_SET_THP_DISABLE"),
    (MmWithUser::merges_all, "PR_SET_MEMORY_MERGE"),
    (MmWithUser::has_membarrier, "membarrier registration"),
    (MmWithUser::has_protection_keys, "memory protection keys"),
];

/// Refuses a task about which there is something that cannot be carried, and names it. `root` is
/// the root of the tree, whose namespaces all tasks must be in; what only those have is not carried.
pub(crate) fn refuse(task: &Task, root: &Task) -> Result<(), Failure> {
    ask(task, task, &NEVER)?;
    ask(task, task, &NOT_SAVED)?;
    let foreign = task.foreign_namespace(root);
    if let Some(why) = foreign.or_else(|| task.lost_with_namespaces()) {
        return Err(refused(task, why));
    }
    let mm = task.address_space().ok_or_else(|| refused(task, "exiting or dead"))?;
    ask(task, &*mm, &NEVER_OF_MM)?;
    ask(task, &*mm, &NOT_SAVED_OF_MM)?;
    if task.dumpable(&mm) >= DUMPABLE_BY_ROOT {
        return Err(refused(task, "dumpable by root only"));
    }
    Ok(())
}

/// Refuses the current task as one that is to become a restored one, if it has anything that it
/// would keep over that, or lose for others.
pub(crate) fn refuse_to_become() -> Result<(), Failure> {
    let task: &Task = current!();
    ask(task, task, &NEVER)?;
    let mm = task.address_space().ok_or_else(|| refused(task, "exiting or dead"))?;
    ask(task, &*mm, &NEVER_OF_MM)
}

fn ask<T>(task: &Task, of: &T, questions: &[Question<T>]) -> Result<(), Failure> {
    match questions.iter().find(|(question, _)| question(of)) {
        Some((_, why)) => Err(refused(task, why)),
        None => Ok(()),
    }
}

/// The refusal of a task, named by the pid that it has for itself.
pub(crate) fn refused(task: &Task, why: &'static str) -> Failure {
    let ns = task.get_pid_ns();
    let pid = ns.map_or(task.pid(), |ns| task.numbers_in(&ns).pid);
    Failure::refused("task", pid as u64, why)
}

/// Writes the task's attributes; `pid` is its number in the image.
pub(crate) fn save(task: &Task, pid: i32, out: &mut Saver) -> Result<(), Failure> {
    let mm = task.address_space().ok_or_else(|| refused(task, "exiting or dead"))?;
    let mut flags = 0;
    if task.no_new_privs() {
        flags |= TASK_NO_NEW_PRIVS;
    }
    if task.is_child_subreaper() {
        flags |= TASK_CHILD_SUBREAPER;
    }
    if task.is_continued().doing("looking whether the task was continued")? {
        flags |= TASK_CONTINUED;
    }
    out.put(&Body {
        pid,
        exit_signal: task.exit_signal(),
        pdeath_signal: task.pdeath_signal(),
        personality: task.personality(),
        flags,
        nice: task.nice(),
        oom_score_adj: task.oom_score_adj().into(),
        dumpable: task.dumpable(&mm),
        timer_slack_ns: task.timer_slack_ns(),
        default_timer_slack_ns: task.default_timer_slack_ns(),
        comm: task.comm(),
    })
}

/// Attributes that wait until the memory and the credentials are restored: either would undo
/// them, or be hindered by them.
#[must_use = "the task lacks these attributes until they are set"]
pub(crate) struct Late(Body);

/// Sets the current task's attributes as far as its own privileges go, which are still those of
/// the invoker.
/// `pid` is the task's number in the image's tree.
pub(crate) fn load(input: &mut Loader, pid: i32) -> Result<Late, Failure> {
    let record = input.take(Kind::Task)?;
    let body: Body = record.body(input.limits)?;
    if body.pid != pid {
        return Err(Failure::mismatch(
            EINVAL,
            "pid of the TASK",
            pid as u64,
            body.pid as u64,
        ));
    }
    check(&body)?;
    attributes::set_current_nice(body.nice).doing("setting the nice value")?;
    attributes::set_current_oom_score_adj(body.oom_score_adj).doing("setting oom_score_adj")?;
    attributes::set_current_exit_signal(body.exit_signal);
    attributes::set_current_timer_slack_ns(body.timer_slack_ns, body.default_timer_slack_ns);
    sighand::set_current_continued(body.flags & TASK_CONTINUED != 0)
        .doing("setting whether the task was continued")?;
    attributes::set_current_comm(&body.comm);
    Ok(Late(body))
}

/// Refuses what the invoker could not have by other means.
fn check(body: &Body) -> Result<(), Failure> {
    let task = current!();
    if body.dumpable >= DUMPABLE_BY_ROOT {
        return Err(Failure::mismatch(
            EPERM,
            "dumpable",
            1,
            body.dumpable.into(),
        ));
    }
    if task.no_new_privs() && body.flags & TASK_NO_NEW_PRIVS == 0 {
        return Err(Failure::mismatch(EPERM, "no_new_privs", 1, 0));
    }
    if body.timer_slack_ns == 0 || body.default_timer_slack_ns == 0 {
        return Err(Failure::mismatch(EINVAL, "least timer slack", 1, 0));
    }
    // The exit of the task sends it, to whoever is its parent by then: another one than these has
    // to be given to the task by `clone`.
    let usual = [0, SIGCHLD, task.exit_signal()].contains(&body.exit_signal);
    if !usual {
        let (expected, found) = (SIGCHLD as u64, body.exit_signal as u64);
        return Err(Failure::mismatch(EPERM, "exit signal", expected, found));
    }
    attributes::check_personality(body.personality)
        .doing_on("setting the execution domain", body.personality.into())
}

impl Late {
    /// Sets them; the memory and the credentials of the current task are the restored ones.
    pub(crate) fn set(self) {
        let body = self.0;
        attributes::set_current_pdeath_signal(body.pdeath_signal);
        attributes::set_current_personality(body.personality);
        attributes::set_current_child_subreaper(body.flags & TASK_CHILD_SUBREAPER != 0);
        if body.flags & TASK_NO_NEW_PRIVS != 0 {
            attributes::set_current_no_new_privs();
        }
        if let Some(mm) = current!().address_space() {
            mm.set_current_dumpable(body.dumpable != 0);
        }
    }
}
