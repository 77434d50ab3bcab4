// SPDX-License-Identifier: GPL-2.0-only

//! The contract of a test program: set up, `ready`, work or wait for SIGTERM,
//! verify, `pass` or `fail: <why>`.
//!
//! The status file is the first argument, opened append-only, a regular file.

use nix::errno::Errno;
use nix::sys::signal::{
    sigaction, sigprocmask, SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal,
};
use std::collections::hash_map::RandomState;
use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, Hasher};
use std::io::Write;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::protocol::SEED;

/// 1 once SIGTERM has come.
static TERMINATED: AtomicU32 = AtomicU32::new(0);

extern "C" fn on_term(_: libc::c_int) {
    TERMINATED.store(1, Ordering::SeqCst);
}

/// A running test program.
#[derive(Debug)]
pub struct Stage {
    status: File,
    /// Stands behind `ready` and `pass` in a tree, where each task has a name.
    name: Option<String>,
    /// The arguments behind the status file.
    pub args: Vec<String>,
}

impl Stage {
    /// The line of this task: `word`, with its name in a tree.
    fn line(&self, word: &str) -> String {
        match &self.name {
            Some(name) => format!("{word} {name}\n"),
            None => format!("{word}\n"),
        }
    }

    /// Appends one line by one write, so that lines of several tasks do not mix.
    pub fn say(&self, text: &str) -> Result<(), String> {
        (&self.status)
            .write_all(text.as_bytes())
            .map_err(|e| format!("writing the status file: {e}"))
    }

    /// Tells that everything to be verified later is set up.
    pub fn ready(&self) -> Result<(), String> {
        self.say(&self.line("ready"))
    }

    /// The same stage for another task of a tree.
    pub fn named(&self, name: &str) -> Result<Stage, String> {
        Ok(Stage {
            status: self
                .status
                .try_clone()
                .map_err(|e| format!("duplicating the status file: {e}"))?,
            name: Some(name.to_owned()),
            args: self.args.clone(),
        })
    }

    /// Argument `at` as a number, or `default` where there is none.
    pub fn number(&self, at: usize, default: u64) -> Result<u64, String> {
        match self.args.get(at) {
            None => Ok(default),
            Some(text) => text
                .parse()
                .map_err(|_| format!("argument {text:?}: expected a number")),
        }
    }

    /// Argument `at` as the seed of a test's random choices; without one, the lab's; outside of the lab, one
    /// that nobody chose.
    pub fn seed(&self, at: usize) -> Result<u64, String> {
        let of_lab = std::env::var(SEED).ok().and_then(|text| text.parse().ok());
        // Each of these has keys that the kernel's generator has chosen.
        let chance = || RandomState::new().build_hasher().finish();
        self.number(at, of_lab.unwrap_or_else(chance))
    }

    /// Runs what the task `name` of a tree does and reports its verdict.
    pub fn verdict_of(&self, name: &str, body: impl FnOnce(&Stage) -> Result<(), String>) -> u8 {
        match self.named(name) {
            Ok(stage) => stage.verdict(body(&stage)),
            Err(why) => self.verdict(Err(why)),
        }
    }

    /// Reports the verdict; the exit status that goes with it.
    pub fn verdict(&self, result: Result<(), String>) -> u8 {
        let said = match &result {
            Ok(()) => self.say(&self.line("pass")),
            Err(why) => {
                let task = self
                    .name
                    .as_ref()
                    .map(|n| format!("{n}: "))
                    .unwrap_or_default();
                // For whoever runs it and does not know the status file.
                let _ = writeln!(std::io::stderr(), "{task}{why}");
                self.say(&format!("fail: {task}{why}\n"))
            }
        };
        u8::from(result.is_err() || said.is_err())
    }
}

/// Runs a test program from its command line to its exit code.
pub fn run(body: impl FnOnce(&Stage) -> Result<(), String>) -> ExitCode {
    perform(None, body)
}

/// Runs the root of a tree, where each task reports under a name.
pub fn run_named(name: &str, body: impl FnOnce(&Stage) -> Result<(), String>) -> ExitCode {
    perform(Some(name), body)
}

fn perform(name: Option<&str>, body: impl FnOnce(&Stage) -> Result<(), String>) -> ExitCode {
    let mut args = std::env::args().skip(1);
    let Some(path) = args.next() else {
        eprintln!(
            "usage: {} STATUS-FILE [ARGUMENT...]",
            std::env::args().next().unwrap_or_default()
        );
        return ExitCode::from(2);
    };
    let status = match OpenOptions::new().append(true).create(true).open(&path) {
        Ok(file) => file,
        Err(err) => {
            eprintln!("status file {path}: {err}");
            return ExitCode::from(2);
        }
    };
    let stage = Stage {
        status,
        name: name.map(str::to_owned),
        args: args.collect(),
    };
    let result = catch_sigterm().and_then(|()| body(&stage));
    ExitCode::from(stage.verdict(result))
}

/// Blocks SIGTERM and installs its handler; [`wait_for_term`] lets it in.
fn catch_sigterm() -> Result<(), String> {
    let action = SigAction::new(
        SigHandler::Handler(on_term),
        SaFlags::SA_RESTART,
        SigSet::empty(),
    );
    block(Signal::SIGTERM)?;
    // SAFETY: the handler only stores to an atomic.
    unsafe { sigaction(Signal::SIGTERM, &action) }
        .map(drop)
        .map_err(|e| format!("sigaction: {e}"))
}

/// Blocks a signal for this task.
pub fn block(signal: Signal) -> Result<(), String> {
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&signal.into()), None)
        .map_err(|e| format!("blocking {signal}: {e}"))
}

/// Lets SIGTERM in while the task works; see [`terminated`].
pub fn unblock_term() -> Result<(), String> {
    sigprocmask(SigmaskHow::SIG_UNBLOCK, Some(&Signal::SIGTERM.into()), None)
        .map_err(|e| format!("unblocking SIGTERM: {e}"))
}

/// Whether SIGTERM has come.
pub fn terminated() -> bool {
    TERMINATED.load(Ordering::SeqCst) != 0
}

/// The word that SIGTERM sets, for loops that watch it themselves.
pub fn term_word() -> &'static AtomicU32 {
    &TERMINATED
}

/// Sleeps in sigsuspend until SIGTERM.
pub fn wait_for_term() -> Result<(), String> {
    let mut mask = SigSet::thread_get_mask().map_err(|e| format!("sigprocmask: {e}"))?;
    mask.remove(Signal::SIGTERM);
    while !terminated() {
        match mask.suspend() {
            Ok(()) | Err(Errno::EINTR) => (),
            Err(err) => return Err(format!("sigsuspend: {err}")),
        }
    }
    Ok(())
}

/// Fails unless the two are equal.
pub fn expect<T: PartialEq + std::fmt::Debug>(
    what: &str,
    expected: T,
    found: T,
) -> Result<(), String> {
    if expected == found {
        Ok(())
    } else {
        Err(format!("{what}: expected {expected:?}, found {found:?}"))
    }
}
