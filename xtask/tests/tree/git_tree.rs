// SPDX-License-Identifier: GPL-2.0-only

//! Git trees and mails: the same each time, and nothing is lost on the way back.

use std::fs;

use xtask::event::Silent;
use xtask::exec::which;
use xtask::kernel::source::Fetched;
use xtask::patchset::git::Contents;
use xtask::patchset::series::Series;
use xtask::patchset::{new, rebase, refresh};

use crate::project::{write, Project, Worked, DIVISION, PATCH, SECOND};

#[test]
fn a_git_tree_has_a_commit_each_and_the_same_hashes_each_time() {
    let Some(project) = Project::new().filter(|_| which("git").is_some()) else {
        return;
    };
    write(&project.path("kernel-patches/overlay.toml"), DIVISION);
    write(
        &project.path("kernel-patches/series"),
        "100-fork.patch\n200-exit.patch\n",
    );
    write(&project.path("kernel-patches/200-exit.patch"), SECOND);
    let first = project.git("one", None).unwrap();
    assert_eq!(project.git("deep/two", None).unwrap(), first);
    assert_eq!(
        project.ask("one", &["log", "--reverse", "--format=%s by %an"]),
        "Linux 1.0 by Restart Lab\nrust: mm by Restart Lab\ncheckpoint: all by Restart Lab\nx by A\ny by B"
    );
    assert_eq!(
        project.ask("one", &["log", "-1", "--format=%B"]),
        "y\n\nWhy.\n\nSigned-off-by: B <b@b.invalid>\nPatch-file: 200-exit.patch"
    );
    assert_eq!(
        project.ask("one", &["status", "--porcelain", "--ignored"]),
        ""
    );
    let upto = project.git("three", Some("100")).unwrap();
    assert_eq!(project.ask("one", &["rev-parse", "HEAD~1"]), upto);
    // All files are there, and nothing in the tree leads back to where the source is kept.
    assert_eq!(
        fs::read_to_string(project.path("one/kernel/x.mod")).unwrap(),
        "x\n"
    );
    assert_eq!(project.ask("one", &["remote"]), "");
    assert!(!project.path("one/.git/objects/info/alternates").exists());
    fs::remove_dir_all(project.layout.cache()).unwrap();
    project.ask("one", &["fsck", "--strict"]);
}

#[test]
fn a_source_is_packed_once_and_anew_when_it_is_another() {
    let Some(mut project) = Project::new().filter(|_| which("git").is_some()) else {
        return;
    };
    write(&project.path("kernel-patches/overlay.toml"), DIVISION);
    project.git("one", None).unwrap();
    let kept = |project: &Project| {
        let entries = fs::read_dir(project.layout.source("1.0")).unwrap();
        let names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 1, "{names:?}");
        project.layout.source("1.0").join(&names[0])
    };
    let first = kept(&project);
    // What is packed is not looked for in the tarball again.
    let away = project.path("away.tar");
    fs::rename(&project.source.tarball, &away).unwrap();
    project.git("two", None).unwrap();
    project.source.tarball = away;
    project.source.sha256 = "another".into();
    project.git("three", None).unwrap();
    assert_ne!(kept(&project), first);
}

#[test]
fn hunks_are_headed_as_in_a_tree_with_all_files() {
    let Some(project) = Project::new().filter(|_| which("git").is_some()) else {
        return;
    };
    write(&project.path("kernel-patches/overlay.toml"), DIVISION);
    write(&project.path("cover"), "x\n\nWhy.\n");
    write(&project.path("linux/.gitattributes"), "*.c diff=cpp\n");
    write(
        &project.path("linux/kernel/exit.c"),
        "int leave(void)\n{\nout:\n\ta;\n\tb;\n\tc;\n\td;\n}\n",
    );
    let tar = xtask::exec::tool("packing", "tar").arg("-C");
    let tar = tar.arg(project.path(".")).arg("-cf");
    tar.arg(&project.source.tarball)
        .arg("linux")
        .read()
        .unwrap();
    let patch = "From: B <b@b.invalid>\nSubject: y\n\nWhy.\n---\n\
                 --- a/kernel/exit.c\n+++ b/kernel/exit.c\n@@ -5,4 +5,5 @@\n \tb;\n \tc;\n \td;\n+\te;\n }\n";
    write(&project.path("kernel-patches/100-fork.patch"), patch);
    let mails = project.export("mails", 1).unwrap();
    let mail = fs::read_to_string(mails.last().unwrap()).unwrap();
    assert!(
        mail.contains("@@ -5,4 +5,5 @@ int leave(void)\n"),
        "a label is no function: {mail}"
    );
    // And what a commit said when the tree was made is what it says later.
    project.git("tree", None).unwrap();
    let worked = Worked(project);
    worked.refresh().unwrap();
    assert_eq!(worked.text("kernel-patches/100-fork.patch"), patch);
}

