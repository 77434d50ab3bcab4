// SPDX-License-Identifier: GPL-2.0

//! Signals of a task: actions, masks, the signal stack, and what is pending.
//!
//! What is read of another task is read under its `siglock`, so a task that is killed meanwhile
//! does no harm; `ESRCH` says that it is gone. What is set is always the current task's.
//!
//! C headers: [`include/linux/sched/signal.h`](srctree/include/linux/sched/signal.h) and
//! [`include/linux/signal.h`](srctree/include/linux/signal.h).

use crate::alloc::{
    flags::{GFP_ATOMIC, GFP_KERNEL},
    KVVec,
};
use crate::error::{code::*, to_result, Result};
use crate::ffi::c_ulong;
use crate::task::Task;
use core::ptr;

/// Number of signals; signal `n` is entry `n - 1` of a table and bit `n - 1` of a mask.
pub const NR_SIGNALS: usize = 64;
/// Bytes of a siginfo that have a meaning.
pub const SIGINFO_BYTES: usize = core::mem::size_of::<bindings::kernel_siginfo>();
/// The signal that kills and cannot be caught.
pub const SIGKILL: i32 = bindings::SIGKILL as i32;
/// The signal that stops and cannot be caught.
pub const SIGSTOP: i32 = bindings::SIGSTOP as i32;
/// Signals by which users end what they have started, as a mask.
pub const ENDING: u64 = bit(bindings::SIGHUP as i32)
    | bit(bindings::SIGINT as i32)
    | bit(bindings::SIGQUIT as i32)
    | bit(bindings::SIGTERM as i32);
/// The bits that a program can have in an action's flags.
pub const USER_ACTION_FLAGS: u64 = bindings::UAPI_SA_FLAGS as u64;

const KILL: c_ulong = 1 << (SIGKILL - 1);

/// What a signal does, as `struct sigaction` says it.
#[derive(Clone, Copy, Default)]
#[allow(missing_docs)]
pub struct Action {
    pub handler: u64,
    pub flags: u64,
    pub restorer: u64,
    pub mask: u64,
}

/// What a thread blocks.
#[derive(Clone, Copy, Default)]
pub struct Masks {
    /// Signals blocked now.
    pub blocked: u64,
    /// The mask that is put back on the way to user space, after `sigsuspend` and the like.
    pub saved: Option<u64>,
}

/// A signal stack, as `stack_t` says it.
#[derive(Clone, Copy, Default)]
#[allow(missing_docs)]
pub struct SignalStack {
    pub sp: u64,
    pub size: u64,
    pub flags: u32,
}

/// A signal that has been sent and not been taken.
#[derive(Clone, Copy)]
pub struct Siginfo {
    /// Number of the signal.
    pub signo: i32,
    /// Its siginfo.
    pub bytes: [u8; SIGINFO_BYTES],
}

/// Whose signal it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The thread's.
    Thread,
    /// The process's.
    Process,
}

/// A task's `siglock`, held; interrupts are off.
struct SighandGuard<'a> {
    task: &'a Task,
    flags: c_ulong,
}

impl<'a> SighandGuard<'a> {
    fn new(task: &'a Task) -> Result<Self> {
        let mut flags = 0;
        // SAFETY: the task is valid; null says that it has no signal handling any more.
        let sighand = unsafe { crate::variant::lock_task_sighand(task.as_raw(), &mut flags) };
        if sighand.is_null() {
            return Err(ESRCH);
        }
        Ok(Self { task, flags })
    }

    fn pending(&self, target: Target) -> *mut bindings::sigpending {
        let task = self.task.as_raw();
        // SAFETY: a task keeps its `signal_struct` for as long as it is referenced.
        unsafe {
            match target {
                Target::Thread => ptr::addr_of_mut!((*task).pending),
                Target::Process => ptr::addr_of_mut!((*(*task).signal).shared_pending),
            }
        }
    }

    /// Hands the entries of one of the lists to `visit`, oldest first.
    fn for_each_queued(&self, target: Target, mut visit: impl FnMut(&bindings::sigqueue)) {
        let pending = self.pending(target);
        // SAFETY: `siglock` keeps the list and its entries in place; each link but the head is
        // the first field of a `sigqueue`.
        unsafe {
            let head = ptr::addr_of_mut!((*pending).list);
            let mut link = (*head).next;
            while link != head {
                let entry = link.byte_sub(core::mem::offset_of!(bindings::sigqueue, list));
                visit(&*entry.cast::<bindings::sigqueue>());
                link = (*link).next;
            }
        }
    }
}

