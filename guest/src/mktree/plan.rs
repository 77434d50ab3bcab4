// SPDX-License-Identifier: GPL-2.0-only

//! Who is forked by whom, before or after whose setsid, and who joins which
//! process group. Pure: entries of the image in, a plan or a refusal out.
//!
//! A child is born into its parent's session of that moment. A session leader
//! therefore forks the children that must be in its old session first, calls
//! setsid, and forks the others. A session whose leader is gone is begun by a
//! stand-in, which forks the children and ends: they become their parent's by
//! adoption, as they did when the leader ended.

use checkpoint::image::record::TreeEntry;
use std::collections::HashMap;

/// What a task does about its process group once all tasks exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Nothing: it is born into the right one, or leads its session.
    Keep,
    /// Becomes a leader.
    Lead,
    /// Joins the group of the task with this index.
    Join(usize),
    /// Joins a group whose leader is gone: number of the ghost that stands in.
    JoinGhost(usize),
}

/// One task to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The saved pid.
    pub pid: i32,
    /// Calls setsid.
    pub leads_session: bool,
    /// Children (by index) forked before setsid; for others than leaders none.
    pub children_before: Vec<usize>,
    /// Children forked after setsid.
    pub children: Vec<usize>,
    /// What it does about its process group.
    pub group: Group,
    /// Sessions whose leaders are gone, with the children that must be born into them.
    pub adopts: Vec<Orphans>,
    /// Ghosts (by number) which it forks, to lead a group until all have joined.
    pub ghosts: Vec<usize>,
}

/// Children to be born into a session whose leader is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphans {
    /// The saved session id, which is the leader's pid.
    pub sid: i32,
    /// The children by index.
    pub children: Vec<usize>,
}

/// The whole tree; the root has index 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The tasks in the order of the image.
    pub tasks: Vec<Planned>,
    /// Saved process group ids of the groups whose leaders are gone.
    pub ghosts: Vec<i32>,
}

/// A session as far as making the tree goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Session {
    /// That of whoever makes the tree: its leader is not in the image.
    Outer,
    /// The one led by the task with this index.
    Of(usize),
    /// The one with this id, whose leader is gone.
    Gone(i32),
}

/// The session of an entry. Ids that the image does not explain are the outer session's if the root
/// is in it too, or if they lie outside of the pid namespace.
fn session_of(entry: &TreeEntry, root: &TreeEntry, by_pid: &HashMap<i32, usize>) -> Session {
    let outer = if root.sid == root.pid { 0 } else { root.sid };
    match by_pid.get(&entry.sid) {
        Some(leader) => Session::Of(*leader),
        None if entry.sid == 0 || entry.sid == outer => Session::Outer,
        None => Session::Gone(entry.sid),
    }
}

/// Plans the tree of `entries`, which obey the rules of the image format.
pub fn plan(entries: &[TreeEntry]) -> Result<Plan, String> {
    let by_pid: HashMap<i32, usize> = entries
        .iter()
        .enumerate()
        .map(|(i, e)| (e.pid, i))
        .collect();
    let mut tasks: Vec<Planned> = entries
        .iter()
        .map(|e| Planned {
            pid: e.pid,
            leads_session: e.sid == e.pid,
            children_before: Vec::new(),
            children: Vec::new(),
            adopts: Vec::new(),
            group: Group::Keep,
            ghosts: Vec::new(),
        })
        .collect();
    let sessions: Vec<Session> = entries
        .iter()
        .map(|e| session_of(e, &entries[0], &by_pid))
        .collect();
    let births = births(entries, &sessions, &by_pid)?;
    for (index, entry) in entries.iter().enumerate().skip(1) {
        let Some(&parent) = by_pid.get(&entry.ppid) else {
            return Err(format!(
                "task {}: its parent {} is not in the image",
                entry.pid, entry.ppid
            ));
        };
        if let Some(sid) = adopted(sessions[index], sessions[parent]) {
            adopt(&mut tasks, entry, parent, sid, index)?;
            continue;
        }
        let before = tasks[parent].leads_session
            && births[index].is_some_and(|birth| birth != Session::Of(parent));
        match before {
            true => tasks[parent].children_before.push(index),
            false => tasks[parent].children.push(index),
        }
    }
    let mut plan = Plan {
        tasks,
        ghosts: Vec::new(),
    };
    for index in 0..entries.len() {
        assign_group(&mut plan, entries, &sessions, &by_pid, index)?;
    }
    Ok(plan)
}

/// The id of a task's session if it must be adopted out of it: its leader is gone, and the parent is
/// in another one.
fn adopted(own: Session, parents: Session) -> Option<i32> {
    match own {
        Session::Gone(sid) if own != parents => Some(sid),
        _ => None,
    }
}

