// SPDX-License-Identifier: GPL-2.0

//! Process identifiers, and the tree that tasks form.
//!
//! Lock order: `tasklist_lock` is taken alone here, and nothing sleeps or allocates under it.
//!
//! C header: [`include/linux/pid.h`](srctree/include/linux/pid.h).

use crate::alloc::{flags::GFP_KERNEL, KVec};
use crate::error::{from_err_ptr, Result};
use crate::fs::File;
use crate::pid_namespace::PidNamespace;
use crate::sync::aref::{ARef, AlwaysRefCounted};
use crate::task::Task;
use crate::types::Opaque;
use core::mem::offset_of;
use core::ptr::{self, NonNull};

/// Wraps the kernel's `struct pid`.
///
/// # Invariants
///
/// Always refcounted through `get_pid`.
#[repr(transparent)]
pub struct Pid(Opaque<bindings::pid>);

// SAFETY: a `struct pid` is counted atomically and its numbers never change.
unsafe impl Send for Pid {}
// SAFETY: as above.
unsafe impl Sync for Pid {}

// SAFETY: the type invariant.
unsafe impl AlwaysRefCounted for Pid {
    fn inc_ref(&self) {
        // SAFETY: a shared reference means that the count is not zero.
        unsafe { bindings::get_pid(self.0.get()) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: the caller gives up one count.
        unsafe { bindings::put_pid(obj.cast().as_ptr()) };
    }
}

impl Pid {
    /// Finds a pid by its number in the current task's pid namespace.
    pub fn find(nr: i32) -> Option<ARef<Pid>> {
        // SAFETY: any number may be asked for; the result owns a count or is null.
        let pid = NonNull::new(unsafe { bindings::find_get_pid(nr) })?;
        // SAFETY: `find_get_pid` gave a count.
        Some(unsafe { ARef::from_raw(pid.cast()) })
    }

    /// A number that no other process has, or has had since boot; of a pid that has, or has had, a process.
    pub fn serial(&self) -> u64 {
        // SAFETY: the pid is valid. Its number is set before the process can be found, and never changed.
        unsafe { *crate::variant::pid_serial(self.0.get()) }
    }

    /// The process that has it.
    pub fn process(&self) -> Option<ARef<Task>> {
        // SAFETY: the pid is valid; the result owns a count or is null.
        let task =
            unsafe { bindings::get_pid_task(self.0.get(), bindings::pid_type_PIDTYPE_TGID) };
        let task = NonNull::new(task)?;
        // SAFETY: `get_pid_task` gave a count.
        Some(unsafe { ARef::from_raw(task.cast()) })
    }
}

/// The numbers by which a task is known in one pid namespace; 0: not visible there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Numbers {
    pub pid: i32,
    pub tgid: i32,
    pub ppid: i32,
    pub pgid: i32,
    pub sid: i32,
}

/// `tasklist_lock`, held for reading.
pub(crate) struct TasklistGuard;

impl TasklistGuard {
    pub(crate) fn new() -> Self {
        // SAFETY: the guard unlocks; nothing that is done under it sleeps.
        unsafe { bindings::tasklist_read_lock() };
        Self
    }
}

impl Drop for TasklistGuard {
    fn drop(&mut self) {
        // SAFETY: the guard's existence says that the lock is held.
        unsafe { bindings::tasklist_read_unlock() };
    }
}

impl Task {
    /// When the task was made, in nanoseconds of CLOCK_MONOTONIC.
    pub fn start_ns(&self) -> u64 {
        // SAFETY: the task is valid; it is set when a task is made.
        unsafe { (*self.as_raw()).start_time }
    }

    /// The task's process identifier; `None` once it has been reaped.
    pub fn pid_struct(&self) -> Option<ARef<Pid>> {
        // SAFETY: the task is valid; the result owns a count or is null.
        let pid = unsafe { bindings::get_task_pid(self.as_raw(), bindings::pid_type_PIDTYPE_PID) };
        let pid = NonNull::new(pid)?;
        // SAFETY: `get_task_pid` gave a count.
        Some(unsafe { ARef::from_raw(pid.cast()) })
    }

    /// The task's numbers in a pid namespace; those of a task that has been reaped are 0.
    pub fn numbers_in(&self, ns: &PidNamespace) -> Numbers {
        let nr = |task: *mut bindings::task_struct, kind| {
            // SAFETY: the task is valid, and the function takes the RCU lock itself.
            unsafe { bindings::__task_pid_nr_ns(task, kind, ns.as_ptr()) }
        };
        let _guard = TasklistGuard::new();
        let task = self.as_raw();
        // SAFETY: `tasklist_lock` is held, and the task is valid.
        let parent = unsafe { parent_of(task) };
        Numbers {
            pid: nr(task, bindings::pid_type_PIDTYPE_PID),
            tgid: nr(task, bindings::pid_type_PIDTYPE_TGID),
            ppid: parent.map_or(0, |parent| nr(parent, bindings::pid_type_PIDTYPE_TGID)),
            pgid: nr(task, bindings::pid_type_PIDTYPE_PGID),
            sid: nr(task, bindings::pid_type_PIDTYPE_SID),
        }
    }

