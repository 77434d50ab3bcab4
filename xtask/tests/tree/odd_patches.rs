// SPDX-License-Identifier: GPL-2.0-only

//! Patches that name what none may, or put something where the source has something else: the check, the tree that the lab
//! builds, the git tree and a refresh say the same, and nothing is changed.

use std::fs;
use std::os::unix::fs::symlink;

use xtask::error::Result;
use xtask::event::Silent;
use xtask::kernel::source;
use xtask::kernel::tree::prepare;
use xtask::patchset::{self, check};

use crate::own_series::{own, plan, remake};
use crate::project::{files, write, Worked};

const FORK: &str = "--- a/kernel/fork.c\n+++ b/kernel/fork.c\n@@ -1,2 +1,3 @@\n one\n+mine\n two\n";

/// Has the series be these patches, in this order.
fn set_series(worked: &Worked, patches: &[&str]) {
    let names = (0..patches.len()).map(|number| format!("{number}.patch"));
    let names: Vec<String> = names.collect();
    fs::remove_dir_all(worked.0.path("mine")).unwrap();
    write(&worked.0.path("mine/base"), "1.0\n");
    write(&worked.0.path("mine/series"), &names.join("\n"));
    for (name, changes) in names.iter().zip(patches) {
        let header = "From: A <a@b.invalid>\nSubject: x\n\nWhy.\n\nSigned-off-by: A <a@b.invalid>\nPatch-mainline: no\n---\n";
        let text = format!("{header}{changes}").replace("Subject: x", &format!("Subject: {name}"));
        write(&worked.0.path("mine").join(name), &text);
    }
}

/// What becomes of the series: in a check, in the tree that the lab builds, and in a git tree.
fn made(worked: &Worked) -> [Result<()>; 3] {
    let plan = plan(worked, "mine");
    let git = worked.0.path("made");
    let _ = fs::remove_dir_all(&git);
    let source = source::fetch(&plan, &Silent).unwrap();
    [
        check::check(&plan, false, &Silent).map(drop),
        prepare(&plan, &source, &Silent).map(drop),
        patchset::apply_to(&plan, &git, None, &Silent).map(drop),
    ]
}

/// All of them refuse it, for this reason.
fn all_refuse(worked: &Worked, patches: &[&str], why: &str) {
    set_series(worked, patches);
    for found in made(worked) {
        let found = found.expect_err(patches[0]).to_string();
        assert!(found.contains(why), "{patches:?}: {found}");
    }
}

/// The series fits, and the lab builds what git has.
fn fits(worked: &Worked, patches: &[&str]) {
    set_series(worked, patches);
    for found in made(worked) {
        found.unwrap();
    }
    let plan = plan(worked, "mine");
    let lab = plan.layout.tree(&plan.kernel.tree_name);
    assert_eq!(files(&lab), files(&worked.0.path("made")), "{patches:?}");
}

#[test]
fn names_that_lead_elsewhere_are_refused_before_anything_is_touched() {
    let Some(worked) = own() else { return };
    let project = worked.0.path("");
    let victim = project.join("notes.txt");
    write(&victim, "mine\n");
    let absolute = victim.display().to_string();
    for name in [
        "../notes.txt",
        "../../notes.txt",
        "../../../notes.txt",
        "../../../../notes.txt",
        "kernel/../../../../notes.txt",
        &absolute,
        "./kernel/fork.c",
        "kernel//fork.c",
        "kernel/./new.c",
        ".git/config",
        ".GIT/config",
        "kernel/new.c\u{a0}",
    ] {
        let change = FORK.replace("kernel/fork.c", name);
        let created = format!("--- /dev/null\n+++ b/{name}\n@@ -0,0 +1 @@\n+new\n");
        let renamed = format!(
            "diff --git a/kernel/fork.c b/{name}\nsimilarity index 100%\nrename from kernel/fork.c\nrename to {name}\n"
        );
        for changes in [&change, &created, &renamed] {
            all_refuse(&worked, &[changes], "it names the file");
        }
    }
    fits(&worked, &[FORK]);
    assert_eq!(fs::read_to_string(&victim).unwrap(), "mine\n");
    for left in [
        "outA",
        "target/notes.txt",
        "target/lab/notes.txt",
        "target/lab/tmp/notes.txt",
    ] {
        assert!(!project.join(left).exists(), "{left}");
    }
}

