// SPDX-License-Identifier: GPL-2.0-only

//! From a git tree back to patches: nothing is lost on the way.

use std::fs;

use xtask::error::Kind;
use xtask::patchset::{new, refresh};

use crate::project::{files, write, Worked, DIVISION, PATCH, SECOND};

#[test]
fn what_was_not_edited_keeps_every_byte() {
    let Some(worked) = Worked::new() else { return };
    let said = worked.refresh().unwrap();
    assert_eq!(said, "0 to write, 0 to remove, 8 as they were");
    assert_eq!(worked.text("kernel-patches/100-fork.patch"), PATCH);
}

#[test]
fn commits_become_patches_and_files_go_back() {
    let Some(worked) = Worked::new() else { return };
    // The last patch is amended, one is new, and the overlay is edited, gains a file and loses one.
    worked.edit("kernel/exit.c", "exit\nrestart\nagain\n");
    worked.git(&["commit", "-q", "--amend", "--no-edit"]);
    worked.edit("kernel/fork.c", "zero\none\nrestart\ntwo\n");
    worked.edit("kernel/checkpoint/cr_main.rs", "edited");
    worked.edit("rust/kernel/pid.rs", "new");
    worked.git(&["rm", "-q", "rust/kernel/mm.rs"]);
    worked.git(&[
        "commit",
        "-q",
        "-m",
        "kernel: count from Zero, at last\n\nWhy not.",
    ]);
    worked.refresh().unwrap();
    assert_eq!(
        worked.text("kernel-patches/100-fork.patch"),
        PATCH,
        "it was not touched"
    );
    assert!(worked
        .text("kernel-patches/200-exit.patch")
        .contains("+again\n"));
    let new = worked.text("kernel-patches/210-count-from-zero-at-last.patch");
    assert!(new.starts_with("From: C <c@c.invalid>\nSubject: kernel: count from Zero, at last\n\nWhy not.\n---\n kernel/fork.c | 1 +\n"), "{new}");
    assert!(!new.contains("pid.rs") && !new.contains("cr_main"), "{new}");
    assert_eq!(
        worked.text("kernel-patches/series"),
        "# order\n100-fork.patch\n200-exit.patch\n210-count-from-zero-at-last.patch\n"
    );
    assert_eq!(worked.text("rust-syscall/src/cr_main.rs"), "edited");
    assert_eq!(worked.text("rust-syscall/abstractions/pid.rs"), "new");
    assert!(!worked.0.path("rust-syscall/abstractions/mm.rs").exists());
    // And what it became makes the same tree.
    worked.0.git("again", None).unwrap();
    let tree = ["rev-parse", "HEAD^{tree}"];
    assert_eq!(worked.0.ask("again", &tree), worked.0.ask("tree", &tree));
}

#[test]
fn a_message_that_no_file_keeps_is_told() {
    let Some(worked) = Worked::new() else { return };
    worked.edit("kernel/checkpoint/cr_main.rs", "edited");
    worked.git(&["commit", "-q", "-m", "checkpoint: say why\n\nAt length."]);
    assert_eq!(
        worked.refresh().unwrap(),
        "write rust-syscall/src/cr_main.rs\n\
         note: \"checkpoint: say why\" changes nothing of the source: its message is not kept (those of the overlay are in kernel-patches/overlay.toml)\n\
         1 to write, 0 to remove, 7 as they were"
    );
}

#[test]
fn patches_that_change_places_change_numbers() {
    let Some(worked) = Worked::new() else { return };
    worked.git(&["rebase", "-q", "-i", "HEAD~2"]);
    assert_eq!(
        worked.refresh().unwrap(),
        "write kernel-patches/210-fork.patch\nwrite kernel-patches/series\nremove kernel-patches/100-fork.patch\n\
         2 to write, 1 to remove, 6 as they were"
    );
    assert_eq!(worked.text("kernel-patches/210-fork.patch"), PATCH);
    assert_eq!(
        worked.text("kernel-patches/series"),
        "# order\n200-exit.patch\n210-fork.patch\n"
    );
}