/// Has the task `parent` adopt the task `index` from a stand-in for the leader of session `sid`.
fn adopt(
    tasks: &mut [Planned],
    entry: &TreeEntry,
    parent: usize,
    sid: i32,
    index: usize,
) -> Result<(), String> {
    let elsewhere = |(at, task): (usize, &Planned)| {
        at != parent && task.adopts.iter().any(|orphans| orphans.sid == sid)
    };
    if tasks.iter().enumerate().any(elsewhere) {
        let why = "its leader is gone, and it has members below several others";
        return Err(impossible(entry, why));
    }
    let adopts = &mut tasks[parent].adopts;
    match adopts.iter_mut().find(|orphans| orphans.sid == sid) {
        Some(orphans) => orphans.children.push(index),
        None => adopts.push(Orphans {
            sid,
            children: vec![index],
        }),
    }
    Ok(())
}

/// The session into which each task must be born; `None`: any will do.
fn births(
    entries: &[TreeEntry],
    sessions: &[Session],
    by_pid: &HashMap<i32, usize>,
) -> Result<Vec<Option<Session>>, String> {
    // What the children born before the setsid of a leader need, found from the leaves up.
    let mut births: Vec<Option<Session>> = vec![None; entries.len()];
    for (index, entry) in entries.iter().enumerate().rev() {
        let leads = entry.sid == entry.pid;
        if !leads {
            births[index] = Some(sessions[index]);
        }
        let Some(birth) = births[index] else { continue };
        if index == 0 {
            if birth != Session::Outer {
                return Err(impossible(
                    entry,
                    "the root cannot be born into a session of its descendants",
                ));
            }
            continue;
        }
        let Some(&parent) = by_pid.get(&entry.ppid) else {
            continue;
        };
        if birth == sessions[parent] || adopted(sessions[index], sessions[parent]).is_some() {
            continue;
        }
        if entries[parent].sid != entries[parent].pid {
            return Err(impossible(entry, "its parent was never in that session"));
        }
        match births[parent] {
            None => births[parent] = Some(birth),
            Some(other) if other == birth => (),
            Some(_) => {
                return Err(impossible(
                    entry,
                    "its parent can have left one session only",
                ))
            }
        }
    }
    Ok(births)
}

fn impossible(entry: &TreeEntry, why: &str) -> String {
    format!(
        "task {}: session {} cannot be rebuilt: {why}",
        entry.pid, entry.sid
    )
}

fn assign_group(
    plan: &mut Plan,
    entries: &[TreeEntry],
    sessions: &[Session],
    by_pid: &HashMap<i32, usize>,
    index: usize,
) -> Result<(), String> {
    let entry = &entries[index];
    let group = if entry.pgid == entry.pid {
        if plan.tasks[index].leads_session {
            Group::Keep
        } else {
            Group::Lead
        }
    } else if let Some(&leader) = by_pid.get(&entry.pgid) {
        if sessions[leader] != sessions[index] {
            return Err(format!(
                "task {}: process group {} is led by a task of another session",
                entry.pid, entry.pgid
            ));
        }
        if entries[leader].pgid != entry.pgid {
            return Err(format!(
                "task {}: process group {} is that of a task which leads no group",
                entry.pid, entry.pgid
            ));
        }
        Group::Join(leader)
    } else if sessions[index] == Session::Gone(entry.pgid) {
        // It is born into the group of the stand-in for the session's leader.
        Group::Keep
    } else if sessions[index] == Session::Outer {
        // The group of whoever makes the tree; its id lies outside the image.
        Group::Keep
    } else {
        let number = match plan.ghosts.iter().position(|pgid| *pgid == entry.pgid) {
            Some(number) => number,
            None if entry.pgid == 0 => {
                return Err(format!(
                    "task {}: session {} is in the image, its process group is not",
                    entry.pid, entry.sid
                ))
            }
            None => {
                plan.ghosts.push(entry.pgid);
                plan.tasks[index].ghosts.push(plan.ghosts.len() - 1);
                plan.ghosts.len() - 1
            }
        };
        Group::JoinGhost(number)
    };
    plan.tasks[index].group = group;
    Ok(())
}

