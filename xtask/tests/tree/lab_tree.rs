// SPDX-License-Identifier: GPL-2.0-only

//! The patched tree: only what differs is written, and everything can be undone.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use xtask::error::Kind;
use xtask::event::Silent;
use xtask::kernel::tree::State;
use xtask::patchset::series::Series;

use crate::project::{age, files, pack, write, Project, DIVISION, PATCH};

#[test]
fn series_and_overlay_are_laid_in() {
    let Some(project) = Project::new() else {
        return;
    };
    project.sync().unwrap();
    assert_eq!(
        fs::read_to_string(project.tree("kernel/fork.c")).unwrap(),
        "one\nrestart\ntwo\n"
    );
    assert_eq!(
        fs::read_to_string(project.tree("kernel/checkpoint/Kconfig")).unwrap(),
        "Kconfig"
    );
    assert!(project.tree("rust/kernel/mm.rs").is_file());
    assert!(
        !project.tree("kernel/checkpoint/lib.rs").exists(),
        "lib.rs is cargo's"
    );
}

#[test]
fn files_that_stay_the_same_keep_their_time() {
    let Some(project) = Project::new() else {
        return;
    };
    project.sync().unwrap();
    let files =
        ["kernel/fork.c", "kernel/exit.c", "rust/kernel/mm.rs"].map(|name| project.tree(name));
    let before = files.each_ref().map(|path| age(path));
    write(&project.path("rust-syscall/src/cr_main.rs"), "changed");
    project.sync().unwrap();
    assert_eq!(
        files
            .each_ref()
            .map(|path| fs::metadata(path).unwrap().modified().unwrap()),
        before
    );
    assert_eq!(
        fs::read_to_string(project.tree("kernel/checkpoint/cr_main.rs")).unwrap(),
        "changed"
    );
}

#[test]
fn what_leaves_series_and_overlay_leaves_the_tree() {
    let Some(project) = Project::new() else {
        return;
    };
    project.sync().unwrap();
    write(&project.path("kernel-patches/series"), "# none\n");
    fs::remove_file(project.path("rust-syscall/abstractions/mm.rs")).unwrap();
    project.sync().unwrap();
    assert_eq!(
        fs::read_to_string(project.tree("kernel/fork.c")).unwrap(),
        "one\ntwo\n"
    );
    assert!(!project.tree("rust/kernel/mm.rs").exists());
}

#[test]
fn a_tree_without_its_state_is_unpacked_again() {
    let Some(project) = Project::new() else {
        return;
    };
    project.sync().unwrap();
    write(&project.tree("kernel/exit.c"), "half-written");
    fs::remove_dir_all(project.layout.tree_state("1.0")).unwrap();
    project.sync().unwrap();
    assert_eq!(
        fs::read_to_string(project.tree("kernel/exit.c")).unwrap(),
        "exit\n"
    );
}

#[test]
fn a_source_that_is_cut_short_or_none_is_its_users_to_mend() {
    let Some(mut project) = Project::new() else {
        return;
    };
    let refused = |project: &Project, words: &str| {
        let error = project.sync().unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(error.kind(), Kind::Usage, "{error}");
    };
    let whole = fs::read(&project.source.tarball).unwrap();
    fs::write(&project.source.tarball, &whole[..1300]).unwrap();
    refused(&project, "Unexpected EOF");
    fs::write(&project.source.tarball, whole).unwrap();
    fs::remove_file(project.path("linux/Makefile")).unwrap();
    project.source.tarball = project.path("other.tar");
    pack(&project.path(""), &project.source.tarball);
    refused(&project, "there is no kernel tree in it");
}

#[test]
fn a_patch_that_does_not_fit_is_named() {
    let Some(project) = Project::new() else {
        return;
    };
    write(
        &project.path("kernel-patches/100-fork.patch"),
        &PATCH.replace(" two", " three"),
    );
    let error = project.sync().unwrap_err().to_string();
    assert!(
        error.starts_with("applying 100-fork.patch to linux 1.0: "),
        "{error}"
    );
    assert!(error.contains("the series was made for 1.0"), "{error}");
    assert_eq!(
        fs::read_to_string(project.tree("kernel/fork.c")).unwrap(),
        "one\ntwo\n"
    );
}