#[test]
fn a_patch_is_begun_by_its_subject_and_is_one_when_it_changes_something() {
    let Some(worked) = Worked::new() else { return };
    let tree = worked.0.path("tree");
    worked.git(&["config", "user.name", "C Dee"]);
    worked.git(&["config", "user.email", "c@c.invalid"]);
    let unnamed = new::begin(&tree, "count pages").unwrap_err().to_string();
    assert!(unnamed.contains("does not name the subsystem"), "{unnamed}");
    new::begin(&tree, "fork: count").unwrap();
    // Begun, and nothing in it yet.
    assert_eq!(
        worked.refresh().unwrap(),
        "note: \"fork: count\" changes nothing of the source: its message is not kept (those of the overlay are in kernel-patches/overlay.toml)\n\
         0 to write, 0 to remove, 8 as they were"
    );
    worked.edit("kernel/fork.c", "zero\none\nrestart\ntwo\n");
    worked.git(&["commit", "-q", "--amend", "--no-edit"]);
    let said = worked.refresh().unwrap();
    assert!(
        said.contains("write kernel-patches/210-count.patch"),
        "{said}"
    );
    let patch = worked.text("kernel-patches/210-count.patch");
    let header = "From: C Dee <c@c.invalid>\nSubject: fork: count\n\n\
                  Patch-mainline: not yet, out of tree\nSigned-off-by: C Dee <c@c.invalid>\n---\n";
    assert!(patch.starts_with(header), "{patch}");
    worked.edit("kernel/exit.c", "dirty");
    let dirty = new::begin(&tree, "fork: more").unwrap_err().to_string();
    assert!(
        dirty.contains("beginning a patch") && dirty.contains("not committed"),
        "{dirty}"
    );
}

#[test]
fn new_files_that_git_ignores_are_told_of() {
    let Some(worked) = Worked::new() else { return };
    // What an ignored file would do: Debian's source ignores all that is new.
    write(&worked.0.path("tree/.git/info/exclude"), "/*\n");
    write(&worked.0.path("tree/kernel/new.c"), "new\n");
    let found = worked.refresh().unwrap_err().to_string();
    assert!(
        found.contains("not committed, and ignored by git: kernel/new.c"),
        "{found}"
    );
    std::fs::remove_file(worked.0.path("tree/kernel/new.c")).unwrap();
    // Products of a build, and what lies elsewhere, are nothing.
    write(&worked.0.path("tree/kernel/new.o"), "new\n");
    write(&worked.0.path("tree/generated/new.h"), "new\n");
    assert!(worked.refresh().unwrap().starts_with("0 to write"));
}

#[test]
fn a_tree_that_has_lost_everything_is_refused() {
    let Some(worked) = Worked::new() else { return };
    let first = std::process::Command::new("git")
        .args(["rev-list", "--max-parents=0", "HEAD"])
        .current_dir(worked.0.path("tree"))
        .output()
        .unwrap();
    let first = String::from_utf8(first.stdout).unwrap();
    worked.git(&["reset", "-q", "--hard", first.trim()]);
    let found = worked.refresh().unwrap_err().to_string();
    assert!(
        found.contains("nothing of the series or the overlay is here"),
        "{found}"
    );
}

#[test]
fn what_cannot_be_taken_back_is_refused() {
    let Some(worked) = Worked::new() else { return };
    let refused = |words: &str| {
        let found = worked.refresh().unwrap_err().to_string();
        assert!(found.contains(words), "expected {words:?}, found {found}");
    };
    write(&worked.0.path("tree/kernel/exit.c"), "dirty");
    refused("not committed:  M kernel/exit.c");
    worked.git(&["commit", "-q", "-a", "--amend", "--no-edit"]);
    write(
        &worked.0.path("kernel-patches/200-exit.patch"),
        &SECOND.replace("Why.", "Because."),
    );
    refused("edited in the tree and in the project since: kernel-patches/200-exit.patch");
    write(&worked.0.path("kernel-patches/200-exit.patch"), SECOND);
    worked.edit("kernel/new.c", "x");
    worked.git(&["commit", "-q", "-m", "kernel: new"]);
    refused("kernel/new.c is new, and no patch creates files");
    worked.git(&["reset", "-q", "--hard", "HEAD~"]);
    std::os::unix::fs::symlink(
        "cr_main.rs",
        worked.0.path("tree/kernel/checkpoint/link.rs"),
    )
    .unwrap();
    worked.git(&["add", "-A"]);
    worked.git(&["commit", "-q", "-m", "checkpoint: a link"]);
    refused("kernel/checkpoint/link.rs has mode 120000");
    assert_eq!(
        worked.text("kernel-patches/200-exit.patch"),
        SECOND,
        "nothing was written"
    );
    worked.git(&["reset", "-q", "--hard", "HEAD~"]);
    write(&worked.0.path("tree/.git/sequencer/todo"), "pick x\n");
    refused("a cherry-pick or revert of several commits is not finished");
    let elsewhere = refresh::compare(&worked.0.layout, &worked.0.path("linux"))
        .unwrap_err()
        .to_string();
    assert!(elsewhere.contains("was not made by"), "{elsewhere}");
    let nowhere = refresh::compare(&worked.0.layout, &worked.0.path("nowhere")).unwrap_err();
    assert_eq!(nowhere.kind(), Kind::Usage, "{nowhere}");
}

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
    fs::remove_dir_all(worked.0.path("tree")).unwrap();
    worked.0.git("tree", None).unwrap();
    worked.edit("Makefile", "all:\n\ttrue\n");
    worked.git(&["commit", "-q", "-m", "kbuild: all\n\nWhy."]);
    worked.git(&["rebase", "-q", "-i", "HEAD~2"]);
    Some(worked)
}

