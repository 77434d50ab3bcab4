// SPDX-License-Identifier: GPL-2.0-only

//! SIGINT and SIGTERM while a tree is made and restarted: they kill its root,
//! or the container's init, and with it a restart that is stuck. mktree itself
//! lives on to bury the tree and to say so.

use super::NOT_MADE;
use nix::errno::Errno;
use nix::sys::signal::{sigaction, SaFlags, SigAction, SigHandler, SigSet, Signal};
use std::sync::atomic::{AtomicI32, Ordering};

const SIGNALS: [Signal; 2] = [Signal::SIGINT, Signal::SIGTERM];

/// Who is killed; 0: nobody has been made yet.
static TARGET: AtomicI32 = AtomicI32::new(0);

extern "C" fn on_signal(_: libc::c_int) {
    match TARGET.load(Ordering::SeqCst) {
        // What has just been forked dies with its parent.
        // SAFETY: ends the process at once; allowed in a handler.
        0 => unsafe { libc::_exit(NOT_MADE.into()) },
        // SAFETY: takes integers only; allowed in a handler.
        target => unsafe {
            libc::kill(target, libc::SIGKILL);
        },
    }
}

fn set(handler: SigHandler) -> Result<(), String> {
    // Without SA_RESTART: a coordinator's restart(2) ends too.
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    for signal in SIGNALS {
        // SAFETY: the handler makes system calls and reads an atomic only.
        unsafe { sigaction(signal, &action) }.map_err(|e: Errno| format!("sigaction: {e}"))?;
    }
    Ok(())
}

/// From now on the signals end the restart.
pub fn watch() -> Result<(), String> {
    set(SigHandler::Handler(on_signal))
}

/// `pid` is whom they kill.
pub fn aim_at(pid: i32) {
    TARGET.store(pid, Ordering::SeqCst);
}

/// The tree runs, and is about to be told of: from now on the signals wait for who takes them.
pub fn hand_over() -> nix::Result<SigSet> {
    let signals: SigSet = SIGNALS.into_iter().collect();
    signals.thread_block().map(|()| signals)
}

/// In a process that was forked: the signals are its own again.
pub fn forget() {
    // Cannot fail: both signals have actions.
    let _ = set(SigHandler::SigDfl);
}
