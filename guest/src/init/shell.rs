// SPDX-License-Identifier: GPL-2.0-only

//! The prompt of `lab shell`: runs programs with arguments and redirections,
//! and starts test programs the way scenarios do.

use super::spawn::{spawn, Command as Spawn};
use nix::sys::signal::{signal, SigHandler, Signal};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::Command;

const HELP: &str = "\
PROGRAM [ARG...] [< FILE] [> FILE] [>> FILE] [2> FILE] [&]
start NAME PROGRAM [ARG...]   as pid 1 of a container in cgroup NAME; output in NAME.out, NAME.err
cd [DIR]  pwd  ls [DIR]  cat FILE...  ps  kill [-N] PID...  rm FILE...  help  exit (powers off)
";

/// One line, taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
struct Line {
    words: Vec<String>,
    stdin: Option<String>,
    stdout: Option<(String, bool)>,
    stderr: Option<String>,
    background: bool,
}

/// Reads and runs lines until `exit` or the end of input; the exit status.
pub fn run() -> i32 {
    for typed in [Signal::SIGINT, Signal::SIGQUIT] {
        // SAFETY: ignoring a signal runs no code.
        let _ = unsafe { signal(typed, SigHandler::SigIgn) };
    }
    println!("type `help` for help, `exit` to power off");
    let mut input = io::stdin().lock();
    loop {
        let cwd = std::env::current_dir().unwrap_or_default();
        print!("lab:{}# ", cwd.display());
        let _ = io::stdout().flush();
        let mut text = String::new();
        match input.read_line(&mut text) {
            Ok(0) | Err(_) => return 0,
            Ok(_) => (),
        }
        let line = match parse(&text) {
            Ok(line) => line,
            Err(why) => {
                println!("{why}");
                continue;
            }
        };
        if line.words.first().is_some_and(|word| word == "exit") {
            return 0;
        }
        if let Err(why) = execute(&line) {
            println!("{why}");
        }
        reap_background();
    }
}

fn reap_background() {
    use nix::sys::wait::{waitpid, WaitPidFlag, WaitStatus};
    while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
        match status {
            WaitStatus::StillAlive => return,
            WaitStatus::Exited(pid, code) => println!("[{pid}] exit status {code}"),
            WaitStatus::Signaled(pid, signal, _) => println!("[{pid}] {signal}"),
            _ => (),
        }
    }
}

/// Splits a line into words; quotes keep blanks, a backslash keeps a character.
fn words_of(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.trim_end_matches('\n').chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('\\', None | Some('"')) => word.get_or_insert_default().extend(chars.next()),
            (c, Some(_)) => word.get_or_insert_default().push(c),
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, None) => word.get_or_insert_default().push(c),
        }
    }
    if let Some(open) = quote {
        return Err(format!("no closing {open}"));
    }
    words.extend(word);
    Ok(words)
}

fn parse(text: &str) -> Result<Line, String> {
    let mut line = Line::default();
    let mut words = words_of(text)?.into_iter();
    while let Some(word) = words.next() {
        let mut file = || {
            words
                .next()
                .ok_or_else(|| format!("{word}: expected a file"))
        };
        match word.as_str() {
            "<" => line.stdin = Some(file()?),
            ">" => line.stdout = Some((file()?, false)),
            ">>" => line.stdout = Some((file()?, true)),
            "2>" => line.stderr = Some(file()?),
            "&" => line.background = true,
            _ => line.words.push(word),
        }
    }
    Ok(line)
}

fn execute(line: &Line) -> Result<(), String> {
    let Some((name, args)) = line.words.split_first() else {
        return Ok(());
    };
    match name.as_str() {
        "help" => print!("{HELP}"),
        "cd" => {
            let folder = args
                .first()
                .map_or(crate::protocol::CASE_DIR, String::as_str);
            std::env::set_current_dir(folder).map_err(|e| format!("cd {folder}: {e}"))?;
        }
        "pwd" => println!("{}", std::env::current_dir().unwrap_or_default().display()),
        "ls" => list(args.first().map_or(".", String::as_str))?,
        "cat" => {
            for path in args {
                let mut file = File::open(path).map_err(|e| format!("{path}: {e}"))?;
                io::copy(&mut file, &mut io::stdout()).map_err(|e| format!("{path}: {e}"))?;
            }
        }
        "rm" => {
            for path in args {
                fs::remove_file(path).map_err(|e| format!("{path}: {e}"))?;
            }
        }
        "ps" => show_tasks()?,
        "kill" => send(args)?,
        "start" => start(args)?,
        _ => run_program(line, name, args)?,
    }
    Ok(())
}