/// What a patch of these changes says, with a header.
fn patch(changes: &str) -> String {
    format!("From: A <a@b.invalid>\nSubject: x\n\nWhy.\n---\n{changes}")
}

const CREATES: &str = "--- /dev/null\n+++ b/drivers/target/mine.c\n@@ -0,0 +1 @@\n+mine\n";
const DELETES: &str = "--- a/kernel/exit.c\n+++ /dev/null\n@@ -1 +0,0 @@\n-exit\n";

/// Brings the tree up to a series in `mine`, without any overlay.
pub fn sync_own(project: &Project, patches: &[(&str, &str)]) -> xtask::error::Result<()> {
    let names: Vec<&str> = patches.iter().map(|(name, _)| *name).collect();
    write(&project.path("mine/series"), &names.join("\n"));
    write(&project.path("mine/base"), "1.0\n");
    for (name, changes) in patches {
        write(&project.path("mine").join(name), &patch(changes));
    }
    let state = State::open(&project.layout, "1.0", &project.source, &Silent)?;
    state.sync_series(&project.layout, &Series::read(&project.path("mine"))?)
}

#[test]
fn what_a_series_creates_and_deletes_comes_and_goes_with_it() {
    let Some(project) = Project::new() else {
        return;
    };
    let (mine, exit) = (
        project.tree("drivers/target/mine.c"),
        project.tree("kernel/exit.c"),
    );
    let read = |path: &Path| fs::read_to_string(path).unwrap();
    let both = [("a.patch", CREATES), ("b.patch", DELETES)];
    sync_own(&project, &both).unwrap();
    assert_eq!(read(&mine), "mine\n");
    assert!(!exit.exists());
    // Again, and edited: what the series itself has put there is no file of the source's.
    let before = age(&mine);
    sync_own(&project, &both).unwrap();
    assert_eq!(fs::metadata(&mine).unwrap().modified().unwrap(), before);
    let more =
        "--- a/drivers/target/mine.c\n+++ b/drivers/target/mine.c\n@@ -1 +1,2 @@\n mine\n+more\n";
    sync_own(&project, &[("a.patch", CREATES), ("b.patch", more)]).unwrap();
    assert_eq!(
        (read(&mine), read(&exit)),
        ("mine\nmore\n".into(), "exit\n".into())
    );
    let alone = sync_own(&project, &[("b.patch", more)])
        .unwrap_err()
        .to_string();
    assert!(
        alone.contains("b.patch") && alone.contains("drivers/target/mine.c"),
        "{alone}"
    );
    sync_own(&project, &[]).unwrap();
    assert!(!project.tree("drivers").exists());
    assert_eq!(read(&exit), "exit\n");
}

#[test]
fn a_file_has_one_owner_in_series_overlay_and_source() {
    let Some(project) = Project::new() else {
        return;
    };
    project.sync().unwrap();
    let edits = |path: &str, text: &str| {
        format!("--- a/{path}\n+++ b/{path}\n@@ -1 +1 @@\n-{text}\n\\ No newline at end of file\n+mine\n")
    };
    let add = |changes: &str| {
        write(&project.path("kernel-patches/200-x.patch"), &patch(changes));
        write(
            &project.path("kernel-patches/series"),
            "100-fork.patch\n200-x.patch\n",
        );
        project.sync().unwrap_err().to_string()
    };
    let edited = add(&edits("rust/kernel/mm.rs", "abstractions/mm.rs"));
    assert!(
        edited.contains("200-x.patch") && edited.contains("rust/kernel/mm.rs"),
        "{edited}"
    );
    assert!(!project
        .layout
        .tree_state("1.0")
        .join("pristine/rust")
        .exists());
    let created = add("--- /dev/null\n+++ b/rust/kernel/mm.rs\n@@ -0,0 +1 @@\n+mine\n");
    assert!(
        created.contains("mm.rs would overwrite rust/kernel/mm.rs which a patch creates"),
        "{created}"
    );
    write(&project.path("kernel-patches/series"), "100-fork.patch\n");
    project.sync().unwrap();
    assert_eq!(
        fs::read_to_string(project.tree("rust/kernel/mm.rs")).unwrap(),
        "abstractions/mm.rs"
    );
}

