// SPDX-License-Identifier: GPL-2.0-only

//! Running children: each leads its own process group, and all of them end when the lab does.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::process::{kill_process_group, Pid, Signal};

use crate::error::{AtPath, Error, Kind, Result};

/// Process groups to end when the lab is interrupted.
static GROUPS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());
static INTERRUPTED: AtomicBool = AtomicBool::new(false);
/// How long children and stages have to end after an interrupt.
const GRACE: Duration = Duration::from_secs(3);

/// Whether the user asked the lab to end.
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// Takes over SIGINT, SIGTERM and SIGHUP: ends all children, lets the stages unwind, then ends the process.
pub fn watch_signals() -> Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])
        .map_err(|err| Error::lab("watching for signals", err.to_string()))?;
    std::thread::spawn(move || {
        let mut wait = signals.forever();
        wait.next();
        INTERRUPTED.store(true, Ordering::SeqCst);
        signal_groups(Signal::TERM);
        std::thread::spawn(|| {
            std::thread::sleep(GRACE);
            end_now();
        });
        wait.next();
        end_now();
    });
    Ok(())
}

/// Kills every child's group and ends this process.
fn end_now() -> ! {
    signal_groups(Signal::KILL);
    std::process::exit(Kind::Interrupted.exit_code());
}

/// Ends every child: what they work for has failed elsewhere.
pub fn end_children() {
    signal_groups(Signal::TERM);
}

fn signal_groups(signal: Signal) {
    let groups = GROUPS
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    for group in groups.iter().filter_map(|raw| Pid::from_raw(*raw)) {
        // A group that is gone already is what was wanted.
        let _ = kill_process_group(group, signal);
    }
}

/// A running child; killed with its group when dropped.
pub struct Child {
    pub(super) handle: duct::Handle,
    group: i32,
    ended: Option<ExitStatus>,
}

impl Child {
    pub(super) fn new(handle: duct::Handle) -> Result<Self> {
        let group = handle.pids().first().copied().unwrap_or(0) as i32;
        let mut groups = GROUPS
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        groups.insert(group);
        drop(groups);
        if interrupted() {
            // The signal may have come between the start and the registration.
            signal_groups(Signal::TERM);
        }
        Ok(Child {
            handle,
            group,
            ended: None,
        })
    }

    /// Its process id, which is its group's too.
    pub fn pid(&self) -> i32 {
        self.group
    }

    /// Its status if it has ended.
    pub fn poll(&mut self) -> Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            let output = self
                .handle
                .try_wait()
                .at("waiting for", Path::new("a child process"))?;
            self.ended = output.map(|output| output.status);
        }
        Ok(self.ended)
    }

    /// Waits for its end, at most for `limit`; `None` when it still runs.
    pub fn wait_timeout(&mut self, limit: Duration) -> Result<Option<ExitStatus>> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.poll()? {
                return Ok(Some(status));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            std::thread::sleep(left.min(Duration::from_millis(2)));
        }
    }

    /// Kills it and its group, and waits for its end.
    pub fn kill(&mut self) -> Result<()> {
        if self.poll()?.is_none() {
            if let Some(group) = Pid::from_raw(self.group) {
                let _ = kill_process_group(group, Signal::KILL);
            }
            let output = self
                .handle
                .wait()
                .at("waiting for", Path::new("a killed process"))?;
            self.ended = Some(output.status);
        }
        Ok(())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.kill();
        GROUPS
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .remove(&self.group);
    }
}
