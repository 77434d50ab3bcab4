// SPDX-License-Identifier: GPL-2.0-only

//! What a C library has told the kernel about a thread, and the system call that it is in the
//! middle of: the THREAD record.

use super::arch;
use super::failure::{Context, Failure};
use super::loader::Loader;
use super::saver::Saver;
use super::task::refused;
use crate::image::header::Kind;
use crate::image::record::{RestartBlock, Thread as Body};
use kernel::error::code::*;
use kernel::mm::space::task_size;
use kernel::restart_block::{self, Interrupted};
use kernel::task::Task;
use kernel::thread::{self, Pointers, Rseq, ROBUST_LIST_LEN};

/// `nanosleep`'s second argument: nobody wants to know the time left.
const NO_REMAINDER: u64 = 0;
/// `nanosleep`'s second argument: the time left goes to the third.
const REMAINDER: u64 = 1;

/// Writes the THREAD record. `needs_restart_block`: the task is in a system call that goes on by
/// its restart block; otherwise what stands there is stale. `arch` is passed on.
pub(crate) fn save(
    task: &Task,
    out: &mut Saver,
    needs_restart_block: bool,
    arch: [u64; 4],
) -> Result<(), Failure> {
    let pointers = task.thread_pointers();
    let rseq = task.rseq();
    let call = if needs_restart_block {
        let why = "sleeping on a CPU clock or an alarm clock";
        task.interrupted_call().ok_or_else(|| refused(task, why))?
    } else {
        Interrupted::Nothing
    };
    let (restart, restart_args) = encode(call);
    out.put(&Body {
        set_child_tid: pointers.set_child_tid,
        clear_child_tid: pointers.clear_child_tid,
        robust_list: pointers.robust_list,
        robust_list_len: robust_list_len(pointers.robust_list),
        rseq: rseq.address,
        rseq_len: rseq.len.into(),
        rseq_sig: rseq.signature,
        restart,
        restart_args,
        arch,
    })
}

/// Sets what the THREAD record says, and returns its words of the architecture. Deadlines of an
/// interrupted system call count from now. The memory must be the restored one.
pub(crate) fn load(input: &mut Loader) -> Result<[u64; 4], Failure> {
    let record = input.take(Kind::Thread)?;
    let body: Body = record.body(input.limits)?;
    let expected = robust_list_len(body.robust_list);
    if body.robust_list_len != expected {
        let what = "length of the robust list's head";
        return Err(Failure::mismatch(
            EINVAL,
            what,
            expected,
            body.robust_list_len,
        ));
    }
    for (word, most) in body.arch.into_iter().zip(arch::MOST) {
        if word > most {
            return Err(Failure::mismatch(EINVAL, "word of the architecture", most, word));
        }
    }
    let rseq = Rseq {
        address: body.rseq,
        len: u32::try_from(body.rseq_len)
            .map_err(|_| EINVAL)
            .doing_on("setting restartable sequences of length", body.rseq_len)?,
        signature: body.rseq_sig,
    };
    let call = decode(body.restart, &body.restart_args)?;
    restart_block::set_current_interrupted_call(&call).doing_on(
        "continuing an interrupted system call of kind",
        body.restart as u64,
    )?;
    thread::set_current_rseq(&rseq).doing_on("setting restartable sequences at", rseq.address)?;
    thread::set_current_pointers(&Pointers {
        set_child_tid: body.set_child_tid,
        clear_child_tid: body.clear_child_tid,
        robust_list: body.robust_list,
    });
    Ok(body.arch)
}

/// Gives the current task what a program without a C library has: nothing to write to at its exit
/// and no area to keep up to date. For the time in which its old memory is gone and the new one
/// is not complete.
pub(crate) fn forget() -> Result<(), Failure> {
    thread::set_current_pointers(&Pointers::default());
    thread::set_current_rseq(&Rseq::default()).doing("giving up restartable sequences")?;
    Ok(())
}

fn robust_list_len(head: u64) -> u64 {
    if head == 0 {
        0
    } else {
        ROBUST_LIST_LEN
    }
}

fn encode(call: Interrupted) -> (RestartBlock, [u64; 6]) {
    match call {
        Interrupted::Nothing => (RestartBlock::None, [0; 6]),
        Interrupted::Nanosleep {
            clock,
            remainder,
            left,
        } => {
            let kind = remainder.map_or(NO_REMAINDER, |_| REMAINDER);
            let left = left.max(0) as u64;
            let args = [clock as u64, kind, remainder.unwrap_or(0), left, 0, 0];
            (RestartBlock::Nanosleep, args)
        }
        Interrupted::Futex {
            address,
            value,
            options,
            bitset,
            left,
        } => {
            let args = [
                address,
                value.into(),
                options.into(),
                bitset.into(),
                1,
                left as u64,
            ];
            (RestartBlock::Futex, args)
        }
        Interrupted::Poll { fds, nfds, left } => {
            let timed = u64::from(left.is_some());
            let args = [
                fds,
                nfds as u32 as u64,
                timed,
                left.unwrap_or(0) as u64,
                0,
                0,
            ];
            (RestartBlock::Poll, args)
        }
    }
}

fn decode(kind: RestartBlock, args: &[u64; 6]) -> Result<Interrupted, Failure> {
    match (kind, *args) {
        (RestartBlock::None, _) => Ok(Interrupted::Nothing),
        (RestartBlock::Nanosleep, [clock, kind, address, left, 0, 0]) => {
            let remainder = match kind {
                NO_REMAINDER if address == 0 => None,
                REMAINDER => Some(user(address)?),
                _ => return Err(wrong("remainder of nanosleep", kind)),
            };
            Ok(Interrupted::Nanosleep {
                clock: narrow("clock of nanosleep", clock)?,
                remainder,
                left: narrow("time left of nanosleep", left)?,
            })
        }
        (RestartBlock::Futex, [address, value, options, bitset, 1, left]) => {
            Ok(Interrupted::Futex {
                address: user(address)?,
                value: narrow("value of futex", value)?,
                options: narrow("options of futex", options)?,
                bitset: narrow("bitset of futex", bitset)?,
                left: left as i64,
            })
        }
        (RestartBlock::Poll, [address, nfds, timed, left, 0, 0]) => {
            let nfds: u32 = narrow("entries of poll", nfds)?;
            let left = match (timed, left) {
                (0, 0) => None,
                (1, left) => Some(left as i64),
                _ => return Err(wrong("whether poll has a timeout", timed)),
            };
            Ok(Interrupted::Poll {
                fds: user(address)?,
                nfds: nfds as i32,
                left,
            })
        }
        (RestartBlock::Nanosleep | RestartBlock::Futex | RestartBlock::Poll, _) => Err(wrong(
            "arguments of the interrupted system call",
            kind as u64,
        )),
    }
}

/// A user address; the system call checks it again when it uses it.
fn user(address: u64) -> Result<u64, Failure> {
    if address < task_size() {
        Ok(address)
    } else {
        Err(wrong("address in the interrupted system call", address))
    }
}

fn narrow<T: TryFrom<u64>>(what: &'static str, value: u64) -> Result<T, Failure> {
    T::try_from(value).map_err(|_| wrong(what, value))
}

fn wrong(what: &'static str, value: u64) -> Failure {
    Err::<(), _>(EINVAL).doing_on(what, value).unwrap_err()
}
