// SPDX-License-Identifier: GPL-2.0-only

//! Starting a program: in a session of its own, on request in a cgroup, in a
//! container, as another user.

use crate::container;
use crate::freezer;
use crate::protocol::CASE_DIR;
use crate::sys::{self, Birth, Forked};
use crate::user::become_user;
use nix::fcntl::OFlag;
use nix::poll::{poll, PollFd, PollFlags};
use nix::sys::signal::{signal, SigHandler, SigSet, Signal};
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout, execvpe, pipe2, setsid};
use std::convert::Infallible;
use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::fchown;

/// How long a new process may take to exec, in milliseconds.
const EXEC_PATIENCE_MS: u16 = 30_000;

/// What to start, as in [`crate::protocol::Op::Spawn`].
#[derive(Debug, Clone, Default)]
pub struct Command {
    /// Names its cgroup and its output files.
    pub name: String,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Added to the environment of `/init`.
    pub env: Vec<(String, String)>,
    /// Put into a cgroup of its own.
    pub cgroup: bool,
    /// Made pid 1 of a container.
    pub container: bool,
    /// Run as this user and group, with no others.
    pub uid: Option<u32>,
    /// Standard input; /dev/null without.
    pub stdin: Option<String>,
    /// Standard output; `<name>.out` without.
    pub stdout: Option<String>,
}

/// All that the new process needs, made before the fork.
struct Prepared {
    argv: Vec<CString>,
    env: Vec<CString>,
    stdin: String,
    stdout: String,
    stderr: String,
    container: bool,
    uid: Option<u32>,
}

/// Starts the program and waits until it has been executed; its pid.
pub fn spawn(command: &Command) -> Result<i32, String> {
    let name = &command.name;
    check_name(name)?;
    let prepared = prepare(command)?;
    let cgroup = if command.cgroup {
        Some(make_cgroup(name)?)
    } else {
        None
    };
    let (failure, report) =
        pipe2(OFlag::O_CLOEXEC).map_err(|e| format!("spawn {name}: pipe: {e}"))?;
    let birth = Birth {
        namespaces: if command.container {
            container::FULL
        } else {
            0
        },
        cgroup: cgroup.as_ref().map(File::as_fd),
        ..Birth::default()
    };
    // SAFETY: init has one thread, and so has its prompt.
    match unsafe { sys::fork(birth) } {
        Err(err) => Err(format!("spawn {name}: clone3: {err}")),
        Ok(Forked::Child) => {
            let Err(why) = become_program(&prepared);
            // Nobody listens if this fails.
            let _ = File::from(report).write_all(why.as_bytes());
            // SAFETY: _exit has no preconditions.
            unsafe { libc::_exit(127) }
        }
        Ok(Forked::Parent(pid, _)) => {
            drop(report);
            executed(File::from(failure))
                .map(|()| pid)
                .map_err(|why| format!("spawn {name}: {why}"))
        }
    }
}

/// Names become file and cgroup names.
fn check_name(name: &str) -> Result<(), String> {
    let good = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.starts_with('.') || !name.chars().all(good) {
        return Err(format!(
            "spawn: name {name:?}: expected letters, digits, `-`, `_` and `.`, not first"
        ));
    }
    Ok(())
}

fn prepare(command: &Command) -> Result<Prepared, String> {
    let name = &command.name;
    if command.argv.is_empty() {
        return Err(format!("spawn {name}: argv is empty"));
    }
    let mut env: Vec<(String, String)> = std::env::vars().collect();
    for (key, value) in &command.env {
        env.retain(|(old, _)| old != key);
        env.push((key.clone(), value.clone()));
    }
    let env = env.into_iter().map(|(key, value)| format!("{key}={value}"));
    let stdin = command.stdin.as_deref().unwrap_or("/dev/null");
    let stdout = command
        .stdout
        .clone()
        .unwrap_or_else(|| format!("{CASE_DIR}/{name}.out"));
    let stderr = format!("{CASE_DIR}/{name}.err");
    File::open(stdin).map_err(|e| format!("spawn {name}: stdin {stdin}: {e}"))?;
    for path in [&stdout, &stderr] {
        make_output(path, command.uid).map_err(|e| format!("spawn {name}: {e}"))?;
    }
    Ok(Prepared {
        argv: c_strings(command.argv.iter().cloned()).map_err(|e| format!("spawn {name}: {e}"))?,
        env: c_strings(env).map_err(|e| format!("spawn {name}: {e}"))?,
        stdin: stdin.to_string(),
        stdout,
        stderr,
        container: command.container,
        uid: command.uid,
    })
}