impl Drop for SighandGuard<'_> {
    fn drop(&mut self) {
        // SAFETY: the guard's existence says that the lock is held, and a task's handlers do
        // not go away under it.
        unsafe { bindings::unlock_task_sighand(self.task.as_raw(), &mut self.flags) };
    }
}

impl Task {
    /// The actions of all signals.
    pub fn signal_actions(&self) -> Result<[Action; NR_SIGNALS]> {
        let mut actions = [Action::default(); NR_SIGNALS];
        let _guard = SighandGuard::new(self)?;
        for (i, action) in actions.iter_mut().enumerate() {
            // SAFETY: `siglock` is held, so the handlers are there and do not change; the
            // table has an entry for each signal. Handlers are read as numbers: 0 and 1 are
            // no functions.
            unsafe {
                let sighand = (*self.as_raw()).sighand;
                let table = ptr::addr_of!((*sighand).action).cast::<bindings::k_sigaction>();
                let sa = ptr::addr_of!((*table.add(i)).sa);
                *action = Action {
                    handler: ptr::addr_of!((*sa).sa_handler).cast::<usize>().read() as u64,
                    flags: (*sa).sa_flags as u64,
                    restorer: ptr::addr_of!((*sa).sa_restorer).cast::<usize>().read() as u64,
                    mask: (*sa).sa_mask.sig[0] as u64,
                };
            }
        }
        Ok(actions)
    }

    /// What the task blocks.
    pub fn signal_masks(&self) -> Result<Masks> {
        let _guard = SighandGuard::new(self)?;
        let task = self.as_raw();
        // SAFETY: the task is valid, and `siglock` is held.
        unsafe {
            let saved = bindings::test_tsk_restore_sigmask(task)
                .then(|| (*task).saved_sigmask.sig[0] as u64);
            Ok(Masks {
                blocked: (*task).blocked.sig[0] as u64,
                saved,
            })
        }
    }

    /// Whether SIGCONT has continued the process and its parent has not asked about it yet.
    pub fn is_continued(&self) -> Result<bool> {
        let _guard = SighandGuard::new(self)?;
        // SAFETY: a task keeps its `signal_struct` for as long as it is referenced, and `siglock`
        // is held.
        Ok(unsafe { (*(*self.as_raw()).signal).flags } & bindings::SIGNAL_STOP_CONTINUED != 0)
    }

    /// The task's signal stack.
    pub fn signal_stack(&self) -> SignalStack {
        let task = self.as_raw();
        // SAFETY: the task is valid; only itself changes these, and each is a word.
        unsafe {
            SignalStack {
                sp: (*task).sas_ss_sp as u64,
                size: (*task).sas_ss_size as u64,
                flags: (*task).sas_ss_flags,
            }
        }
    }

    /// What is pending, oldest first; a signal that was sent without a siginfo, for want of
    /// memory or by the kernel, comes last with the one that its receiver would see.
    pub fn pending_signals(&self, target: Target) -> Result<KVVec<Siginfo>> {
        let mut found = KVVec::new();
        loop {
            let mut nr = 0;
            SighandGuard::new(self)?.for_each_queued(target, |_| nr += 1);
            found.reserve(nr + NR_SIGNALS, GFP_KERNEL)?;
            let guard = SighandGuard::new(self)?;
            let mut now = 0;
            guard.for_each_queued(target, |_| now += 1);
            if now > nr {
                continue;
            }
            return fill(&guard, target, found);
        }
    }
}

/// Copies what is pending into `found`, which has room for it.
fn fill(
    guard: &SighandGuard<'_>,
    target: Target,
    mut found: KVVec<Siginfo>,
) -> Result<KVVec<Siginfo>> {
    let mut queued: u64 = 0;
    let mut result = Ok(());
    guard.for_each_queued(target, |entry| {
        let info = &entry.info;
        // SAFETY: a queued siginfo is initialised to its last byte, padding too: the kernel
        // clears it before it fills it in, because it is copied to user space whole.
        let bytes = unsafe { ptr::from_ref(info).cast::<[u8; SIGINFO_BYTES]>().read() };
        let signo = info.__bindgen_anon_1.si_signo;
        queued |= bit(signo);
        // A timer's own, which only a live one delivers: a process with timers is refused.
        if entry.flags as u32 & bindings::SIGQUEUE_PREALLOC != 0 {
            return;
        }
        result = result.and(found.push(Siginfo { signo, bytes }, GFP_ATOMIC));
    });
    // SAFETY: `siglock` is held.
    let bits = unsafe { (*guard.pending(target)).signal.sig[0] as u64 };
    for signo in (1..=NR_SIGNALS as i32).filter(|signo| bits & !queued & bit(*signo) != 0) {
        let mut bytes = [0; SIGINFO_BYTES];
        for (to, from) in bytes.iter_mut().zip(signo.to_ne_bytes()) {
            *to = from;
        }
        result = result.and(found.push(Siginfo { signo, bytes }, GFP_ATOMIC));
    }
    result?;
    Ok(found)
}

