// SPDX-License-Identifier: GPL-2.0-only

//! The only place where processes start, and the one that ends them when the
//! user interrupts. Every child leads its own process group.

mod child;
mod log;

use std::ffi::{OsStr, OsString};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output};
use std::time::Duration;

use rustix::process::Signal;

pub use child::{end_children, interrupted, watch_signals, Child};
pub use log::tail;

use crate::error::{AtPath, Error, Kind, Result, FULL_DISK};
use crate::layout::create_dir;
use log::Follower;

/// How often a child that writes to a log is looked at.
const POLL: Duration = Duration::from_millis(50);
/// How many lines of a log an error shows.
const TAIL: usize = 15;

/// A program to be run: what it is for, its arguments and surroundings.
#[derive(Debug, Clone)]
pub struct Invocation {
    doing: String,
    program: OsString,
    args: Vec<OsString>,
    env: Vec<(OsString, Option<OsString>)>,
    dir: Option<PathBuf>,
    input: Option<Vec<u8>>,
    kind: Kind,
    die_with_parent: bool,
}

/// `doing`: the step as an error would name it ("building the kernel (arm64)").
pub fn tool(doing: impl Into<String>, program: impl Into<OsString>) -> Invocation {
    Invocation {
        doing: doing.into(),
        program: program.into(),
        args: Vec::new(),
        env: Vec::new(),
        dir: None,
        input: None,
        kind: Kind::Lab,
        die_with_parent: false,
    }
}

