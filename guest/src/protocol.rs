// SPDX-License-Identifier: GPL-2.0-only

//! What the host and `/init` say to each other: one JSON object a line on the
//! `lab.control` port, a request from the host, then its reply. Bulk data goes
//! raw over `lab.files`, its length announced in the reply or the request.
//!
//! Owns the words only; the ports are in `init/port.rs` and the host's `qemu/`.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Names of the virtio-serial ports, as given to QEMU and found under
/// `/dev/virtio-ports/` or `/sys/class/virtio-ports/*/name`.
pub const CONTROL_PORT: &str = "lab.control";
/// Port of the results: KTAP, one line for each program that has ended.
pub const RESULTS_PORT: &str = "lab.results";
/// Port of bulk data.
pub const FILES_PORT: &str = "lab.files";

/// Folder in the guest that belongs to the running case: working directory of
/// its programs, emptied by [`Op::Reset`].
pub const CASE_DIR: &str = "/run/case";

/// How old leaked memory has to be to be told of: kmemleak's MSECS_MIN_AGE, and some more.
pub const LEAK_AGE: Duration = Duration::from_millis(5_200);

/// One request; `id` comes back in the reply.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Chosen by the host, other than 0.
    pub id: u64,
    /// What to do.
    #[serde(flatten)]
    pub op: Op,
}

/// In the environment of every program that is started: a number, by how much the machine is slower than
/// the one that limits are made for. The lab measures it.
pub const SCALE: &str = "LAB_SCALE";

/// In the environment of every program that is started: a number that chance in it is to follow.
pub const SEED: &str = "LAB_SEED";

/// What the host can ask for. Relative paths start from [`CASE_DIR`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
#[allow(missing_docs)] // The sentence of each request names its fields.
pub enum Op {
    /// Starts a program and keeps it under `name`; replies [`Answer::Started`].
    Spawn {
        /// Letters, digits, `-`, `_`, `.`; free again once the program has ended.
        name: String,
        /// Program, looked for in PATH, and arguments.
        argv: Vec<String>,
        /// Added to the environment of `/init`.
        #[serde(default)]
        env: Vec<(String, String)>,
        /// Put into `/sys/fs/cgroup/<name>`, which `checkpoint` freezes.
        #[serde(default)]
        cgroup: bool,
        /// Started as pid 1 of fresh pid and mount namespaces with its own /proc.
        #[serde(default)]
        container: bool,
        /// User and group to run as.
        #[serde(default)]
        uid: Option<u32>,
        /// Files in the guest; without one: /dev/null, `<name>.out`, `<name>.err`.
        #[serde(default)]
        stdin: Option<String>,
        /// Cut to nothing first.
        #[serde(default)]
        stdout: Option<String>,
    },
    /// Waits for a spawned program's end; [`Answer::Exited`].
    Wait { name: String, timeout_ms: u64 },
    /// Sends a signal, to the program, its cgroup's tasks or one pid; [`Answer::Done`].
    Signal { target: Target, signal: i32 },
    /// Waits until a file holds `text` at least `count` times; [`Answer::Done`], or [`Answer::Over`]
    /// when the spawned programs `writers`, if any are named, have all ended and it does not.
    WaitFor {
        path: String,
        text: String,
        count: u64,
        writers: Vec<String>,
        timeout_ms: u64,
    },
    /// The text of a file, at most `max` bytes; [`Answer::Text`].
    Read { path: String, max: u64 },
    /// The size of a file; [`Answer::Size`].
    Size { path: String },
    /// Makes or replaces a file; [`Answer::Done`].
    Write { path: String, text: String },
    /// Changes the byte at `offset`, which must be there; [`Answer::Done`].
    Tamper { path: String, offset: u64, xor: u8 },
    /// Cuts a file, which must be at least that long; [`Answer::Done`].
    Truncate { path: String, len: u64 },
    /// Every task of the guest but kernel threads; [`Answer::Tasks`].
    Tasks,
    /// Sends a file over the files port; [`Answer::Bulk`], then the raw bytes.
    Fetch { path: String },
    /// Takes `len` raw bytes from the files port into a file; [`Answer::Done`].
    Store { path: String, len: u64, mode: u32 },
    /// Kills and removes what the case left; [`Answer::Leftovers`].
    Reset,
    /// Has the kernel note what memory it has; [`Answer::Done`].
    NoteMemory,
    /// Looks for memory that has leaked before [`Op::NoteMemory`], and waits until that is [`LEAK_AGE`] ago;
    /// [`Answer::Text`], empty if there is none.
    Leaks,
    /// Powers the guest off; no reply.
    Shutdown,
}

