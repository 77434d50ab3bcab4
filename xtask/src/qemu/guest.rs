// SPDX-License-Identifier: GPL-2.0-only

//! A running guest: QEMU started, `/init` answering. Every wait has a deadline
//! and looks at the kernel log, at QEMU and at the user's wish to stop while it
//! waits. QEMU ends with the value, with the thread and with the process.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use guest::protocol::{Answer, Op, Request};

use crate::error::{AtPath, Error};
use crate::exec::{self, tool, Child};
use crate::layout::{create_dir, write_whole};
use crate::qemu::args::{
    argv, CONSOLE_LOG, CONSOLE_SOCKET, CONTROL_SOCKET, FILES_SOCKET, MONITOR_SOCKET,
};
use crate::qemu::console::{Console, Finding};
use crate::qemu::control::{encode, Port, Replies};
use crate::qemu::examine::examine;
use crate::qemu::watch::check;
use crate::qemu::BootSpec;

/// What QEMU itself wrote, in the guest's folder.
pub const QEMU_LOG: &str = "qemu.log";
/// The command line that booted the guest, in its folder.
pub const COMMAND: &str = "qemu.argv";
/// Requests and replies, one a line, in the guest's folder.
pub const TRANSCRIPT: &str = "control.jsonl";

/// The kernel with its symbols, beside the image that is booted.
pub const VMLINUX: &str = "vmlinux";

/// How long a wait lasts before the guest is looked at again.
pub(super) const SLICE: Duration = Duration::from_millis(10);
/// Bytes of a request or reply that are recorded.
const RECORDED: usize = 4096;
/// Characters that are told of what is no answer.
const TOLD: usize = 300;
/// How long QEMU may take to open its sockets.
const SOCKETS: Duration = Duration::from_secs(10);

/// How long an answer may take: a time on a plain kernel, and how many times that it is given here.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit {
    /// On a plain kernel.
    pub own: Duration,
    /// How many times that, at least 1.
    pub times: f64,
}

impl Limit {
    /// For how long is waited.
    pub fn whole(self) -> Duration {
        self.own.mul_f64(self.times)
    }
}

impl From<Duration> for Limit {
    fn from(own: Duration) -> Self {
        Limit { own, times: 1.0 }
    }
}

/// Why a guest is of no more use.
#[derive(Debug)]
pub enum Halt {
    /// The kernel panicked; the line that says so.
    Panic(String),
    /// QEMU ended; how.
    Died(String),
    /// The kernel log has grown beyond this many bytes.
    Flood(u64),
    /// `/init` said something that is no answer; what.
    Garbled(String),
    /// Nothing was heard for this long, while doing what.
    Silent {
        /// What was being waited for.
        doing: String,
        /// For how long.
        limit: Limit,
        /// What an examination of it has found, line by line.
        found: Vec<String>,
    },
    /// The lab failed, or the user interrupted it.
    Lab(Error),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Halt {
        Halt::Lab(error)
    }
}

/// What `/init` said when it was ready.
#[derive(Debug, Clone, PartialEq)]
pub struct Hello {
    /// Release of the kernel.
    pub kernel: String,
    /// Processors the guest has.
    pub cpus: u32,
    /// Whether checkpoint and restart are there.
    pub syscalls: bool,
    /// Whether the kernel looks for leaked memory.
    pub finds_leaks: bool,
    /// From the start of QEMU to the word of `/init`, as the host measures it.
    pub boot: Duration,
    /// From the start of the kernel to `/init`, as the guest measures it.
    pub kernel_boot: Duration,
}

/// A guest that runs.
pub struct Guest {
    folder: PathBuf,
    child: Child,
    console: Console,
    control: Port,
    pub(super) files: Port,
    replies: Replies,
    transcript: File,
    next_id: u64,
    hello: Hello,
    /// The kernel with its symbols, if it is there.
    vmlinux: PathBuf,
    /// Whether its memory is kept if it stops answering.
    dump_memory: bool,
}

