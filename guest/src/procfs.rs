// SPDX-License-Identifier: GPL-2.0-only

//! Tasks as /proc shows them.

use crate::protocol::Task;
use std::fs;
use std::io;

/// The flag of kernel threads in field 9 of /proc/PID/stat.
const PF_KTHREAD: u64 = 0x0020_0000;
/// That of tasks that are on their way out; it is set before they close their files.
const PF_EXITING: u64 = 0x4;

/// Every process but kernel threads, by ascending pid.
pub fn tasks() -> io::Result<Vec<Task>> {
    let mut tasks = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // One that is gone meanwhile is no task any more.
        tasks.extend(task(pid));
    }
    tasks.sort_by_key(|task| task.pid);
    Ok(tasks)
}

/// One process; `None` if there is none with this pid, or it is a kernel thread.
pub fn task(pid: i32) -> Option<Task> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let cmdline = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    parse(pid, &stat, &status, &cmdline)
}

/// Whether a process exits or has exited.
pub fn is_exiting(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    flags_of(&stat).is_none_or(|flags| flags & PF_EXITING != 0)
}

/// Whether a process sleeps in the system call of this number.
pub fn sleeps_in(pid: i32, call: libc::c_long) -> bool {
    let text = fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
    // Of one that runs the file says so, in words.
    text.split_whitespace().next() == Some(call.to_string().as_str())
}

/// Field 9 of /proc/PID/stat.
fn flags_of(stat: &str) -> Option<u64> {
    // The name is in parentheses and may hold anything, parentheses included.
    let (_, back) = stat.rsplit_once(')')?;
    back.split_whitespace().nth(6)?.parse().ok()
}

fn parse(pid: i32, stat: &str, status: &str, cmdline: &[u8]) -> Option<Task> {
    // The name is in parentheses and may hold anything, parentheses included.
    let (front, back) = stat.rsplit_once(')')?;
    let comm = front.split_once('(')?.1;
    let fields: Vec<&str> = back.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<i32>().ok();
    if flags_of(stat)? & PF_KTHREAD != 0 {
        return None;
    }
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
    Some(Task {
        pid,
        nspid,
        ppid: number(1)?,
        pgid: number(2)?,
        sid: number(3)?,
        state: fields.first()?.chars().next()?,
        comm: comm.to_owned(),
        cmdline: words.join(" ").trim_end().to_owned(),
    })
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
        let stat = "7 (a) b(c) S 1 7 7 0 -1 4194560 1 2";
        let task = parse(7, stat, "Name:\tx\nNSpid:\t7\t1\n", b"prog\0arg\0").unwrap();
        assert_eq!((task.comm.as_str(), task.ppid, task.sid), ("a) b(c", 1, 7));
        assert_eq!(
            (task.nspid.as_slice(), task.cmdline.as_str()),
            ([7, 1].as_slice(), "prog arg")
        );
    }

    #[test]
    fn who_exits_is_told_by_a_flag() {
        let flags = flags_of("7 (a) b(c) R 1 7 7 0 -1 4194564 1 2").unwrap();
        assert_ne!(flags & PF_EXITING, 0);
        assert!(is_exiting(i32::MAX), "nobody has that pid");
        assert!(!is_exiting(std::process::id() as i32));
    }

    #[test]
    fn kernel_threads_are_left_out() {
        assert_eq!(parse(2, "2 (kthreadd) S 0 0 0 0 -1 2129984", "", b""), None);
    }
}
