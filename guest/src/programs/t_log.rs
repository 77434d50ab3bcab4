// SPDX-License-Identifier: GPL-2.0-only

//! Restarts whose log somebody else writes to all the time: no line of others is
//! taken for a failure, and what the kernel says is in the log once `mktree` has
//! ended, of a restart that is interrupted too.
//!
//! Arguments: STATUS IMAGE COMM TASKS. Runs as root outside any container.

use crate::edit::Image;
use crate::knobs;
use crate::pattern::PAGE;
use crate::restarts::{ended, patience, Mode, Tree, ERRORS, LOG};
use crate::stage::{self, expect, Stage};
use crate::tree;
use checkpoint::image::Kind;
use checkpoint::restart::Point;
use nix::sys::prctl;
use nix::sys::signal::{kill, Signal};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use std::fs::{self, File};
use std::io::Write;
use std::process::{Child, ExitCode};
use std::time::Duration;

/// What the other one writes, again and again, into the log of all.
const OTHER: &str = "restart: pid 9: of another restart";
const EVERY: Duration = Duration::from_millis(2);
/// A copy of the image that the kernel refuses at the last pages in it.
const DAMAGED: &str = "t_log.damaged";

fn write_for_ever() -> u8 {
    let _ = prctl::set_pdeathsig(Signal::SIGKILL);
    let Ok(mut log) = File::options().append(true).create(true).open(LOG) else {
        return 1;
    };
    while log.write_all(format!("{OTHER}\n").as_bytes()).is_ok() {
        std::thread::sleep(EVERY);
    }
    1
}

/// The kernel's lines in the log.
fn lines() -> Result<Vec<String>, String> {
    let text = fs::read_to_string(LOG).map_err(|e| format!("{LOG}: {e}"))?;
    Ok(text.lines().filter(|line| *line != OTHER).map(str::to_owned).collect())
}

/// Waits for the end of a restart that has to fail; the kernel's new lines, none of which may be
/// another's, and what `mktree` says.
fn failure(what: &str, mut mktree: Child) -> Result<(Vec<String>, String), String> {
    let before = lines()?;
    if ended(&mut mktree)? {
        return Err(format!("{what}: the restart succeeded"));
    }
    let found = lines()?;
    let new = found.get(before.len()..).unwrap_or_default();
    if let Some(other) = new.iter().find(|line| !line.starts_with("restart: pid ")) {
        return Err(format!("{what}: line of the log: {other:?}"));
    }
    let said = fs::read_to_string(ERRORS).map_err(|e| format!("{ERRORS}: {e}"))?;
    if said.contains(OTHER) {
        return Err(format!("{what}: mktree says {said:?}"));
    }
    Ok((new.to_vec(), said))
}

fn damage(path: &str) -> Result<(), String> {
    let image = Image::read(path)?;
    let last = image.count(Kind::Pages).checked_sub(1).ok_or("an image without pages")?;
    // In the raw pages, which nobody but the kernel has to look at.
    let at = image.offset(image.index(Kind::Pages, last)? + 1) - PAGE / 2;
    let mut bytes = image.bytes();
    bytes[at] ^= 0x40;
    fs::write(DAMAGED, bytes).map_err(|e| format!("{DAMAGED}: {e}"))
}

fn restarts(image: &str, comm: &str, tasks: u64) -> Result<(), String> {
    damage(image)?;
    for mode in [Mode::Coordinator, Mode::Root] {
        for beside in [false, true] {
            let what = format!("{mode:?}, beside: {beside}");
            let tree = Tree::new(image, comm, tasks)?;
            let tree = if beside { tree.beside() } else { tree };
            let damaged = tree.out_of(DAMAGED);
            let before = lines()?;
            tree.restart_well(mode).map_err(|why| format!("{what}: {why}"))?;
            expect(&format!("{what}: lines of a good restart"), before, lines()?)?;
            let (new, said) = failure(&what, damaged.start(mode)?)?;
            match &new[..] {
                [line] if line.contains("checksum") && said.contains(line) => (),
                _ => return Err(format!("{what}, damaged: in the log {new:?}, on stderr {said:?}")),
            }
            damaged.nobody_left()?;
            knobs::hold(0, Point::Turn as u32)?;
            let mktree = tree.start(mode)?;
            knobs::held(patience())?.ok_or("nobody came to the point")?;
            let pid = Pid::from_raw(mktree.id() as i32);
            kill(pid, Signal::SIGINT).map_err(|e| format!("kill {pid}: {e}"))?;
            let (new, said) = failure(&what, mktree)?;
            match &new[..] {
                [line] if line.contains("a signal came") => (),
                // The owner, which logs, has been killed.
                [] if mode == Mode::Root => (),
                _ => return Err(format!("{what}, interrupted: in the log {new:?}, on stderr {said:?}")),
            }
            knobs::release()?;
            tree.nobody_left()?;
        }
    }
    Ok(())
}

fn run(stage: &Stage) -> Result<(), String> {
    let [image, comm, ..] = &stage.args[..] else {
        return Err("arguments: expected STATUS IMAGE COMM TASKS".into());
    };
    File::create(LOG).map_err(|e| format!("{LOG}: {e}"))?;
    let other = tree::spawn("the other writer", write_for_ever)?;
    let done = restarts(image, comm, stage.number(2, 1)?);
    knobs::rest();
    let other = Pid::from_raw(other.pid);
    let _ = kill(other, Signal::SIGKILL);
    let _ = waitpid(other, None);
    done
}

/// Runs with the arguments of the process.
pub fn main() -> ExitCode {
    stage::run(run)
}
