// SPDX-License-Identifier: GPL-2.0-only

//! The console: standard streams of `/init`, and the prompt's terminal.

use super::shell;
use crate::sys::{self, Birth, Forked};
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout, setsid};
use std::fs::{self, File, OpenOptions};
use std::os::fd::AsRawFd;

fn open(path: &str) -> Result<File, String> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .map_err(|e| format!("opening {path}: {e}"))
}

fn make_standard(file: &File) -> Result<(), String> {
    dup2_stdin(file)
        .and_then(|()| dup2_stdout(file))
        .and_then(|()| dup2_stderr(file))
        .map_err(|e| format!("standard streams: dup2: {e}"))
}

/// Makes /dev/console the standard streams.
pub fn attach() -> Result<(), String> {
    make_standard(&open("/dev/console")?)
}

/// Starts the prompt in a session of its own with the console's terminal; its pid.
pub fn start_shell() -> Result<i32, String> {
    // SAFETY: init has one thread.
    match unsafe { sys::fork(Birth::default()) } {
        Ok(Forked::Parent(pid, _)) => Ok(pid),
        Ok(Forked::Child) => {
            if let Err(why) = take_terminal() {
                println!("init: {why}");
            }
            std::process::exit(shell::run())
        }
        Err(err) => Err(format!("starting the prompt: {err}")),
    }
}

/// Makes the terminal behind the console the controlling one: /dev/console
/// itself cannot be, and without one there is no Ctrl-C.
fn take_terminal() -> Result<(), String> {
    setsid().map_err(|e| format!("setsid: {e}"))?;
    let path = "/sys/class/tty/console/active";
    let active = fs::read_to_string(path).map_err(|e| format!("{path}: {e}"))?;
    let name = active
        .split_whitespace()
        .last()
        .ok_or_else(|| format!("{path}: no console"))?;
    let terminal = open(&format!("/dev/{name}"))?;
    // SAFETY: TIOCSCTTY takes an integer; the descriptor is open.
    if unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSCTTY, 0) } != 0 {
        return Err(format!(
            "/dev/{name}: TIOCSCTTY: {}",
            std::io::Error::last_os_error()
        ));
    }
    make_standard(&terminal)
}
