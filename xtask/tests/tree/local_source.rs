// SPDX-License-Identifier: GPL-2.0-only

//! Kernel trees of the user's own.

use std::path::Path;
use std::sync::Mutex;

use xtask::error::Kind;
use xtask::event::{Event, Silent};
use xtask::exec::tool;
use xtask::kernel::source::fetch;
use xtask::kernel::source::local::{commit, state};
use xtask::stamp::hash_bytes;

use crate::project::{age, plan_of, there};

/// Runs git in a folder as a user does.
fn git_in(dir: &Path, args: &[&str]) {
    let user = ["-c", "user.name=C", "-c", "user.email=c@c.invalid"];
    let git = tool("using git", "git").env_remove_all("GIT_");
    let git = git.env("GIT_CONFIG_GLOBAL", "/dev/null");
    let git = git.arg("-C").arg(dir).args(user).args(args);
    git.read().unwrap();
}

#[test]
fn every_edit_of_a_tree_shows_in_its_state() {
    if !there(&["git"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let run = |args: &[&str]| git_in(root, args);
    let write = |name: &str, text: &str| std::fs::write(root.join(name), text).unwrap();
    write("Makefile", "all:\n");
    run(&["init", "-q"]);
    run(&["add", "-A"]);
    run(&["commit", "-qm", "x"]);
    let mut states = vec![state(root).unwrap()];
    assert_eq!(states[0], state(root).unwrap());
    // A file that is older than git knows makes no other state, and git is not to note it in what is not ours.
    let index = || std::fs::read(root.join(".git/index")).unwrap();
    let before = index();
    age(&root.join("Makefile"));
    assert_eq!(states[0], state(root).unwrap());
    assert!(index() == before);
    write("Makefile", "none:\n");
    states.push(state(root).unwrap());
    write("new.c", "1\n");
    states.push(state(root).unwrap());
    write("new.c", "2\n");
    states.push(state(root).unwrap());
    run(&["add", "-A"]);
    run(&["commit", "-qm", "y"]);
    states.push(state(root).unwrap());
    // As in Debian's source, all that is new is ignored.
    write(".git/info/exclude", "/*\n");
    std::fs::create_dir_all(root.join("drivers/mine")).unwrap();
    for name in ["unseen.rs", "localversion", "drivers/mine/new.c"] {
        for text in ["1\n", "2\n"] {
            write(name, text);
            states.push(state(root).unwrap());
        }
    }
    // What a build makes is nothing, nor what another kernel is built in.
    for folder in ["lab/target/lab", "build/x86/include"] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
    }
    write("build/x86/.config", "");
    for name in [
        "unseen.o",
        "x.mod.c",
        "unseen.rs~",
        ".unseen.rs.swp",
        "lab/target/lab/a.h",
        "build/x86/include/a.h",
    ] {
        write(name, "1\n");
        assert_eq!(states.last(), Some(&state(root).unwrap()), "{name}");
    }
    // A link is what it says, wherever it leads; a repository in it is looked into.
    std::fs::create_dir(root.join("nested")).unwrap();
    git_in(&root.join("nested"), &["init", "-q"]);
    write(".git/info/exclude", "/*\n!/nested\n");
    for text in ["1\n", "2\n"] {
        write("nested/new.c", text);
        states.push(state(root).unwrap());
    }
    for target in ["/nowhere", "link", "/usr"] {
        let link = root.join("link");
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(target, &link).unwrap();
        states.push(state(root).unwrap());
    }
    let mut different = states.clone();
    different.sort();
    different.dedup();
    assert_eq!(different.len(), states.len());
    assert!(commit(root, Some("HEAD~1")).unwrap() != commit(root, None).unwrap());
    let error = commit(root, Some("v9.9")).unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
}

#[test]
fn what_becomes_usable_is_used_and_what_was_fetched_stays_till_then() {
    if !there(&["git", "tar"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (repository, tarball) = (dir.path().join("linux"), dir.path().join("linux.tar"));
    std::fs::create_dir(&repository).unwrap();
    let version = "VERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 0\nEXTRAVERSION = -rc2\n";
    std::fs::write(repository.join("Makefile"), version).unwrap();
    git_in(&repository, &["init", "-q"]);
    git_in(&repository, &["add", "-A"]);
    git_in(&repository, &["commit", "-qm", "x"]);
    let file = format!(
        "{{ file = \"linux.tar\", sha256 = \"{}\" }}",
        hash_bytes(b"x")
    );
    let git = "{ git = \"linux\" }".to_string();
    let both = plan_of(dir.path(), &[file.clone(), git.clone()]);

    let fetched = fetch(&both, &Silent).unwrap();
    assert!(fetched.origin.starts_with("linux "), "{fetched:?}");
    assert_eq!(fetched.version, "6.1.0-rc2");
    // Another origin gives nothing: the tarball of this one is not lost for it.
    let other = plan_of(dir.path(), std::slice::from_ref(&file));
    assert_eq!(fetch(&other, &Silent).unwrap_err().kind(), Kind::Usage);
    let is_fresh = Mutex::new(false);
    let sink = |event: Event| {
        *is_fresh.lock().unwrap() |= matches!(event, Event::StepFresh { .. });
    };
    assert_eq!(fetch(&both, &sink).unwrap(), fetched);
    assert!(is_fresh.into_inner().unwrap());

    std::fs::write(&tarball, b"x").unwrap();
    assert_eq!(fetch(&both, &Silent).unwrap().origin, "linux.tar");
    std::fs::remove_file(&tarball).unwrap();
    assert_eq!(fetch(&both, &Silent).unwrap().origin, fetched.origin);
    // Behind the one that is used it has no say; a commit has.
    let turned = plan_of(dir.path(), &[git, file]);
    std::fs::write(&tarball, b"another").unwrap();
    assert_eq!(fetch(&turned, &Silent).unwrap().origin, fetched.origin);
    git_in(&repository, &["commit", "-q", "--allow-empty", "-m", "y"]);
    let moved = fetch(&turned, &Silent).unwrap().origin;
    assert!(
        moved != fetched.origin && moved.starts_with("linux "),
        "{moved}"
    );
}
