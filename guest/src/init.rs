// SPDX-License-Identifier: GPL-2.0-only

//! Process 1 of the guest, in order: mounts, environment, ports, then either
//! requests from the host or a prompt, and the power off.

pub mod bulk;
pub mod cmdline;
pub mod console;
pub mod files;
pub mod leaks;
pub mod mounts;
mod pending;
pub mod port;
mod requests;
pub mod reset;
pub mod serve;
pub mod shell;
pub mod spawn;
pub mod surroundings;
pub mod traced;

use crate::protocol::{CASE_DIR, CONTROL_PORT, FILES_PORT, RESULTS_PORT};
use cmdline::CommandLine;
use nix::sys::reboot::{reboot, RebootMode};
use std::time::Duration;

/// How long the ports may take to appear.
const PORT_PATIENCE: Duration = Duration::from_secs(10);
/// The same where there may be none: a prompt needs no host.
const SHELL_PORT_PATIENCE: Duration = Duration::from_millis(300);

/// Runs the guest until it is to be powered off.
pub fn run() -> Result<(), String> {
    mounts::mount_all()?;
    console::attach()?;
    let words = CommandLine::read()?;
    words.export();
    make_case_dir()?;
    let shell = if words.shell {
        Some(console::start_shell()?)
    } else {
        None
    };
    let patience = if words.shell {
        SHELL_PORT_PATIENCE
    } else {
        PORT_PATIENCE
    };
    let control = port::open(CONTROL_PORT, patience);
    let ports = control.and_then(|control| {
        let files = port::open(FILES_PORT, SHELL_PORT_PATIENCE)?;
        Ok((
            control,
            files,
            port::open(RESULTS_PORT, SHELL_PORT_PATIENCE).ok(),
        ))
    });
    match (ports, shell) {
        (Ok((control, files, results)), shell) => {
            serve::Server::new(control, files, results, shell)?.serve()
        }
        (Err(_), Some(shell)) => serve::reap_until(shell),
        (Err(why), None) => Err(why),
    }
}

/// Makes the folder of the running case and goes there: relative paths of
/// requests start from it.
fn make_case_dir() -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    let all = std::fs::Permissions::from_mode(0o1777);
    std::fs::create_dir_all(CASE_DIR)
        .and_then(|()| std::fs::set_permissions(CASE_DIR, all))
        .and_then(|()| std::env::set_current_dir(CASE_DIR))
        .map_err(|e| format!("making {CASE_DIR}: {e}"))
}

/// Ends the machine; comes back only if the kernel refuses.
pub fn power_off() -> String {
    // QEMU's microvm has no power switch: it is left by a reset, which -no-reboot turns into an exit.
    let mode = match cfg!(target_arch = "x86_64") {
        true => RebootMode::RB_AUTOBOOT,
        false => RebootMode::RB_POWER_OFF,
    };
    match reboot(mode) {
        Ok(never) => match never {},
        Err(err) => format!("power off: {err}"),
    }
}
