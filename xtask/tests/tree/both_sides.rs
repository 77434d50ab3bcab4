// SPDX-License-Identifier: GPL-2.0-only

//! From a git tree back to patches, where there is no room between two of them or the project has changed meanwhile:
//! both sides' edits stay, or nothing is written.

use std::fs;

use xtask::patchset::refresh;

use crate::project::{files, write, writes_nothing, Worked, PATCH, SECOND};

/// A patch that needs [`SECOND`] before it.
const THIRD: &str = "From: B <b@b.invalid>\nSubject: z\n\nWhy.\n---\n\
                     --- a/kernel/exit.c\n+++ b/kernel/exit.c\n@@ -1,2 +1,3 @@\n exit\n restart\n+again\n";

/// A project whose patches have no room between their numbers, and a tree of it with a new one behind the first.
fn dense() -> Option<Worked> {
    let worked = Worked::new()?;
    let path = |name: &str| worked.0.path("kernel-patches").join(name);
    fs::rename(path("200-exit.patch"), path("101-exit.patch")).unwrap();
    write(
        &path("series"),
        "# order\n100-fork.patch\n# at last\n101-exit.patch\n",
    );
    worked.remake(None);
    worked.commit_make("kbuild: all");
    worked.git(&["rebase", "-q", "-i", "HEAD~2"]);
    Some(worked)
}

#[test]
fn patches_make_room_for_a_new_one_between_them() {
    let Some(worked) = dense() else { return };
    assert_eq!(
        worked.refresh().unwrap(),
        "write kernel-patches/101-all.patch\nwrite kernel-patches/102-exit.patch\nwrite kernel-patches/series\n\
         remove kernel-patches/101-exit.patch\n3 to write, 1 to remove, 6 as they were"
    );
    assert_eq!(worked.text("kernel-patches/102-exit.patch"), SECOND);
    assert_eq!(
        worked.text("kernel-patches/series"),
        "# order\n100-fork.patch\n101-all.patch\n# at last\n102-exit.patch\n"
    );
    worked.is_refreshed();
    worked.same_tree();
}

#[test]
fn who_makes_room_takes_the_projects_edits_along() {
    let Some(worked) = dense() else { return };
    let edited = SECOND.replace("Why.", "Because.");
    write(&worked.0.path("kernel-patches/101-exit.patch"), &edited);
    worked.refresh().unwrap();
    assert_eq!(worked.text("kernel-patches/102-exit.patch"), edited);
    assert!(!worked.0.path("kernel-patches/101-exit.patch").exists());
    // They are the project's still: an edit of the same in the tree is one on both sides.
    worked.is_refreshed();
    worked.git(&[
        "commit",
        "-q",
        "--amend",
        "-m",
        "y\n\nElse.\n\nPatch-file: 101-exit.patch",
    ]);
    let found = worked.refused();
    assert!(
        found.contains("in the project since: kernel-patches/102-exit.patch"),
        "{found}"
    );
}

#[test]
fn who_makes_room_does_not_get_over_what_lies_there() {
    let Some(worked) = dense() else { return };
    write(&worked.0.path("kernel-patches/102-exit.patch"), "mine");
    let found = worked.refused();
    assert!(
        found.contains(
            "in the way: kernel-patches/102-exit.patch (101-exit.patch would be called that)"
        ),
        "{found}"
    );
    assert_eq!(worked.text("kernel-patches/102-exit.patch"), "mine");
    assert_eq!(worked.text("kernel-patches/101-exit.patch"), SECOND);
}

#[test]
fn which_patches_there_are_is_one_sides_to_change() {
    let lists = [
        ("100-fork.patch\n", "101-exit.patch is gone"),
        ("100-fork.patch\n300-exit.patch\n", "101-exit.patch is gone"),
        (
            "100-fork.patch\n# 101-exit.patch\n",
            "101-exit.patch is not listed",
        ),
        ("101-exit.patch\n100-fork.patch\n", "their order"),
    ];
    for (list, why) in lists {
        let Some(worked) = dense() else { return };
        let path = |name: &str| worked.0.path("kernel-patches").join(name);
        if list.contains("300") {
            fs::rename(path("101-exit.patch"), path("300-exit.patch")).unwrap();
        } else if !list.contains("101") {
            fs::remove_file(path("101-exit.patch")).unwrap();
        }
        write(&path("series"), list);
        let before = files(&worked.0.path("kernel-patches"));
        let refused = |what: &str| {
            let found = worked.refused();
            let words = format!("in the project ({why}) and in the tree ({what})");
            assert!(found.contains(&words), "expected {words}, found {found}");
        };
        refused("\"kbuild: all\" is new");
        // In its place the second one goes.
        worked.git(&["reset", "-q", "--hard", "HEAD~2"]);
        refused("101-exit.patch is gone");
        assert_eq!(files(&worked.0.path("kernel-patches")), before);
    }
}