/// A signal's bit in a mask; 0 for a number that is no signal.
pub const fn bit(signo: i32) -> u64 {
    match signo {
        1..=64 => 1 << (signo - 1),
        _ => 0,
    }
}

/// Blocks everything that can be blocked.
pub fn block_all() {
    set_blocked(u64::MAX);
}

/// Blocks everything but `signals`, which end waits of the current task and do nothing else: neither are
/// they ignored nor do they kill when they are sent, whatever their actions are. That is for
/// [`set_current_masks`] to change.
pub fn block_all_but(signals: u64) {
    set_really_blocked(u64::MAX);
    set_blocked(!signals);
}

/// Signals that count as blocked when they are sent (`sig_ignored`, `complete_signal`), and are taken all the
/// same: what sigtimedwait(2) waits for is in this state.
fn set_really_blocked(mask: u64) {
    let mask = mask & !(bit(SIGKILL) | bit(SIGSTOP));
    // SAFETY: only the current task changes it; who sends a signal meanwhile takes it for blocked or not.
    unsafe {
        let task = bindings::get_current();
        ptr::addr_of_mut!((*task).real_blocked.sig[0]).write_volatile(mask as c_ulong);
    }
}

fn set_blocked(mask: u64) {
    let mut set = bindings::sigset_t {
        sig: [mask as c_ulong],
    };
    // SAFETY: acts on the current task; SIGKILL and SIGSTOP are taken out of the set.
    unsafe { bindings::set_current_blocked(&mut set) };
}

/// Sets what the current task blocks, and the mask that is put back on its way to user space.
pub fn set_current_masks(masks: &Masks) {
    set_blocked(masks.blocked);
    set_really_blocked(0);
    if let Some(saved) = masks.saved {
        let saved = saved & !(bit(SIGKILL) | bit(SIGSTOP));
        // SAFETY: only the current task uses its saved mask.
        unsafe {
            (*bindings::get_current()).saved_sigmask.sig[0] = saved as c_ulong;
            bindings::set_restore_sigmask();
        }
    }
}

/// Whether the current task is being killed, as `__fatal_signal_pending` tells.
pub fn is_current_dying() -> bool {
    // SAFETY: the current task's own word, which may be read at any time.
    let pending = unsafe {
        ptr::addr_of!((*bindings::get_current()).pending.signal.sig[0]).read_volatile()
    };
    pending & KILL != 0
}

/// Whether a signal has come to the current task that it does not block, or it is being killed, or its process is
/// being stopped by a signal that another thread has got. Interruptible waits end for others too: a freezer, a
/// debugger, a live patch.
pub fn has_signal() -> bool {
    let task = crate::current!();
    let Ok(guard) = SighandGuard::new(task) else {
        return true;
    };
    const STOPPED: c_ulong = 1 << bindings::JOBCTL_STOP_PENDING_BIT;
    // SAFETY: `siglock` is held; the masks are the current task's own. What says that it has a signal is taken
    // back if there is no reason left for it.
    unsafe {
        let thread = (*guard.pending(Target::Thread)).signal.sig[0];
        let process = (*guard.pending(Target::Process)).signal.sig[0];
        let blocked = (*task.as_raw()).blocked.sig[0];
        bindings::recalc_sigpending();
        (thread | process) & !blocked != 0 || (*task.as_raw()).jobctl & STOPPED != 0
    }
}

/// Whether one of these signals, a mask, has come to the current task, blocked or not.
pub fn is_pending(signals: u64) -> bool {
    let task = crate::current!();
    let Ok(guard) = SighandGuard::new(task) else {
        return false;
    };
    // SAFETY: `siglock` is held.
    let of = |target| unsafe { (*guard.pending(target)).signal.sig[0] as u64 };
    (of(Target::Thread) | of(Target::Process)) & signals != 0
}