impl Invocation {
    /// Adds an argument.
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((key.into(), Some(value.into())));
        self
    }

    /// Removes an environment variable.
    pub fn env_remove(mut self, key: impl Into<OsString>) -> Self {
        self.env.push((key.into(), None));
        self
    }

    /// Removes every environment variable whose name begins so.
    pub fn env_remove_all(self, prefix: &str) -> Self {
        let names = std::env::vars_os().map(|(name, _)| name);
        names
            .filter(|name| name.to_string_lossy().starts_with(prefix))
            .fold(self, Self::env_remove)
    }

    /// Removes every environment variable but these.
    pub fn env_only(self, kept: &[&str]) -> Self {
        let names = std::env::vars_os().map(|(name, _)| name);
        names
            .filter(|name| !kept.iter().any(|kept| name == kept))
            .fold(self, Self::env_remove)
    }

    /// Sets the working directory.
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// What it reads from stdin; nothing without.
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Some(bytes.into());
        self
    }

    /// What kind of error a failure is; `Kind::Lab` without.
    pub fn failure(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// Has the kernel kill the child when the thread that started it ends, however that happens.
    pub fn die_with_parent(mut self) -> Self {
        self.die_with_parent = true;
        self
    }

    /// The command line, quoted for a shell.
    pub fn command_line(&self) -> String {
        std::iter::once(&self.program)
            .chain(&self.args)
            .map(|arg| quote(arg))
            .collect::<Vec<_>>()
            .join(" ")
    }

    fn expression(&self) -> duct::Expression {
        let mut expression = duct::cmd(&self.program, &self.args).unchecked();
        expression = match &self.input {
            Some(bytes) => expression.stdin_bytes(bytes.clone()),
            None => expression.stdin_null(),
        };
        if let Some(dir) = &self.dir {
            expression = expression.dir(dir);
        }
        // duct lets the innermost setting win; here it is the last one.
        for (key, value) in self.env.iter().rev() {
            expression = match value {
                Some(value) => expression.env(key, value),
                None => expression.env_remove(key),
            };
        }
        let die_with_parent = self.die_with_parent;
        expression.before_spawn(move |command| {
            command.process_group(0);
            if die_with_parent {
                kill_with_lab(command);
            }
            Ok(())
        })
    }

    fn start_error(&self, err: std::io::Error) -> Error {
        let program = Path::new(&self.program).display();
        let error = Error::new(
            self.kind,
            &self.doing,
            format!("{program} could not be started: {err}"),
        );
        match err.kind() {
            std::io::ErrorKind::NotFound => error
                .with_kind(Kind::Host)
                .hint("`cargo xtask lab doctor` shows what is missing"),
            _ => error,
        }
    }

    /// Starts the program with stdout and stderr in `log`; the caller ends it.
    pub fn start(&self, log: &Path) -> Result<Child> {
        if interrupted() {
            return Err(Error::interrupted(&self.doing));
        }
        if let Some(dir) = log.parent() {
            create_dir(dir)?;
        }
        let handle = self
            .expression()
            .stderr_to_stdout()
            .stdout_path(log)
            .start()
            .map_err(|err| self.start_error(err))?;
        Child::new(handle)
    }

    /// Runs the program to its end with its output in `log`; `watch` sees the lines written so far and the last of them.
    pub fn run_logged(&self, log: &Path, mut watch: impl FnMut(u64, &str)) -> Result<()> {
        let mut child = self.start(log)?;
        let mut follower = Follower::new(log)?;
        let status = loop {
            let status = child.wait_timeout(POLL)?;
            if follower.advance() {
                watch(follower.lines, &follower.last);
            }
            if let Some(status) = status {
                break status;
            }
        };
        if status.success() {
            return Ok(());
        }
        if interrupted() {
            return Err(Error::interrupted(&self.doing));
        }
        let name = Path::new(&self.program).display();
        let error = Error::new(
            self.kind,
            &self.doing,
            format!("{name} {}", describe(status)),
        );
        Err(on_full_disk(error, &log::tail(log, TAIL)).log(log, log::telling(log, TAIL)))
    }

    /// Runs the program and returns the text that it wrote to stdout; a failure shows its stderr.
    pub fn read(&self) -> Result<String> {
        let text = self.read_bytes()?;
        Ok(String::from_utf8_lossy(&text).trim_end().to_string())
    }

    /// As [`Invocation::read`], byte for byte.
    pub fn read_bytes(&self) -> Result<Vec<u8>> {
        let output = self.output()?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let stderr = String::from_utf8_lossy(&output.stderr);
        let stdout = String::from_utf8_lossy(&output.stdout);
        let shown = if stderr.trim().is_empty() {
            stdout
        } else {
            stderr
        };
        let said = log::last_lines(&shown, TAIL);
        let error = Error::new(
            self.kind,
            &self.doing,
            format!(
                "`{}` {}: {}",
                self.command_line(),
                describe(output.status),
                said.join("\n")
            ),
        );
        Err(on_full_disk(error, &said))
    }

    /// Runs the program to its end, whatever its status.
    pub fn output(&self) -> Result<Output> {
        if interrupted() {
            return Err(Error::interrupted(&self.doing));
        }
        let handle = self
            .expression()
            .stdout_capture()
            .stderr_capture()
            .start()
            .map_err(|err| self.start_error(err))?;
        let child = Child::new(handle)?;
        let output = child
            .handle
            .wait()
            .at("waiting for", Path::new(&self.program))?
            .clone();
        if interrupted() && !output.status.success() {
            return Err(Error::interrupted(&self.doing));
        }
        Ok(output)
    }

    /// Runs the program on the user's terminal, in this process's own group so that it may read from it,
    /// and ends it with this process.
    pub fn run_attached(&self) -> Result<()> {
        if interrupted() {
            return Err(Error::interrupted(&self.doing));
        }
        let mut expression = duct::cmd(&self.program, &self.args).unchecked();
        if let Some(dir) = &self.dir {
            expression = expression.dir(dir);
        }
        let handle = expression
            .before_spawn(|command| {
                kill_with_lab(command);
                Ok(())
            })
            .start()
            .map_err(|err| self.start_error(err))?;
        let output = handle.wait().at("waiting for", Path::new(&self.program))?;
        match output.status.success() {
            true => Ok(()),
            false => Err(Error::new(self.kind, &self.doing, describe(output.status))),
        }
    }

    /// Runs the program with the user's terminal, for commands whose output is for the user.
    pub fn run_shown(&self) -> Result<()> {
        let shell = xshell::Shell::new().map_err(|err| Error::lab(&self.doing, err.to_string()))?;
        if let Some(dir) = &self.dir {
            shell.change_dir(dir);
        }
        let mut command = shell.cmd(&self.program).args(&self.args).quiet();
        for (key, value) in &self.env {
            command = match value {
                Some(value) => command.env(key, value),
                None => command.env_remove(key),
            };
        }
        command.run().map_err(|err| match interrupted() {
            true => Error::interrupted(&self.doing),
            false => Error::new(self.kind, &self.doing, err.to_string()),
        })
    }
}

