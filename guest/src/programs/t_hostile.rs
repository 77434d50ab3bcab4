// SPDX-License-Identifier: GPL-2.0-only

//! A user restarts a real image, edited to ask for what that user may not
//! have: each is refused with its errno, and nobody is left. The image as it was,
//! and edits that ask for no more than anyone may have, are restarted. So it is after every tenth of them:
//! no refusal spoils the next restart.
//!
//! Arguments: STATUS IMAGE UID SAVED-STATUS [SEED]. IMAGE: of one task of the user UID, which has the file
//! SAVED-STATUS open.
//! Runs as root in a folder that the user can look into.

mod edits;

use crate::edit::{file_of, Image};
use crate::knobs;
use crate::restarts::patience;
use crate::stage::{self, Stage};
use crate::sys::{self, RESTART_COORDINATOR};
use crate::tree;
use crate::user::become_user;
use crate::wait;
use edits::{Case, Files, Outcome};
use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::{kill, Signal};
use nix::sys::wait::{waitpid, WaitStatus};
use nix::unistd::{setsid, Pid};
use std::fs::{self, File};
use std::io::{Read, Seek};
use std::os::fd::AsFd;
use std::process::ExitCode;

/// Longest delay at a point of a restart.
const DELAY_US: u32 = 2_000;
/// Exit status of the user's process: the restart went well, and the task is ended again.
const RESTARTED: u8 = 0;
/// It could not be tried.
const NOT_TRIED: u8 = 255;
/// It was refused, and yet the task did not end as one that is refused.
const RUNS_ON: u8 = 254;
/// It went well, but the task does not show what was asked for, or does not end as it has to.
const NOT_SHOWN: u8 = 253;

/// In the user's process: restarts the image as a coordinator does; the exit status.
fn coordinate(case: &Case, saved: i32, image: &File, log: &File, user: u32) -> u8 {
    let flags = sys::restart_as(saved);
    if become_user(user).is_err() {
        return NOT_TRIED;
    }
    let root = tree::spawn("root", || {
        if case.no_new_privs && prctl::set_no_new_privs().is_err() {
            return NOT_TRIED;
        }
        // The saved root leads its session.
        let found = setsid().and_then(|me| sys::restart(me.as_raw(), None, flags, Some(log.as_fd())));
        found.map_or_else(|errno| errno as i32 as u8, |_| NOT_TRIED)
    });
    let Ok(root) = root else {
        return NOT_TRIED;
    };
    let found = sys::restart(root.pid, Some(image.as_fd()), flags | RESTART_COORDINATOR, Some(log.as_fd()));
    let pid = Pid::from_raw(root.pid);
    let shown = found != Ok(0) || shows(root.pid, &case.outcome);
    if found == Ok(0) && !matches!(case.outcome, Outcome::Dies(_)) {
        // Ends the restored task; nothing else can have ended it meanwhile.
        let _ = kill(pid, Signal::SIGKILL);
    }
    let ended = waitpid(pid, None);
    match (found, ended) {
        (Ok(0), Ok(WaitStatus::Signaled(_, signal, _))) if shown && signal == case.outcome.end() => RESTARTED,
        (Ok(0), Ok(WaitStatus::Signaled(..))) => NOT_SHOWN,
        // Killed if it had begun to restore; told the same errno if not.
        (Err(errno), Ok(WaitStatus::Signaled(_, Signal::SIGKILL, _))) => errno as i32 as u8,
        (Err(errno), Ok(WaitStatus::Exited(_, told))) if told == errno as i32 => errno as i32 as u8,
        _ => RUNS_ON,
    }
}

/// Whether a restarted task shows in /proc what it should.
fn shows(pid: i32, outcome: &Outcome) -> bool {
    let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}"));
    match outcome {
        Outcome::Shows(file, text) => read(file).is_ok_and(|found| found.contains(text)),
        Outcome::Works => {
            let ticks = || read("stat").ok().and_then(|stat| user_ticks(&stat));
            let before = ticks();
            let worked = || before.is_some() && ticks() > before;
            wait::until(patience(), "the task does not go on", worked).is_ok()
        }
        Outcome::Refused(_) | Outcome::Runs | Outcome::Dies(_) => true,
    }
}

/// How long a task has been in user space, from its /proc/PID/stat; its name has no spaces.
fn user_ticks(stat: &str) -> Option<u64> {
    const UTIME: usize = 14;
    stat.split_whitespace().nth(UTIME - 1)?.parse().ok()
}

/// How the user's process ended.
fn words_of(ended: WaitStatus) -> String {
    match ended {
        WaitStatus::Exited(_, code) => match u8::try_from(code) {
            Ok(RESTARTED) => "a restart".to_owned(),
            Ok(NOT_TRIED) => "no try".to_owned(),
            Ok(NOT_SHOWN) => "a restart, but another task or another end".to_owned(),
            Ok(RUNS_ON) => "refused, but the task ran on".to_owned(),
            _ => Errno::from_raw(code).to_string(),
        },
        other => format!("{other:?}"),
    }
}

/// Restarts one image as the user, and judges what comes of it.
fn attempt(case: &Case, user: u32) -> Result<(), String> {
    let image = file_of(&case.image.bytes())?;
    let mut log = file_of(&[])?;
    let saved = case.image.root()?;
    let child = tree::spawn(case.what, || coordinate(case, saved, &image, &log, user))?;
    let ended = waitpid(Pid::from_raw(child.pid), None).map_err(|e| format!("waitpid: {e}"))?;
    let expected = match case.outcome {
        Outcome::Refused(errno) => errno as i32,
        Outcome::Runs | Outcome::Shows(..) | Outcome::Works | Outcome::Dies(_) => i32::from(RESTARTED),
    };
    let mut said = String::new();
    log.rewind()
        .and_then(|()| log.read_to_string(&mut said))
        .map_err(|e| format!("{}: reading the log: {e}", case.what))?;
    let said = said.trim();
    if ended != WaitStatus::Exited(Pid::from_raw(child.pid), expected) {
        let found = words_of(ended);
        return Err(format!("{}: expected {}, found {found}; log: {said}", case.what, case.outcome));
    }
    // One that runs leaves the log as it was.
    let says = case.says.map_or(said.is_empty(), |words| said.contains(words));
    if !says {
        return Err(format!("{}: expected the log to say {:?}, found {said:?}", case.what, case.says));
    }
    knobs::no_context(patience()).map_err(|why| format!("{}: {why}", case.what))
}

fn run(stage: &Stage) -> Result<(), String> {
    let [path, user, status, ..] = stage.args.as_slice() else {
        return Err("arguments: STATUS IMAGE UID SAVED-STATUS [SEED]".to_owned());
    };
    let user: u32 = user.parse().map_err(|_| format!("UID: expected a number, found {user:?}"))?;
    let image = Image::read(path)?;
    let made = Files::make()?;
    let cases = edits::all(&image, &made, status)?;
    let mut wrong = Vec::new();
    for case in &cases {
        wrong.extend(attempt(case, user).err());
    }
    wrong.extend(made.are_untouched().err());
    stage.say(&format!("cases: {}\n", cases.len()))?;
    if wrong.is_empty() {
        return Ok(());
    }
    Err(format!("{} of {}: {}", wrong.len(), cases.len(), wrong.join("; ")))
}

/// Runs with the arguments of the process.
pub fn main() -> ExitCode {
    stage::run(|stage| knobs::delayed(stage, DELAY_US, 3, || run(stage)))
}
