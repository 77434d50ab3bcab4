// SPDX-License-Identifier: GPL-2.0-only

//! Writes lines into a file without end: what a driver in a loop does to a console.
//!
//! Arguments: FILE

use std::fs::OpenOptions;
use std::io::Write;
use std::process::ExitCode;

/// Runs with the arguments of the process.
pub fn main() -> ExitCode {
    let Some(path) = std::env::args().nth(1) else {
        eprintln!("arguments: FILE");
        return ExitCode::from(2);
    };
    let lines = "a line that says nothing, again and again, and again\n".repeat(64);
    let flooded = OpenOptions::new()
        .write(true)
        .open(&path)
        .and_then(|mut file| loop {
            file.write_all(lines.as_bytes())?;
        });
    let result: std::io::Result<()> = flooded;
    if let Err(err) = result {
        eprintln!("{path}: {err}");
    }
    ExitCode::FAILURE
}
