// SPDX-License-Identifier: GPL-2.0-only

//! The loop of `/init`: one thread, woken by the host, by the end of a child
//! or by a deadline. What a request does is in `requests`, those that wait are
//! in `pending`.

use super::leaks;
use super::pending::Pending;
use super::port::Port;
use super::surroundings::Surroundings;
use super::traced::Traced;
use crate::ktap::Ktap;
use crate::protocol::{Answer, Op, Reply, Request};
use crate::sys;
use nix::errno::Errno;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::signal::{kill, SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{waitpid, WaitPidFlag, WaitStatus};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::fs;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// How long the host may leave a reply unread.
const REPLY_PATIENCE: Duration = Duration::from_secs(30);
/// How long a result may take; it is lost then, being a copy of what `Wait` tells.
const RESULT_PATIENCE: Duration = Duration::from_millis(0);
/// Between two looks at a port without a host.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// Longest request line.
const MAX_LINE: usize = 16 << 20;

/// A program that the host started.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) pid: i32,
    pub(super) started: Instant,
    /// How it ended.
    pub(super) end: Option<Answer>,
}

/// The state of `/init`.
#[derive(Debug)]
pub struct Server {
    control: Port,
    pub(super) files: Port,
    results: Option<Port>,
    /// Pid of the prompt, whose end is the guest's.
    shell: Option<i32>,
    children: SignalFd,
    line: Vec<u8>,
    greeted: bool,
    pub(super) programs: BTreeMap<String, Program>,
    pub(super) pending: Vec<Pending>,
    pub(super) traced: Traced,
    /// Since the last [`crate::protocol::Op::NoteMemory`].
    pub(super) noted: Option<leaks::Noted>,
    pub(super) surroundings: Surroundings,
    ktap: Ktap,
}

/// What a served request means for the loop.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    GoOn,
    PowerOff,
}

/// Without a host: reaps until the prompt has ended.
pub fn reap_until(shell: i32) -> Result<(), String> {
    loop {
        match waitpid(None, None) {
            Ok(status) if status.pid() == Some(Pid::from_raw(shell)) => return Ok(()),
            Err(Errno::ECHILD) => return Ok(()),
            _ => (),
        }
    }
}

impl Server {
    /// Takes the ports; from here on SIGCHLD is blocked.
    pub fn new(
        control: Port,
        files: Port,
        results: Option<Port>,
        shell: Option<i32>,
    ) -> Result<Self, String> {
        let mask: SigSet = Signal::SIGCHLD.into();
        mask.thread_block()
            .map_err(|e| format!("blocking SIGCHLD: {e}"))?;
        let children = SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
            .map_err(|e| format!("signalfd: {e}"))?;
        let surroundings = Surroundings::of_boot()?;
        surroundings.enter()?;
        Ok(Server {
            control,
            files,
            results,
            shell,
            children,
            line: Vec::new(),
            greeted: false,
            programs: BTreeMap::new(),
            pending: Vec::new(),
            traced: Traced::default(),
            noted: None,
            surroundings,
            ktap: Ktap::default(),
        })
    }

    /// Serves until the host or the prompt wants the power off.
    pub fn serve(&mut self) -> Result<(), String> {
        loop {
            let host = self.control.has_host();
            if host && !self.greeted {
                self.greeted = true;
                let hello = hello();
                self.reply(0, hello);
            }
            self.sleep(host)?;
            while let Ok(Some(_)) = self.children.read_signal() {}
            self.reap();
            if self
                .shell
                .is_some_and(|pid| kill(Pid::from_raw(pid), None).is_err())
            {
                return Ok(());
            }
            if self.take_requests()? == Next::PowerOff {
                return Ok(());
            }
            self.look_at_pending();
        }
    }