/// Forgets what is pending for the current task and its process, but not that it is being killed; the
/// signals that it has forgotten, as a mask.
pub fn flush_current() -> Result<u64> {
    let task = crate::current!();
    let guard = SighandGuard::new(task)?;
    let mut forgotten = 0;
    for target in [Target::Thread, Target::Process] {
        let pending = guard.pending(target);
        // SAFETY: `siglock` is held; the list is the current task's own.
        unsafe {
            forgotten |= (*pending).signal.sig[0] as u64;
            let kept = (*pending).signal.sig[0] & KILL;
            bindings::flush_sigqueue(pending);
            (*pending).signal.sig[0] |= kept;
        }
    }
    // SAFETY: `siglock` is held, and the current task looks at its signals again before it
    // returns to user space.
    unsafe { bindings::recalc_sigpending() };
    Ok(forgotten & !bit(SIGKILL))
}

/// Sets whether the parent of the current process, which is not stopped, can ask that it was
/// continued.
pub fn set_current_continued(yes: bool) -> Result {
    let task = crate::current!();
    let _guard = SighandGuard::new(task)?;
    // SAFETY: the current process's own word, which is written under `siglock` only.
    unsafe {
        let flags = ptr::addr_of_mut!((*(*task.as_raw()).signal).flags);
        // As `signal_set_stop_flags`, of a process that is being killed neither.
        if *flags & bindings::SIGNAL_GROUP_EXIT == 0 {
            *flags &= !bindings::SIGNAL_STOP_CONTINUED;
            if yes {
                *flags |= bindings::SIGNAL_STOP_CONTINUED;
            }
        }
    }
    Ok(())
}

/// Sets the action of one signal of the current process, as `sigaction(2)` does: flags that a
/// program cannot have are dropped; `EINVAL` for SIGKILL and SIGSTOP.
pub fn set_current_action(signo: i32, action: &Action) -> Result {
    let mut new = bindings::k_sigaction::default();
    new.sa.sa_flags = action.flags as c_ulong;
    new.sa.sa_mask.sig[0] = action.mask as c_ulong;
    // SAFETY: handlers and restorers are numbers to the kernel, which never calls them, and the
    // fields are pointers that may be null. The call acts on the current process.
    unsafe {
        ptr::addr_of_mut!(new.sa.sa_handler)
            .cast::<usize>()
            .write(action.handler as usize);
        ptr::addr_of_mut!(new.sa.sa_restorer)
            .cast::<usize>()
            .write(action.restorer as usize);
        to_result(bindings::do_sigaction(signo, &mut new, ptr::null_mut()))
    }
}

/// Sets the current task's signal stack by the rules of `sigaltstack(2)`: `EINVAL` for flags
/// that do not fit, `ENOMEM` if it is too small. It may be in use.
pub fn set_current_signal_stack(stack: &SignalStack) -> Result {
    const AUTODISARM: u32 = bindings::SS_AUTODISARM;
    const LEAST: u64 = bindings::MINSIGSTKSZ as u64;
    let none = stack.sp == 0 && stack.size == 0;
    match stack.flags & !AUTODISARM {
        bindings::SS_DISABLE if none => {}
        0 | bindings::SS_ONSTACK if none || stack.size >= LEAST => {}
        0 | bindings::SS_ONSTACK => return Err(ENOMEM),
        _ => return Err(EINVAL),
    }
    let task = crate::current!();
    let guard = SighandGuard::new(task)?;
    // SAFETY: `siglock` is held, as the function requires.
    #[cfg(CONFIG_DYNAMIC_SIGFRAME)]
    if !none && !unsafe { bindings::sigaltstack_size_valid(stack.size as usize) } {
        return Err(ENOMEM);
    }
    let task = guard.task.as_raw();
    // SAFETY: the current task's own fields.
    unsafe {
        (*task).sas_ss_sp = stack.sp as c_ulong;
        (*task).sas_ss_size = stack.size as usize;
        (*task).sas_ss_flags = stack.flags;
    }
    Ok(())
}

/// Sends a signal with a siginfo to the current task, which may send itself any; one that is
/// blocked stays pending even if it is ignored. `EAGAIN` over RLIMIT_SIGPENDING.
pub fn queue_to_current(target: Target, info: &Siginfo) -> Result {
    let task = crate::current!();
    let guard = SighandGuard::new(task)?;
    let mut kernel = bindings::kernel_siginfo::default();
    let kind = match target {
        Target::Thread => bindings::pid_type_PIDTYPE_PID,
        Target::Process => bindings::pid_type_PIDTYPE_TGID,
    };
    // SAFETY: a siginfo is plain data of this size, whose pointers are user addresses; `siglock`
    // is held as the call requires, and it copies the siginfo.
    unsafe {
        ptr::from_mut(&mut kernel)
            .cast::<[u8; SIGINFO_BYTES]>()
            .write(info.bytes);
        to_result(bindings::send_signal_locked(
            info.signo,
            &mut kernel,
            guard.task.as_raw(),
            kind,
        ))
    }
}
