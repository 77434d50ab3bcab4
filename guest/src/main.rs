// SPDX-License-Identifier: GPL-2.0-only

//! The one executable of the guest; [`guest::programs`] says what it runs.

use std::process::ExitCode;

fn main() -> ExitCode {
    guest::programs::run()
}
