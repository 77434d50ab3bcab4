// SPDX-License-Identifier: GPL-2.0-only

//! Two git trees of one project, each refreshed without knowing of the other: what one has, and what the other makes of it.

use std::fs;

use xtask::patchset::refresh;

use crate::project::{files, write, Worked, SECOND};

/// A file in which lines can move.
fn table(more: &[(usize, &str)]) -> String {
    let mut lines: Vec<String> = (0..40).map(|number| format!("line {number}\n")).collect();
    for (at, line) in more {
        lines.insert(*at, format!("{line}\n"));
    }
    lines.concat()
}

/// Makes the source and the tree `tree` anew, with this text in a file.
fn source_with(worked: &Worked, text: &str) {
    write(&worked.0.path("linux/kernel/table.c"), text);
    crate::project::pack(&worked.0.path(""), &worked.0.source.tarball);
    fs::remove_dir_all(worked.0.path("target")).unwrap();
    worked.remake(None);
}

/// A project with such a file in the source, a tree of it, and another one in `other`.
fn both() -> Option<Worked> {
    let worked = Worked::new()?;
    source_with(&worked, &table(&[]));
    worked.0.git("other", None).unwrap();
    Some(worked)
}

/// Commits this text of the file in a tree.
fn commit(worked: &Worked, tree: &str, text: &str, subject: &str) {
    write(&worked.0.path(tree).join("kernel/table.c"), text);
    worked.git_in(
        tree,
        &["commit", "-q", "-a", "-m", &format!("{subject}\n\nWhy.")],
    );
}

/// Picks the last commit of another tree.
fn pick(worked: &Worked, from: &str) {
    worked.git(&["fetch", "-q", &format!("../{from}"), "lab"]);
    worked.git(&["cherry-pick", "FETCH_HEAD"]);
}

#[test]
fn what_was_picked_to_where_lines_have_moved_is_no_second_patch() {
    let Some(worked) = both() else { return };
    commit(&worked, "other", &table(&[(30, "added")]), "table: add");
    worked.refresh_from("other").unwrap();
    commit(&worked, "tree", &table(&[(2, "first")]), "table: first");
    pick(&worked, "other");
    worked.refresh().unwrap();
    assert_eq!(
        worked.text("kernel-patches/series"),
        "# order\n100-fork.patch\n200-exit.patch\n205-first.patch\n210-add.patch\n"
    );
    worked.is_refreshed();
    worked.same_tree();
}

#[test]
fn what_was_picked_and_changed_is_to_be_looked_at() {
    let Some(worked) = both() else { return };
    commit(&worked, "other", &table(&[(30, "added")]), "table: add");
    worked.refresh_from("other").unwrap();
    pick(&worked, "other");
    write(
        &worked.0.path("tree/kernel/table.c"),
        &table(&[(30, "added otherwise")]),
    );
    worked.git(&["commit", "-q", "-a", "--amend", "--no-edit"]);
    let found = worked.refused();
    assert!(
        found.contains("\"table: add\" is new here; 210-add.patch, which this tree does not know, has that subject and says something else"),
        "{found}"
    );
}

#[test]
fn the_exact_pick_is_the_patch_whoever_else_has_its_subject() {
    let Some(worked) = both() else { return };
    commit(&worked, "other", &table(&[(30, "added")]), "table: add");
    worked.refresh_from("other").unwrap();
    commit(&worked, "tree", &table(&[(3, "added too")]), "table: add");
    pick(&worked, "other");
    worked.refresh().unwrap();
    let series = worked.text("kernel-patches/series");
    assert_eq!(series.matches("-add.patch").count(), 2, "{series}");
    worked.is_refreshed();
    worked.same_tree();
}

#[test]
fn a_pick_that_bears_its_name_may_have_moved() {
    let Some(worked) = both() else { return };
    commit(&worked, "other", &table(&[(30, "added")]), "table: add");
    worked.refresh_from("other").unwrap();
    worked.0.git("named", None).unwrap();
    commit(&worked, "tree", &table(&[(2, "first")]), "table: first");
    pick(&worked, "named");
    worked.refresh().unwrap();
    let series = worked.text("kernel-patches/series");
    assert!(
        series.ends_with("205-first.patch\n210-add.patch\n"),
        "{series}"
    );
    worked.is_refreshed();
    worked.same_tree();
}

