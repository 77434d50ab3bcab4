// SPDX-License-Identifier: GPL-2.0-only

//! Sleeps once, relatively: however often it is frozen or restarted meanwhile,
//! the sleep ends by itself, and not early.
//!
//! Arguments: STATUS [SECONDS]

use crate::stage;
use nix::errno::Errno;
use nix::time::{clock_gettime, clock_nanosleep, ClockId, ClockNanosleepFlags};
use std::process::ExitCode;
use std::time::Duration;

fn now() -> Result<Duration, String> {
    clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map(Duration::from)
        .map_err(|e| format!("clock_gettime: {e}"))
}

/// Runs with the arguments of the process.
pub fn main() -> ExitCode {
    stage::run(|stage| {
        let seconds = stage.number(0, 3)?;
        let start = now()?;
        stage.ready()?;
        let request = Duration::from_secs(seconds).into();
        let slept = clock_nanosleep(
            ClockId::CLOCK_MONOTONIC,
            ClockNanosleepFlags::empty(),
            &request,
        );
        match slept {
            Ok(_) => (),
            Err(Errno::EINTR) => return Err("the sleep was interrupted (EINTR)".to_owned()),
            Err(err) => return Err(format!("clock_nanosleep: {err}")),
        }
        // Another boot's clock starts anew, and tells nothing.
        let Some(elapsed) = now()?.checked_sub(start) else {
            return Ok(());
        };
        if elapsed < Duration::from_secs(seconds) {
            return Err(format!("a sleep of {seconds} s: it ended after {elapsed:?}"));
        }
        Ok(())
    })
}