impl Guest {
    /// Boots a guest in `folder`, which becomes QEMU's working directory and keeps what the guest leaves.
    pub fn boot(spec: &BootSpec, folder: &Path, limit: Limit) -> Result<Guest, Halt> {
        create_dir(folder)?;
        let console_log = folder.join(CONSOLE_LOG);
        File::create(&console_log).at("creating", &console_log)?;
        let transcript_path = folder.join(TRANSCRIPT);
        let transcript = File::create(&transcript_path).at("creating", &transcript_path)?;
        let qemu = tool(format!("booting a guest ({})", spec.arch), &spec.qemu)
            .args(argv(spec))
            .dir(folder)
            .die_with_parent();
        write_whole(
            &folder.join(COMMAND),
            format!("{}\n", qemu.command_line()).as_bytes(),
        )?;
        let started = Instant::now();
        let mut child = qemu.start(&folder.join(QEMU_LOG))?;
        let mut console = Console::open(&console_log, u64::from(spec.console_mib) << 20)?;
        let control = connect(folder, CONTROL_SOCKET, &mut child, &mut console)?;
        let files = connect(folder, FILES_SOCKET, &mut child, &mut console)?;
        let unknown = Hello {
            kernel: String::new(),
            cpus: 0,
            syscalls: false,
            finds_leaks: false,
            boot: Duration::ZERO,
            kernel_boot: Duration::ZERO,
        };
        let mut guest = Guest {
            folder: folder.to_path_buf(),
            child,
            console,
            control,
            files,
            replies: Replies::default(),
            transcript,
            next_id: 1,
            hello: unknown,
            vmlinux: spec.kernel.with_file_name(VMLINUX),
            dump_memory: spec.dump_memory,
        };
        let answer = guest.await_reply(0, "the guest's boot", started + limit.whole(), limit)?;
        let Answer::Hello {
            boot_ms,
            kernel,
            cpus,
            syscalls,
            finds_leaks,
        } = answer
        else {
            return Err(guest.babble(&format!("{answer:?} instead of its hello")));
        };
        let kernel_boot = Duration::from_millis(boot_ms);
        guest.hello = Hello {
            kernel,
            cpus,
            syscalls,
            finds_leaks,
            boot: started.elapsed(),
            kernel_boot,
        };
        Ok(guest)
    }

    /// What `/init` said at first.
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// Where its logs are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its kernel log.
    pub fn console(&mut self) -> &mut Console {
        &mut self.console
    }

    /// Has the guest do something and waits for the answer, at most for `limit`.
    pub fn ask(&mut self, op: Op, limit: Duration) -> Result<Answer, Halt> {
        let doing = describe(&op);
        let id = self.send(op, limit)?;
        self.await_reply(id, &doing, Instant::now() + limit, limit.into())
    }

