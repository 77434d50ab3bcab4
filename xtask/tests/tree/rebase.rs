// SPDX-License-Identifier: GPL-2.0-only

//! The series carried to another source.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use xtask::event::Silent;
use xtask::kernel::source::Fetched;
use xtask::patchset::git::Contents;
use xtask::patchset::series::Series;
use xtask::patchset::{rebase, refresh};

use crate::project::{pack, write, Worked, PATCH};

/// Carries the series to a kernel "2.0" with this `kernel/fork.c`, whose series is in `kernel-patches/next`.
fn rebased(worked: &Worked, fork: &str) -> xtask::error::Result<Vec<String>> {
    rebased_from(worked, b"one\ntwo\n", fork.as_bytes())
}

/// The same, where the file was this in the source of the series.
fn rebased_from(worked: &Worked, was: &[u8], fork: &[u8]) -> xtask::error::Result<Vec<String>> {
    let project = &worked.0;
    fs::write(project.path("linux/kernel/fork.c"), fork).unwrap();
    let tarball = project.path("linux-2.0.tar");
    pack(&project.path("."), &tarball);
    let source = Fetched {
        name: "2.0".into(),
        version: "2.0".into(),
        sha256: xtask::stamp::hash_file(&tarball).unwrap(),
        tarball,
        ..project.source.clone()
    };
    let before = project.path("before");
    write(&before.join("kernel/exit.c"), "exit\n");
    fs::write(before.join("kernel/fork.c"), was).unwrap();
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

/// Git shows more lines around a hunk than the patch has: they are whatever the source has there.
#[test]
fn lines_around_a_hunk_need_not_be_utf8() {
    let Some(worked) = Worked::new() else { return };
    let was = b"one\ntwo\nthree\nJ\xf6rg\n";
    let gone = rebased_from(&worked, was, &[b"new\n", &was[..]].concat()).unwrap();
    assert!(gone.is_empty(), "{gone:?}");
    let found = fs::read(worked.0.path("next/kernel/fork.c")).unwrap();
    assert_eq!(found, b"new\none\nrestart\ntwo\nthree\nJ\xf6rg\n");
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

/// A project whose first patch has this for its message.
fn saying(body: &str) -> Option<Worked> {
    let worked = Worked::new()?;
    let patch = PATCH.replace("\nWhy.\n", &format!("\n{body}\n"));
    write(&worked.0.path("kernel-patches/100-fork.patch"), &patch);
    Some(worked)
}

/// What looks like a field, or the beginning of a diff, is indented, and stays so.
#[test]
fn a_message_is_carried_as_it_is() {
    for body in [
        "  From: X <x@y.invalid>\n\nWhy.",
        "  Index: kernel/fork.c\n\nWhy.",
        "  ---\n  | table |",
    ] {
        let Some(worked) = saying(body) else { return };
        let gone = rebased(&worked, "one\ntwo\nthree\n").unwrap();
        assert!(gone.is_empty(), "{body}: {gone:?}");
        let said = worked
            .0
            .ask("next", &["log", "-1", "--format=%an%n%B", "HEAD~1"]);
        let expected = format!("A\nx\n\n{body}\n");
        assert!(said.starts_with(&expected), "{body}: {said}");
    }
}

#[test]
fn a_message_that_git_am_reads_otherwise_is_not_carried() {
    for (body, why) in [
        (
            "From: X <x@y.invalid>\n\nWhy.",
            "for a field of its own: From: X",
        ),
        (
            "Index: kernel/fork.c\n\nWhy.",
            "for a line of its message: Index:",
        ),
        (
            "Why.\n\nPatch-file: 200-exit.patch",
            "by which the lab marks commits",
        ),
    ] {
        let Some(worked) = saying(body) else { return };
        let found = rebased(&worked, "one\ntwo\nthree\n")
            .unwrap_err()
            .to_string();
        assert!(
            found.contains("100-fork.patch") && found.contains(why),
            "{found}"
        );
        assert!(!worked.0.path("next").exists());
    }
}

/// Whoever has to mend them is told of all at once, before a tree is made.
#[test]
fn all_messages_that_are_read_otherwise_are_told_of() {
    let Some(worked) = saying("Index: kernel/fork.c\n\nWhy.") else {
        return;
    };
    let second = worked.text("kernel-patches/200-exit.patch");
    let second = second.replace("\n\n", "\n\ndate: 2020\n");
    write(&worked.0.path("kernel-patches/200-exit.patch"), &second);
    let found = rebased(&worked, "one\ntwo\n").unwrap_err().to_string();
    for why in [
        "100-fork.patch: patch or git am would not take this for a line of its message: Index:",
        "200-exit.patch: git am would take the beginning of its message for a field of its own: date: 2020",
    ] {
        assert!(found.contains(why), "{found}");
    }
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

#[test]
fn modes_stay_and_what_was_left_out_is_told() {
    let Some(worked) = Worked::new() else { return };
    let exit = worked.0.path("linux/kernel/exit.c");
    let before = worked.0.path("before/kernel/exit.c");
    write(&before, "exit\n");
    for path in [exit, before] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    rebased(&worked, "one\ntwo\nthree\n").unwrap();
    let mode = |commit: &str| {
        let said = worked.0.ask("next", &["ls-tree", commit, "kernel/exit.c"]);
        said.split(' ').next().unwrap().to_string()
    };
    let first = worked
        .0
        .ask("next", &["rev-list", "--max-parents=0", "HEAD"]);
    assert_eq!([mode(&first), mode("HEAD")], ["100755", "100755"]);
    worked.git_in("next", &["rebase", "-q", "--onto", "HEAD~2", "HEAD~1"]);
    let next = worked.0.path("next");
    let changes = refresh::compare(&worked.0.layout, &next).unwrap();
    assert_eq!(
        changes.notes,
        ["100-fork.patch of the series that was carried is not in this tree: it is left out"]
    );
    refresh::write(&worked.0.layout, &next, &changes).unwrap();
    let again = refresh::compare(&worked.0.layout, &next).unwrap();
    assert_eq!(again.notes, Vec::<String>::new());
    assert_eq!(
        worked.text("kernel-patches/next/series"),
        "200-exit.patch\n"
    );
}
