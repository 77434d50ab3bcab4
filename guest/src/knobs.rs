// SPDX-License-Identifier: GPL-2.0-only

//! The kernel's knobs for tests of restart: files of debugfs, `checkpoint/`.
//! What they mean is in the kernel's `glue/debug/knobs.rs`.

use std::fs;
use std::time::{Duration, Instant};

const FOLDER: &str = "/sys/kernel/debug/checkpoint";
/// Between two looks at a number that is waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// Number of the coordinator where a slot is asked for.
pub const COORDINATOR: u32 = u32::MAX;

/// Sees to it that the knobs are there.
pub fn open() -> Result<(), String> {
    contexts().map(drop).map_err(|why| {
        format!("{why} (a kernel without CONFIG_CHECKPOINT_DEBUG has no such files)")
    })
}

fn set(name: &str, value: u64) -> Result<(), String> {
    let path = format!("{FOLDER}/{name}");
    fs::write(&path, value.to_string()).map_err(|e| format!("writing {path}: {e}"))
}

fn get(name: &str) -> Result<u64, String> {
    let path = format!("{FOLDER}/{name}");
    let text = fs::read_to_string(&path).map_err(|e| format!("reading {path}: {e}"))?;
    let text = text.trim();
    text.parse()
        .map_err(|_| format!("{path}: expected a number, found {text:?}"))
}

/// How many restarts the kernel has in memory.
pub fn contexts() -> Result<u64, String> {
    get("contexts")
}

/// From now on every participant is delayed at each point by up to `us`
/// microseconds, in a sequence that begins with `seed`.
pub fn delay(us: u32, seed: u64) -> Result<(), String> {
    set("seed", seed)?;
    set("delay_us", us.into())
}

/// Holds the participant `slot` once it comes to `point`.
pub fn hold(slot: u32, point: u32) -> Result<(), String> {
    set("hold_point", 0)?;
    set("hold_slot", slot.into())?;
    set("hold_point", point.into())
}

/// Lets go whoever is held, and holds nobody from now on.
pub fn release() -> Result<(), String> {
    set("hold_point", 0)
}

/// Holds and delays nobody from now on, as far as that can be done: for the end of a test, which has
/// told what it found.
pub fn rest() {
    let _ = release().and_then(|()| delay(0, 0));
}

/// Waits until somebody is held; its pid, or `None` when that takes too long.
pub fn held(patience: Duration) -> Result<Option<i32>, String> {
    let start = Instant::now();
    loop {
        match get("held")? {
            0 if start.elapsed() > patience => return Ok(None),
            0 => std::thread::sleep(LOOK_AGAIN),
            pid => return Ok(Some(pid as i32)),
        }
    }
}

/// Waits until the kernel has no restart in memory; fails when that takes too long.
pub fn no_context(patience: Duration) -> Result<(), String> {
    let start = Instant::now();
    loop {
        match contexts()? {
            0 => return Ok(()),
            left if start.elapsed() > patience => {
                return Err(format!(
                    "restarts that the kernel still has in memory: {left}"
                ))
            }
            _ => std::thread::sleep(LOOK_AGAIN),
        }
    }
}