#[test]
fn the_executable_bit_follows_the_series() {
    let Some(project) = Project::new() else {
        return;
    };
    let changes = "diff --git a/kernel/exit.c b/kernel/exit.c\nold mode 100644\nnew mode 100755\n\
                   --- a/kernel/exit.c\n+++ b/kernel/exit.c\n@@ -1 +1 @@\n-exit\n+exit\n";
    let mode = || {
        let meta = fs::metadata(project.tree("kernel/exit.c")).unwrap();
        meta.permissions().mode() & 0o777
    };
    sync_own(&project, &[("a.patch", changes)]).unwrap();
    assert_eq!(mode(), 0o755);
    sync_own(&project, &[]).unwrap();
    assert_eq!(mode(), 0o644);
}

#[test]
fn what_git_says_without_lines_is_done() {
    let Some(project) = Project::new() else {
        return;
    };
    let changes = "diff --git a/kernel/exit.c b/kernel/leave.c\nsimilarity index 100%\nrename from kernel/exit.c\nrename to kernel/leave.c\n\
                   diff --git a/kernel/x.mod b/kernel/x.mod\nold mode 100644\nnew mode 100755\n\
                   diff --git a/none/there b/none/there\nnew file mode 100644\nindex 000000000000..e69de29bb2d1\n";
    sync_own(&project, &[("a.patch", changes)]).unwrap();
    let made = files(&project.tree(""));
    assert!(!made.contains_key("kernel/exit.c"));
    assert_eq!(made["kernel/leave.c"], (b"exit\n".to_vec(), false));
    assert_eq!(made["kernel/x.mod"], (b"x\n".to_vec(), true));
    assert_eq!(made["none/there"], (Vec::new(), false));
    sync_own(&project, &[]).unwrap();
    assert_eq!(files(&project.tree("")), files(&project.path("linux")));
}