    /// The process that is waited for by: the real parent; `None` once the task has been reaped.
    pub fn real_parent(&self) -> Option<ARef<Task>> {
        let _guard = TasklistGuard::new();
        // SAFETY: `tasklist_lock` is held, and the task is valid.
        let parent = unsafe { parent_of(self.as_raw()) }?;
        // SAFETY: the lock keeps the parent alive until the count is taken.
        Some(unsafe { (&*parent.cast::<Task>()).into() })
    }

    /// Collects the processes of the tree below and including this one, parents before their
    /// children, depth first.
    ///
    /// Fails only for lack of memory.
    pub fn collect_tree(&self) -> Result<KVec<ARef<Task>>> {
        let mut room = 16;
        loop {
            let mut found = KVec::with_capacity(room, GFP_KERNEL)?;
            if fill_tree(self, &mut found) {
                return Ok(found);
            }
            room *= 2;
        }
    }
}

impl Pid {
    /// How many processes of the tree below and including the one that has this pid have a thread that has not
    /// exited.
    pub fn count_living_tree(&self) -> usize {
        let _guard = TasklistGuard::new();
        // SAFETY: the pid is valid. The lock keeps its task from being reaped, and has it be the leader also
        // while another thread takes the leader's place.
        let root = unsafe { bindings::pid_task(self.0.get(), bindings::pid_type_PIDTYPE_TGID) };
        let (mut next, mut living) = (NonNull::new(root), 0);
        while let Some(task) = next {
            // SAFETY: `tasklist_lock` is held, and `task` lies in the tree of `root`.
            unsafe {
                living += usize::from(has_living_thread(task.as_ptr()));
                next = successor(root, task.as_ptr()).and_then(NonNull::new);
            }
        }
        living
    }
}

/// Whether a process has a thread that has not exited.
///
/// # Safety
///
/// `tasklist_lock` must be held, and the task must be valid.
unsafe fn has_living_thread(task: *mut bindings::task_struct) -> bool {
    // SAFETY: a task keeps a count of its `signal`, whose list is stable under the lock.
    unsafe {
        let head = ptr::addr_of_mut!((*(*task).signal).thread_head);
        let mut node = (*head).next;
        while node != head {
            if (*thread_of(node)).exit_state == 0 {
                return true;
            }
            node = (*node).next;
        }
    }
    false
}

/// The thread that stands at this place of its process's list.
///
/// # Safety
///
/// `node` must be the `thread_node` of a task.
unsafe fn thread_of(node: *mut bindings::list_head) -> *mut bindings::task_struct {
    const NODE: usize = offset_of!(bindings::task_struct, thread_node);
    // SAFETY: by the function's contract.
    unsafe { node.byte_sub(NODE).cast() }
}

/// The first child of the threads from the one at `node` to the end of the list `head`.
///
/// # Safety
///
/// `tasklist_lock` must be held, and `node` must be `head`, a process's list of threads, or in it.
unsafe fn first_child(
    head: *mut bindings::list_head,
    mut node: *mut bindings::list_head,
) -> Option<*mut bindings::task_struct> {
    // SAFETY: by the function's contract all links are valid and stable.
    unsafe {
        while node != head {
            let children = ptr::addr_of_mut!((*thread_of(node)).children);
            if (*children).next != children {
                return Some(child_of((*children).next));
            }
            node = (*node).next;
        }
    }
    None
}

/// The process that stands at this place among its parent's children.
///
/// # Safety
///
/// `sibling` must be that of a task.
unsafe fn child_of(sibling: *mut bindings::list_head) -> *mut bindings::task_struct {
    const SIBLING: usize = offset_of!(bindings::task_struct, sibling);
    // SAFETY: by the function's contract.
    unsafe { sibling.byte_sub(SIBLING).cast() }
}

// Fills `found` within its capacity; false if that does not do.
fn fill_tree(root: &Task, found: &mut KVec<ARef<Task>>) -> bool {
    let _guard = TasklistGuard::new();
    let mut task = root.as_raw();
    if found.capacity() == 0 {
        return false;
    }
    // Within capacity a push does not allocate; its error would be a full vector.
    if found.push(root.into(), GFP_KERNEL).is_err() {
        return false;
    }
    loop {
        // SAFETY: `tasklist_lock` is held: all links of the tree are stable, and every task
        // reached through them is valid.
        let next = unsafe { successor(root.as_raw(), task) };
        let Some(next) = next else { return true };
        task = next;
        if found.len() == found.capacity() {
            return false;
        }
        // SAFETY: valid under the lock, and the `ARef` takes a count of its own.
        let reference: ARef<Task> = unsafe { (&*task.cast::<Task>()).into() };
        if found.push(reference, GFP_KERNEL).is_err() {
            return false;
        }
    }
}

