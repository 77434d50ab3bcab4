// SPDX-License-Identifier: GPL-2.0-only

//! The patched tree: only what differs is written, and everything can be undone.

use std::fs;

use crate::project::{age, pack, write, Project, PATCH};

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
fn an_overlay_file_that_would_overwrite_is_refused() {
    let Some(project) = Project::new() else {
        return;
    };
    write(&project.path("rust-syscall/abstractions/mm.rs"), "mine");
    write(&project.path("linux/rust/kernel/mm.rs"), "theirs");
    pack(&project.path(""), &project.source.tarball);
    let error = project.sync().unwrap_err().to_string();
    assert!(
        error.contains("would overwrite rust/kernel/mm.rs of the kernel's source"),
        "{error}"
    );
    assert_eq!(
        fs::read_to_string(project.tree("rust/kernel/mm.rs")).unwrap(),
        "theirs"
    );
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
    assert!(error.starts_with("applying 100-fork.patch: "), "{error}");
    assert!(error.contains("the series was made for 1.0"), "{error}");
    assert_eq!(
        fs::read_to_string(project.tree("kernel/fork.c")).unwrap(),
        "one\ntwo\n"
    );
}
