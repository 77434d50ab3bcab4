// SPDX-License-Identifier: GPL-2.0-only

//! A look at QEMU, the kernel log and the user's wish to stop, as often as something is waited for.

use std::time::{Duration, Instant};

use crate::error::Error;
use crate::exec::{self, Child};
use crate::qemu::console::{Console, Finding, Trouble};
use crate::qemu::guest::{Halt, SLICE};

/// How long a kernel that has panicked may go on to speak.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How long it may say nothing before it counts as done.
const QUIET: Duration = Duration::from_millis(500);

/// Whether the guest still runs, the kernel has not panicked and the user lets the lab go on.
pub(super) fn check(child: &mut Child, console: &mut Console) -> Result<(), Halt> {
    let panic = |findings: &[Finding]| {
        findings
            .iter()
            .find(|finding| finding.trouble == Trouble::Panic)
            .map(|finding| finding.line.clone())
    };
    if exec::interrupted() {
        return Err(Error::interrupted("running a guest").into());
    }
    let ended = child.poll()?;
    if let Some(line) = panic(console.advance()?) {
        hear_out(child, console)?;
        return Err(Halt::Panic(line));
    }
    if let Some(limit) = console.flooded() {
        return Err(Halt::Flood(limit));
    }
    match ended {
        Some(status) => match panic(console.finish()?) {
            Some(line) => Err(Halt::Panic(line)),
            None => Err(Halt::Died(format!("QEMU {}", exec::describe(status)))),
        },
        None => Ok(()),
    }
}

/// Waits until a kernel that has panicked has said where: until QEMU ends, which it does when the kernel would
/// boot again, or nothing more comes.
fn hear_out(child: &mut Child, console: &mut Console) -> Result<(), Halt> {
    let (mut heard, mut quiet_since) = (console.offset(), Instant::now());
    let deadline = Instant::now() + LAST_WORDS;
    while quiet_since.elapsed() < QUIET && Instant::now() < deadline {
        if child.poll()?.is_some() {
            console.finish()?;
            return Ok(());
        }
        std::thread::sleep(SLICE);
        console.advance()?;
        if console.offset() > heard {
            (heard, quiet_since) = (console.offset(), Instant::now());
        }
    }
    Ok(())
}
