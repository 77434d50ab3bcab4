// SPDX-License-Identifier: GPL-2.0-only

//! Process trees as /proc shows them: finding the tasks of a tree, and
//! comparing a restarted tree with what it was. Pure.

use std::collections::{BTreeMap, BTreeSet};

use guest::protocol::Task;

use crate::scenario::step::Pids;

/// `comm` of the program that restarts trees; it stands above the tree's root.
const MKTREE: &str = "mktree";

/// The tasks of the tree at `top`, root first, parents before children. Where `top` is `mktree`, the
/// tree is what it has restarted.
pub fn tasks_of(tasks: &[Task], top: i32) -> Vec<&Task> {
    let Some(start) = tasks.iter().find(|task| task.pid == top) else {
        return Vec::new();
    };
    let mut found = vec![start];
    let mut at = 0;
    while let Some(parent) = found.get(at).map(|task| task.pid) {
        found.extend(
            tasks
                .iter()
                .filter(|task| task.ppid == parent && task.pid != parent),
        );
        at += 1;
    }
    if start.comm == MKTREE {
        found.retain(|task| task.comm != MKTREE);
    }
    found.retain(|task| task.state != 'X');
    found
}

/// What is remembered of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// Its pid in the innermost namespace.
    pub pid: i32,
    /// Its place in the tree: the places of the parent's children by pid, from the root.
    pub parent: Option<usize>,
    /// Place in the tree of its process group's leader.
    pub pgid: Option<usize>,
    /// Place in the tree of its session's leader.
    pub sid: Option<usize>,
    /// Its name.
    pub comm: String,
    /// Its arguments.
    pub cmdline: String,
    /// Its mappings: address range, permissions, offset and path, without the inode and device.
    pub maps: Vec<String>,
}

/// Remembers a tree; `maps` holds /proc/PID/maps by outer pid. Tasks are in the order of their inner pids.
pub fn remember(tree: &[&Task], maps: &BTreeMap<i32, String>) -> Vec<Remembered> {
    let mut ordered = tree.to_vec();
    ordered.sort_by_key(|task| inner(task));
    let place = |pid: i32| ordered.iter().position(|task| task.pid == pid);
    ordered
        .iter()
        .map(|task| Remembered {
            pid: inner(task),
            parent: place(task.ppid),
            pgid: place(task.pgid),
            sid: place(task.sid),
            comm: task.comm.clone(),
            cmdline: task.cmdline.clone(),
            maps: maps
                .get(&task.pid)
                .map(|text| text.lines().map(mapping).collect())
                .unwrap_or_default(),
        })
        .collect()
}

/// The pid in the innermost namespace.
fn inner(task: &Task) -> i32 {
    task.nspid.last().copied().unwrap_or(task.pid)
}

/// A line of maps without what differs between two boots: device and inode.
fn mapping(line: &str) -> String {
    let fields: Vec<&str> = line.split_whitespace().collect();
    match fields.as_slice() {
        [range, perms, offset, _dev, _inode, path @ ..] => {
            format!("{range} {perms} {offset} {}", path.join(" "))
        }
        _ => line.to_string(),
    }
}

/// In what two trees differ; empty if in nothing. `pids`: whether they must have the same pids.
pub fn differences(before: &[Remembered], after: &[Remembered], pids: Pids) -> Vec<String> {
    if before.len() != after.len() {
        return vec![format!(
            "expected {} tasks, found {}",
            before.len(),
            after.len()
        )];
    }
    let mut found = Vec::new();
    for (at, (was, is)) in before.iter().zip(after).enumerate() {
        let who = format!("task {at} (pid {} before)", was.pid);
        let mut same =
            |what: &str, was: &dyn std::fmt::Debug, is: &dyn std::fmt::Debug, equal: bool| {
                if !equal {
                    found.push(format!("{who}: {what}: expected {was:?}, found {is:?}"));
                }
            };
        if pids == Pids::Original {
            same("pid", &was.pid, &is.pid, was.pid == is.pid);
        }
        same("parent", &was.parent, &is.parent, was.parent == is.parent);
        same("process group", &was.pgid, &is.pgid, was.pgid == is.pgid);
        same(
            "session",
            &was.sid,
            &is.sid,
            was.sid == is.sid || pids == Pids::New,
        );
        same("comm", &was.comm, &is.comm, was.comm == is.comm);
        same(
            "cmdline",
            &was.cmdline,
            &is.cmdline,
            was.cmdline == is.cmdline,
        );
        found.extend(
            map_differences(was, is)
                .into_iter()
                .map(|text| format!("{who}: {text}")),
        );
    }
    found
}

fn map_differences(was: &Remembered, is: &Remembered) -> Vec<String> {
    let before: BTreeSet<&String> = was.maps.iter().collect();
    let after: BTreeSet<&String> = is.maps.iter().collect();
    let gone = before
        .difference(&after)
        .map(|line| format!("mapping is gone: {line}"));
    let new = after
        .difference(&before)
        .map(|line| format!("mapping is new: {line}"));
    gone.chain(new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(pid: i32, inner: i32, ppid: i32, comm: &str) -> Task {
        Task {
            pid,
            nspid: vec![pid, inner],
            ppid,
            pgid: pid,
            sid: pid,
            state: 'S',
            comm: comm.into(),
            cmdline: comm.into(),
        }
    }

    #[test]
    fn a_restarted_tree_is_what_stands_below_mktree() {
        let tasks = [
            task(50, 50, 1, "mktree"),
            task(51, 1, 50, "mktree"),
            task(52, 2, 51, "t"),
            task(53, 3, 52, "t"),
        ];
        let found: Vec<i32> = tasks_of(&tasks, 50).iter().map(|task| task.pid).collect();
        assert_eq!(found, [52, 53]);
        assert!(tasks_of(&tasks, 99).is_empty());
    }

    #[test]
    fn trees_are_compared_by_place() {
        let before = [task(10, 1, 1, "t"), task(11, 2, 10, "t")];
        let after = [task(90, 1, 80, "t"), task(95, 3, 90, "u")];
        let maps = |pid: i32, line: &str| BTreeMap::from([(pid, format!("{line}\n"))]);
        let was = remember(
            &tasks_of(&before, 10),
            &maps(11, "1000-2000 r-xp 00000000 00:02 17   /bin/t"),
        );
        let is = remember(
            &tasks_of(&after, 90),
            &maps(95, "1000-2000 r-xp 00000000 00:09 99   /bin/t"),
        );
        let found = differences(&was, &is, Pids::Original);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].contains("pid: expected 2, found 3"));
        assert!(found[1].contains("comm: expected \"t\", found \"u\""));
        assert_eq!(differences(&was, &is, Pids::New).len(), 2);
    }
}
