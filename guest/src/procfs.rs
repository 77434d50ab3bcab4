// SPDX-License-Identifier: GPL-2.0-only

//! Tasks as /proc shows them.

use crate::protocol::Task;
use std::fs;
use std::io;

/// The flag of kernel threads in field 9 of /proc/PID/stat.
const PF_KTHREAD: u64 = 0x0020_0000;
/// Pids below are given to nobody else when their owners are gone (RESERVED_PIDS in kernel/pid.c), unless somebody asks
/// for one by name.
const GIVEN_OUT_ONCE: i32 = 300;
/// The flag of tasks that are on their way out; it is set before they close their files.
const PF_EXITING: u64 = 0x4;

/// What /proc/PID/stat tells of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// Its pid.
    pub pid: i32,
    /// Its name.
    pub comm: String,
    /// `R`, `S`, `Z`, ...
    pub state: char,
    /// Its parent, process group and session.
    pub ppid: i32,
    /// See there.
    pub pgid: i32,
    /// See there.
    pub sid: i32,
    flags: u64,
}

impl Stat {
    /// That of a process; `None` if there is none with this pid, or it is a kernel thread.
    fn read(pid: i32) -> Option<Stat> {
        Stat::of_any(pid).filter(|stat| !stat.is_of_kernel())
    }

    /// The same, of kernel threads too.
    fn of_any(pid: i32) -> Option<Stat> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Stat::parse(pid, &text)
    }

    fn is_of_kernel(&self) -> bool {
        self.flags & PF_KTHREAD != 0
    }

    fn parse(pid: i32, text: &str) -> Option<Stat> {
        // The name is in parentheses and may hold anything, parentheses included.
        let (front, back) = text.rsplit_once(')')?;
        let fields: Vec<&str> = back.split_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<i32>().ok();
        Some(Stat {
            pid,
            comm: front.split_once('(')?.1.to_owned(),
            state: fields.first()?.chars().next()?,
            ppid: number(1)?,
            pgid: number(2)?,
            sid: number(3)?,
            flags: fields.get(6)?.parse().ok()?,
        })
    }
}

/// What `read` finds of every process, by ascending pid.
fn of_all<T>(read: impl Fn(i32) -> Option<T>) -> io::Result<Vec<T>> {
    let mut pids: Vec<i32> = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        pids.extend(name.to_str().and_then(|name| name.parse::<i32>().ok()));
    }
    pids.sort_unstable();
    // One that is gone meanwhile is no process any more.
    Ok(pids.into_iter().filter_map(read).collect())
}

/// Every process but kernel threads, by ascending pid: all that is known of it.
pub fn tasks() -> io::Result<Vec<Task>> {
    of_all(task)
}

/// As [`tasks`], in short.
pub fn stats() -> io::Result<Vec<Stat>> {
    of_all(Stat::read)
}

/// As [`stats`], but for processes that are known to be none of interest: their pids, ascending.
pub fn stats_but(known: &[i32]) -> io::Result<Vec<Stat>> {
    of_all(|pid| match known.binary_search(&pid) {
        Ok(_) => None,
        Err(_) => Stat::read(pid),
    })
}

/// The kernel threads whose pids will not be anybody else's, ascending: outside of containers those of the boot, most
/// of all that there are.
pub fn kernel_threads_of_boot() -> io::Result<Vec<i32>> {
    let is_of_kernel = |pid| Stat::of_any(pid).is_some_and(|stat| stat.is_of_kernel());
    of_all(|pid| (pid < GIVEN_OUT_ONCE && is_of_kernel(pid)).then_some(pid))
}

/// One process; `None` if there is none with this pid, or it is a kernel thread.
pub fn task(pid: i32) -> Option<Task> {
    let stat = Stat::read(pid)?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let cmdline = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    Some(whole(stat, &status, &cmdline))
}

/// Whether a process exits or has exited.
pub fn is_exiting(pid: i32) -> bool {
    Stat::read(pid).is_none_or(|stat| stat.flags & PF_EXITING != 0)
}

/// Whether a process sleeps in the system call of this number.
pub fn sleeps_in(pid: i32, call: libc::c_long) -> bool {
    let text = fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
    // Of one that runs the file says so, in words.
    text.split_whitespace().next() == Some(call.to_string().as_str())
}

