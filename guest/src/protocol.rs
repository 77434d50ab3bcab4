// SPDX-License-Identifier: GPL-2.0-only

//! What the host and `/init` say to each other: one JSON object a line on the
//! `lab.control` port, a request from the host, then its reply. Bulk data goes
//! raw over `lab.files`, its length announced in the reply or the request.
//!
//! Owns the words only; the ports are in `bin/init.rs` and the host's `qemu/`.

use serde::{Deserialize, Serialize};

/// Names of the virtio-serial ports, as given to QEMU and found under
/// `/dev/virtio-ports/` or `/sys/class/virtio-ports/*/name`.
pub const CONTROL_PORT: &str = "lab.control";
pub const RESULTS_PORT: &str = "lab.results";
pub const FILES_PORT: &str = "lab.files";

/// Folder in the guest that belongs to the running case: working directory of
/// its programs, emptied by [`Op::Reset`].
pub const CASE_DIR: &str = "/run/case";

/// One request; `id` comes back in the reply.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    pub id: u64,
    #[serde(flatten)]
    pub op: Op,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
pub enum Op {
    /// Starts a program and keeps it under `name`; replies [`Answer::Started`].
    Spawn {
        name: String,
        argv: Vec<String>,
        #[serde(default)]
        env: Vec<(String, String)>,
        /// Put into `/sys/fs/cgroup/<name>`, which `checkpoint` freezes.
        #[serde(default)]
        cgroup: bool,
        /// Started as pid 1 of fresh pid and mount namespaces with its own /proc.
        #[serde(default)]
        container: bool,
        #[serde(default)]
        uid: Option<u32>,
        /// Files in the guest; without one: /dev/null, `<name>.out`, `<name>.err`.
        #[serde(default)]
        stdin: Option<String>,
        #[serde(default)]
        stdout: Option<String>,
    },
    /// Waits for a spawned program's end; [`Answer::Exited`].
    Wait { name: String, timeout_ms: u64 },
    /// Sends a signal, to the program, its cgroup's tasks or one pid; [`Answer::Done`].
    Signal { target: Target, signal: i32 },
    /// Waits until a file holds `text` at least `count` times; [`Answer::Done`].
    WaitFor { path: String, text: String, count: u64, timeout_ms: u64 },
    /// The text of a file, at most `max` bytes; [`Answer::Text`].
    Read { path: String, max: u64 },
    /// Makes or replaces a file; [`Answer::Done`].
    Write { path: String, text: String },
    /// Flips, cuts or patches a file in place; [`Answer::Done`].
    Tamper { path: String, offset: u64, xor: u8 },
    Truncate { path: String, len: u64 },
    /// Every task of the guest but kernel threads; [`Answer::Tasks`].
    Tasks,
    /// Sends a file over the files port; [`Answer::Bulk`], then the raw bytes.
    Fetch { path: String },
    /// Takes `len` raw bytes from the files port into a file; [`Answer::Done`].
    Store { path: String, len: u64, mode: u32 },
    /// Kills and removes what the case left; [`Answer::Leftovers`].
    Reset,
    /// Powers the guest off; no reply.
    Shutdown,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// The process that `Spawn` started under this name.
    Name(String),
    /// Every task of the cgroup that `Spawn` made for this name.
    Cgroup(String),
    Pid(i32),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    pub id: u64,
    #[serde(flatten)]
    pub answer: Answer,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Answer {
    /// Sent once, unasked, with id 0, when `/init` is ready; times since boot.
    Hello { boot_ms: u64, kernel: String, cpus: u32, syscalls: bool },
    Done,
    Started { pid: i32 },
    /// `signal` set: killed by it; else the exit code.
    Exited { code: i32, signal: Option<i32>, elapsed_ms: u64 },
    Text { text: String, truncated: bool },
    Tasks { tasks: Vec<Task> },
    Bulk { len: u64 },
    Leftovers { tasks: Vec<Task>, taint: u64 },
    /// The request could not be carried out; `timeout` tells a deadline from an error.
    Failed { why: String, timeout: bool },
}

/// One task as `/proc` shows it from the guest's first pid namespace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    pub pid: i32,
    /// Pids from the outermost to the innermost namespace.
    pub nspid: Vec<i32>,
    pub ppid: i32,
    pub pgid: i32,
    pub sid: i32,
    pub state: char,
    pub comm: String,
    pub cmdline: String,
}