fn list(folder: &str) -> Result<(), String> {
    let entries = fs::read_dir(folder).map_err(|e| format!("ls {folder}: {e}"))?;
    let mut lines: Vec<String> = entries
        .flatten()
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            match entry.metadata() {
                Ok(meta) if meta.is_dir() => format!("{:>12}  {name}/", "-"),
                Ok(meta) => format!("{:>12}  {name}", meta.len()),
                Err(_) => format!("{:>12}  {name}", "?"),
            }
        })
        .collect();
    lines.sort_by(|a, b| a[14..].cmp(&b[14..]));
    lines.iter().for_each(|line| println!("{line}"));
    Ok(())
}

fn show_tasks() -> Result<(), String> {
    println!(
        "{:>6} {:>6} {:>6} {:>6} S {:<12} COMMAND",
        "PID", "PPID", "PGID", "SID", "NSPID"
    );
    for task in crate::procfs::tasks().map_err(|e| format!("ps: {e}"))? {
        let nspid: Vec<String> = task.nspid.iter().map(i32::to_string).collect();
        let command = if task.cmdline.is_empty() {
            format!("[{}]", task.comm)
        } else {
            task.cmdline
        };
        println!(
            "{:>6} {:>6} {:>6} {:>6} {} {:<12} {command}",
            task.pid,
            task.ppid,
            task.pgid,
            task.sid,
            task.state,
            nspid.join("/")
        );
    }
    Ok(())
}

fn send(args: &[String]) -> Result<(), String> {
    let number = |text: &str| {
        text.parse::<i32>()
            .map_err(|_| format!("kill: {text}: expected a number"))
    };
    let (signal, pids) = match args.split_first() {
        Some((first, rest)) if first.starts_with('-') => (number(&first[1..])?, rest),
        _ => (libc::SIGTERM, args),
    };
    for pid in pids {
        // SAFETY: kill takes integers only.
        if unsafe { libc::kill(number(pid)?, signal) } != 0 {
            return Err(format!("kill {pid}: {}", io::Error::last_os_error()));
        }
    }
    Ok(())
}

fn start(args: &[String]) -> Result<(), String> {
    let [name, argv @ ..] = args else {
        return Err("start: expected a name and a program".to_owned());
    };
    let command = Spawn {
        name: name.clone(),
        argv: argv.to_vec(),
        cgroup: true,
        container: true,
        ..Spawn::default()
    };
    println!("pid {}", spawn(&command)?);
    Ok(())
}

fn run_program(line: &Line, name: &str, args: &[String]) -> Result<(), String> {
    let mut command = Command::new(name);
    command.args(args);
    if let Some(path) = &line.stdin {
        command.stdin(File::open(path).map_err(|e| format!("{path}: {e}"))?);
    }
    if let Some((path, append)) = &line.stdout {
        command.stdout(create(path, *append)?);
    }
    if let Some(path) = &line.stderr {
        command.stderr(create(path, false)?);
    }
    // SAFETY: between fork and exec only signal dispositions are set.
    unsafe {
        command.pre_exec(|| {
            signal(Signal::SIGINT, SigHandler::SigDfl)?;
            signal(Signal::SIGQUIT, SigHandler::SigDfl)?;
            Ok(())
        })
    };
    let mut child = command.spawn().map_err(|e| format!("{name}: {e}"))?;
    if line.background {
        println!("[{}]", child.id());
        return Ok(());
    }
    let status = child.wait().map_err(|e| format!("{name}: {e}"))?;
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(()),
        (Some(code), _) => Err(format!("exit status {code}")),
        (None, signal) => Err(format!("ended by signal {}", signal.unwrap_or(0))),
    }
}

fn create(path: &str, append: bool) -> Result<File, String> {
    let mut options = OpenOptions::new();
    options
        .create(true)
        .write(true)
        .append(append)
        .truncate(!append);
    options.open(path).map_err(|e| format!("{path}: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_quotes_and_redirections() {
        let line = parse("t_tree 'a b' \"c\\\"d\" < in >> out &\n").unwrap();
        assert_eq!(line.words, ["t_tree", "a b", "c\"d"]);
        assert_eq!(line.stdin.as_deref(), Some("in"));
        assert_eq!(line.stdout, Some(("out".to_owned(), true)));
        assert!(line.background);
    }

    #[test]
    fn unfinished_lines_are_refused() {
        assert_eq!(parse("echo 'a").unwrap_err(), "no closing '");
        assert_eq!(parse("a >").unwrap_err(), ">: expected a file");
    }
}