#[test]
fn the_overlay_does_not_get_over_the_source_in_a_git_tree() {
    let Some(project) = Project::new().filter(|_| which("git").is_some()) else {
        return;
    };
    write(&project.path("kernel-patches/overlay.toml"), DIVISION);
    write(&project.path("linux/rust/kernel/mm.rs"), "theirs");
    let tar = xtask::exec::tool("packing", "tar").arg("-C");
    let tar = tar.arg(project.path(".")).arg("-cf");
    tar.arg(&project.source.tarball)
        .arg("linux")
        .read()
        .unwrap();
    let said = project.git("one", None).unwrap_err().to_string();
    assert!(
        said.contains("rust/kernel/mm.rs is in the source already"),
        "{said}"
    );
    assert!(!project.path("one").exists());
}

#[test]
fn a_git_tree_is_made_whole_or_not_at_all() {
    let Some(project) = Project::new().filter(|_| which("git").is_some()) else {
        return;
    };
    write(&project.path("kernel-patches/overlay.toml"), DIVISION);
    write(&project.path("full/mine"), "precious");
    let full = project.git("full", None).unwrap_err().to_string();
    assert!(full.contains("the folder is not empty"), "{full}");
    let unknown = project.git("new", Some("300")).unwrap_err().to_string();
    assert!(
        unknown.contains("no patch is called \"300\"; there are 100-fork.patch"),
        "{unknown}"
    );
    let other = PATCH.replace(" one\n", " other\n");
    write(&project.path("kernel-patches/100-fork.patch"), &other);
    let stale = project.git("new", None).unwrap_err().to_string();
    assert!(
        stale.contains("100-fork.patch") && stale.contains("kernel/fork.c"),
        "{stale}"
    );
    assert!(!project.path("new").exists());
    assert_eq!(
        fs::read_to_string(project.path("full/mine")).unwrap(),
        "precious"
    );
}

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
    let elsewhere = refresh::compare(&worked.0.layout, &worked.0.path("linux"))
        .unwrap_err()
        .to_string();
    assert!(elsewhere.contains("was not made by"), "{elsewhere}");
}

#[test]
fn mails_make_the_same_tree() {
    let Some(Worked(project)) = Worked::new() else {
        return;
    };
    write(&project.path("cover"), "all of it\n\nWhy.\n");
    let early = project.export("mails", 2).unwrap_err().to_string();
    assert!(
        early.contains("does not say what has changed since v1"),
        "{early}"
    );
    let first = project.export("first", 1).unwrap();
    assert!(fs::read_to_string(&first[0])
        .unwrap()
        .contains("\nSubject: [PATCH 0/4] all of it\n"));
    write(
        &project.path("cover"),
        "all of it\n\nWhy.\n\nChanges since v1:\n- all\n",
    );
    let mails = project.export("mails", 2).unwrap();
    let name = |at: usize| mails[at].file_name().unwrap().to_str().unwrap().to_string();
    assert_eq!(
        (mails.len(), name(0), name(4)),
        (
            5,
            "v2-0000-cover-letter.patch".into(),
            "v2-0004-y.patch".into()
        )
    );
    let letter = fs::read_to_string(&mails[0]).unwrap();
    for part in [
        "[PATCH v2 0/4] all of it",
        "Changes since v1:",
        "kernel/exit.c",
        "B (1):",
    ] {
        assert!(letter.contains(part), "{part}: {letter}");
    }
    let last = fs::read_to_string(&mails[4]).unwrap();
    assert!(
        last.contains("From: B <b@b.invalid>") && !last.contains("Patch-file"),
        "{last}"
    );
    let again = project.export("again", 2).unwrap();
    for (one, other) in mails.iter().zip(&again) {
        assert_eq!(fs::read(one).unwrap(), fs::read(other).unwrap());
    }
    // As whoever gets the mails does, on the source.
    project.ask("linux", &["init", "-q"]);
    let user = ["-c", "user.name=C", "-c", "user.email=c@c.invalid"];
    project.ask("linux", &["add", "--all", "--force"]);
    project.ask(
        "linux",
        &[&user[..], &["commit", "-q", "-m", "source"]].concat(),
    );
    let paths: Vec<&str> = mails[1..]
        .iter()
        .map(|mail| mail.to_str().unwrap())
        .collect();
    project.ask("linux", &[&user[..], &["am", "-q"], &paths[..]].concat());
    let tree = ["rev-parse", "HEAD^{tree}"];
    assert_eq!(project.ask("linux", &tree), project.ask("tree", &tree));
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
    worked.git(&["checkout", "-q", "lab"]);
    write(&worked.0.path("tree/kernel/exit.c"), "exit\n\0");
    worked.git(&["commit", "-q", "-a", "--amend", "--no-edit"]);
    let binary = worked.refresh().unwrap_err().to_string();
    assert!(binary.contains("it changes a binary file"), "{binary}");
    assert!(worked.0.path("kernel-patches/200-exit.patch").is_file());
}