/// What the project makes of its series now is what the tree has.
fn same_tree(worked: &Worked) {
    worked.0.git("again", None).unwrap();
    let tree = ["rev-parse", "HEAD^{tree}"];
    assert_eq!(worked.0.ask("again", &tree), worked.0.ask("tree", &tree));
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
    assert!(worked
        .refresh()
        .unwrap()
        .starts_with("0 to write, 0 to remove, "));
    same_tree(&worked);
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
    assert!(worked
        .refresh()
        .unwrap()
        .starts_with("0 to write, 0 to remove, "));
    worked.git(&[
        "commit",
        "-q",
        "--amend",
        "-m",
        "y\n\nElse.\n\nPatch-file: 101-exit.patch",
    ]);
    let found = worked.refresh().unwrap_err().to_string();
    assert!(
        found.contains("in the project since: kernel-patches/102-exit.patch"),
        "{found}"
    );
}

#[test]
fn who_makes_room_does_not_get_over_what_lies_there() {
    let Some(worked) = dense() else { return };
    write(&worked.0.path("kernel-patches/102-exit.patch"), "mine");
    let found = worked.refresh().unwrap_err().to_string();
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
            let found = worked.refresh().unwrap_err().to_string();
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
    let found = worked.refresh().unwrap_err().to_string();
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
    fs::remove_dir_all(worked.0.path("tree")).unwrap();
    worked.0.git("tree", Some("100")).unwrap();
    worked.edit("Makefile", "all:\n\ttrue\n");
    worked.git(&["commit", "-q", "-m", "kbuild: all\n\nWhy."]);
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
    fs::remove_dir_all(worked.0.path("tree")).unwrap();
    worked.0.git("tree", upto).unwrap();
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
    worked.edit("Makefile", "all:\n\ttrue\n");
    worked.git(&["commit", "-q", "-m", "kbuild: fix\n\nWhy."]);
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
    same_tree(&worked);
    assert!(worked
        .refresh()
        .unwrap()
        .starts_with("0 to write, 0 to remove, "));
}

#[test]
fn who_makes_room_and_was_edited_on_both_sides_is_refused() {
    let twins = [("001-fix.patch", PATCH), ("002-fix.patch", SECOND)];
    let Some(worked) = series_of(&twins, None) else {
        return;
    };
    worked.edit("kernel/exit.c", "exit\nrestart\nagain\n");
    worked.git(&["commit", "-q", "--amend", "--no-edit"]);
    worked.edit("Makefile", "all:\n\ttrue\n");
    worked.git(&["commit", "-q", "-m", "kbuild: all\n\nWhy."]);
    reorder(&worked, &["kbuild: all", "x", "y"]);
    let edited = SECOND.replace("Why.", "Because.");
    write(&worked.0.path("kernel-patches/002-fix.patch"), &edited);
    let found = worked.refresh().unwrap_err().to_string();
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
    // It is written otherwise than the lab writes it: it is to be looked at.
    let found = worked.refresh().unwrap_err().to_string();
    assert!(
        found.contains("in the project since: kernel-patches/300-mk.patch"),
        "{found}"
    );
    // As the lab writes it, it is the same.
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
    let said = worked.refresh().unwrap();
    assert!(said.starts_with("0 to write, 0 to remove, "), "{said}");
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
            let said = worked.refresh().unwrap();
            assert!(said.starts_with("0 to write, 0 to remove, "), "{said}");
            assert_eq!(worked.text("kernel-patches/series"), list);
        }
        // What the patches say is the tree's to change.
        worked.edit("kernel/exit.c", "exit\nrestart\nagain\n");
        worked.git(&["commit", "-q", "--amend", "--no-edit"]);
        let said = worked.refresh().unwrap();
        let written = "write kernel-patches/200-exit.patch\n1 to write, 0 to remove";
        assert!(said.starts_with(written), "{said}");
        assert_eq!(worked.text("kernel-patches/series"), list);
        assert!(worked
            .refresh()
            .unwrap()
            .starts_with("0 to write, 0 to remove, "));
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
    let found = worked.refresh().unwrap_err().to_string();
    let words = "in the project (their order) and in the tree (their order)";
    assert!(found.contains(words), "{found}");
}