/// Of the one git's index has nothing, without a word, and a refresh would take the patch for gone; of the other nothing
/// is left that git keeps.
#[test]
fn a_patch_of_which_git_keeps_nothing_makes_no_tree() {
    let Some(worked) = own() else { return };
    let created = "--- /dev/null\n+++ b/git~1/x.c\n@@ -0,0 +1 @@\n+new\n";
    let turned = "diff --git a/kernel/fork.c b/kernel/fork.c\nold mode 100644\nnew mode 100664\n";
    for (changes, why) in [
        (created, "git takes no file of the name git~1/x.c"),
        (turned, "would be an empty commit"),
    ] {
        set_series(&worked, &[changes]);
        let [checked, _, git] = made(&worked);
        for found in [checked, git] {
            let found = found.unwrap_err().to_string();
            assert!(found.contains(why), "{found}");
        }
    }
}

#[test]
fn a_link_stays_as_it_is() {
    let Some(worked) = own() else { return };
    let source = worked.0.path("linux");
    write(&source.join("kernel/fork.c"), "one\ntwo\n");
    symlink("fork.c", source.join("kernel/link.c")).unwrap();
    symlink("kernel", source.join("core")).unwrap();
    write(&worked.0.path("mine/series"), "");
    remake(&worked);
    let by_link = FORK.replace("kernel/fork.c", "kernel/link.c");
    all_refuse(
        &worked,
        &[&by_link],
        "it names kernel/link.c: kernel/link.c is a link, and no patch changes one",
    );
    let below = FORK.replace("kernel/fork.c", "core/fork.c");
    all_refuse(
        &worked,
        &[&below],
        "it names core/fork.c: core is a link, and no patch changes one or what lies behind it",
    );
    // Which of them it is has to be said.
    all_refuse(&worked, &[FORK, &below], "applying 1.patch to ");
    // As if nothing stood in the folder: `patch` passes over a file without a line.
    let nothing = format!("{FORK}--- a/core/exit.c\n+++ b/core/exit.c\n");
    all_refuse(&worked, &[&nothing], "core is a link");
    for (target, mode, why) in [
        ("fork.c", "120000", "it makes, changes or removes a link"),
        ("/etc/hostname", "120777", "expected a file's mode"),
        ("nowhere", "0120000", "expected a file's mode"),
        ("fork.c", "120000 ", "expected a file's mode"),
        ("fork.c", "\t120000", "expected a file's mode"),
        ("fork.c", "40000120000", "expected a file's mode"),
    ] {
        let makes = format!(
            "diff --git a/kernel/l2 b/kernel/l2\nnew file mode {mode}\n--- /dev/null\n+++ b/kernel/l2\n@@ -0,0 +1 @@\n+{target}\n\\ No newline at end of file\n"
        );
        all_refuse(&worked, &[&makes], why);
    }
    let turns = "diff --git a/kernel/link.c b/kernel/link.c\nindex 1234567..89abcde 120000\n--- a/kernel/link.c\n+++ b/kernel/link.c\n@@ -1 +1 @@\n-fork.c\n\\ No newline at end of file\n+exit.c\n\\ No newline at end of file\n";
    all_refuse(&worked, &[turns], "it makes, changes or removes a link");
    fits(&worked, &[FORK]);
    // Nor is a plain file believed that was kept in its place.
    let plan = plan(&worked, "mine");
    let state = plan.layout.tree_state(&plan.kernel.tree_name);
    write(&state.join("pristine/kernel/link.c"), "one\ntwo\n");
    write(&state.join("pristine/kernel/.new-AbCdEf"), "half");
    all_refuse(
        &worked,
        &[&by_link],
        "kernel/link.c is a link, and no patch changes one",
    );
    fs::remove_file(state.join("pristine/kernel/link.c")).unwrap();
    fits(&worked, &[FORK]);
    let link = plan
        .layout
        .tree(&plan.kernel.tree_name)
        .join("kernel/link.c");
    assert!(link.is_symlink());
}

