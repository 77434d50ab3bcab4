// SPDX-License-Identifier: GPL-2.0-only

//! What a task is besides: TASK, RLIMITS, SIGNAL_ACTIONS, SIGNAL_STATE, PENDING and THREAD.

use super::{Case, Edits, Outcome, KERNEL_ADDRESS};
use crate::edit::{double, put, put_doubles, put_words, word};
use checkpoint::image::record::task::{TASK_CHILD_SUBREAPER, TASK_CONTINUED, TASK_NO_NEW_PRIVS};
use checkpoint::image::Kind;
use nix::errno::Errno;

/// Adds the cases about attributes, limits, signals and calls.
pub(super) fn edit(edits: &mut Edits<'_>) -> Result<(), String> {
    // Offsets in TASK.
    let (exit_signal, death_signal, flags, nice, oom, dumpable) = (4, 8, 16, 20, 24, 28);
    let negative = |value: i32| value as u32;
    let own = word(edits.image.payload(Kind::Task, 0)?, 0)?;
    for (what, errno, at, value) in [
        ("the pid of another", Errno::EINVAL, 0, own + 1),
        ("an exit signal that kills", Errno::EPERM, exit_signal, 9),
        ("a parent's death signal that there is not", Errno::EINVAL, death_signal, 65),
        ("a higher priority", Errno::EACCES, nice, negative(-20)),
        ("a nice value that there is not", Errno::EINVAL, nice, 20),
        ("safety from the OOM killer", Errno::EACCES, oom, negative(-1000)),
        ("memory for root's eyes only", Errno::EPERM, dumpable, 2),
    ] {
        edits.words(what, errno, Kind::Task, &[(at, value)])?;
    }
    let given = word(edits.image.payload(Kind::Task, 0)?, flags)?;
    let known = TASK_NO_NEW_PRIVS | TASK_CHILD_SUBREAPER | TASK_CONTINUED;
    for bit in (0..32).filter(|bit| known & 1 << bit == 0) {
        let edited = edits.image.edited(Kind::Task, 0, |payload| put_words(payload, &[(flags, given | 1 << bit)]))?;
        edits.told(format!("flag {bit} of a task"), Errno::EINVAL, "flags", edited);
    }
    edits.cases.push(Case {
        what: "new privileges, against a promise",
        outcome: Errno::EPERM.into(),
        says: Some("no_new_privs"),
        image: edits.image.clone(),
        no_new_privs: true,
    });
    // Fields 18 to 21: priority, nice value, threads and a zero.
    let lower = Outcome::Shows("stat", " 25 5 1 0 ".to_owned());
    edits.words("a lower priority", lower, Kind::Task, &[(nice, 5)])?;
    let stricter = Outcome::Shows("status", "Umask:\t0077\n".to_owned());
    edits.words("a stricter umask", stricter, Kind::Fs, &[(0, 0o077)])?;

    let nofile = 7 * 16;
    let limits = edits.image.payload(Kind::Rlimits, 0)?;
    let hard = double(limits, nofile + 8)?;
    edits.doubles("a higher hard limit", Errno::EPERM, Kind::Rlimits, &[(nofile + 8, hard + 1)])?;
    edits.doubles("a limit above the hard limit", Errno::EINVAL, Kind::Rlimits, &[(nofile, hard + 1)])?;

    let action = |signal: usize| (signal - 1) * 32;
    edits.doubles("a handler in the kernel", Errno::EINVAL, Kind::SignalActions, &[(action(10), KERNEL_ADDRESS)])?;
    edits.doubles("SIGKILL ignored", Errno::EINVAL, Kind::SignalActions, &[(action(9), 1)])?;
    edits.doubles("SIGKILL blocked", Errno::EINVAL, Kind::SignalState, &[(0, 1 << 8)])?;

    for (what, signal) in [("SIGKILL pending", 9u32), ("SIGSTOP pending", 19)] {
        // Of the process or not, the number, and the siginfo, which begins with it.
        let mut pending = vec![0; 8 + 48];
        put_words(&mut pending, &[(4, signal), (8, signal)])?;
        let sent = edits.image.inserted((Kind::Rlimits, 0), Kind::Pending, pending)?;
        edits.image(what, Errno::EINVAL, sent);
    }

    let (rseq, kind, arguments) = (32, 52, 56);
    edits.doubles("restartable sequences in the kernel", Errno::EFAULT, Kind::Thread, &[(rseq, KERNEL_ADDRESS), (rseq + 8, 32)])?;
    let sleep = edits.image.edited(Kind::Thread, 0, |payload| {
        put_words(payload, &[(kind, 1)])?;
        put_doubles(payload, &[(arguments, 1), (arguments + 8, 1), (arguments + 16, KERNEL_ADDRESS), (arguments + 24, 1)])
    })?;
    edits.image("a sleep that tells the kernel the time left", Errno::EINVAL, sleep);
    // What the architecture has no use for; where it has, a number of a system call that there cannot be.
    let (arch, none) = (104, cfg!(target_arch = "x86_64"));
    for (number, value) in [(0, u64::from(none)), (1, 1 << 32), (2, 1), (3, 1)] {
        if value == 0 {
            continue;
        }
        let edited = edits.image.edited(Kind::Thread, 0, |payload| put_doubles(payload, &[(arch + 8 * number, value)]))?;
        edits.told(format!("word {number} of the architecture"), Errno::EINVAL, "word of the architecture", edited);
    }
    let unknown = edits.image.edited(Kind::Thread, 0, |payload| put(payload, kind, &9u32.to_le_bytes()))?;
    edits.image("a system call that is not carried", Errno::EINVAL, unknown);
    Ok(())
}