/// A failed tool's error, with the hint for a full disk if that is what its last words tell of.
fn on_full_disk(error: Error, said: &[String]) -> Error {
    // The last are tar's and git's.
    let words = [
        "No space left on device",
        "Disk quota exceeded",
        "Wrote only",
        "Out of diskspace",
    ];
    match said
        .iter()
        .any(|line| words.iter().any(|word| line.contains(word)))
    {
        true => error.with_kind(Kind::Lab).hint(FULL_DISK),
        false => error,
    }
}

/// How a process ended, in words.
pub fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with status {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "ended in an unknown way".to_string(),
    }
}

/// Where a program is found in `PATH` (or itself, if it is a path).
pub fn which(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(|path| path.is_file());
    }
    which_in(program, &std::env::var_os("PATH")?)
}

/// Where a program is found in folders given as in `PATH`.
pub fn which_in(program: &str, path: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(path)
        .map(|dir| dir.join(program))
        .find(|path| path.is_file())
}

/// One word of a shell command line.
pub fn quote(arg: &OsStr) -> String {
    let text = arg.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+./:,@%".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.into_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

/// Has the process that `command` starts killed when the lab ends, however it ends.
fn kill_with_lab(command: &mut std::process::Command) {
    let ask = || {
        Ok(rustix::process::set_parent_process_death_signal(Some(
            Signal::KILL,
        ))?)
    };
    // SAFETY: between fork and exec only async-signal-safe calls are allowed; `ask` makes one prctl
    // system call and neither allocates nor locks.
    unsafe { command.pre_exec(ask) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_shows_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("x.log");
        let run = tool("trying", "sh")
            .args(["-c", "echo one; echo two >&2; exit 3"])
            .failure(Kind::Build);
        let error = run.run_logged(&log, |_, _| {}).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("trying: sh ended with status 3"), "{text}");
        assert!(text.contains("| one\n  | two"), "{text}");
        assert_eq!(error.kind().exit_code(), 4);
    }

    #[test]
    fn a_full_disk_is_told_from_other_failures() {
        for said in [
            "tar: x: Cannot write: No space left on device",
            "fatal: sha1 file /x write error. Out of diskspace",
        ] {
            let script = format!("echo '{said}' >&2; exit 2");
            let run = tool("unpacking", "sh")
                .args(["-c", &script])
                .failure(Kind::Build);
            let error = run.read().unwrap_err();
            assert_eq!(error.kind(), Kind::Lab);
            assert!(
                error.to_string().contains("hint: free some space"),
                "{error}"
            );
        }
    }

    #[test]
    fn long_complaints_are_cut() {
        let script = "for i in $(seq 500); do echo line $i >&2; done; exit 1";
        let error = tool("trying", "sh")
            .args(["-c", script])
            .read()
            .unwrap_err();
        assert_eq!(error.found().lines().count(), TAIL);
        assert!(error.found().ends_with("line 500"), "{error}");
    }

    #[test]
    fn a_missing_program_is_the_hosts_fault() {
        let error = tool("trying", "no-such-program-here").read().unwrap_err();
        assert_eq!(error.kind(), Kind::Host);
    }

    #[test]
    fn a_killed_child_is_not_a_success() {
        let error = tool("trying", "sh")
            .args(["-c", "kill -9 $$"])
            .read()
            .unwrap_err();
        assert!(error.to_string().contains("killed by signal 9"), "{error}");
    }

    #[test]
    fn the_last_setting_of_a_variable_wins() {
        let run = tool("trying", "sh")
            .args(["-c", "echo $A"])
            .env("A", "1")
            .env_remove("A")
            .env("A", "2");
        assert_eq!(run.read().unwrap(), "2");
    }

    #[test]
    fn command_lines_can_be_pasted() {
        let line = tool("x", "make")
            .args(["-j2", "A=b c", "it's"])
            .command_line();
        assert_eq!(line, r"make -j2 'A=b c' 'it'\''s'");
    }
}