#[test]
fn what_the_project_alone_has_stays_behind_what_it_needs() {
    let Some(worked) = dense() else { return };
    let path = |name: &str| worked.0.path("kernel-patches").join(name);
    write(&path("102-again.patch"), THIRD);
    write(
        &path("series"),
        "100-fork.patch\n101-exit.patch\n102-again.patch\n",
    );
    let found = worked.refused();
    let why = "there is no number left before 102-again.patch, which this tree does not have";
    assert!(found.contains(why), "{found}");
    fs::rename(path("102-again.patch"), path("103-again.patch")).unwrap();
    write(
        &path("series"),
        "100-fork.patch\n101-exit.patch\n103-again.patch\n",
    );
    worked.refresh().unwrap();
    assert_eq!(
        worked.text("kernel-patches/series"),
        "100-fork.patch\n101-all.patch\n102-exit.patch\n103-again.patch\n"
    );
    worked.0.git("again", None).unwrap();
}

#[test]
fn a_tree_that_stops_short_of_equal_numbers_is_refreshed() {
    let Some(worked) = Worked::new() else { return };
    write(&worked.0.path("kernel-patches/200-more.patch"), THIRD);
    let list = "100-fork.patch\n200-exit.patch\n200-more.patch\n";
    write(&worked.0.path("kernel-patches/series"), list);
    worked.remake(Some("100"));
    worked.commit_make("kbuild: all");
    worked.refresh().unwrap();
    assert_eq!(
        worked.text("kernel-patches/series"),
        "100-fork.patch\n150-all.patch\n200-exit.patch\n200-more.patch\n"
    );
    // It stops at the first of them, by its number.
    let of_one = [
        ("100-fork.patch", PATCH),
        ("200-exit.patch", SECOND),
        ("200-mk.patch", MAKE),
    ];
    let Some(worked) = series_of(&of_one, Some("200")) else {
        return;
    };
    worked.edit("kernel/exit.c", "exit\nrestart\nagain\n");
    worked.git(&["commit", "-q", "-m", "exit: again\n\nWhy."]);
    worked.refresh().unwrap();
    assert_eq!(
        worked.text("kernel-patches/series"),
        "100-fork.patch\n133-exit.patch\n166-again.patch\n200-mk.patch\n"
    );
}

/// A project of these patches, by name, subject, file and what a line of it becomes; and a tree of the first of them, up
/// to one or all.
fn series_of(patches: &[(&str, &str)], upto: Option<&str>) -> Option<Worked> {
    let worked = Worked::new()?;
    for gone in ["100-fork.patch", "200-exit.patch"] {
        fs::remove_file(worked.0.path("kernel-patches").join(gone)).unwrap();
    }
    let mut list = String::new();
    for (name, text) in patches {
        write(&worked.0.path("kernel-patches").join(name), text);
        list.push_str(&format!("{name}\n"));
    }
    write(&worked.0.path("kernel-patches/series"), &list);
    worked.remake(upto);
    Some(worked)
}

/// A patch of the Makefile, which needs no other.
const MAKE: &str = "From: B <b@b.invalid>\nSubject: m\n\nWhy.\n---\n\
                    --- a/Makefile\n+++ b/Makefile\n@@ -1 +1,2 @@\n all:\n+\ttrue\n";

/// Puts the last commits of a tree into this order of their subjects.
fn reorder(worked: &Worked, subjects: &[&str]) {
    let log = worked.0.ask("tree", &["log", "--format=%H %s"]);
    let hash_of = |subject: &&str| {
        let mut lines = log.lines().filter_map(|line| line.split_once(' '));
        lines
            .find(|(_, said)| said == subject)
            .unwrap()
            .0
            .to_string()
    };
    let hashes: Vec<String> = subjects.iter().map(hash_of).collect();
    worked.git(&["reset", "-q", "--hard", &format!("HEAD~{}", subjects.len())]);
    for hash in hashes {
        worked.git(&["cherry-pick", &hash]);
    }
}

