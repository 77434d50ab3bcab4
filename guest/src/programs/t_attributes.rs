// SPDX-License-Identifier: GPL-2.0-only

//! What a task is by `prctl` and /proc comes back: timer slack and its default,
//! name, domain, umask, oom_score_adj, the filter of core dumps, and that a
//! child was continued, which its parent has not asked about yet.
//!
//! Arguments: STATUS. To be started as root.

use crate::stage::{self, expect};
use crate::tree;
use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::{kill, Signal};
use nix::sys::stat::{umask, Mode};
use nix::sys::wait::{waitpid, WaitPidFlag, WaitStatus};
use nix::unistd::Pid;
use std::fs;
use std::process::ExitCode;

const SLACK_NS: u64 = 70_000;
const DEFAULT_SLACK_NS: u64 = 90_000;
const OOM_SCORE_ADJ: &str = "321";
const DUMP_FILTER: &str = "0000014b";
const UMASK: u32 = 0o027;
const NAME: &std::ffi::CStr = c"t_attr renamed";

/// Everything that is compared, in one value.
#[derive(Debug, PartialEq)]
struct Found {
    slack_ns: i32,
    comm: String,
    personality: i32,
    oom_score_adj: String,
    dump_filter: String,
    umask: u32,
    subreaper: bool,
    pdeath: Option<Signal>,
}

fn read(path: &str) -> Result<String, String> {
    let text = fs::read_to_string(path).map_err(|e| format!("{path}: {e}"))?;
    Ok(text.trim_end().to_owned())
}

fn found() -> Result<Found, String> {
    let failed = |what: &'static str| move |e: Errno| format!("{what}: {e}");
    let mask = umask(Mode::from_bits_truncate(UMASK));
    umask(mask);
    Ok(Found {
        slack_ns: prctl::get_timerslack().map_err(failed("PR_GET_TIMERSLACK"))?,
        comm: read("/proc/self/comm")?,
        // SAFETY: asks only.
        personality: unsafe { libc::personality(0xffff_ffff) },
        oom_score_adj: read("/proc/self/oom_score_adj")?,
        dump_filter: read("/proc/self/coredump_filter")?,
        umask: mask.bits(),
        subreaper: prctl::get_child_subreaper().map_err(failed("PR_GET_CHILD_SUBREAPER"))?,
        pdeath: prctl::get_pdeathsig().map_err(failed("PR_GET_PDEATHSIG"))?,
    })
}

fn set_up() -> Result<(), String> {
    let failed = |what: &'static str| move |e: Errno| format!("{what}: {e}");
    let write = |path: &str, text: &str| fs::write(path, text).map_err(|e| format!("{path}: {e}"));
    prctl::set_timerslack(SLACK_NS).map_err(failed("PR_SET_TIMERSLACK"))?;
    prctl::set_name(NAME).map_err(failed("PR_SET_NAME"))?;
    prctl::set_child_subreaper(true).map_err(failed("PR_SET_CHILD_SUBREAPER"))?;
    prctl::set_pdeathsig(Signal::SIGUSR2).map_err(failed("PR_SET_PDEATHSIG"))?;
    // SAFETY: sets a word of this task.
    let set = unsafe { libc::personality(libc::ADDR_NO_RANDOMIZE as libc::c_ulong) };
    Errno::result(set).map_err(failed("personality"))?;
    write("/proc/self/oom_score_adj", OOM_SCORE_ADJ)?;
    write("/proc/self/coredump_filter", "0x14b")?;
    umask(Mode::from_bits_truncate(UMASK));
    Ok(())
}

/// The child: its slack's default is what the parent's slack was at its birth.
fn child() -> u8 {
    let work = || {
        prctl::set_timerslack(SLACK_NS + 1).map_err(|e| format!("PR_SET_TIMERSLACK: {e}"))?;
        stage::wait_for_term()?;
        prctl::set_timerslack(0).map_err(|e| format!("PR_SET_TIMERSLACK: {e}"))?;
        let slack = prctl::get_timerslack().map_err(|e| format!("PR_GET_TIMERSLACK: {e}"))?;
        expect("default timer slack", DEFAULT_SLACK_NS as i32, slack)
    };
    match work() {
        Ok(()) => 0,
        Err(why) => {
            eprintln!("child: {why}");
            1
        }
    }
}

/// Runs with the arguments of the process.
pub fn main() -> ExitCode {
    stage::run(|stage| {
        prctl::set_timerslack(DEFAULT_SLACK_NS).map_err(|e| format!("PR_SET_TIMERSLACK: {e}"))?;
        let pid = Pid::from_raw(tree::spawn("continued", child)?.pid);
        set_up()?;
        let wait = |flags| waitpid(pid, Some(flags)).map_err(|e| format!("waitpid: {e}"));
        let send = |signal| kill(pid, signal).map_err(|e| format!("kill {signal}: {e}"));
        send(Signal::SIGSTOP)?;
        wait(WaitPidFlag::WUNTRACED)?;
        send(Signal::SIGCONT)?;
        let before = found()?;
        expect(
            "what was set",
            (SLACK_NS as i32, OOM_SCORE_ADJ, DUMP_FILTER, UMASK, true),
            (
                before.slack_ns,
                before.oom_score_adj.as_str(),
                before.dump_filter.as_str(),
                before.umask,
                before.subreaper,
            ),
        )?;
        stage.ready()?;
        stage::wait_for_term()?;
        expect("attributes", before, found()?)?;
        expect(
            "news of the child",
            WaitStatus::Continued(pid),
            wait(WaitPidFlag::WCONTINUED | WaitPidFlag::WNOHANG)?,
        )?;
        expect(
            "news of the child, asked again",
            WaitStatus::StillAlive,
            wait(WaitPidFlag::WCONTINUED | WaitPidFlag::WNOHANG)?,
        )?;
        send(Signal::SIGTERM)?;
        expect(
            "the child's end",
            WaitStatus::Exited(pid, 0),
            wait(WaitPidFlag::empty())?,
        )
    })
}
