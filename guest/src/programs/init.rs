// SPDX-License-Identifier: GPL-2.0-only

//! Process 1 of the guest.

use crate::init;
use std::process::ExitCode;

/// Runs until the machine is off.
pub fn main() -> ExitCode {
    if std::process::id() != 1 {
        eprintln!(
            "init: expected to be process 1 of a guest, found pid {}",
            std::process::id()
        );
        return ExitCode::FAILURE;
    }
    if let Err(why) = init::run() {
        println!("init: {why}");
    }
    println!("init: {}", init::power_off());
    ExitCode::FAILURE
}