#[test]
fn a_refresh_notes_what_the_project_alone_names_behind_a_link() {
    let Some(worked) = own() else { return };
    symlink("kernel", worked.0.path("linux/core")).unwrap();
    remake(&worked);
    let below = worked.text("mine/0002-fork.patch");
    let below = below.replace("/kernel/fork.c", "/core/fork.c");
    write(&worked.0.path("mine/0020-wip.patch"), &below);
    let list = worked.text("mine/series") + "0020-wip.patch\n";
    write(&worked.0.path("mine/series"), &list);
    worked.commit_make("mine: all");
    let said = worked.refresh().unwrap();
    assert!(
        said.contains("note: 0020-wip.patch does not fit in the project")
            && said.contains("core is a link"),
        "{said}"
    );
}

/// `patch` makes an empty file of one, passes over a file without a hunk, and goes by other names for what is renamed.
#[test]
fn what_patch_reads_otherwise_is_refused() {
    let Some(worked) = own() else { return };
    let binary = "diff --git a/logo.gif b/logo.gif\nnew file mode 100644\nindex 0000000..1234567\nBinary files /dev/null and b/logo.gif differ\n";
    all_refuse(
        &worked,
        &[&format!("{FORK}{binary}")],
        "\"Binary files /dev/null and b/logo.gif differ\": it changes a binary file",
    );
    let packed = "diff --git a/logo.gif b/logo.gif\nnew file mode 100644\nindex 0000000..1234567\nGIT binary patch\nliteral 1\nIcmZPo000310RR91\n\n";
    all_refuse(
        &worked,
        &[&format!("{FORK}{packed}")],
        "\"GIT binary patch\": it changes a binary file",
    );
    let without_lines = "--- a/kernel/exit.c\n+++ b/kernel/exit.c\n";
    let why = "patch has found nothing to do in it for kernel/exit.c";
    all_refuse(&worked, &[&format!("{FORK}{without_lines}")], why);
    let without_place = format!("{without_lines} exit\n+more\n");
    let why = "no line that begins with @@ stands above it";
    all_refuse(&worked, &[&format!("{FORK}{without_place}")], why);
    let uncounted = format!("{FORK}+EXTRA\n@@ -20,2 +21,3 @@\n 20\n+B\n 21\n");
    all_refuse(&worked, &[&uncounted], "\"+EXTRA\": it is in no hunk");
    let nameless = format!("--- a/kernel/exit.c\n@@ -1 +1,2 @@\n exit\n+more\n{FORK}");
    let why = "a hunk without the names of its file above it";
    all_refuse(&worked, &[&nameless], why);
    let parted = format!("{FORK}\n@@ -20,2 +21,3 @@\n 20\n+B\n 21\n");
    all_refuse(&worked, &[&parted], "what stands above it is of no hunk");
    let header = "diff --git a/kernel/exit.c b/kernel/exit.c\nold mode 100644\nnew mode 100755\n";
    let why = "the lines above it are of \"kernel/exit.c\", and these of \"kernel/fork.c\"";
    all_refuse(&worked, &[&format!("{header}{FORK}")], why);
    let short = FORK.replace("1,2 +1,3", "1,3 +1,4");
    all_refuse(&worked, &[&short], "it counts more lines than follow");
    let by_mail = FORK.replace('\n', "\r\n");
    all_refuse(&worked, &[&by_mail], "ends in a carriage return");
    let two_sources = "diff --git a/kernel/fork.c b/kernel/new.c\nsimilarity index 100%\nrename from kernel/exit.c\nrename to kernel/new.c\n";
    all_refuse(
        &worked,
        &[FORK, two_sources],
        "patch reads the name \"kernel/fork.c\" in it",
    );
    let renamed = |from: &str, to: &str| {
        format!("diff --git a/{from} b/{to}\nsimilarity index 100%\nrename from {from}\nrename to {to}\n")
    };
    let blank = renamed("kernel/exit.c", "kernel/x y");
    let why = "it changes no line of \"kernel/x y\", and `patch` would not find that name";
    all_refuse(&worked, &[&blank], why);
    all_refuse(&worked, &[FORK, &renamed("kernel/x y", "kernel/z")], why);
    let there = renamed("kernel/exit.c", "kernel/x(y)");
    fits(&worked, &[&there, &renamed("kernel/x(y)", "kernel/exit.c")]);
    let empty = "diff --git a/none b/none\nnew file mode 100644\nindex 0000000..e69de29\n";
    fits(&worked, &[empty, FORK]);
    fits(&worked, &[FORK]);
}

