// SPDX-License-Identifier: GPL-2.0-only

//! Who is forked by whom, before or after whose setsid, and who joins which
//! process group. Pure: entries of the image in, a plan or a refusal out.
//!
//! A child is born into its parent's session of that moment. A session leader
//! therefore forks the children that must be in its old session first, calls
//! setsid, and forks the others. A session whose leader is gone is begun by a
//! stand-in, which forks the children and ends: they become their parent's by
//! adoption, as they did when the leader ended. In the same way a leader has a
//! stand-in fork those who are in its session below a parent that is not: their
//! own parents have ended, and one further up has adopted them.

use checkpoint::image::record::TreeEntry;
use std::collections::{HashMap, HashSet};

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
    /// Children of others that must be born into the session that it leads.
    pub lends: Vec<Lent>,
    /// Ghosts (by number) which it forks, to lead a group until all have joined.
    pub ghosts: Vec<usize>,
}

/// A child of another task, which adopts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lent {
    /// The child by index.
    pub child: usize,
    /// Its parent by index.
    pub to: usize,
    /// A pid for the stand-in, that of nobody in the image.
    pub stand_in: i32,
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
            lends: Vec::new(),
            group: Group::Keep,
            ghosts: Vec::new(),
        })
        .collect();
    let sessions: Vec<Session> = entries
        .iter()
        .map(|e| session_of(e, &entries[0], &by_pid))
        .collect();
    let births = births(entries, &sessions, &by_pid)?;
    let mut unused = unused_pids(entries);
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
        if let Some(leader) = lender(entries, &sessions, &by_pid, index, parent) {
            let stand_in = unused.next().ok_or("no pid is left for a stand-in")?;
            tasks[leader].lends.push(Lent {
                child: index,
                to: parent,
                stand_in,
            });
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

/// The leader of a task's session if it has to lend the task to its parent: the parent is in another
/// session, above the leader.
fn lender(
    entries: &[TreeEntry],
    sessions: &[Session],
    by_pid: &HashMap<i32, usize>,
    index: usize,
    parent: usize,
) -> Option<usize> {
    let Session::Of(leader) = sessions[index] else {
        return None;
    };
    let above = |index: usize| by_pid.get(&entries[index].ppid).copied();
    let mut ancestors = std::iter::successors(above(leader), |index| above(*index));
    let orphan = leader != index && sessions[parent] != sessions[index];
    (orphan && ancestors.any(|ancestor| ancestor == parent)).then_some(leader)
}

/// Pids that no id in the image is, from the greatest that every system has on.
fn unused_pids(entries: &[TreeEntry]) -> impl Iterator<Item = i32> {
    const GREATEST: i32 = 32_767;
    let used: HashSet<i32> = entries
        .iter()
        .flat_map(|entry| [entry.pid, entry.pgid, entry.sid])
        .collect();
    (2..=GREATEST).rev().filter(move |pid| !used.contains(pid))
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
        if birth == sessions[parent]
            || adopted(sessions[index], sessions[parent]).is_some()
            || lender(entries, sessions, by_pid, index, parent).is_some()
        {
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
        let mut made: Vec<bool> = self
            .tasks
            .iter()
            .map(|task| Some(task.pid) != without)
            .collect();
        // A task may lend one that stands before it: until nothing changes.
        loop {
            let before = made.clone();
            for (task, _) in self.tasks.iter().zip(&before).filter(|(_, made)| !**made) {
                let adopted = task.adopts.iter().flat_map(|orphans| &orphans.children);
                let lent = task.lends.iter().map(|lent| &lent.child);
                let forked = task.children_before.iter().chain(&task.children);
                for child in forked.chain(adopted).chain(lent) {
                    made[*child] = false;
                }
            }
            if made == before {
                return made;
            }
        }
    }
}

#[cfg(test)]
mod tests;