#[test]
fn the_same_in_two_places_is_two_patches() {
    let Some(worked) = Worked::new() else { return };
    let lines = |more: &[(usize, &str)]| {
        let mut lines = vec!["same\n".to_string(); 40];
        for (at, line) in more {
            lines.insert(*at, format!("{line}\n"));
        }
        lines.concat()
    };
    source_with(&worked, &lines(&[]));
    worked.0.git("other", None).unwrap();
    commit(&worked, "other", &lines(&[(30, "added")]), "table: add");
    commit(
        &worked,
        "other",
        &lines(&[(30, "added"), (8, "added")]),
        "table: add",
    );
    worked.refresh_from("other").unwrap();
    let before = files(&worked.0.path("kernel-patches"));
    let picked_behind = |more: &[(usize, &str)]| {
        worked.remake(Some("200"));
        if !more.is_empty() {
            commit(&worked, "tree", &lines(more), "table: first");
        }
        pick(&worked, "other");
    };
    // It is the one that stands there.
    picked_behind(&[]);
    worked.refresh().unwrap();
    assert_eq!(files(&worked.0.path("kernel-patches")), before);
    // Where it cannot be told which nothing is written.
    picked_behind(&[(2, "first")]);
    let found = worked.refused();
    assert!(found.contains("says the same in another place"), "{found}");
    assert_eq!(files(&worked.0.path("kernel-patches")), before);
}

#[test]
fn patches_that_do_not_fit_together_are_refused() {
    let Some(worked) = both() else { return };
    commit(&worked, "other", &table(&[(30, "one")]), "table: one");
    worked.refresh_from("other").unwrap();
    commit(&worked, "tree", &table(&[(30, "two")]), "table: two");
    let before = files(&worked.0.path("kernel-patches"));
    let found = worked.refused();
    assert!(
        found.contains("210-one.patch would not fit behind what would be before it")
            && found.contains("git fetch and git cherry-pick"),
        "{found}"
    );
    assert_eq!(files(&worked.0.path("kernel-patches")), before);
    // Elsewhere in the file it does.
    worked.git(&["reset", "-q", "--hard", "HEAD~1"]);
    commit(&worked, "tree", &table(&[(5, "two")]), "table: two");
    worked.refresh().unwrap();
}

#[test]
fn what_the_trees_edit_takes_from_under_a_patch_that_it_does_not_have_is_refused() {
    let Some(worked) = both() else { return };
    commit(&worked, "tree", &table(&[(30, "one")]), "table: one");
    worked.refresh().unwrap();
    commit(
        &worked,
        "tree",
        &table(&[(30, "one"), (31, "two")]),
        "table: two",
    );
    worked.refresh().unwrap();
    worked.remake(Some("210"));
    write(
        &worked.0.path("tree/kernel/table.c"),
        &table(&[(30, "another")]),
    );
    worked.git(&["commit", "-q", "-a", "--amend", "--no-edit"]);
    let found = worked.refused();
    assert!(
        found.contains("220-two.patch would not fit behind"),
        "{found}"
    );
}

#[test]
fn who_says_what_a_patch_said_keeps_its_name() {
    let Some(worked) = both() else { return };
    // A new commit before it bears the name of another.
    commit(
        &worked,
        "tree",
        &table(&[(30, "one")]),
        "table: one\n\nPatch-file: 200-exit.patch",
    );
    worked.git(&["rebase", "-q", "-i", "HEAD~2"]);
    worked.refresh().unwrap();
    let exit = worked.text("kernel-patches/200-exit.patch");
    assert_eq!(exit, SECOND);
    assert_eq!(
        worked.text("kernel-patches/series"),
        "# order\n100-fork.patch\n150-one.patch\n200-exit.patch\n"
    );
}