/// Whom a signal is for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// The process that `Spawn` started under this name.
    Name(String),
    /// Every task of the cgroup that `Spawn` made for this name.
    Cgroup(String),
    /// This process, pid as `/init` sees it.
    Pid(i32),
}

/// The reply to a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// That of the request.
    pub id: u64,
    /// What came of it.
    #[serde(flatten)]
    pub answer: Answer,
}

/// What `/init` answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Answer {
    /// Sent once, unasked, with id 0, when `/init` is ready; times since boot.
    Hello {
        /// From the kernel's start to `/init` being ready.
        boot_ms: u64,
        /// Release.
        kernel: String,
        /// CPUs that `/init` may use.
        cpus: u32,
        /// Whether the kernel has checkpoint(2) and restart(2).
        syscalls: bool,
        /// Whether the kernel has kmemleak.
        #[serde(default)]
        finds_leaks: bool,
    },
    /// It is done.
    Done,
    /// The program runs; its pid as `/init` sees it.
    Started {
        /// Pid.
        pid: i32,
    },
    /// `signal` set: killed by it; else the exit code.
    Exited {
        /// Exit status; 0 when a signal ended it.
        code: i32,
        /// The signal that ended it.
        signal: Option<i32>,
        /// Since it was started.
        elapsed_ms: u64,
    },
    /// Content of a file; bytes that are no UTF-8 are replaced.
    Text {
        /// At most as much as was asked for.
        text: String,
        /// Whether there is more.
        truncated: bool,
    },
    /// Size of a regular file.
    Size {
        /// Its length.
        bytes: u64,
    },
    /// By ascending pid, `/init` included.
    Tasks {
        /// Processes, no threads.
        tasks: Vec<Task>,
    },
    /// As many bytes follow on the files port.
    Bulk {
        /// Their number.
        len: u64,
    },
    /// What there was before it was removed.
    Leftovers {
        /// Every task but `/init`.
        tasks: Vec<Task>,
        /// /proc/sys/kernel/tainted.
        taint: u64,
        /// What the kernel has kept of the restarts since the last time, oldest first: each a
        /// `Moment` of the core.
        #[serde(default)]
        restarts: Vec<[u64; 4]>,
        /// How many of them the kernel had written over.
        #[serde(default)]
        restarts_lost: u32,
    },
    /// What was waited for cannot come any more.
    Over,
    /// The request could not be carried out; `timeout` tells a deadline from an error.
    Failed {
        /// What was being done, on what, what was found.
        why: String,
        /// Whether a deadline was over.
        timeout: bool,
    },
}

/// One task as `/proc` shows it from the guest's first pid namespace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// As `/init` sees it.
    pub pid: i32,
    /// Pids from the outermost to the innermost namespace.
    pub nspid: Vec<i32>,
    /// Parent.
    pub ppid: i32,
    /// Process group.
    pub pgid: i32,
    /// Session.
    pub sid: i32,
    /// The letter of /proc/PID/stat: R, S, D, Z, T, ...
    pub state: char,
    /// Name.
    pub comm: String,
    /// Arguments, blanks between them.
    pub cmdline: String,
    /// Working directory; empty if it cannot be seen, as that of a zombie.
    pub cwd: String,
    /// Root directory, as `cwd`.
    pub root: String,
}
