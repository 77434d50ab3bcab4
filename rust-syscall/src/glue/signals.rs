// SPDX-License-Identifier: GPL-2.0-only

//! Signals: the records SIGNAL_ACTIONS, SIGNAL_STATE and PENDING.

use super::failure::{Context, Failure};
use super::loader::Loader;
use super::saver::Saver;
use crate::image::header::Kind;
use crate::image::list::Entry;
use crate::image::record::signals::SIGINFO_BYTES;
use crate::image::record::{Pending, SigAction, SignalActions, SignalState};
use kernel::error::{code::*, Result};
use kernel::mm::space::task_size;
use kernel::pid::look_at_signals_on_return;
use kernel::sighand::{
    self, Action, Masks, Siginfo, SignalStack, Target, ENDING, SIGKILL, SIGSTOP, USER_ACTION_FLAGS,
};
use kernel::task::Task;

// The kernel's siginfo has the size that the format gives it.
const _: () = assert!(SIGINFO_BYTES == sighand::SIGINFO_BYTES);

/// SIG_IGN.
const IGNORED: u64 = 1;
/// Handlers that are none: SIG_DFL and SIG_IGN.
const LAST_SPECIAL_HANDLER: u64 = IGNORED;

/// Writes what the task does about signals, and those that it has yet to take.
pub(crate) fn save(task: &Task, out: &mut Saver) -> Result<(), Failure> {
    let actions = task.signal_actions().doing("reading signal actions")?;
    for (signo, action) in (1..).zip(&actions) {
        if let Some(why) = strange(action) {
            return Err(Failure::refused("signal", signo, why));
        }
    }
    out.record(Kind::SignalActions, |payload| {
        actions.iter().try_for_each(|action| {
            SigAction {
                handler: action.handler,
                flags: action.flags,
                restorer: action.restorer,
                mask: action.mask,
            }
            .encode(payload)
        })
    })?;
    let masks = task.signal_masks().doing("reading the signal mask")?;
    let stack = task.signal_stack();
    out.put(&SignalState {
        blocked: masks.blocked,
        saved: masks.saved,
        altstack_sp: stack.sp,
        altstack_size: stack.size,
        altstack_flags: stack.flags,
    })?;
    save_pending(task, Target::Thread, out)?;
    save_pending(task, Target::Process, out)
}

fn save_pending(task: &Task, target: Target, out: &mut Saver) -> Result<(), Failure> {
    let pending = task
        .pending_signals(target)
        .doing("reading pending signals")?;
    for info in &pending {
        match info.signo {
            SIGKILL => return Err(Failure::refused("signal", 9, "the task is being killed")),
            SIGSTOP => return Err(Failure::refused("signal", 19, "the task is being stopped")),
            signo => out.put(&Pending {
                shared: target == Target::Process,
                signo,
                siginfo: info.bytes,
            })?,
        }
    }
    Ok(())
}

/// Why an action cannot be carried, if so.
fn strange(action: &Action) -> Option<&'static str> {
    if action.handler > LAST_SPECIAL_HANDLER && action.handler >= task_size() {
        Some("handler outside of user memory")
    } else if action.flags & !USER_ACTION_FLAGS != 0 {
        Some("action that no 64-bit program can set")
    } else {
        None
    }
}

/// What the task will block once it runs again.
#[must_use = "the task blocks nearly all signals until its mask is set"]
pub(crate) struct Mask(Masks);

/// Makes the current task's signals those of the image. Until [`Mask::set`] nothing restored is taken: all
/// that can be blocked is, but for signals that end the restart, which interrupt its waits.
pub(crate) fn load(input: &mut Loader) -> Result<Mask, Failure> {
    let ending = ENDING & !unwanted().doing("reading what the caller does about signals")?;
    sighand::block_all_but(ending);
    // Before they are forgotten: who reads a stream may sleep.
    let actions = input.take(Kind::SignalActions)?;
    // What was sent to the program that called restart(2) is nothing to the restored one.
    let forgotten = sighand::flush_current().doing("forgetting pending signals")?;
    // Who has sent SIGSTOP, a debugger maybe, waits for the stop.
    if forgotten & (ending | sighand::bit(SIGSTOP)) != 0 {
        return Err(came());
    }
    load_actions(actions.body(input.limits)?)?;
    let record = input.take(Kind::SignalState)?;
    let state: SignalState = record.body(input.limits)?;
    sighand::set_current_signal_stack(&SignalStack {
        sp: state.altstack_sp,
        size: state.altstack_size,
        flags: state.altstack_flags,
    })
    .doing_on("setting the signal stack at", state.altstack_sp)?;
    let mut pending = 0;
    while let Some(record) = input.take_if(Kind::Pending)? {
        let signal: Pending = record.body(input.limits)?;
        // From here on one like it is the image's own, and no sign that somebody wants an end.
        let own = sighand::bit(signal.signo) & !pending;
        pending |= own;
        sighand::block_all_but(ending & !pending);
        if sighand::is_pending(own & ending) || sighand::has_signal() {
            return Err(came());
        }
        load_pending(&signal)?;
    }
    Ok(Mask(Masks {
        blocked: state.blocked,
        saved: state.saved,
    }))
}

fn came() -> Failure {
    Failure::doing(EINTR, "restoring signals: one has come that ends the restart")
}

/// The signals that the program which called restart(2) blocks or ignores: `nohup` is good for a restart too.
fn unwanted() -> Result<u64> {
    let current = kernel::current!();
    let actions = current.signal_actions()?;
    let ignored = (1..).zip(&actions).filter(|(_, action)| action.handler == IGNORED);
    let ignored = ignored.fold(0, |mask, (signo, _)| mask | sighand::bit(signo));
    Ok(ignored | current.signal_masks()?.blocked)
}

fn load_actions(body: SignalActions<'_>) -> Result<(), Failure> {
    for (signo, saved) in (1..).zip(body.actions.iter()) {
        let action = Action {
            handler: saved.handler,
            flags: saved.flags,
            restorer: saved.restorer,
            mask: saved.mask,
        };
        if let Some(why) = strange(&action) {
            return Err(Failure::doing(EINVAL, why));
        }
        // The codec has made sure that the two that cannot be changed are not.
        if signo != SIGKILL && signo != SIGSTOP {
            sighand::set_current_action(signo, &action)
                .doing_on("setting the action of signal", signo as u64)?;
        }
    }
    Ok(())
}

fn load_pending(pending: &Pending) -> Result<(), Failure> {
    let signo = pending.signo;
    if signo == SIGKILL || signo == SIGSTOP {
        let what = "pending signal that can be blocked";
        return Err(Failure::mismatch(EINVAL, what, 1, signo as u64));
    }
    let target = if pending.shared {
        Target::Process
    } else {
        Target::Thread
    };
    let info = Siginfo {
        signo,
        bytes: pending.siginfo,
    };
    sighand::queue_to_current(target, &info).doing_on("queueing signal", signo as u64)
}

impl Mask {
    /// Sets the mask, the last thing before the task goes back to user space: from here on
    /// signals are taken, and every wait ends at once if there is one.
    pub(crate) fn set(self) {
        sighand::set_current_masks(&self.0);
        // A mask that is to be put back is put back where signals are looked at.
        look_at_signals_on_return();
    }
}
