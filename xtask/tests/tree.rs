// SPDX-License-Identifier: GPL-2.0-only

//! The patched tree: only what differs is written, and everything can be undone.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use xtask::event::Silent;
use xtask::exec::which;
use xtask::kernel::source::Fetched;
use xtask::kernel::tree::{overlay_files, State};
use xtask::layout::Layout;
use xtask::patchset::git;
use xtask::patchset::overlay::Division;
use xtask::patchset::refresh;
use xtask::patchset::series::Series;

const PATCH: &str = "From: A <a@b.invalid>\nSubject: x\n\nWhy.\n---\n\
                     --- a/kernel/fork.c\n+++ b/kernel/fork.c\n@@ -1,2 +1,3 @@\n one\n+restart\n two\n";

/// A project with a tiny kernel source, one patch and one overlay file.
struct Project {
    dir: tempfile::TempDir,
    layout: Layout,
    source: Fetched,
}

impl Project {
    /// `None` where the machine lacks the tools that the tree is made with.
    fn new() -> Option<Project> {
        which("patch").and(which("tar"))?;
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        write(&root.join("linux/Makefile"), "all:\n");
        write(&root.join("linux/kernel/fork.c"), "one\ntwo\n");
        write(&root.join("linux/kernel/exit.c"), "exit\n");
        // What the kernel's own rules ignore is part of the source all the same.
        write(&root.join("linux/.gitignore"), "*.mod\n");
        write(&root.join("linux/kernel/x.mod"), "x\n");
        let tarball = root.join("linux.tar");
        let tar = xtask::exec::tool("packing", "tar")
            .arg("-C")
            .arg(root)
            .arg("-cf")
            .arg(&tarball)
            .arg("linux");
        tar.read().unwrap();
        write(&root.join("kernel-patches/series"), "100-fork.patch\n");
        write(&root.join("kernel-patches/base"), "1.0\n");
        write(&root.join("kernel-patches/100-fork.patch"), PATCH);
        for name in [
            "Kconfig",
            "Makefile",
            "src/cr_main.rs",
            "src/lib.rs",
            "abstractions/mm.rs",
        ] {
            write(&root.join("rust-syscall").join(name), name);
        }
        let source = Fetched {
            name: "1.0".into(),
            origin: "linux 1.0".into(),
            version: "1.0".into(),
            sha256: "abc".into(),
            tarball,
        };
        Some(Project {
            layout: Layout::new(root),
            source,
            dir,
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn tree(&self, name: &str) -> PathBuf {
        self.layout.tree("1.0").join(name)
    }

    /// Brings the tree up to date.
    fn sync(&self) -> xtask::error::Result<()> {
        let state = State::open(&self.layout, &self.source, &Silent)?;
        state.sync_series(&self.layout, &Series::read(&self.layout.series())?)?;
        state.sync_overlay(&overlay_files(&self.layout)?)
    }
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn age(path: &Path) -> SystemTime {
    let old = SystemTime::now() - Duration::from_secs(3600);
    fs::File::options()
        .append(true)
        .open(path)
        .unwrap()
        .set_modified(old)
        .unwrap();
    fs::metadata(path).unwrap().modified().unwrap()
}

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
    let tar = xtask::exec::tool("packing", "tar")
        .arg("-C")
        .arg(project.dir.path())
        .arg("-cf");
    tar.arg(&project.source.tarball)
        .arg("linux")
        .read()
        .unwrap();
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

impl Project {
    /// Makes a git tree of it; its last commit.
    fn git(&self, to: &str, upto: Option<&str>) -> xtask::error::Result<String> {
        let dir = self.layout.series();
        let contents = git::Contents {
            source: &self.source,
            overlay: &overlay_files(&self.layout)?,
            division: &Division::read(&dir)?,
            series: &Series::read(&dir)?,
            root: self.layout.root(),
        };
        git::apply(&contents, &self.path(to), upto, &Silent)
    }

    /// What git says about a tree.
    fn ask(&self, tree: &str, args: &[&str]) -> String {
        let git = xtask::exec::tool("asking git", "git").args(args);
        git.dir(self.path(tree)).read().unwrap()
    }
}

const DIVISION: &str = "[[commit]]\nsubject = 'rust: mm'\nmessage = 'Why.'\nfiles = ['rust/']\n\
                        [[commit]]\nsubject = 'checkpoint: all'\nmessage = 'Why.'\nfiles = ['kernel/checkpoint/']\n";
const SECOND: &str =
    "From: B <b@b.invalid>\nSubject: y\n\nWhy.\n\nSigned-off-by: B <b@b.invalid>\n---\n\
                      --- a/kernel/exit.c\n+++ b/kernel/exit.c\n@@ -1 +1,2 @@\n exit\n+restart\n";

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

/// A project with a git tree of it in `tree`, to be worked on.
struct Worked(Project);

impl Worked {
    fn new() -> Option<Worked> {
        let project = Project::new().filter(|_| which("git").is_some())?;
        write(&project.path("kernel-patches/overlay.toml"), DIVISION);
        write(
            &project.path("kernel-patches/series"),
            "# order\n100-fork.patch\n200-exit.patch\n",
        );
        write(&project.path("kernel-patches/200-exit.patch"), SECOND);
        project.git("tree", None).unwrap();
        Some(Worked(project))
    }

    /// Runs git in the tree as a user does.
    fn git(&self, args: &[&str]) {
        let user = ["-c", "user.name=C", "-c", "user.email=c@c.invalid"];
        let git = xtask::exec::tool("using git", "git").args(user).args(args);
        let editor = git
            .env("GIT_SEQUENCE_EDITOR", "sed -i '1{h;d};2{G}'")
            .env("GIT_EDITOR", "true");
        editor.dir(self.0.path("tree")).read().unwrap();
    }

    fn edit(&self, path: &str, text: &str) {
        write(&self.0.path("tree").join(path), text);
        self.git(&["add", "-A"]);
    }

    fn refresh(&self) -> xtask::error::Result<String> {
        let changes = refresh::compare(&self.0.layout, &self.0.path("tree"))?;
        refresh::write(&self.0.layout, &changes)?;
        Ok(changes.to_string())
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.0.path(path)).unwrap()
    }
}

#[test]
fn what_was_not_edited_keeps_every_byte() {
    let Some(worked) = Worked::new() else { return };
    let said = worked.refresh().unwrap();
    assert_eq!(said, "0 written, 0 removed, 7 as they were");
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
fn patches_that_change_places_change_numbers() {
    let Some(worked) = Worked::new() else { return };
    worked.git(&["rebase", "-q", "-i", "HEAD~2"]);
    assert_eq!(
        worked.refresh().unwrap(),
        "written kernel-patches/210-fork.patch\nwritten kernel-patches/series\nremoved kernel-patches/100-fork.patch\n\
         2 written, 1 removed, 5 as they were"
    );
    assert_eq!(worked.text("kernel-patches/210-fork.patch"), PATCH);
    assert_eq!(
        worked.text("kernel-patches/series"),
        "# order\n200-exit.patch\n210-fork.patch\n"
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