/// The real parent of a task that has not been reaped. What is left in a reaped one is a link that nobody
/// keeps up, and may lead to freed memory: a parent's exit looks after the children that it has by then.
///
/// # Safety
///
/// `tasklist_lock` must be held, and the task must be valid. The parent is alive for as long as the lock is
/// held.
unsafe fn parent_of(task: *mut bindings::task_struct) -> Option<*mut bindings::task_struct> {
    // SAFETY: the task is valid. Reaping takes its pid away with `tasklist_lock` held for writing
    // (`__unhash_process`). Until then its process is among the children of its parent, which cannot be reaped
    // before it has given them to another, thread by thread (`forget_original_parent`).
    unsafe { (!(*task).thread_pid.is_null()).then(|| (*task).real_parent) }
}

/// The process behind `task` in depth-first order, inside the tree of `root`; both are processes' leaders, and
/// children those of all threads.
///
/// # Safety
///
/// `tasklist_lock` must be held, and both must be valid, `task` inside the tree.
unsafe fn successor(
    root: *mut bindings::task_struct,
    task: *mut bindings::task_struct,
) -> Option<*mut bindings::task_struct> {
    // SAFETY: by the function's contract all links are valid and stable. Who has children has not been reaped,
    // and neither has the leader of its process.
    unsafe {
        let threads = ptr::addr_of_mut!((*(*task).signal).thread_head);
        if let Some(child) = first_child(threads, (*threads).next) {
            return Some(child);
        }
        let mut task = task;
        while (*task).signal != (*root).signal {
            // The thread that made it, or who took it over.
            let parent = (*task).real_parent;
            let next = (*task).sibling.next;
            if next != ptr::addr_of_mut!((*parent).children) {
                return Some(child_of(next));
            }
            let threads = ptr::addr_of_mut!((*(*parent).signal).thread_head);
            if let Some(child) = first_child(threads, (*parent).thread_node.next) {
                return Some(child);
            }
            task = (*parent).group_leader;
        }
        None
    }
}

impl File {
    /// Whether the file refers to a process.
    pub fn is_pidfd(&self) -> bool {
        // SAFETY: the file is valid; what comes back is borrowed from it, or an error pointer.
        from_err_ptr(unsafe { bindings::pidfd_pid(self.as_ptr()) }).is_ok()
    }
}

/// Makes the current task look at its signals, and at the system call that it was interrupted
/// in, on its way back to user space.
pub fn look_at_signals_on_return() {
    // SAFETY: only sets a flag of the current task, which the exit path clears.
    unsafe { bindings::set_signal_pending() };
}

impl Task {
    /// Ends an interruptible wait of the task as a signal would, without a signal: nothing of it is
    /// left once the task has been on its way to user space.
    pub fn interrupt_wait(&self) {
        // SAFETY: the task is valid.
        unsafe { bindings::set_notify_signal(self.as_raw()) };
    }

    /// Whether something like [`Task::interrupt_wait`] was done to the current task since it came from user space.
    pub fn is_current_wait_interrupted() -> bool {
        // SAFETY: the current task's own word, which others change bit by bit.
        let flags = unsafe {
            ptr::addr_of!((*bindings::get_current()).thread_info.flags).read_volatile()
        };
        flags & (1 << bindings::TIF_NOTIFY_SIGNAL) != 0
    }

    /// Whether both are threads of one process.
    pub fn is_of_same_process(&self, other: &Task) -> bool {
        // SAFETY: both tasks are valid; what their threads share is set when a task is made.
        unsafe { (*self.as_raw()).signal == (*other.as_raw()).signal }
    }

    /// Whether the task's process is `ancestor`'s or descends from it, by real parents.
    pub fn is_in_tree_of(&self, ancestor: &Task) -> bool {
        let _guard = TasklistGuard::new();
        let mut task = self.as_raw();
        loop {
            // SAFETY: as below; what the threads of a process share is set when a task is made.
            if unsafe { (*task).signal == (*ancestor.as_raw()).signal } {
                return true;
            }
            // SAFETY: `tasklist_lock` is held since before the first look: the task is valid, and so is
            // each parent.
            match unsafe { parent_of(task) } {
                Some(parent) if parent != task => task = parent,
                _ => return false,
            }
        }
    }

    /// Whether the calling process shares its threads, memory, files, file system context or
    /// signal handlers with anybody.
    pub fn current_shares_anything() -> bool {
        // SAFETY: a task in a system call has all of these, and nobody takes them away. The first
        // looks past those who hold the memory for a moment only.
        unsafe {
            let task = bindings::get_current();
            !bindings::current_is_single_threaded()
                || (*(*task).files).count.counter != 1
                || (*(*task).fs).users != 1
                || (*(*task).sighand).count.refs.counter != 1
        }
    }

    /// Whether the caller may do to the task what a debugger may.
    pub fn may_attach(&self) -> bool {
        // PTRACE_MODE_ATTACH | PTRACE_MODE_REALCREDS
        const MODE: u32 = bindings::PTRACE_MODE_ATTACH | bindings::PTRACE_MODE_REALCREDS;
        // SAFETY: the task is valid.
        unsafe { bindings::ptrace_may_access(self.as_raw(), MODE) }
    }
}

/// Kills the current process, which may not go back to user space any more.
pub fn kill_current() {
    // SAFETY: always allowed for the current task.
    unsafe { bindings::force_sig(bindings::SIGKILL as i32) };
}