#[test]
fn a_new_one_may_get_the_name_of_one_that_makes_room() {
    let twins = [("100-fix.patch", PATCH), ("101-fix.patch", SECOND)];
    let Some(worked) = series_of(&twins, None) else {
        return;
    };
    worked.commit_make("kbuild: fix");
    reorder(&worked, &["kbuild: fix", "y"]);
    // What the project has made of it goes along.
    let edited = SECOND.replace("Why.", "Because.");
    write(&worked.0.path("kernel-patches/101-fix.patch"), &edited);
    let said = worked.refresh().unwrap();
    assert!(
        said.ends_with("3 to write, 0 to remove, 6 as they were"),
        "{said}"
    );
    assert!(worked
        .text("kernel-patches/101-fix.patch")
        .contains("Subject: kbuild: fix"));
    assert_eq!(worked.text("kernel-patches/102-fix.patch"), edited);
    worked.same_tree();
    worked.is_refreshed();
}

#[test]
fn who_makes_room_and_was_edited_on_both_sides_is_refused() {
    let twins = [("001-fix.patch", PATCH), ("002-fix.patch", SECOND)];
    let Some(worked) = series_of(&twins, None) else {
        return;
    };
    worked.edit("kernel/exit.c", "exit\nrestart\nagain\n");
    worked.git(&["commit", "-q", "--amend", "--no-edit"]);
    worked.commit_make("kbuild: all");
    reorder(&worked, &["kbuild: all", "x", "y"]);
    let edited = SECOND.replace("Why.", "Because.");
    write(&worked.0.path("kernel-patches/002-fix.patch"), &edited);
    let found = worked.refused();
    assert!(
        found.contains("in the project since: kernel-patches/002-fix.patch"),
        "{found}"
    );
    assert_eq!(worked.text("kernel-patches/002-fix.patch"), edited);
}

#[test]
fn patches_that_the_tree_does_not_know_keep_their_order() {
    let three = [
        ("100-fork.patch", PATCH),
        ("200-exit.patch", SECOND),
        ("300-mk.patch", MAKE),
    ];
    let Some(worked) = series_of(&three, None) else {
        return;
    };
    // The second needs the first.
    let of = |hunk: &str| PATCH.split("@@").next().unwrap().to_string() + hunk;
    let path = |name: &str| worked.0.path("kernel-patches").join(name);
    write(
        &path("150-o.patch"),
        &of("@@ -1,3 +1,4 @@\n one\n restart\n+o\n two\n"),
    );
    write(
        &path("250-p.patch"),
        &of("@@ -1,4 +1,5 @@\n one\n restart\n o\n+p\n two\n"),
    );
    write(
        &path("series"),
        "100-fork.patch\n150-o.patch\n150-o.patch\n200-exit.patch\n250-p.patch\n300-mk.patch\n",
    );
    reorder(&worked, &["y", "x", "m"]);
    worked.refresh().unwrap();
    assert_eq!(
        worked.text("kernel-patches/series"),
        "050-exit.patch\n100-fork.patch\n150-o.patch\n250-p.patch\n300-mk.patch\n"
    );
    worked.0.git("again", None).unwrap();
}

#[test]
fn what_is_picked_from_another_tree_of_the_series_is_that_patch() {
    let three = [
        ("100-fork.patch", PATCH),
        ("200-exit.patch", SECOND),
        ("300-mk.patch", MAKE),
    ];
    let Some(worked) = series_of(&three, Some("100")) else {
        return;
    };
    worked.0.git("full", None).unwrap();
    let full = worked.0.path("full");
    worked.git(&["fetch", "-q", full.to_str().unwrap(), "lab"]);
    worked.git(&["cherry-pick", "FETCH_HEAD"]);
    // It is the same, though written otherwise than the lab writes it.
    worked.is_refreshed();
    assert_eq!(worked.text("kernel-patches/300-mk.patch"), MAKE);
    // As the lab writes it, too.
    let user = ["-c", "user.name=C", "-c", "user.email=c@c.invalid"];
    let amend = [
        "commit",
        "-q",
        "--amend",
        "-m",
        "m\n\nAt last.\n\nPatch-file: 300-mk.patch",
    ];
    worked.0.ask("full", &[&user[..], &amend[..]].concat());
    let changes = refresh::compare(&worked.0.layout, &full).unwrap();
    refresh::write(&worked.0.layout, &full, &changes).unwrap();
    worked.git(&["reset", "-q", "--hard", "HEAD~1"]);
    worked.git(&["fetch", "-q", full.to_str().unwrap(), "lab"]);
    worked.git(&["cherry-pick", "FETCH_HEAD"]);
    worked.is_refreshed();
    // A trailer that names nothing of the project is none.
    worked.git(&["reset", "-q", "--hard", "HEAD~1"]);
    worked.edit("Makefile", "all:\n\ttrue\n");
    worked.git(&[
        "commit",
        "-q",
        "-m",
        "kbuild: all\n\nWhy.\n\nPatch-file: 050-all.patch",
    ]);
    worked.refresh().unwrap();
    assert_eq!(
        worked.text("kernel-patches/series"),
        "100-fork.patch\n150-all.patch\n200-exit.patch\n"
    );
}