#[test]
fn what_stands_elsewhere_in_the_project_is_tried_with_the_trees_edits() {
    for what in ["gone", "not listed", "another order"] {
        let Some(worked) = both() else { return };
        commit(&worked, "tree", &table(&[(30, "one")]), "table: one");
        commit(
            &worked,
            "tree",
            &table(&[(10, "two"), (31, "one")]),
            "table: two",
        );
        worked.refresh().unwrap();
        worked.remake(None);
        let (list, one) = ("kernel-patches/series", "kernel-patches/210-one.patch");
        let text = worked.text(list);
        match what {
            "gone" => {
                fs::remove_file(worked.0.path(one)).unwrap();
                write(&worked.0.path(list), &text.replace("210-one.patch\n", ""));
            }
            "not listed" => write(&worked.0.path(list), &text.replace("210", "# 210")),
            _ => write(
                &worked.0.path(list),
                &(text.replace("210-one.patch\n", "") + "210-one.patch\n"),
            ),
        }
        // Beside what the other one adds.
        let lines = [(10, "two"), (31, "one"), (32, "three")];
        write(&worked.0.path("tree/kernel/table.c"), &table(&lines));
        worked.git(&["commit", "-q", "-a", "--amend", "--no-edit"]);
        let before = files(&worked.0.path("kernel-patches"));
        let found = worked.refused();
        assert!(
            found.contains("would not fit behind what would be"),
            "{what}: {found}"
        );
        assert_eq!(files(&worked.0.path("kernel-patches")), before);
    }
}

#[test]
fn what_does_not_fit_in_the_project_by_itself_is_noted() {
    let Some(worked) = both() else { return };
    let wip = SECOND.replace(" exit\n", " nothing\n");
    write(&worked.0.path("kernel-patches/300-wip.patch"), &wip);
    let list = worked.text("kernel-patches/series") + "300-wip.patch\n";
    write(&worked.0.path("kernel-patches/series"), &list);
    worked.is_refreshed();
    worked.commit_make("kbuild: all");
    let said = worked.refresh().unwrap();
    assert!(
        said.contains(
            "note: 300-wip.patch does not fit in the project, without what was done here"
        ),
        "{said}"
    );
    let list = worked.text("kernel-patches/series");
    assert!(
        list.contains("-all.patch\n") && list.contains("300-wip.patch\n"),
        "{list}"
    );
}

/// Begins a refresh from the tree which is cut when it has been written down.
fn cut(worked: &Worked) {
    let dir = worked.0.path("tree");
    let changes = refresh::compare(&worked.0.layout, &dir).unwrap();
    refresh::begin(&worked.0.layout, &dir, &changes).unwrap();
}

#[test]
fn a_refresh_that_was_cut_and_overtaken_can_be_given_up() {
    let Some(worked) = both() else { return };
    worked.commit_make("kbuild: all");
    cut(&worked);
    commit(&worked, "other", &table(&[(30, "one")]), "table: one");
    worked.refresh_from("other").unwrap();
    let found = worked.refused();
    assert!(
        found.contains("series was edited since a refresh was cut") && found.contains("--abort"),
        "{found}"
    );
    refresh::abort(&worked.0.path("tree")).unwrap();
    assert!(refresh::abort(&worked.0.path("tree")).is_err());
    worked.refresh().unwrap();
    let series = worked.text("kernel-patches/series");
    assert!(
        series.contains("-one.patch\n") && series.contains("-all.patch\n"),
        "{series}"
    );
}

#[test]
fn a_refresh_that_was_cut_is_finished_where_the_project_has_moved_to() {
    let Some(worked) = both() else { return };
    worked.commit_make("kbuild: all");
    cut(&worked);
    let (root, moved) = (worked.0.path(""), tempfile::tempdir().unwrap());
    let place = moved.path().join("project");
    fs::rename(&root, &place).unwrap();
    let layout = xtask::layout::Layout::new(&place);
    assert!(refresh::finish(&layout, &place.join("tree")).unwrap());
    let series = fs::read_to_string(place.join("kernel-patches/series")).unwrap();
    assert!(
        series.ends_with("200-exit.patch\n210-all.patch\n"),
        "{series}"
    );
    fs::rename(&place, &root).unwrap();
}