fn c_strings(strings: impl Iterator<Item = String>) -> Result<Vec<CString>, String> {
    strings
        .map(|s| CString::new(s).map_err(|e| format!("argument with a zero byte: {e}")))
        .collect()
}

fn make_output(path: &str, uid: Option<u32>) -> Result<(), String> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
        .map_err(|e| format!("output {path}: {e}"))?;
    if uid.is_some() {
        fchown(&file, uid, uid).map_err(|e| format!("output {path}: owner: {e}"))?;
    }
    Ok(())
}

/// Opens the standard files where the program will see them: a file opened outside a container
/// belongs to a mount namespace that the program is not in.
fn take_standard_files(prepared: &Prepared) -> Result<(), String> {
    let failed = |what: &'static str| move |e: nix::Error| format!("{what}: {e}");
    let open = |path: &str, write: bool| {
        OpenOptions::new()
            .read(!write)
            .write(write)
            .open(path)
            .map_err(|e| format!("{path}: {e}"))
    };
    dup2_stdin(open(&prepared.stdin, false)?).map_err(failed("dup2"))?;
    dup2_stdout(open(&prepared.stdout, true)?).map_err(failed("dup2"))?;
    dup2_stderr(open(&prepared.stderr, true)?).map_err(failed("dup2"))
}

fn make_cgroup(name: &str) -> Result<File, String> {
    let path = format!("{}/{name}", freezer::MOUNT);
    fs::create_dir_all(&path)
        .and_then(|()| File::open(&path))
        .map_err(|e| format!("spawn {name}: cgroup {path}: {e}"))
}

/// In the new process: takes everything on and executes the program.
fn become_program(prepared: &Prepared) -> Result<Infallible, String> {
    let failed = |what: &'static str| move |e: nix::Error| format!("{what}: {e}");
    setsid().map_err(failed("setsid"))?;
    if prepared.container {
        container::mount_own_proc()?;
    }
    take_standard_files(prepared)?;
    SigSet::empty()
        .thread_set_mask()
        .map_err(failed("sigprocmask"))?;
    for ignored in [Signal::SIGPIPE, Signal::SIGINT, Signal::SIGQUIT] {
        // SAFETY: the default action runs no code of this program.
        unsafe { signal(ignored, SigHandler::SigDfl) }.map_err(failed("sigaction"))?;
    }
    if let Some(uid) = prepared.uid {
        become_user(uid)?;
    }
    let program = &prepared.argv[0];
    execvpe(program, &prepared.argv, &prepared.env)
        .map_err(|e| format!("executing {}: {e}", program.to_string_lossy()))
}

/// Waits for the exec, which closes the pipe, or for what went wrong.
fn executed(mut failure: File) -> Result<(), String> {
    let mut fds = [PollFd::new(failure.as_fd(), PollFlags::POLLIN)];
    match poll(&mut fds, EXEC_PATIENCE_MS) {
        Ok(0) => return Err(format!("not executed after {EXEC_PATIENCE_MS} ms")),
        Ok(_) => (),
        Err(err) => return Err(format!("waiting for the exec: {err}")),
    }
    let mut why = String::new();
    failure
        .read_to_string(&mut why)
        .map_err(|e| format!("waiting for the exec: {e}"))?;
    if why.is_empty() {
        Ok(())
    } else {
        Err(why)
    }
}
