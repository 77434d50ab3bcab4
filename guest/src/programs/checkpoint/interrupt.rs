// SPDX-License-Identifier: GPL-2.0-only

//! Signals that end `checkpoint` while a cgroup is frozen: the handler thaws it
//! and ends the process, wherever that is at the time. A mere flag would not do:
//! a signal that comes just before checkpoint(2) would be seen only after it.

use crate::freezer::Cgroup;
use nix::errno::Errno;
use nix::sys::signal::{
    sigaction, sigprocmask, SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal,
};
use std::fs::File;
use std::os::fd::IntoRawFd;
use std::sync::atomic::{AtomicI32, Ordering};

const SIGNALS: [Signal; 4] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
];

const THAWED: &[u8] = b"checkpoint: interrupted: the image is not whole, the tree goes on\n";
const NOT_THAWED: &[u8] = b"checkpoint: interrupted: the image is not whole, the tree is frozen\n";

/// The cgroup.freeze that thaws what was frozen here; -1: it was frozen before.
static THAW: AtomicI32 = AtomicI32::new(-1);

extern "C" fn on_signal(_: libc::c_int) {
    let fd = THAW.load(Ordering::SeqCst);
    // SAFETY: these calls are allowed in a handler, and the text outlives them.
    unsafe {
        let thawed = fd >= 0 && libc::write(fd, b"0".as_ptr().cast(), 1) == 1;
        let (said, status) = match (fd, thawed) {
            (0.., false) => (NOT_THAWED, super::FREEZER),
            (_, true) => (THAWED, super::INTERRUPTED),
            (_, false) => (NOT_THAWED, super::INTERRUPTED),
        };
        libc::write(libc::STDERR_FILENO, said.as_ptr().cast(), said.len());
        libc::_exit(status.into());
    }
}

fn all() -> SigSet {
    SIGNALS.into_iter().collect()
}

fn set(signal: Signal, handler: SigHandler) -> Result<SigHandler, String> {
    // Without SA_RESTART: checkpoint(2) ends too.
    let action = SigAction::new(handler, SaFlags::empty(), all());
    // SAFETY: the handler makes system calls and reads an atomic only.
    unsafe { sigaction(signal, &action) }
        .map(|old| old.handler())
        .map_err(|e: Errno| format!("{signal}: sigaction: {e}"))
}

fn mask(how: SigmaskHow, signals: &SigSet) -> Result<SigSet, String> {
    let mut before = SigSet::empty();
    sigprocmask(how, Some(signals), Some(&mut before))
        .map(|()| before)
        .map_err(|e| format!("sigprocmask: {e}"))
}

/// From now on the signals end the process, and thaw the cgroup if it is not `frozen_before`. What
/// the caller's parent has it ignore (`nohup`) stays ignored.
pub fn watch(cgroup: &Cgroup, frozen_before: bool) -> Result<(), String> {
    if !frozen_before {
        let file: File = cgroup.open_freeze()?;
        THAW.store(file.into_raw_fd(), Ordering::SeqCst);
    }
    let before = mask(SigmaskHow::SIG_BLOCK, &all())?;
    for signal in SIGNALS {
        if set(signal, SigHandler::Handler(on_signal))? == SigHandler::SigIgn {
            set(signal, SigHandler::SigIgn)?;
        }
    }
    mask(SigmaskHow::SIG_SETMASK, &before)?;
    // An image that grows beyond RLIMIT_FSIZE is an error (EFBIG), not the end of the process.
    set(Signal::SIGXFSZ, SigHandler::SigIgn)?;
    Ok(())
}

/// What has been begun is brought to its end: the signals wait for that of the process.
pub fn hold_off() {
    // Cannot fail: the signals are valid.
    let _ = mask(SigmaskHow::SIG_BLOCK, &all());
}