#[test]
fn the_projects_edits_of_the_list_stay() {
    for list in [
        "# order\n200-exit.patch\n100-fork.patch\n",
        "# order\n100-fork.patch\n# 200-exit.patch\n",
        "# mine\n100-fork.patch\n150-missing.patch\n200-exit.patch\n",
    ] {
        let Some(worked) = Worked::new() else { return };
        write(&worked.0.path("kernel-patches/series"), list);
        for _ in 0..2 {
            worked.is_refreshed();
            assert_eq!(worked.text("kernel-patches/series"), list);
        }
        // What the patches say is the tree's to change.
        worked.edit("kernel/exit.c", "exit\nrestart\nagain\n");
        worked.git(&["commit", "-q", "--amend", "--no-edit"]);
        let said = worked.refresh().unwrap();
        let written = "write kernel-patches/200-exit.patch\n1 to write, 0 to remove";
        assert!(said.starts_with(written), "{said}");
        assert_eq!(worked.text("kernel-patches/series"), list);
        worked.is_refreshed();
    }
    // Both cannot say in which order.
    let three = [
        ("100-fork.patch", PATCH),
        ("200-exit.patch", SECOND),
        ("300-mk.patch", MAKE),
    ];
    let Some(worked) = series_of(&three, None) else {
        return;
    };
    let list = "100-fork.patch\n300-mk.patch\n200-exit.patch\n";
    write(&worked.0.path("kernel-patches/series"), list);
    reorder(&worked, &["y", "x", "m"]);
    let found = worked.refused();
    let words = "in the project (their order) and in the tree (their order)";
    assert!(found.contains(words), "{found}");
}

#[test]
fn a_list_that_is_no_text_is_not_written_over() {
    let Some(worked) = dense() else { return };
    let path = worked.0.path("kernel-patches/series");
    let latin = b"# caf\xe9\n100-fork.patch\n101-exit.patch\n";
    fs::write(&path, latin).unwrap();
    let found = worked.refused();
    assert!(
        found.contains("expected UTF-8, found byte 0xe9 in line 1"),
        "{found}"
    );
    assert_eq!(fs::read(&path).unwrap(), latin);
}

#[test]
fn a_refresh_that_was_cut_anywhere_is_finished_by_the_next() {
    // The last names in a chain are those of files that are there.
    let twins = [("001-fix.patch", PATCH), ("002-fix.patch", SECOND)];
    for cut in 0..5 {
        let Some(worked) = series_of(&twins, None) else {
            return;
        };
        worked.commit_make("kbuild: all");
        reorder(&worked, &["kbuild: all", "x", "y"]);
        let edited = SECOND.replace("Why.", "Because.");
        write(&worked.0.path("kernel-patches/002-fix.patch"), &edited);
        let (layout, tree) = (&worked.0.layout, worked.0.path("tree"));
        let changes = refresh::compare(layout, &tree).unwrap();
        refresh::begin(layout, &tree, &changes).unwrap();
        for (path, content) in changes.written.iter().take(cut) {
            fs::write(layout.root().join(path), content).unwrap();
        }
        let again = refresh::compare(layout, &tree).unwrap_err().to_string();
        assert!(again.contains("a refresh from here was cut"), "{again}");
        if cut == 2 {
            // What was edited meanwhile is not written over.
            let list = worked.text("kernel-patches/series");
            write(&worked.0.path("kernel-patches/series"), "# mine\n");
            let found = worked.refused();
            assert!(
                found.contains("kernel-patches/series was edited since"),
                "{found}"
            );
            assert_eq!(worked.text("kernel-patches/series"), "# mine\n");
            write(&worked.0.path("kernel-patches/series"), &list);
        }
        let said = worked.refresh().unwrap();
        assert!(writes_nothing(&said), "{cut}: {said}");
        assert_eq!(
            worked.text("kernel-patches/series"),
            "001-all.patch\n002-fix.patch\n003-fix.patch\n"
        );
        assert_eq!(worked.text("kernel-patches/003-fix.patch"), edited);
        assert!(!worked.0.path("kernel-patches/001-fix.patch").exists());
        worked.same_tree();
    }
}
