// SPDX-License-Identifier: GPL-2.0-only

//! What a patch says beside its change, there and back: messages of every kind, notes, fields of mails.

use xtask::patchset::series::Series;

use crate::project::{write, Worked, PATCH};

/// Refreshed from a commit with this message, made again, amended there and refreshed from that, a patch says this.
fn said_after_both_ways(message: &str) -> String {
    let Some(worked) = Worked::new() else {
        return message.to_string();
    };
    worked.edit("Makefile", "all:\n\ttrue\n");
    worked.git(&["commit", "-q", "-m", message]);
    worked.refresh().unwrap();
    worked.remake(None);
    assert_eq!(
        worked.0.ask("tree", &["show", "-s", "--format=%B"]).trim(),
        format!("{message}\nPatch-file: 210-all.patch")
    );
    worked.edit("Makefile", "all:\n\ttrue\n\tfalse\n");
    worked.git(&["commit", "-q", "--amend", "--no-edit"]);
    worked.refresh().unwrap();
    let text = worked.text("kernel-patches/210-all.patch");
    let said = text.split("\n---\n").next().unwrap();
    said.replacen("From: C <c@c.invalid>\nSubject: ", "", 1)
}

#[test]
fn a_message_stays_as_it_is() {
    for body in [
        "Why.",
        "  From the mail:\n  text\n\nEnd.",
        "  Index: kernel/fork.c\n\nEnd.",
        "  ---\n  | table |\n  ---\n\nWhy.",
        "From now on there are three.",
        "diff to the first one,\nmore of it",
        "M\u{fc}ller.",
    ] {
        let message = format!("kbuild: all\n\n{body}");
        assert_eq!(said_after_both_ways(&message), message);
    }
}

/// What mails fold and what lies between words is ASCII's.
#[test]
fn blanks_of_other_languages_stay_in_a_subject() {
    let Some(worked) = Worked::new() else { return };
    let subject = "Subject: raise to 5\u{a0}MiB\u{3000}each\n";
    let path = "kernel-patches/100-fork.patch";
    write(
        &worked.0.path(path),
        &PATCH.replace("Subject: x\n", subject),
    );
    worked.remake(Some("100"));
    worked.is_refreshed();
    write(
        &worked.0.path("tree/kernel/fork.c"),
        "one\nrestart\nmore\ntwo\n",
    );
    worked.git(&["commit", "-q", "-a", "--amend", "--no-edit"]);
    worked.refresh().unwrap();
    let text = worked.text(path);
    assert!(text.contains(subject) && text.contains("+more\n"), "{text}");
}

#[test]
fn a_message_that_would_not_come_back_is_refused() {
    for (message, why) in [
        (
            "[PATCH 1/2]\n\nWhy.",
            "its subject begins with what mails put there",
        ),
        (
            "kbuild: all\nmore\n\nWhy.",
            "its subject is more than one line",
        ),
        (
            "mm:  all\n\nWhy.",
            "its subject has blanks that do not come back",
        ),
        ("kbuild: all\n\n---\nWhy.", "for a line of its message: ---"),
        (
            "kbuild: all\n\ndiff --git a/x b/x",
            "for a line of its message: diff --git a/x b/x",
        ),
        (
            "kbuild: all\n\n[PATCH] more\n\nWhy.",
            "for a field of its own: [PATCH] more",
        ),
        (
            "kbuild: all\n\ndate: 2020\nWhy.",
            "for a field of its own: date: 2020",
        ),
        (
            "kbuild: =?UTF-8?q?a=C3=BC?= all\n\nWhy.",
            "would be read as what mails encode",
        ),
        (
            "kbuild: all\n\nFrom x Mon Sep 17 00:00:00 2001",
            "for a line of its message: From x Mon",
        ),
    ] {
        let Some(worked) = Worked::new() else { return };
        worked.edit("Makefile", "all:\n\ttrue\n");
        worked.git(&["commit", "-q", "--cleanup=verbatim", "-m", message]);
        let found = worked.refused();
        assert!(found.contains(why), "{message}: {found}");
    }
}

/// A refresh would take the line for the name of the commit's patch.
#[test]
fn a_message_with_the_labs_own_mark_makes_no_tree() {
    let Some(worked) = Worked::new() else { return };
    let marked = PATCH.replace("Why.", "Why.\n\nPatch-file: 200-exit.patch");
    write(&worked.0.path("kernel-patches/100-fork.patch"), &marked);
    let found = worked.0.git("marked", None).unwrap_err().to_string();
    assert!(
        found.contains("by which the lab marks commits: Patch-file: 200-exit.patch"),
        "{found}"
    );
}

#[test]
fn a_diff_that_a_message_quotes_changes_nothing() {
    let Some(worked) = Worked::new() else { return };
    let quote = "    --- a/kernel/exit.c\n    +++ b/kernel/exit.c\n    @@ -1,2 +1,3 @@\n     exit\n     restart\n    +WRONG";
    worked.edit("Makefile", "all:\n\ttrue\n");
    worked.git(&[
        "commit",
        "-q",
        "-m",
        &format!("kbuild: all\n\nNot so:\n\n{quote}\n\nEnd."),
    ]);
    worked.refresh().unwrap();
    // As `patch` reads it, which looks for changes everywhere.
    let series = Series::read(&worked.0.layout.series()).unwrap();
    series.apply(&worked.0.path("linux"), "linux 1.0").unwrap();
    assert_eq!(worked.text("linux/kernel/exit.c"), "exit\nrestart\n");
    assert_eq!(worked.text("linux/Makefile"), "all:\n\ttrue\n");
}

#[test]
fn notes_and_fields_of_a_mail_outlive_an_edit() {
    let Some(worked) = Worked::new() else { return };
    let noted = PATCH
        .replace(
            "Subject: x\n",
            "Subject: x\nDate: Mon, 1 Jan 2024 00:00:00 +0000\n",
        )
        .replace("Why.\n---\n", "Why.\n---\nv2: notes for the list\n\n");
    write(&worked.0.path("kernel-patches/100-fork.patch"), &noted);
    worked.remake(None);
    worked.is_refreshed();
    worked.git(&["rebase", "-q", "-i", "HEAD~2"]);
    worked.edit("kernel/fork.c", "one\nrestart\nagain\ntwo\n");
    worked.git(&["commit", "-q", "--amend", "--no-edit"]);
    worked.git(&["rebase", "-q", "-i", "HEAD~2"]);
    worked.refresh().unwrap();
    let text = worked.text("kernel-patches/100-fork.patch");
    assert!(
        text.starts_with(
            "From: A <a@b.invalid>\nSubject: x\nDate: Mon, 1 Jan 2024 00:00:00 +0000\n\nWhy.\n---\nv2: notes for the list\n\n kernel/fork.c | 2 ++\n"
        ),
        "{text}"
    );
}

#[test]
fn the_trees_own_encoding_does_not_count() {
    let Some(worked) = Worked::new() else { return };
    worked.git(&["config", "i18n.logOutputEncoding", "latin1"]);
    worked.commit_make("kbuild: M\u{fc}ller");
    worked.refresh().unwrap();
    let text = worked.text("kernel-patches/210-m-ller.patch");
    assert!(text.contains("Subject: kbuild: M\u{fc}ller\n"), "{text}");
}

#[test]
fn a_long_subject_makes_no_name_that_is_too_long() {
    let Some(worked) = Worked::new() else { return };
    worked.commit_make(&format!("kbuild: {}", "x".repeat(300)));
    worked.refresh().unwrap();
    worked.is_refreshed();
}