impl Plan {
    /// Which tasks are made when the one with the saved pid `without` is left
    /// out with its descendants.
    pub fn made(&self, without: Option<i32>) -> Vec<bool> {
        let mut made = vec![true; self.tasks.len()];
        for (index, task) in self.tasks.iter().enumerate() {
            if Some(task.pid) == without {
                made[index] = false;
            }
            if !made[index] {
                let adopted = task.adopts.iter().flat_map(|orphans| &orphans.children);
                let forked = task.children_before.iter().chain(&task.children);
                for child in forked.chain(adopted) {
                    made[*child] = false;
                }
            }
        }
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (pid, ppid, pgid, sid)
    fn entries(tasks: &[(i32, i32, i32, i32)]) -> Vec<TreeEntry> {
        tasks
            .iter()
            .map(|&(pid, ppid, pgid, sid)| TreeEntry {
                pid,
                tgid: pid,
                ppid,
                pgid,
                sid,
            })
            .collect()
    }

    #[test]
    fn one_session_one_group() {
        let plan = plan(&entries(&[(1, 0, 1, 1), (2, 1, 1, 1), (3, 2, 1, 1)])).unwrap();
        assert!(plan.tasks[0].leads_session);
        assert_eq!(plan.tasks[0].children, [1]);
        assert_eq!(plan.tasks[1].children, [2]);
        assert_eq!(plan.tasks[2].group, Group::Join(0));
    }

    #[test]
    fn children_of_the_old_session_come_first() {
        // 2 was forked by 1 in session 1; 3 leads a session and left 4 behind in 1.
        let plan = plan(&entries(&[
            (1, 0, 1, 1),
            (3, 1, 3, 3),
            (4, 3, 1, 1),
            (5, 3, 3, 3),
        ]))
        .unwrap();
        assert_eq!(plan.tasks[1].children_before, [2]);
        assert_eq!(plan.tasks[1].children, [3]);
    }

    #[test]
    fn the_old_session_is_handed_down() {
        // 5 is in the outer session below two leaders: both must fork before setsid.
        let plan = plan(&entries(&[(3, 1, 3, 3), (4, 3, 4, 4), (5, 4, 0, 0)])).unwrap();
        assert_eq!(plan.tasks[0].children_before, [1]);
        assert_eq!(plan.tasks[1].children_before, [2]);
        assert_eq!(plan.tasks[2].group, Group::Keep);
    }

    #[test]
    fn a_session_whose_leader_is_gone_comes_from_a_stand_in() {
        // A daemon of two forks: 4 led the session and is gone, 5 is init's now, 6 is 5's.
        let plan = plan(&entries(&[
            (1, 0, 1, 1),
            (5, 1, 4, 4),
            (6, 5, 6, 4),
            (7, 1, 4, 4),
        ]))
        .unwrap();
        let orphans = Orphans {
            sid: 4,
            children: vec![1, 3],
        };
        assert_eq!(plan.tasks[0].adopts, [orphans]);
        assert!(plan.tasks[0].children.is_empty());
        assert_eq!(plan.tasks[1].children, [2]);
        assert_eq!(plan.tasks[1].group, Group::Keep);
        assert_eq!(plan.tasks[2].group, Group::Lead);
        assert!(plan.ghosts.is_empty());
        assert_eq!(plan.made(Some(5)), [true, false, false, true]);
    }

    #[test]
    fn members_of_a_leaderless_session_below_two_tasks_are_refused() {
        let tree = entries(&[(1, 0, 1, 1), (2, 1, 2, 2), (5, 1, 4, 4), (6, 2, 4, 4)]);
        let why = plan(&tree).unwrap_err();
        assert!(why.contains("task 6: session 4 cannot be rebuilt"), "{why}");
    }

    #[test]
    fn the_sessions_outside_of_the_image_are_not_rebuilt() {
        let inside = plan(&entries(&[(7, 1, 3, 3), (8, 7, 3, 3)])).unwrap();
        assert!(inside.tasks.iter().all(|task| task.adopts.is_empty()));
        assert_eq!(inside.tasks[0].children, [1]);
    }

    #[test]
    fn a_session_that_the_parent_never_had_is_refused() {
        let tree = entries(&[(1, 0, 0, 0), (2, 1, 2, 2), (3, 1, 2, 2)]);
        let why = plan(&tree).unwrap_err();
        assert_eq!(
            why,
            "task 3: session 2 cannot be rebuilt: its parent was never in that session"
        );
    }

    #[test]
    fn two_old_sessions_are_refused() {
        let why = plan(&entries(&[
            (1, 0, 1, 1),
            (2, 1, 2, 2),
            (3, 2, 3, 3),
            (4, 3, 1, 1),
            (5, 3, 2, 2),
            (6, 3, 1, 1),
        ]));
        assert!(why.unwrap_err().contains("cannot be rebuilt"));
    }

    #[test]
    fn a_gone_group_leader_gets_a_ghost() {
        let plan = plan(&entries(&[(1, 0, 1, 1), (8, 1, 7, 1), (9, 1, 7, 1)])).unwrap();
        assert_eq!(plan.ghosts, [7]);
        assert_eq!(plan.tasks[1].ghosts, [0]);
        assert_eq!(plan.tasks[1].group, Group::JoinGhost(0));
        assert_eq!(plan.tasks[2].group, Group::JoinGhost(0));
    }

    #[test]
    fn leaving_out_takes_the_descendants() {
        let plan = plan(&entries(&[
            (1, 0, 1, 1),
            (2, 1, 1, 1),
            (3, 2, 1, 1),
            (4, 1, 1, 1),
        ]))
        .unwrap();
        assert_eq!(plan.made(Some(2)), [true, false, false, true]);
    }
}