    /// Until something happens, a request must be looked at again, or its
    /// deadline is over.
    fn sleep(&self, host: bool) -> Result<(), String> {
        let now = Instant::now();
        let mut until: Option<Duration> = (!host).then_some(LOOK_AGAIN);
        for pending in &self.pending {
            let wait = pending.rest(now);
            until = Some(until.map_or(wait, |old| old.min(wait)));
        }
        let timeout = match until {
            None => PollTimeout::NONE,
            Some(wait) => PollTimeout::from(wait.as_millis().min(60_000) as u16 + 1),
        };
        let mut fds = vec![PollFd::new(self.children.as_fd(), PollFlags::POLLIN)];
        if host {
            fds.push(PollFd::new(self.control.fd(), PollFlags::POLLIN));
        }
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(err) => Err(format!("poll: {err}")),
        }
    }

    fn reap(&mut self) {
        loop {
            let (pid, code, signal) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => (pid, code, None),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, 0, Some(signal as i32)),
                Err(Errno::EINTR) => continue,
                Ok(WaitStatus::StillAlive) | Err(_) => return,
                Ok(_) => continue,
            };
            let found = self
                .programs
                .iter_mut()
                .find(|(_, p)| p.pid == pid.as_raw() && p.end.is_none());
            let Some((name, program)) = found else {
                continue;
            };
            let elapsed_ms = program.started.elapsed().as_millis() as u64;
            program.end = Some(Answer::Exited {
                code,
                signal,
                elapsed_ms,
            });
            let why = match (code, signal) {
                (0, None) => None,
                (_, Some(signal)) => Some(format!("ended by signal {signal}")),
                (code, None) => Some(format!("exit status {code}")),
            };
            let line = self.ktap.result(name, why.as_deref());
            if let Some(port) = &mut self.results {
                let _ = port.write_all(line.as_bytes(), RESULT_PATIENCE);
            }
        }
    }

    /// Reads what the host sent and serves every whole line of it.
    fn take_requests(&mut self) -> Result<Next, String> {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let len = self
                .control
                .read_now(&mut buffer)
                .map_err(|e| format!("control port: {e}"))?;
            if len == 0 {
                return Ok(Next::GoOn);
            }
            for piece in buffer[..len].split_inclusive(|byte| *byte == b'\n') {
                self.line.extend_from_slice(piece);
                if piece.last() == Some(&b'\n') {
                    let line = std::mem::take(&mut self.line);
                    if self.take(&line) == Next::PowerOff {
                        return Ok(Next::PowerOff);
                    }
                } else if self.line.len() > MAX_LINE {
                    self.line.clear();
                    self.reply(0, failed(format!("a request longer than {MAX_LINE} bytes")));
                }
            }
        }
    }

    fn take(&mut self, line: &[u8]) -> Next {
        if line.trim_ascii().is_empty() {
            return Next::GoOn;
        }
        let Request { id, op } = match serde_json::from_slice(line) {
            Ok(request) => request,
            Err(err) => {
                let text = String::from_utf8_lossy(line);
                self.reply(
                    0,
                    failed(format!(
                        "request not understood: {err}: {}",
                        text.trim_end()
                    )),
                );
                return Next::GoOn;
            }
        };
        if op == Op::Shutdown {
            return Next::PowerOff;
        }
        match self.perform(id, op) {
            Ok(Some(answer)) => self.reply(id, answer),
            Ok(None) => (),
            Err(why) => self.reply(id, failed(why)),
        }
        Next::GoOn
    }

    pub(super) fn reply(&mut self, id: u64, answer: Answer) {
        let sent = serde_json::to_vec(&Reply { id, answer })
            .map_err(std::io::Error::from)
            .and_then(|mut line| {
                line.push(b'\n');
                self.control.write_all(&line, REPLY_PATIENCE)
            });
        if let Err(err) = sent {
            println!("init: reply {id}: {err}");
        }
    }
}

fn failed(why: String) -> Answer {
    Answer::Failed {
        why,
        timeout: false,
    }
}

fn hello() -> Answer {
    let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
    let seconds: f64 = uptime
        .split_whitespace()
        .next()
        .and_then(|s| s.parse().ok())
        .unwrap_or(0.0);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cpus = std::thread::available_parallelism().map_or(1, |n| n.get() as u32);
    Answer::Hello {
        boot_ms: (seconds * 1000.0) as u64,
        kernel: kernel.trim().to_owned(),
        cpus,
        syscalls: sys::has_checkpoint_restart(),
        finds_leaks: leaks::are_looked_for(),
    }
}
