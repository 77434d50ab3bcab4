// SPDX-License-Identifier: GPL-2.0-only

//! Checkpoints itself: the returned value tells the restarted self (0) from
//! the original (the image's id).
//!
//! Arguments: STATUS IMAGE. On SIGTERM the original saves itself, says `original
//! ID` and ends; the restarted self says `restarted`, and on SIGUSR1 `pass`.

use crate::pattern::{Memory, Pages};
use crate::stage::{self, expect};
use crate::sys;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::getpid;
use std::fs::File;
use std::os::fd::AsFd;
use std::process::ExitCode;

/// Runs with the arguments of the process.
pub fn main() -> ExitCode {
    stage::run(|stage| {
        let path = stage
            .args
            .first()
            .ok_or("expected an image file as second argument")?;
        let memory = Memory::filled(256 << 10, 0x5e1f, Pages::Half)?;
        let pid = getpid();
        let image = File::create(path).map_err(|e| format!("{path}: {e}"))?;
        stage::block(Signal::SIGUSR1)?;
        stage.ready()?;
        stage::wait_for_term()?;
        // Set last: they are in the CPU, and nowhere else until the task is switched away from.
        let rights = sys::protection_keys(Some(9));
        match sys::checkpoint(0, image.as_fd(), 0, Some(std::io::stderr().as_fd())) {
            Ok(0) => stage.say("restarted\n")?,
            Ok(id) => return stage.say(&format!("original {id}\n")),
            Err(err) => return Err(format!("checkpoint: {err}")),
        }
        expect("pid", pid, getpid())?;
        expect("rights by protection key", rights, sys::protection_keys(None))?;
        memory.verify()?;
        let usr1: SigSet = Signal::SIGUSR1.into();
        let came = usr1.wait().map_err(|e| format!("sigwait: {e}"))?;
        expect("the signal", Signal::SIGUSR1, came)
    })
}