    /// Waits, and looks after the guest meanwhile.
    pub fn rest(&mut self, time: Duration) -> Result<(), Halt> {
        let until = Instant::now() + time;
        loop {
            check(&mut self.child, &mut self.console)?;
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(SLICE));
        }
    }

    /// Ends the guest; the findings of its whole kernel log.
    pub fn end(mut self) -> Result<Vec<Finding>, Error> {
        self.child.kill()?;
        Ok(self.console.finish()?.to_vec())
    }

    pub(super) fn send(&mut self, op: Op, limit: Duration) -> Result<u64, Halt> {
        let id = self.next_id;
        self.next_id += 1;
        let line =
            encode(&Request { id, op }).map_err(|err| Error::lab("encoding a request", err))?;
        self.record('>', line.trim_end())?;
        let deadline = Instant::now() + limit;
        let mut sent = 0;
        while sent < line.len() {
            match self.control.write(&line.as_bytes()[sent..], SLICE) {
                Ok(Some(count)) => sent += count,
                Ok(None) => self.look("room for a request", deadline, limit.into())?,
                Err(err) => return Err(self.lost(&err)),
            }
        }
        Ok(id)
    }

    pub(super) fn await_reply(
        &mut self,
        id: u64,
        doing: &str,
        deadline: Instant,
        limit: Limit,
    ) -> Result<Answer, Halt> {
        let mut buffer = vec![0; 64 << 10];
        loop {
            while let Some((line, reply)) = self.replies.next_reply() {
                self.record('<', &line)?;
                match reply {
                    Ok(reply) if reply.id == id => return Ok(reply.answer),
                    // The answer to a request that was given up.
                    Ok(reply) if reply.id < id => {}
                    Ok(reply) => {
                        return Err(self.babble(&format!("answered request {}, not {id}", reply.id)))
                    }
                    Err(why) => return Err(self.babble(&format!("\"{line}\": {why}"))),
                }
            }
            match self.control.read(&mut buffer, SLICE) {
                Ok(Some(count)) => self.replies.feed(&buffer[..count]),
                Ok(None) => {}
                Err(err) => return Err(self.lost(&err)),
            }
            self.look(doing, deadline, limit)?;
        }
    }

    /// Whether the guest is still of use, and there is time left.
    pub(super) fn look(
        &mut self,
        doing: &str,
        deadline: Instant,
        limit: Limit,
    ) -> Result<(), Halt> {
        check(&mut self.child, &mut self.console)?;
        if Instant::now() > deadline {
            let found = examine(&self.folder, &self.vmlinux, self.dump_memory);
            self.console.advance()?;
            return Err(Halt::Silent {
                doing: doing.to_string(),
                limit,
                found,
            });
        }
        Ok(())
    }

    /// A port broke: QEMU is ending, and the log or its status tells why.
    pub(super) fn lost(&mut self, err: &std::io::Error) -> Halt {
        let deadline = Instant::now() + Duration::from_secs(2);
        while Instant::now() < deadline {
            if let Err(halt) = check(&mut self.child, &mut self.console) {
                return halt;
            }
            std::thread::sleep(SLICE);
        }
        Halt::Died(format!("a port of the guest broke: {err}"))
    }

    pub(super) fn babble(&self, what: &str) -> Halt {
        let log = self.folder.join(TRANSCRIPT);
        let what: String = what.escape_debug().take(TOLD).collect();
        Halt::Garbled(format!(
            "/init said {what}\nall that was said is in {}; the initramfs may be of another version: `cargo xtask lab clean`",
            log.display()
        ))
    }

    fn record(&mut self, mark: char, line: &str) -> Result<(), Error> {
        let path = self.folder.join(TRANSCRIPT);
        let end = line.floor_char_boundary(RECORDED);
        let rest = match line.len() - end {
            0 => String::new(),
            more => format!(" ... {more} bytes more"),
        };
        writeln!(self.transcript, "{mark} {}{rest}", &line[..end]).at("writing", &path)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        for socket in [CONTROL_SOCKET, FILES_SOCKET, CONSOLE_SOCKET, MONITOR_SOCKET] {
            // Of no use without QEMU, and nothing to complain about if it is gone.
            let _ = std::fs::remove_file(self.folder.join(socket));
        }
    }
}

/// Waits until QEMU has opened a socket.
fn connect(
    folder: &Path,
    name: &str,
    child: &mut Child,
    console: &mut Console,
) -> Result<Port, Halt> {
    let deadline = Instant::now() + SOCKETS;
    loop {
        match Port::connect(folder, name) {
            Ok(port) => return Ok(port),
            Err(_) if Instant::now() < deadline => {
                check(child, console).map_err(|halt| with_qemu_log(halt, folder))?;
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(err) => {
                return Err(Error::lab("connecting to the guest", format!("{name}: {err}")).into());
            }
        }
    }
}

/// QEMU's own complaint, when that is why it ended.
fn with_qemu_log(halt: Halt, folder: &Path) -> Halt {
    match halt {
        Halt::Died(how) => {
            let said = exec::tail(&folder.join(QEMU_LOG), 3).join("; ");
            Halt::Died(if said.is_empty() {
                how
            } else {
                format!("{how}: {said}")
            })
        }
        other => other,
    }
}

/// A request in a few words.
fn describe(op: &Op) -> String {
    match op {
        Op::Spawn { argv, .. } => format!("the start of {}", argv.join(" ")),
        Op::Wait { name, .. } => format!("the end of {name}"),
        Op::WaitFor { path, text, .. } => format!("\"{text}\" in {path}"),
        Op::Fetch { path } => format!("the file {path}"),
        Op::Reset => "the clean-up of the guest".to_string(),
        other => {
            let text = serde_json::to_string(other).unwrap_or_default();
            format!("the answer to {text:.80}")
        }
    }
}
