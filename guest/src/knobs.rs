// SPDX-License-Identifier: GPL-2.0-only

//! The kernel's knobs for tests of restart: files of debugfs, `checkpoint/`.
//! What they mean is in the kernel's `glue/debug/knobs.rs`.

use crate::stage::Stage;
use crate::wait;
use std::fs;
use std::path::Path;
use std::time::Duration;

const FOLDER: &str = "/sys/kernel/debug/checkpoint";
/// How long whoever is let go may take to notice.
const LET_GO: Duration = Duration::from_secs(30);

/// Number of the coordinator where a slot is asked for.
pub const COORDINATOR: u32 = u32::MAX;

/// Whether this kernel has them.
pub fn are_there() -> bool {
    Path::new(FOLDER).exists()
}

/// Sees to it that the knobs are there.
fn open() -> Result<(), String> {
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
fn delay(us: u32, seed: u64) -> Result<(), String> {
    set("seed", seed)?;
    set("delay_us", us.into())
}

/// Holds the participant `slot` once it comes to `point`, and whoever is held until now no more.
pub fn hold(slot: u32, point: u32) -> Result<(), String> {
    set("hold_point", 0)?;
    let free = wait::answer(wait::scaled(LET_GO), || {
        Ok((get("held")? == 0).then_some(()))
    })?;
    free.ok_or("whoever is held does not go on")?;
    set("hold_slot", slot.into())?;
    set("hold_point", point.into())
}

/// Lets go whoever is held, and holds nobody from now on.
pub fn release() -> Result<(), String> {
    set("hold_point", 0)
}

/// Runs a test in which every participant is delayed at each point by up to `us` microseconds. The
/// seed is argument `at` of the test, or one that nobody chose; it is told in the status file, and
/// with a failure.
pub fn delayed(
    stage: &Stage,
    us: u32,
    at: usize,
    test: impl FnOnce() -> Result<(), String>,
) -> Result<(), String> {
    let seed = stage.seed(at)?;
    stage.say(&format!("seed {seed}\n"))?;
    open()?;
    let done = delay(us, seed).and_then(|()| test());
    rest();
    done.map_err(|why| format!("seed {seed}: {why}"))
}

/// Holds and delays nobody from now on and has nobody panic, as far as that can be done: for the end
/// of a test, which has told what it found.
pub fn rest() {
    let _ = release_all();
}

/// The same for who has to know that it is so. A kernel without knobs holds nobody.
pub fn release_all() -> Result<(), String> {
    if !are_there() {
        return Ok(());
    }
    release()?;
    delay(0, 0)?;
    set("panic_point", 0)
}

/// Waits until somebody is held; its pid, or `None` when that takes too long.
pub fn held(patience: Duration) -> Result<Option<i32>, String> {
    wait::answer(patience, || match get("held")? {
        0 => Ok(None),
        pid => Ok(Some(pid as i32)),
    })
}

/// Waits until the kernel has no restart in memory, and nobody in its list of them; fails when that takes
/// too long.
pub fn no_context(patience: Duration) -> Result<(), String> {
    let mut left = (0, 0);
    let gone = wait::answer(patience, || {
        left = (contexts()?, get("places")?);
        Ok((left == (0, 0)).then_some(()))
    })?;
    let (contexts, places) = left;
    gone.ok_or_else(|| {
        format!("restarts that the kernel still has in memory: {contexts}; roots in its list of them: {places}")
    })
}
