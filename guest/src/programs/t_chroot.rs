// SPDX-License-Identifier: GPL-2.0-only

//! Lives in another root directory and works in a folder of it: after a restart
//! names still mean what they meant.
//!
//! Arguments: STATUS, below the new root. To be started as root.

use crate::stage::{self, expect, Stage};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

/// The new root, in the folder that the program is started in.
const JAIL: &str = "jail";
/// The working folder below it.
const WORK: &str = "/work";
/// The program below it.
const PROGRAM: &str = "/t_chroot";
/// What is left of the old root: its folder of programs.
const OUTSIDE: &str = "/usr/bin";
const FILE: &str = "t_chroot.file";
const OTHER: &str = "t_chroot.other";

/// Goes into the new root and executes itself there, with nothing open from outside.
fn enter() -> Result<(), String> {
    let failed = |e: std::io::Error| format!("making {JAIL}: {e}");
    fs::create_dir_all(format!("{JAIL}{WORK}")).map_err(failed)?;
    fs::copy("/proc/self/exe", format!("{JAIL}{PROGRAM}")).map_err(failed)?;
    std::os::unix::fs::chroot(JAIL).map_err(|e| format!("chroot {JAIL}: {e}"))?;
    std::env::set_current_dir(WORK).map_err(|e| format!("chdir {WORK}: {e}"))?;
    let output = File::create("output").map_err(failed)?;
    let input = File::open("output").map_err(failed)?;
    let again = output.try_clone().map_err(failed)?;
    let status = std::env::args().nth(1).unwrap_or_default();
    let failure = Command::new(PROGRAM)
        .arg(status)
        .stdin(Stdio::from(input))
        .stdout(Stdio::from(output))
        .stderr(Stdio::from(again))
        .exec();
    Err(format!("executing {PROGRAM}: {failure}"))
}

/// Which file or folder a name means.
fn identity(name: &str) -> Result<(u64, u64), String> {
    let meta = fs::metadata(name).map_err(|e| format!("{name}: {e}"))?;
    Ok((meta.dev(), meta.ino()))
}

/// What the names mean that are asked for again later.
fn meanings() -> Result<Vec<(u64, u64)>, String> {
    ["/", "/..", "..", ".", PROGRAM, FILE].map(identity).into_iter().collect()
}

fn live(stage: &Stage) -> Result<(), String> {
    let failed = |name: &'static str| move |e: std::io::Error| format!("{name}: {e}");
    let mut file = File::create(FILE).map_err(failed(FILE))?;
    let before = meanings()?;
    expect("the folder above the root", before[0], before[1])?;
    stage.ready()?;
    stage::wait_for_term()?;
    expect("what names mean", before, meanings()?)?;
    expect("whether the old root is to be seen", false, Path::new(OUTSIDE).exists())?;
    let cwd = std::env::current_dir().map_err(failed("getcwd"))?;
    expect("the working folder", Path::new(WORK), &cwd)?;
    file.write_all(b"open").map_err(failed(FILE))?;
    let mut found = String::new();
    File::open(format!("{WORK}/{FILE}"))
        .and_then(|mut file| file.read_to_string(&mut found))
        .map_err(failed(FILE))?;
    expect("the file by its whole name", "open", found.as_str())?;
    fs::write(OTHER, "new").map_err(failed(OTHER))
}

/// Runs with the arguments of the process.
pub fn main() -> ExitCode {
    if !Path::new(PROGRAM).exists() {
        let Err(why) = enter() else {
            return ExitCode::SUCCESS;
        };
        eprintln!("{why}");
        return ExitCode::FAILURE;
    }
    stage::run(live)
}
