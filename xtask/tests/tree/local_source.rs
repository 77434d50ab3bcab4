// SPDX-License-Identifier: GPL-2.0-only

//! Kernel trees of the user's own.

use xtask::error::Kind;
use xtask::exec::tool;
use xtask::kernel::source::local::{commit, state};

use crate::project::there;

#[test]
fn every_edit_of_a_tree_shows_in_its_state() {
    if !there(&["git"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let run = |args: &[&str]| {
        let user = ["-c", "user.name=C", "-c", "user.email=c@c.invalid"];
        let git = tool("using git", "git").env_remove_all("GIT_");
        let git = git
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .arg("-C")
            .arg(root);
        git.args(user).args(args).read().unwrap()
    };
    let write = |name: &str, text: &str| std::fs::write(root.join(name), text).unwrap();
    write("Makefile", "all:\n");
    run(&["init", "-q"]);
    run(&["add", "-A"]);
    run(&["commit", "-qm", "x"]);
    let mut states = vec![state(root).unwrap()];
    assert_eq!(states[0], state(root).unwrap());
    write("Makefile", "none:\n");
    states.push(state(root).unwrap());
    write("new.c", "1\n");
    states.push(state(root).unwrap());
    write("new.c", "2\n");
    states.push(state(root).unwrap());
    run(&["add", "-A"]);
    run(&["commit", "-qm", "y"]);
    states.push(state(root).unwrap());
    let mut different = states.clone();
    different.sort();
    different.dedup();
    assert_eq!(different.len(), states.len());
    assert!(commit(root, Some("HEAD~1")).unwrap() != commit(root, None).unwrap());
    let error = commit(root, Some("v9.9")).unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
}