/// Carries the series to a kernel "2.0" with this `kernel/fork.c`, whose series is in `kernel-patches/next`.
fn rebased(worked: &Worked, fork: &str) -> xtask::error::Result<Vec<String>> {
    let project = &worked.0;
    write(&project.path("linux/kernel/fork.c"), fork);
    let tarball = project.path("linux-2.0.tar");
    let tar = xtask::exec::tool("packing", "tar").arg("-C");
    let tar = tar.arg(project.path(".")).arg("-cf").arg(&tarball);
    tar.arg("linux").read().unwrap();
    let source = Fetched {
        name: "2.0".into(),
        version: "2.0".into(),
        sha256: xtask::stamp::hash_file(&tarball).unwrap(),
        tarball,
        ..project.source.clone()
    };
    let before = project.path("before");
    write(&before.join("kernel/fork.c"), "one\ntwo\n");
    write(&before.join("kernel/exit.c"), "exit\n");
    let bare = Series {
        dir: project.path("kernel-patches/next"),
        ..Series::none()
    };
    let series = Series::read(&project.layout.series()).unwrap();
    project.contents(true, |contents| {
        let onto = Contents {
            source: &source,
            series: &bare,
            base: Some("2.0".into()),
            ..*contents
        };
        let to = project.path("next");
        rebase::rebase(&series, Some(&before), &onto, &to, &Silent)
    })
}

#[test]
fn a_series_is_carried_to_another_source_by_a_merge() {
    let Some(worked) = Worked::new() else { return };
    let gone = rebased(&worked, "new\none\ntwo\nthree\n").unwrap();
    assert!(gone.is_empty(), "{gone:?}");
    let next = worked.0.path("next");
    let text = fs::read_to_string(next.join("kernel/fork.c")).unwrap();
    assert_eq!(text, "new\none\nrestart\ntwo\nthree\n");
    let changes = refresh::compare(&worked.0.layout, &next).unwrap();
    refresh::write(&worked.0.layout, &next, &changes).unwrap();
    assert_eq!(worked.text("kernel-patches/next/base"), "2.0\n");
    assert_eq!(
        worked.text("kernel-patches/next/series"),
        "100-fork.patch\n200-exit.patch\n"
    );
    let patch = worked.text("kernel-patches/next/100-fork.patch");
    assert!(
        patch.starts_with("From: A <a@b.invalid>\nSubject: x\n\nWhy.\n---\n")
            && patch.contains("@@ -1,4 +1,5 @@\n new\n one\n+restart\n two\n three\n"),
        "{patch}"
    );
    // Those of the kernel that it came from stay.
    assert_eq!(worked.text("kernel-patches/100-fork.patch"), PATCH);
    let again = refresh::compare(&worked.0.layout, &next).unwrap();
    assert!(
        again.to_string().starts_with("0 to write, 0 to remove"),
        "{again}"
    );
}

#[test]
fn what_cannot_be_merged_is_the_users_and_the_rest_follows() {
    let Some(worked) = Worked::new() else { return };
    let error = rebased(&worked, "one\nother\ntwo\n")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("100-fork.patch does not fit")
            && error.contains("diff shows both sides in kernel/fork.c")
            && error.contains("am --continue"),
        "{error}"
    );
    let next = worked.0.path("next");
    let refused = refresh::compare(&worked.0.layout, &next).unwrap_err();
    assert!(
        refused.to_string().contains("git am is not finished"),
        "{refused}"
    );
    write(&next.join("kernel/fork.c"), "one\nrestart\nother\ntwo\n");
    worked.git_in("next", &["add", "-A"]);
    worked.git_in("next", &["am", "--continue"]);
    let changes = refresh::compare(&worked.0.layout, &next).unwrap();
    refresh::write(&worked.0.layout, &next, &changes).unwrap();
    assert_eq!(
        worked.text("kernel-patches/next/series"),
        "100-fork.patch\n200-exit.patch\n"
    );
}

#[test]
fn a_rebase_that_was_given_up_takes_no_patch_away() {
    let Some(worked) = Worked::new() else { return };
    rebased(&worked, "one\nother\ntwo\n").unwrap_err();
    let next = worked.0.path("next");
    worked.git_in("next", &["am", "--abort"]);
    let refused = refresh::compare(&worked.0.layout, &next).unwrap_err();
    assert!(
        refused.to_string().contains("the rebase was given up"),
        "{refused}"
    );
}
