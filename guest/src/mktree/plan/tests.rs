// SPDX-License-Identifier: GPL-2.0-only

//! Plans of trees, and trees that cannot be rebuilt.

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
fn an_orphan_in_a_living_session_is_lent_by_its_leader() {
    // 4 leads a session; its child has ended, whose child 6 is init's now, and 7 is 6's.
    let plan = plan(&entries(&[
        (1, 0, 1, 1),
        (6, 1, 4, 4),
        (7, 6, 4, 4),
        (4, 1, 4, 4),
    ]))
    .unwrap();
    let lent = Lent {
        child: 1,
        to: 0,
        stand_in: 32_767,
    };
    assert_eq!(plan.tasks[3].lends, [lent]);
    assert_eq!(plan.tasks[0].children, [3]);
    assert_eq!(plan.tasks[1].children, [2]);
    assert_eq!(plan.tasks[1].group, Group::Join(3));
    assert_eq!(plan.made(Some(4)), [true, false, false, false]);
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
    // 4 is in the session of 2, which is neither above nor below its parent 3.
    let tree = entries(&[(1, 0, 0, 0), (2, 1, 2, 2), (3, 1, 3, 3), (4, 3, 2, 2)]);
    let why = plan(&tree).unwrap_err();
    assert_eq!(
        why,
        "task 3: session 3 cannot be rebuilt: its parent was never in that session"
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