#[test]
fn a_list_that_is_no_text_is_not_written_over() {
    let Some(worked) = dense() else { return };
    let path = worked.0.path("kernel-patches/series");
    let latin = b"# caf\xe9\n100-fork.patch\n101-exit.patch\n";
    fs::write(&path, latin).unwrap();
    let found = worked.refresh().unwrap_err().to_string();
    assert!(
        found.contains("expected UTF-8, found byte 0xe9 in line 1"),
        "{found}"
    );
    assert_eq!(fs::read(&path).unwrap(), latin);
}

#[test]
fn a_second_refresh_knows_the_first() {
    let Some(worked) = Worked::new() else { return };
    let same = |said: String| assert!(said.starts_with("0 to write, 0 to remove, "), "{said}");
    // Moved, so that it has another number than its commit says; then a new one, then an edit undone.
    worked.git(&["rebase", "-q", "-i", "HEAD~2"]);
    worked.refresh().unwrap();
    same(worked.refresh().unwrap());
    assert_eq!(worked.text("kernel-patches/210-fork.patch"), PATCH);
    worked.edit("kernel/exit.c", "exit\nrestart\nagain\n");
    worked.edit("rust/kernel/mm.rs", "edited");
    worked.git(&["commit", "-q", "-m", "kernel: again"]);
    worked.refresh().unwrap();
    same(worked.refresh().unwrap());
    assert_eq!(worked.text("rust-syscall/abstractions/mm.rs"), "edited");
    worked.git(&["reset", "-q", "--hard", "HEAD~1"]);
    let said = worked.refresh().unwrap();
    assert!(
        said.contains("remove kernel-patches/220-again.patch"),
        "{said}"
    );
    assert_eq!(
        worked.text("rust-syscall/abstractions/mm.rs"),
        "abstractions/mm.rs"
    );
    assert_eq!(
        worked.text("kernel-patches/series"),
        "# order\n200-exit.patch\n210-fork.patch\n"
    );
}

#[test]
fn a_refresh_that_was_cut_at_its_end_loses_nothing() {
    let Some(worked) = Worked::new() else { return };
    let kept = worked.0.path("tree/.git/restart-lab");
    // Between the two renamings; the project was written before.
    fs::rename(kept.join("files"), kept.join("files.new")).unwrap();
    fs::create_dir(kept.join("files.old")).unwrap();
    assert_eq!(
        worked.refresh().unwrap(),
        "0 to write, 0 to remove, 8 as they were"
    );
    // Half of what is new, beside what was.
    write(
        &kept.join("files.new/kernel-patches/100-fork.patch"),
        "half",
    );
    worked.edit("kernel/checkpoint/cr_main.rs", "edited");
    worked.git(&["commit", "-q", "-m", "checkpoint: edit"]);
    worked.refresh().unwrap();
    assert!(!kept.join("files.new").exists() && !kept.join("files.old").exists());
    let copy = kept.join("files/rust-syscall/src/cr_main.rs");
    assert_eq!(fs::read_to_string(copy).unwrap(), "edited");
}

#[test]
fn a_tree_that_stops_short_leaves_the_rest_alone() {
    let Some(worked) = Worked::new() else { return };
    fs::remove_dir_all(worked.0.path("tree")).unwrap();
    worked.0.git("tree", Some("100")).unwrap();
    worked.edit("kernel/fork.c", "one\nrestart\nthree\ntwo\n");
    worked.git(&["commit", "-q", "-m", "kernel: three"]);
    worked.refresh().unwrap();
    assert_eq!(
        worked.text("kernel-patches/series"),
        "# order\n100-fork.patch\n150-three.patch\n200-exit.patch\n"
    );
    assert_eq!(worked.text("kernel-patches/200-exit.patch"), SECOND);
}