#[test]
fn a_patch_outside_of_the_series_folder_is_refused() {
    let Some(worked) = own() else { return };
    fits(&worked, &[FORK]);
    let text = worked.text("mine/0.patch");
    write(&worked.0.path("shared/0.patch"), &text);
    write(&worked.0.path("mine/series"), "../shared/0.patch\n");
    for found in made(&worked) {
        let found = found.unwrap_err().to_string();
        let why = "it lists \"../shared/0.patch\": it has \".\" or \"..\" for a name";
        assert!(found.contains(why), "{found}");
    }
    // Nor does a refresh write there.
    let found = worked.refused();
    assert!(found.contains("it lists \"../shared/0.patch\""), "{found}");
    assert_eq!(worked.text("shared/0.patch"), text);
}

#[test]
fn a_file_in_the_place_of_another_is_refused_and_can_be_put_in_two_steps() {
    let Some(worked) = own() else { return };
    write(&worked.0.path("linux/kernel/fork.c"), "one\ntwo\n");
    write(&worked.0.path("mine/series"), "");
    remake(&worked);
    let creates = |path: &str| format!("--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n+new\n");
    let inside = creates("kernel/exit.c/new.c");
    let exit = "--- a/kernel/exit.c\n+++ /dev/null\n@@ -1 +0,0 @@\n-exit\n";
    all_refuse(&worked, &[&inside], "kernel/exit.c");
    all_refuse(&worked, &[&creates("kernel")], "kernel");
    fits(&worked, &[FORK]);
    // One patch cannot: files go when all of it is done.
    all_refuse(&worked, &[&format!("{exit}{inside}")], "kernel/exit.c");
    fits(&worked, &[exit, &inside]);
    fits(&worked, &[exit]);
    fits(&worked, &[exit, &inside]);
    fits(&worked, &[]);
}

#[test]
fn a_commit_that_a_patch_cannot_repeat_is_refused() {
    let Some(worked) = own() else { return };
    let tree = worked.0.path("tree");
    for (gone, new) in [
        ("kernel/fork.c", "kernel/fork.c/new.c"),
        ("scripts/checkpatch.pl", "scripts"),
    ] {
        fs::remove_file(tree.join(gone)).unwrap();
        let _ = fs::remove_dir(tree.join("scripts"));
        worked.edit(new, "new\n");
        worked.git(&["commit", "-q", "-m", "mine: turn"]);
        let found = worked.refused();
        assert!(
            found.contains("0012-turn.patch would not fit") && found.contains("make two of it"),
            "{found}"
        );
        worked.git(&["reset", "-q", "--hard", "HEAD~1"]);
    }
    worked.edit("kernel/a (renamed from b).c", "new\n");
    worked.git(&["commit", "-q", "-m", "mine: odd"]);
    let found = worked.refused();
    assert!(found.contains("0012-odd.patch would not fit"), "{found}");
}