/// Whether a process sleeps in a function of the kernel whose name ends so.
pub fn sleeps_in_function(pid: i32, name: &str) -> bool {
    let place = fs::read_to_string(format!("/proc/{pid}/wchan")).unwrap_or_default();
    place.trim().ends_with(name)
}

/// Where in the kernel each process is, in words, for a failure's text.
pub fn whereabouts() -> String {
    /// Frames of a stack that are told.
    const FRAMES: usize = 6;
    let one = |stat: &Stat| {
        let read = |name: &str| fs::read_to_string(format!("/proc/{}/{name}", stat.pid));
        let stack = read("stack").unwrap_or_else(|err| format!("? {err}"));
        let call = read("syscall").unwrap_or_default();
        let call = call.split_whitespace().next().unwrap_or("?").to_owned();
        let names = stack
            .lines()
            .filter_map(|line| line.split_whitespace().nth(1));
        let names: Vec<&str> = names
            .take(FRAMES)
            .map(|name| name.split('+').next().unwrap_or(name))
            .collect();
        format!(
            "{} ({}, {}, child of {}, in call {call}): {}",
            stat.pid,
            stat.comm,
            stat.state,
            stat.ppid,
            names.join(" < ")
        )
    };
    let all: Vec<String> = stats().unwrap_or_default().iter().map(one).collect();
    all.join("; ")
}

/// Where a link in the folder of a process leads to; empty if that is not to be known.
fn link(pid: i32, name: &str) -> String {
    let place = fs::read_link(format!("/proc/{pid}/{name}")).unwrap_or_default();
    place.to_string_lossy().into_owned()
}

fn whole(stat: Stat, status: &str, cmdline: &[u8]) -> Task {
    let nspid = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    let nspid = nspid
        .unwrap_or("")
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect();
    let words: Vec<_> = cmdline
        .split(|b| *b == 0)
        .map(String::from_utf8_lossy)
        .collect();
    Task {
        pid: stat.pid,
        nspid,
        ppid: stat.ppid,
        pgid: stat.pgid,
        sid: stat.sid,
        state: stat.state,
        comm: stat.comm,
        cmdline: words.join(" ").trim_end().to_owned(),
        cwd: link(stat.pid, "cwd"),
        root: link(stat.pid, "root"),
    }
}

/// Path of a process's cgroup below the mount of cgroup v2, as `/name`.
pub fn cgroup_of(pid: &str) -> io::Result<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::"));
    path.map(str::to_owned).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::NotFound,
            format!("/proc/{pid}/cgroup: no cgroup v2 (0::) in it"),
        )
    })
}

/// `root` and its descendants among `tasks`.
pub fn subtree(tasks: &[Task], root: i32) -> Vec<&Task> {
    let mut found: Vec<&Task> = tasks.iter().filter(|task| task.pid == root).collect();
    let mut at = 0;
    while let Some(parent) = found.get(at).map(|task| task.pid) {
        found.extend(tasks.iter().filter(|task| task.ppid == parent));
        at += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses() {
        let text = "7 (a) b(c) S 1 7 7 0 -1 4194560 1 2";
        let stat = Stat::parse(7, text).unwrap();
        let task = whole(stat, "Name:\tx\nNSpid:\t7\t1\n", b"prog\0arg\0");
        assert_eq!((task.comm.as_str(), task.ppid, task.sid), ("a) b(c", 1, 7));
        assert_eq!(
            (task.nspid.as_slice(), task.cmdline.as_str()),
            ([7, 1].as_slice(), "prog arg")
        );
    }

    #[test]
    fn who_exits_is_told_by_a_flag() {
        let stat = Stat::parse(7, "7 (a) b(c) R 1 7 7 0 -1 4194564 1 2").unwrap();
        assert_ne!(stat.flags & PF_EXITING, 0);
        assert!(is_exiting(i32::MAX), "nobody has that pid");
        assert!(!is_exiting(std::process::id() as i32));
    }

    #[test]
    fn kernel_threads_are_known_by_a_flag() {
        let stat = Stat::parse(2, "2 (kthreadd) S 0 0 0 0 -1 2129984").unwrap();
        assert_ne!(stat.flags & PF_KTHREAD, 0);
        let own = Stat::read(std::process::id() as i32).unwrap();
        assert_eq!(own.flags & PF_KTHREAD, 0);
    }
}