#[test]
fn the_lab_builds_what_the_git_tree_has() {
    let Some(project) = Project::with_git() else {
        return;
    };
    write(&project.path("kernel-patches/overlay.toml"), DIVISION);
    for name in [
        "drivers/target/a.c",
        ".clang-format",
        "scripts/run",
        "dos.txt",
    ] {
        let text = if name == "dos.txt" {
            "one\r\n"
        } else {
            "one\n"
        };
        write(&project.path("linux").join(name), text);
    }
    let run = |path: &Path| {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    run(&project.path("linux/scripts/run"));
    // Whatever it is here, a file of the overlay is plain.
    run(&project.path("rust-syscall/abstractions/mm.rs"));
    pack(&project.path("."), &project.source.tarball);
    let mut changes = String::new();
    for (name, end) in [
        ("drivers/target/a.c", ""),
        (".clang-format", ""),
        ("scripts/run", ""),
        ("dos.txt", "\r"),
    ] {
        changes.push_str(&format!(
            "--- a/{name}\n+++ b/{name}\n@@ -1 +1,2 @@\n one{end}\n+two{end}\n"
        ));
    }
    write(
        &project.path("kernel-patches/200-x.patch"),
        &patch(&changes),
    );
    write(
        &project.path("kernel-patches/series"),
        "100-fork.patch\n200-x.patch\n",
    );
    project.git("tree", None).unwrap();
    project.sync().unwrap();
    let (lab, git) = (files(&project.tree("")), files(&project.path("tree")));
    assert_eq!(lab, git);
    assert_eq!(lab["drivers/target/a.c"].0, b"one\ntwo\n");
    assert_eq!(lab["dos.txt"].0, b"one\r\ntwo\r\n");
    assert!(lab["scripts/run"].1 && !lab["rust/kernel/mm.rs"].1);
}

/// In a source that has moved on, the lines that a hunk goes by may stand in several places.
#[test]
fn a_hunk_lies_where_the_lab_builds_it_in_the_git_tree_too() {
    let Some(project) = Project::with_git() else {
        return;
    };
    write(&project.path("kernel-patches/overlay.toml"), DIVISION);
    // Five lines that the patch does not know, and behind them the same five again and again.
    let head: String = (0..10).map(|line| format!("{line}\n")).collect();
    let fork = format!(
        "new\nnew\nnew\nnew\nnew\n{head}{}",
        "a\nb\nc\n{\n}\n".repeat(6)
    );
    write(&project.path("linux/kernel/fork.c"), &fork);
    pack(&project.path("."), &project.source.tarball);
    let changes =
        "--- a/kernel/fork.c\n+++ b/kernel/fork.c\n@@ -4,4 +4,5 @@\n 3\n 4\n+first\n 5\n 6\n\
                   @@ -22,4 +23,5 @@\n b\n c\n+second\n {\n }\n";
    write(
        &project.path("kernel-patches/100-fork.patch"),
        &patch(changes),
    );
    project.sync().unwrap();
    project.git("tree", None).unwrap();
    let (lab, git) = (files(&project.tree("")), files(&project.path("tree")));
    assert_eq!(lab, git);
    let made = String::from_utf8_lossy(&lab["kernel/fork.c"].0).into_owned();
    let at = |word| made.lines().position(|line| line == word);
    // Both five lines further down than they say.
    assert_eq!((at("first"), at("second")), (Some(10), Some(29)));
}

/// What patch changes under another name than the lab reads would be in no tree, and nothing would say so.
#[test]
fn a_name_that_is_read_in_two_ways_is_refused() {
    let Some(project) = Project::with_git() else {
        return;
    };
    write(&project.path("kernel-patches/overlay.toml"), DIVISION);
    write(&project.path("linux/kernel/\u{fc}.c"), "one\n");
    pack(&project.path("."), &project.source.tarball);
    let change = "--- a/kernel/fork.c\n+++ b/kernel/fork.c\n@@ -1,2 +1,3 @@\n one\n+more\n two\n";
    let odd = "@@ -1 +1,2 @@\n one\n+two\n";
    let of_old = "--- \"a/kernel/\\303\\274.c\"\n+++ \"b/kernel/\\303\\274.c\"\n";
    let of_new = "--- a/kernel/\u{fc}.c\n+++ b/kernel/\u{fc}.c\n";
    let file = project.path("kernel-patches/100-fork.patch");
    write(&file, &patch(&format!("{change}{of_new}{odd}")));
    project.sync().unwrap();
    project.git("plain", None).unwrap();
    let made = fs::read_to_string(project.path("plain/kernel/\u{fc}.c"));
    assert_eq!(made.unwrap(), "one\ntwo\n");
    write(&file, &patch(&format!("{change}{of_old}{odd}")));
    let told = [
        project.sync().unwrap_err(),
        project.git("quoted", None).unwrap_err(),
    ];
    for error in told {
        // Not staged under that name, patch does not find it.
        let error = error.to_string();
        assert!(
            error.contains("applying 100-fork.patch to linux 1.0"),
            "{error}"
        );
    }
    // One that comes is found nowhere else.
    let created = of_old.replace("--- \"a/kernel/\\303\\274.c\"", "--- /dev/null");
    let error = sync_own(
        &project,
        &[("a.patch", &format!("{created}@@ -0,0 +1 @@\n+new\n"))],
    );
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("patch reads the name \"kernel/\u{fc}.c\" in it, the lab"),
        "{error}"
    );
    assert!(error.contains("core.quotePath=false"), "{error}");
}
