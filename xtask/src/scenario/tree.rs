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
    /// Its working directory and its root directory.
    pub places: [String; 2],
    /// Its mappings: address range, permissions, offset and path, without the inode and device.
    pub maps: Vec<String>,
}

/// Remembers a tree; `maps` holds /proc/PID/maps by outer pid. Tasks are in depth-first order, those of
/// one parent by inner pid: the place of a task does not depend on the order in which branches grew.
pub fn remember(tree: &[&Task], maps: &BTreeMap<i32, String>) -> Vec<Remembered> {
    let ordered = depth_first(tree);
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
            places: [task.cwd.clone(), task.root.clone()],
            maps: maps
                .get(&task.pid)
                .map(|text| mappings(text))
                .unwrap_or_default(),
        })
        .collect()
}

fn depth_first<'a>(tree: &[&'a Task]) -> Vec<&'a Task> {
    let known = |pid: i32| tree.iter().any(|task| task.pid == pid);
    let mut to_visit: Vec<&Task> = tree
        .iter()
        .copied()
        .filter(|task| !known(task.ppid))
        .collect();
    let mut ordered = Vec::new();
    loop {
        // The smallest pid of the youngest generation is at the end.
        let Some(task) = to_visit.pop() else {
            return ordered;
        };
        ordered.push(task);
        let mut children: Vec<&Task> = tree
            .iter()
            .copied()
            .filter(|child| child.ppid == task.pid)
            .collect();
        children.sort_by_key(|child| std::cmp::Reverse(inner(child)));
        to_visit.extend(children);
    }
}

/// The pid in the innermost namespace.
fn inner(task: &Task) -> i32 {
    task.nspid.last().copied().unwrap_or(task.pid)
}

/// The mappings in the text of a maps file, without what differs between two boots (device and inode).
///
/// Neighbours that continue each other are one: whether the kernel keeps them apart is decided by their
/// history (accounting, who has touched them), which a program cannot see.
fn mappings(text: &str) -> Vec<String> {
    let mut whole: Vec<Mapping> = Vec::new();
    for mapping in text.lines().filter_map(Mapping::parse) {
        match whole.last_mut() {
            Some(last) if last.continues_in(&mapping) => last.end = mapping.end,
            _ => whole.push(mapping),
        }
    }
    whole.iter().map(Mapping::to_string).collect()
}

struct Mapping {
    start: u64,
    end: u64,
    perms: String,
    offset: u64,
    path: String,
}

impl Mapping {
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split_whitespace();
        let (start, end) = fields.next()?.split_once('-')?;
        let hex = |text: &str| u64::from_str_radix(text, 16).ok();
        let (perms, offset) = (fields.next()?, fields.next()?);
        Some(Self {
            start: hex(start)?,
            end: hex(end)?,
            perms: perms.into(),
            offset: hex(offset)?,
            path: fields.skip(2).collect::<Vec<_>>().join(" "),
        })
    }

    fn continues_in(&self, next: &Self) -> bool {
        let of_a_file = self.path.starts_with('/');
        self.end == next.start
            && self.perms == next.perms
            && self.path == next.path
            && (!of_a_file || self.offset + (self.end - self.start) == next.offset)
    }
}

impl std::fmt::Display for Mapping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            start,
            end,
            perms,
            offset,
            path,
        } = self;
        write!(f, "{start:x}-{end:x} {perms} {offset:08x} {path}")
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
        same(
            "working directory and root",
            &was.places,
            &is.places,
            was.places == is.places,
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
            cwd: "/run/case".into(),
            root: "/".into(),
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
    fn mappings_that_continue_each_other_are_one() {
        let apart =
            "1000-2000 r--p 00000000 00:02 7 /lib/a\n2000-3000 r--p 00001000 00:02 7 /lib/a\n";
        let merged = "1000-3000 r--p 00000000 00:09 9 /lib/a\n";
        assert_eq!(mappings(apart), mappings(merged));
        let gap =
            "1000-2000 r--p 00000000 00:02 7 /lib/a\n2000-3000 r--p 00005000 00:02 7 /lib/a\n";
        assert_ne!(mappings(gap), mappings(merged));
        let writable =
            "1000-2000 r--p 00000000 00:02 7 /lib/a\n2000-3000 rw-p 00001000 00:02 7 /lib/a\n";
        assert_ne!(mappings(writable), mappings(merged));
    }

    #[test]
    fn branches_that_grew_in_another_order_have_the_same_places() {
        let grown = |pids: [i32; 4]| {
            let [root, left, right, leaf] = pids;
            [
                task(root, root, 1, "r"),
                task(left, left, root, "a"),
                task(right, right, root, "b"),
                task(leaf, leaf, left, "c"),
            ]
        };
        let (wide, deep) = (grown([10, 11, 12, 13]), grown([20, 21, 23, 22]));
        let places = |tasks: &[Task], top| -> Vec<(String, Option<usize>)> {
            let tree = remember(&tasks_of(tasks, top), &BTreeMap::new());
            tree.into_iter()
                .map(|task| (task.comm, task.parent))
                .collect()
        };
        assert_eq!(places(&wide, 10), places(&deep, 20));
    }

    #[test]
    fn a_task_in_another_folder_is_another() {
        let before = [task(10, 1, 1, "t")];
        let mut after = before.clone();
        after[0].root = "/jail".into();
        let seen = |tasks: &[Task]| remember(&tasks_of(tasks, 10), &BTreeMap::new());
        let found = differences(&seen(&before), &seen(&after), Pids::Original);
        let [found] = found.as_slice() else {
            panic!("{found:?}")
        };
        assert!(found.contains("working directory and root"), "{found}");
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
