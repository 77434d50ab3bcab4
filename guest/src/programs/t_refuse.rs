// SPDX-License-Identifier: GPL-2.0-only

//! Holds something that cannot be carried, and lives on to be refused.
//!
//! Arguments: STATUS KIND. Files are descriptor 100 (and 101), mappings are at
//! 0x70000000, so that a scenario knows what a refusal has to name.

mod files;
mod memory;
mod tasks;

use crate::stage;
use nix::errno::Errno;
use std::process::ExitCode;

/// Sets up what is refused, and leaves it there for as long as the task lives.
type Hold = fn() -> Result<(), String>;

/// Says which call failed.
fn failed(what: &'static str) -> impl Fn(Errno) -> String {
    move |errno| format!("{what}: {errno}")
}

/// The result of a raw call.
fn checked<T: nix::errno::ErrnoSentinel + PartialEq>(what: &'static str, result: T) -> Result<T, String> {
    Errno::result(result).map_err(failed(what))
}

fn kinds() -> impl Iterator<Item = &'static (&'static str, Hold)> {
    files::KINDS.iter().chain(memory::KINDS).chain(tasks::KINDS)
}

/// Runs with the arguments of the process.
pub fn main() -> ExitCode {
    stage::run(|stage| {
        let wanted = stage.args.first().map_or("", String::as_str);
        let Some((_, hold)) = kinds().find(|(name, _)| *name == wanted) else {
            let names: Vec<_> = kinds().map(|(name, _)| *name).collect();
            return Err(format!("kind {wanted:?}: expected one of: {}", names.join(" ")));
        };
        hold()?;
        stage.ready()?;
        stage::wait_for_term()
    })
}
