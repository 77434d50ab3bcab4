// SPDX-License-Identifier: GPL-2.0-only

//! The counter that translated x86 code reads as its own: this machine's time
//! stamp counter. A guest under TCG has nothing to measure it by, and without it
//! its clock and all its timers go by ticks of 4 ms.

use std::sync::OnceLock;

/// Ticks of the counter in a millisecond, measured once; `None` where this machine has none that
/// goes evenly.
pub fn tsc_khz() -> Option<u32> {
    static KHZ: OnceLock<Option<u32>> = OnceLock::new();
    *KHZ.get_or_init(measure)
}

#[cfg(target_arch = "x86_64")]
fn measure() -> Option<u32> {
    use std::time::{Duration, Instant};
    /// Long enough for an error of a few parts in a hundred thousand.
    const TIME: Duration = Duration::from_millis(20);
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = info.lines().find(|line| line.starts_with("flags"))?;
    let has = |wanted: &str| flags.split_whitespace().any(|flag| flag == wanted);
    if !has("constant_tsc") || !has("nonstop_tsc") {
        return None;
    }
    // SAFETY: an x86_64 processor has the instruction, and Linux lets programs use it.
    let ticks = || unsafe { std::arch::x86_64::_rdtsc() };
    let (start, first) = (Instant::now(), ticks());
    std::thread::sleep(TIME);
    let (elapsed, last) = (start.elapsed(), ticks());
    let khz = last.checked_sub(first)? as f64 / elapsed.as_secs_f64() / 1000.0;
    // From 100 MHz to 20 GHz: anything else is no processor's.
    (1e5..2e7).contains(&khz).then_some(khz.round() as u32)
}

#[cfg(not(target_arch = "x86_64"))]
fn measure() -> Option<u32> {
    None
}
