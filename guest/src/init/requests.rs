// SPDX-License-Identifier: GPL-2.0-only

//! What each request does.

use super::pending::Wanted;
use super::serve::{Program, Server};
use super::spawn::{self, Command};
use super::{bulk, files, leaks, reset};
use crate::freezer;
use crate::procfs;
use crate::protocol::{Answer, Op, Target};
use nix::errno::Errno;
use std::fs;
use std::time::Instant;

impl Server {
    /// Carries out a request; `None`: the answer comes later, or went already.
    pub(super) fn perform(&mut self, id: u64, op: Op) -> Result<Option<Answer>, String> {
        let answer = match op {
            Op::Spawn {
                name,
                argv,
                env,
                cgroup,
                container,
                uid,
                stdin,
                stdout,
            } => self.spawn(Command {
                name,
                argv,
                env,
                cgroup,
                container,
                uid,
                stdin,
                stdout,
            })?,
            Op::Wait { name, timeout_ms } => {
                if !self.programs.contains_key(&name) {
                    return Err(format!("wait: no program {name:?} was started"));
                }
                self.defer(id, timeout_ms, Wanted::End { name });
                return Ok(None);
            }
            Op::WaitFor {
                path,
                text,
                count,
                writers,
                timeout_ms,
            } => {
                if let Some(name) = writers
                    .iter()
                    .find(|name| !self.programs.contains_key(*name))
                {
                    return Err(format!("wait-for: no program {name:?} was started"));
                }
                self.defer(
                    id,
                    timeout_ms,
                    Wanted::Text {
                        path,
                        text,
                        count,
                        writers,
                        seen: None,
                    },
                );
                return Ok(None);
            }
            Op::Signal { target, signal } => self.signal(&target, signal)?,
            Op::Size { path } => files::size(&path)?,
            Op::Read { path, max } => files::read(&path, max)?,
            Op::Write { path, text } => files::write(&path, &text)?,
            Op::Tamper { path, offset, xor } => files::tamper(&path, offset, xor)?,
            Op::Truncate { path, len } => files::truncate(&path, len)?,
            Op::Tasks => Answer::Tasks {
                tasks: procfs::tasks().map_err(|e| format!("tasks: /proc: {e}"))?,
            },
            Op::Fetch { path } => {
                let (file, len) = bulk::open(&path)?;
                self.reply(id, Answer::Bulk { len });
                if let Err(why) = bulk::send(&mut self.files, file, len) {
                    println!("init: {why}");
                }
                return Ok(None);
            }
            Op::Store { path, len, mode } => {
                bulk::receive(&mut self.files, &path, len, mode)?;
                Answer::Done
            }
            Op::Reset => {
                self.programs.clear();
                self.pending.clear();
                reset::reset(&mut self.traced, &self.surroundings)?
            }
            Op::NoteMemory => {
                self.noted = Some(leaks::note()?);
                Answer::Done
            }
            Op::Leaks => leaks::find(self.noted.take())?,
            Op::Shutdown => return Ok(None),
        };
        Ok(Some(answer))
    }

    fn spawn(&mut self, command: Command) -> Result<Answer, String> {
        if self
            .programs
            .get(&command.name)
            .is_some_and(|old| old.end.is_none())
        {
            return Err(format!(
                "spawn: program {:?} is still running",
                command.name
            ));
        }
        let started = Instant::now();
        let pid = spawn::spawn(&command)?;
        self.programs.insert(
            command.name,
            Program {
                pid,
                started,
                end: None,
            },
        );
        Ok(Answer::Started { pid })
    }

    fn signal(&self, target: &Target, signal: i32) -> Result<Answer, String> {
        let pids = match target {
            Target::Pid(pid) if *pid > 0 => vec![*pid],
            Target::Pid(pid) => return Err(format!("signal: pid {pid}: expected at least 1")),
            Target::Name(name) => match self.programs.get(name) {
                Some(program) if program.end.is_none() => vec![program.pid],
                Some(_) => return Err(format!("signal: program {name:?} has ended")),
                None => return Err(format!("signal: no program {name:?} was started")),
            },
            Target::Cgroup(name) => {
                let path = format!("{}/{name}/cgroup.procs", freezer::MOUNT);
                let text = fs::read_to_string(&path).map_err(|e| format!("signal: {path}: {e}"))?;
                text.lines().filter_map(|line| line.parse().ok()).collect()
            }
        };
        for pid in pids {
            // SAFETY: kill takes integers only; nix has no real-time signals.
            if unsafe { libc::kill(pid, signal) } != 0 {
                let err = Errno::last();
                // In a cgroup a task may have ended meanwhile.
                if err != Errno::ESRCH || !matches!(target, Target::Cgroup(_)) {
                    return Err(format!("signal {signal} to pid {pid}: {err}"));
                }
            }
        }
        Ok(Answer::Done)
    }
}
