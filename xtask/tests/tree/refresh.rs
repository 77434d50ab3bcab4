// SPDX-License-Identifier: GPL-2.0-only

//! From a git tree back to patches: nothing is lost on the way.

use std::fs;

use xtask::error::Kind;
use xtask::patchset::{new, refresh};

use crate::project::{write, writes_nothing, Worked, DIVISION, PATCH, SECOND};

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
    let found = worked.refused();
    assert!(
        found.contains("not committed, and ignored by git: kernel/new.c"),
        "{found}"
    );
    std::fs::remove_file(worked.0.path("tree/kernel/new.c")).unwrap();
    // Products of a build, and what lies elsewhere, are nothing.
    write(&worked.0.path("tree/kernel/new.o"), "new\n");
    write(&worked.0.path("tree/generated/new.h"), "new\n");
    write(&worked.0.path("tree/Makefile.orig"), "old\n");
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
    let found = worked.refused();
    assert!(
        found.contains("nothing of the series or the overlay is here"),
        "{found}"
    );
}

#[test]
fn what_cannot_be_taken_back_is_refused() {
    let Some(worked) = Worked::new() else { return };
    let refused = |words: &str| {
        let found = worked.refused();
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
    worked.remake(Some("100"));
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
    let detached = worked.refused();
    assert!(detached.contains("no branch is checked out"), "{detached}");
    let begun = new::begin(&worked.0.path("tree"), "fork: x").unwrap_err();
    assert_eq!(begun.found(), "no branch is checked out");
    worked.git(&["checkout", "-q", "lab"]);
    write(&worked.0.path("tree/kernel/exit.c"), "exit\n\0");
    worked.git(&["commit", "-q", "-a", "--amend", "--no-edit"]);
    let binary = worked.refused();
    assert!(binary.contains("it changes a binary file"), "{binary}");
    assert!(worked.0.path("kernel-patches/200-exit.patch").is_file());
}

#[test]
fn what_a_patch_cannot_say_is_refused() {
    let Some(worked) = Worked::new() else { return };
    let refused = |words: &str| {
        let found = worked.refused();
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
    refused("it makes, changes or removes a link");
    for line in ["--- a/x", "*** x", "@@ -1 +1 @@", "Index: x"] {
        worked.edit("kernel/exit.c", "exit\nrestart\nagain\n");
        worked.git(&["commit", "-q", "-m", &format!("exit: again\n\n{line}")]);
        refused("would not take this for a line of its message");
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
    let found = worked.refused();
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
    assert!(writes_nothing(&said), "{said}");
    // Nor by an edit of it.
    let list = worked.text(series);
    worked.edit("kernel/exit.c", "exit\nrestart\nagain\n");
    worked.git(&["commit", "-q", "--amend", "--no-edit"]);
    let found = worked.refused();
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
    let found = worked.refused();
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
fn a_tree_without_its_overlays_files_is_one_of_an_overlay_all_the_same() {
    let Some(worked) = Worked::new() else { return };
    worked.git(&["rm", "-r", "-q", "kernel/checkpoint", "rust"]);
    worked.git(&["commit", "-q", "-m", "checkpoint: all go"]);
    let said = worked.refresh().unwrap();
    assert!(said.contains("0 to write, 5 to remove"), "{said}");
    worked.is_refreshed();
}

#[test]
fn a_folder_of_the_overlay_becomes_a_file_and_a_folder_again() {
    let Some(worked) = Worked::new() else { return };
    write(&worked.0.path("rust-syscall/src/foo/a.rs"), "a");
    worked.remake(None);
    worked.git(&["rm", "-r", "-q", "kernel/checkpoint/foo"]);
    worked.edit("kernel/checkpoint/foo", "a file");
    worked.git(&["commit", "-q", "-m", "foo"]);
    worked.refresh().unwrap();
    assert_eq!(worked.text("rust-syscall/src/foo"), "a file");
    worked.git(&["reset", "-q", "--hard", "HEAD~1"]);
    worked.refresh().unwrap();
    assert_eq!(worked.text("rust-syscall/src/foo/a.rs"), "a");
    // What is the project's alone is not in a folder that could go.
    worked.git(&["reset", "-q", "--hard", "HEAD@{1}"]);
    write(&worked.0.path("rust-syscall/src/foo/mine.rs"), "mine");
    let found = worked.refused();
    assert!(
        found.contains("rust-syscall/src/foo/mine.rs (rust-syscall/src/foo is to be a file)"),
        "{found}"
    );
    assert_eq!(worked.text("rust-syscall/src/foo/a.rs"), "a");
}

#[test]
fn what_the_project_has_put_back_is_told_of() {
    let Some(worked) = Worked::new() else { return };
    worked.commit_make("kbuild: all");
    let before = worked.text("kernel-patches/series");
    worked.refresh().unwrap();
    fs::remove_file(worked.0.path("kernel-patches/210-all.patch")).unwrap();
    write(&worked.0.path("kernel-patches/series"), &before);
    let said = worked.refresh().unwrap();
    assert!(
        said.contains(
            "note: 210-all.patch is gone from the project, and this tree has it as it was"
        ),
        "{said}"
    );
}

#[test]
fn folders_that_are_empty_links_or_a_kinds_own_are_no_trouble() {
    let Some(worked) = Worked::new() else { return };
    // The kind's last file of its own goes.
    worked.git(&["rm", "-q", "rust/kernel/variant.rs"]);
    worked.git(&["commit", "-q", "-m", "variant: go"]);
    worked.refresh().unwrap();
    assert!(worked.0.path("rust-syscall/kernels/1.0").is_dir());
    // A file comes where an empty folder is.
    fs::create_dir_all(worked.0.path("rust-syscall/src/foo/empty")).unwrap();
    worked.edit("kernel/checkpoint/foo", "a file");
    worked.git(&["commit", "-q", "-m", "foo"]);
    worked.refresh().unwrap();
    assert_eq!(worked.text("rust-syscall/src/foo"), "a file");
    // The series lies elsewhere.
    let (here, there) = (worked.0.path("kernel-patches"), worked.0.path("elsewhere"));
    fs::rename(&here, &there).unwrap();
    std::os::unix::fs::symlink(&there, &here).unwrap();
    worked.commit_make("kbuild: all");
    worked.refresh().unwrap();
    assert!(there.join("210-all.patch").is_file());
}

#[test]
fn trees_of_before_it_was_kept_have_their_overlay() {
    let Some(worked) = Worked::new() else { return };
    let made = worked.0.path("tree/.git/restart-lab/made.json");
    let text = fs::read_to_string(&made).unwrap();
    let before = text.replace("  \"overlay\": true,\n", "");
    assert_ne!(text, before);
    write(&made, &before);
    worked.git(&["rm", "-r", "-q", "kernel/checkpoint", "rust"]);
    worked.git(&["commit", "-q", "-m", "checkpoint: all go"]);
    worked.refresh().unwrap();
    worked.is_refreshed();
}