#[test]
fn a_tree_that_is_not_all_there_loses_nothing() {
    let Some(worked) = Worked::new() else { return };
    worked.git(&["sparse-checkout", "set", "--no-cone", "/kernel/"]);
    assert!(!worked.0.path("tree/rust").exists());
    let said = worked.refresh().unwrap();
    assert_eq!(said, "0 to write, 0 to remove, 8 as they were");
    worked.git(&["sparse-checkout", "disable"]);
    worked.git(&["checkout", "-q", "--detach", "HEAD~1"]);
    let detached = worked.refresh().unwrap_err().to_string();
    assert!(detached.contains("no branch is checked out"), "{detached}");
    let begun = new::begin(&worked.0.path("tree"), "fork: x").unwrap_err();
    assert_eq!(begun.found(), "no branch is checked out");
    worked.git(&["checkout", "-q", "lab"]);
    write(&worked.0.path("tree/kernel/exit.c"), "exit\n\0");
    worked.git(&["commit", "-q", "-a", "--amend", "--no-edit"]);
    let binary = worked.refresh().unwrap_err().to_string();
    assert!(binary.contains("it changes a binary file"), "{binary}");
    assert!(worked.0.path("kernel-patches/200-exit.patch").is_file());
}

#[test]
fn what_a_patch_cannot_say_is_refused() {
    let Some(worked) = Worked::new() else { return };
    let refused = |words: &str| {
        let found = worked.refresh().unwrap_err().to_string();
        assert!(found.contains(words), "expected {words:?}, found {found}");
        worked.git(&["reset", "-q", "--hard", "HEAD~"]);
    };
    worked.git(&["update-index", "--chmod=+x", "kernel/exit.c"]);
    worked.git(&["commit", "-q", "-m", "exit: run"]);
    worked.git(&["reset", "-q", "--hard"]);
    refused("(\"exit: run\"): it changes no line of kernel/exit.c, but its mode");
    worked.git(&["rm", "-q", "kernel/exit.c"]);
    worked.git(&["commit", "-q", "-m", "exit: go"]);
    refused("it deletes kernel/exit.c, and no patch deletes files");
    fs::remove_file(worked.0.path("tree/kernel/exit.c")).unwrap();
    std::os::unix::fs::symlink("fork.c", worked.0.path("tree/kernel/exit.c")).unwrap();
    worked.git(&["commit", "-q", "-a", "-m", "exit: link"]);
    refused("it makes or removes a link");
    for line in ["--- a/x", "*** x", "@@ -1 +1 @@", "Index: x"] {
        worked.edit("kernel/exit.c", "exit\nrestart\nagain\n");
        worked.git(&["commit", "-q", "-m", &format!("exit: again\n\n{line}")]);
        refused("its message has a line that looks like the beginning of a diff");
    }
    worked.edit("kernel/exit.c", "exit\nrestart\nagain\n");
    worked.git(&["commit", "-q", "--allow-empty-message", "-m", ""]);
    refused("it has no message");
    assert_eq!(
        worked.refresh().unwrap(),
        "0 to write, 0 to remove, 8 as they were"
    );
}

#[test]
fn what_was_put_into_the_source_itself_is_no_patch() {
    let Some(worked) = Worked::new() else { return };
    // As when a fixup of the first commit is squashed into it.
    let new = worked.0.ask("tree", &["rev-parse", "HEAD~1^{tree}"]);
    let user = ["-c", "user.name=C", "-c", "user.email=c@c.invalid"];
    let commit = ["commit-tree", "-m", "Linux 1.0", &new];
    let root = worked.0.ask("tree", &[&user[..], &commit[..]].concat());
    worked.git(&["rebase", "-q", "--onto", &root, "HEAD~1"]);
    let found = worked.refresh().unwrap_err().to_string();
    assert!(
        found.contains("has other files than the source that it was made of"),
        "{found}"
    );
}

#[test]
fn what_the_project_alone_takes_out_stays_out() {
    let Some(worked) = Worked::new() else { return };
    let series = "kernel-patches/series";
    // One is renamed there, the other deleted; the tree is as it was, then edited.
    fs::rename(
        worked.0.path("kernel-patches/200-exit.patch"),
        worked.0.path("kernel-patches/300-exit.patch"),
    )
    .unwrap();
    fs::remove_file(worked.0.path("kernel-patches/100-fork.patch")).unwrap();
    write(&worked.0.path(series), "# order\n300-exit.patch\n");
    let said = worked.refresh().unwrap();
    assert!(said.starts_with("0 to write, 0 to remove"), "{said}");
    // Nor by an edit of it.
    let list = worked.text(series);
    worked.edit("kernel/exit.c", "exit\nrestart\nagain\n");
    worked.git(&["commit", "-q", "--amend", "--no-edit"]);
    let found = worked.refresh().unwrap_err().to_string();
    let words = "in the project since: kernel-patches/200-exit.patch";
    assert!(found.contains(words), "{found}");
    assert_eq!(worked.text(series), list);
}

#[test]
fn what_the_division_no_longer_fits_is_told() {
    let Some(worked) = Worked::new() else { return };
    let other = "[[commit]]\nsubject = 'checkpoint: more'\nmessage = 'Why.'\nfiles = ['kernel/checkpoint/more.rs']\n";
    write(
        &worked.0.path("kernel-patches/overlay.toml"),
        &format!("{other}{DIVISION}"),
    );
    let said = worked.refresh().unwrap();
    assert!(
        said.contains(
            "note: kernel-patches/overlay.toml has to follow: \"checkpoint: more\" has no files\n"
        ),
        "{said}"
    );
    write(
        &worked.0.path("kernel-patches/overlay.toml"),
        &DIVISION.replace("'rust/'", "'rust/kernel/'"),
    );
    worked.edit("rust/helpers/x.c", "x\n");
    worked.git(&["commit", "-q", "-m", "rust: x"]);
    let said = worked.refresh().unwrap();
    assert!(said.contains("no commit names rust/helpers/x.c"), "{said}");
}

#[test]
fn a_new_file_that_another_kind_of_kernel_has_is_refused() {
    let Some(worked) = Worked::new() else { return };
    write(
        &worked
            .0
            .path("rust-syscall/kernels/0.9/abstractions/pid.rs"),
        "older",
    );
    worked.edit("rust/kernel/pid.rs", "new");
    worked.git(&["commit", "-q", "-m", "rust: pid"]);
    let found = worked.refresh().unwrap_err().to_string();
    assert!(
        found.contains(
            "rust/kernel/pid.rs is new and would become rust-syscall/abstractions/pid.rs"
        ) && found.contains("rust-syscall/kernels/0.9/abstractions/pid.rs is there"),
        "{found}"
    );
    // What is this kernel's own goes back to where it was.
    worked.git(&["reset", "-q", "--hard", "HEAD~"]);
    worked.edit("rust/kernel/variant.rs", "edited");
    worked.git(&["commit", "-q", "-m", "rust: variant"]);
    worked.refresh().unwrap();
    assert_eq!(
        worked.text("rust-syscall/kernels/1.0/abstractions/variant.rs"),
        "edited"
    );
}

#[test]
fn a_refresh_that_was_cut_anywhere_is_finished_by_the_next() {
    // The last names in a chain are those of files that are there.
    let twins = [("001-fix.patch", PATCH), ("002-fix.patch", SECOND)];
    for cut in 0..5 {
        let Some(worked) = series_of(&twins, None) else {
            return;
        };
        worked.edit("Makefile", "all:\n\ttrue\n");
        worked.git(&["commit", "-q", "-m", "kbuild: all\n\nWhy."]);
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
            let found = worked.refresh().unwrap_err().to_string();
            assert!(
                found.contains("kernel-patches/series was edited since"),
                "{found}"
            );
            assert_eq!(worked.text("kernel-patches/series"), "# mine\n");
            write(&worked.0.path("kernel-patches/series"), &list);
        }
        let said = worked.refresh().unwrap();
        assert!(
            said.starts_with("0 to write, 0 to remove, "),
            "{cut}: {said}"
        );
        assert_eq!(
            worked.text("kernel-patches/series"),
            "001-all.patch\n002-fix.patch\n003-fix.patch\n"
        );
        assert_eq!(worked.text("kernel-patches/003-fix.patch"), edited);
        assert!(!worked.0.path("kernel-patches/001-fix.patch").exists());
        same_tree(&worked);
    }
}
