// SPDX-License-Identifier: GPL-2.0-only

//! A kernel of the user's own: another source, a series in a folder of its own, no overlay.

use std::fs;
use std::path::Path;

use xtask::config::LabConfig;
use xtask::event::Silent;
use xtask::flags::Target;
use xtask::kernel::source;
use xtask::kernel::tree::prepare;
use xtask::patchset::{self, check, refresh};
use xtask::plan::Plan;
use xtask::stamp::hash_file;

use crate::project::{files, host, pack, there, write, Worked};

/// As `git format-patch` writes it.
const FORK: &str = "From 0123 Mon Sep 17 00:00:00 2001\nFrom: A <a@b.invalid>\nSubject: [PATCH 1/3] fork: x\n\nWhy.\n\n\
                    Signed-off-by: A <a@b.invalid>\nPatch-mainline: no\n---\n kernel/fork.c | 1 +\n\n\
                    diff --git a/kernel/fork.c b/kernel/fork.c\n--- a/kernel/fork.c\n+++ b/kernel/fork.c\n@@ -1,2 +1,3 @@\n one\n+mine\n two\n-- \n2.39.5\n";
const NEW: &str = "From: A <a@b.invalid>\nSubject: mine: new\n\nWhy.\n\nSigned-off-by: A <a@b.invalid>\nPatch-mainline: no\n---\n\
                   --- /dev/null\n+++ b/drivers/target/mine.c\n@@ -0,0 +1 @@\n+mine\n";
const GONE: &str = "From: A <a@b.invalid>\nSubject: exit: go\n\nWhy.\n\nSigned-off-by: A <a@b.invalid>\nPatch-mainline: no\n---\n\
                    --- a/kernel/exit.c\n+++ /dev/null\n@@ -1 +0,0 @@\n-exit\n";
const LISTED: &str = "# mine\n0002-fork.patch\n0001-new.patch\n\n# at last\nno-exit.patch\n";

/// [`FORK`] as made for a file in which that is at another line. git finds only what is not at the first one elsewhere.
fn fork_at(line: usize) -> String {
    FORK.replace("@@ -1,2 +1,3 @@", &format!("@@ -{line},2 +{line},3 @@"))
}

/// A plan of a kernel of `lab.toml`, whose sources are tarballs of the project.
pub fn plan(worked: &Worked, kernel: &str) -> Plan {
    let config = LabConfig::parse("lab.toml", &lab_toml(worked)).unwrap();
    let target = Target {
        kernel: Some(kernel.to_string()),
        ..Target::default()
    };
    Plan::new(&worked.0.layout, &config, &target, &host()).unwrap()
}

fn lab_toml(worked: &Worked) -> String {
    let project = &worked.0;
    let source = |name: &str, file: &str| {
        let hash = hash_file(&project.path(file)).unwrap();
        format!("[source.{name}]\norigin = [{{ file = \"{file}\", sha256 = \"{hash}\" }}]\n")
    };
    format!(
        "default-kernel = \"mine\"\ndefault-machine = \"m\"\n[toolchain]\nllvm = \"19\"\nbindgen = \"0.72.1\"\n{}{}\
         [kernel.mine]\nsource = \"s\"\nseries = \"mine\"\nconfig = [\"base\"]\n\
         [kernel.later]\nsource = \"t\"\nseries = \"mine/later\"\nconfig = [\"base\"]\n\
         [kernel.newer]\nsource = \"t\"\nseries = \"mine\"\nconfig = [\"base\"]\n\
         [machine.m]\ncpus = 1\nmemory-mib = 512\ncpu = {{ x86_64 = \"max\", arm64 = \"max\" }}\n",
        source("s", "linux.tar"),
        source("t", "later.tar"),
    )
}

/// Such a project, with a git tree in `tree`. Nothing is there of what the project has for its own kernels.
pub fn own() -> Option<Worked> {
    let worked = Worked::new().filter(|_| there(&["perl"]))?;
    let project = &worked.0;
    for gone in ["kernel-patches", "tree", "target"] {
        fs::remove_dir_all(project.path(gone)).unwrap();
    }
    write(&project.path("linux/scripts/checkpatch.pl"), "exit 0;\n");
    pack(&project.path("."), &project.source.tarball);
    write(&project.path("linux/kernel/fork.c"), "zero\none\ntwo\n");
    pack(&project.path("."), &project.path("later.tar"));
    write(&project.path("mine/series"), LISTED);
    write(&project.path("mine/base"), "1.0\n");
    write(&project.path("mine/0002-fork.patch"), FORK);
    write(&project.path("mine/0001-new.patch"), NEW);
    write(&project.path("mine/no-exit.patch"), GONE);
    let tree = project.path("tree");
    patchset::apply_to(&plan(&worked, "mine"), &tree, None, &Silent).unwrap();
    Some(worked)
}

/// Packs the source anew, and makes the tree of it again.
pub fn remake(worked: &Worked) {
    let project = &worked.0;
    pack(&project.path("."), &project.source.tarball);
    let tree = project.path("tree");
    fs::remove_dir_all(&tree).unwrap();
    patchset::apply_to(&plan(worked, "mine"), &tree, None, &Silent).unwrap();
}

#[test]
fn a_series_of_its_own_needs_nothing_of_the_projects() {
    let Some(worked) = own() else { return };
    let (plan, project) = (plan(&worked, "mine"), &worked.0);
    let version = &hash_file(&project.source.tarball).unwrap()[..12];
    assert_eq!(
        project.ask("tree", &["log", "--reverse", "--format=%s"]),
        format!("Linux {version}\nfork: x\nmine: new\nexit: go")
    );
    let report = check::check(&plan, false, &Silent).unwrap().to_string();
    assert!(
        report.starts_with(&format!(
            "3 patches apply to linux.tar ({version}), 0 files laid over it"
        )),
        "{report}"
    );
    let source = source::fetch(&plan, &Silent).unwrap();
    let tree = prepare(&plan, &source, &Silent).unwrap().path;
    assert_eq!(
        fs::read_to_string(tree.join("kernel/fork.c")).unwrap(),
        "one\nmine\ntwo\n"
    );
    assert!(tree.join("drivers/target/mine.c").is_file());
    assert!(!tree.join("kernel/exit.c").exists());
    let export = |cover: Option<&Path>| {
        patchset::export_to(&plan, &project.path("mails"), 1, cover, &Silent)
    };
    let lacking = export(None).unwrap_err().to_string();
    assert!(lacking.contains("mine/cover-letter"), "{lacking}");
    write(&project.path("cover"), "mine\n\nWhy.\n");
    let mails = export(Some(&project.path("cover"))).unwrap();
    assert_eq!(mails.len(), 4);
    assert!(mails[3].ends_with("0003-exit-go.patch"), "{mails:?}");
}

#[test]
fn its_names_and_its_order_stay_as_they_are() {
    let Some(worked) = own() else { return };
    assert_eq!(
        worked.refresh().unwrap(),
        "0 to write, 0 to remove, 4 as they were"
    );
    // What is new has a name like the others, and files come and go by patches.
    worked.edit("drivers/target/mine.c", "mine\nmore\n");
    worked.edit("drivers/target/other.c", "other\n");
    worked.edit("drivers/target/none", "");
    worked.git(&["update-index", "--chmod=+x", "Makefile"]);
    worked.git(&["rm", "-q", ".gitignore"]);
    worked.git(&["commit", "-q", "-m", "mine: more\n\nWhy."]);
    worked.git(&["reset", "-q", "--hard"]);
    let said = worked.refresh().unwrap();
    assert!(said.contains("write mine/0012-more.patch\n"), "{said}");
    assert_eq!(
        worked.text("mine/series"),
        format!("{LISTED}0012-more.patch\n")
    );
    assert_eq!(worked.text("mine/0002-fork.patch"), FORK);
    let again = worked.0.path("again");
    patchset::apply_to(&plan(&worked, "mine"), &again, None, &Silent).unwrap();
    let tree = ["rev-parse", "HEAD^{tree}"];
    assert_eq!(worked.0.ask("again", &tree), worked.0.ask("tree", &tree));
    let plan = plan(&worked, "mine");
    let source = source::fetch(&plan, &Silent).unwrap();
    let lab = prepare(&plan, &source, &Silent).unwrap().path;
    assert_eq!(files(&lab), files(&again));
    worked.git(&["commit", "-q", "--allow-empty", "-m", "mine: nothing"]);
    let said = worked.refresh().unwrap();
    assert!(
        said.contains("note: \"mine: nothing\" changes nothing: it is no patch\n"),
        "{said}"
    );
}

#[test]
fn a_patch_whose_file_has_any_name_goes_with_its_commit() {
    let Some(worked) = own() else { return };
    let project = &worked.0;
    for name in [".0003-y.patch", "target/y.patch"] {
        let second = crate::project::SECOND.replace("exit", "more");
        // [`own`] has changed the first one for a later source.
        write(&project.path("linux/kernel/fork.c"), "one\ntwo\n");
        write(&project.path("linux/kernel/more.c"), "more\n");
        write(&project.path("mine").join(name), &second);
        write(&project.path("mine/series"), &format!("{LISTED}{name}\n"));
        remake(&worked);
        worked.git(&["reset", "-q", "--hard", "HEAD~1"]);
        let said = worked.refresh().unwrap();
        assert!(said.contains(&format!("remove mine/{name}\n")), "{said}");
        assert!(!project.path("mine").join(name).exists());
    }
}

#[test]
fn what_a_patch_cannot_name_or_carry_is_refused() {
    let Some(worked) = own() else { return };
    for name in ["a\"b.c", "a\\b.c", "a\tb.c", "a\nb.c"] {
        worked.edit(&format!("kernel/{name}"), "x\n");
        worked.git(&["commit", "-q", "-m", "mine: odd"]);
        let found = worked.refused();
        assert!(
            found.contains("has letters that names in a patch do not have"),
            "{found}"
        );
        worked.git(&["reset", "-q", "--hard", "HEAD~1"]);
    }
    worked.edit("kernel/a b", "");
    worked.git(&["commit", "-q", "-m", "mine: empty"]);
    let found = worked.refused();
    assert!(
        found.contains("`patch` would not find that name"),
        "{found}"
    );
    worked.git(&["reset", "-q", "--hard", "HEAD~1"]);
    // Signs that mean something to git where it looks for names.
    worked.edit(":(top)odd*.c", "x\n");
    worked.git(&["commit", "-q", "-m", "mine: odd"]);
    let said = worked.refresh().unwrap();
    assert!(said.contains("write mine/0012-odd.patch\n"), "{said}");
}

#[test]
fn a_link_that_leads_elsewhere_is_refused() {
    let Some(worked) = own() else { return };
    let project = &worked.0;
    let link = |tree: &str, to: &str| {
        let place = project.path(tree).join("kernel/link.c");
        let _ = fs::remove_file(&place);
        std::os::unix::fs::symlink(to, place).unwrap();
    };
    // [`own`] has changed it for a later source.
    write(&project.path("linux/kernel/fork.c"), "one\ntwo\n");
    link("linux", "fork.c");
    remake(&worked);
    link("tree", "x.mod");
    worked.git(&["commit", "-q", "-a", "-m", "mine: turn"]);
    let found = worked.refused();
    assert!(
        found.contains("it makes, changes or removes a link"),
        "{found}"
    );
}

#[test]
fn a_tree_without_any_of_its_commits_takes_nothing_away() {
    let Some(worked) = own() else { return };
    let first = worked
        .0
        .ask("tree", &["rev-list", "--max-parents=0", "HEAD"]);
    worked.git(&["reset", "-q", "--hard", first.trim()]);
    let found = worked.refused();
    assert!(
        found.contains("nothing of the series or the overlay is here"),
        "{found}"
    );
}

#[test]
fn it_is_carried_to_another_source_under_its_names() {
    let Some(worked) = own() else { return };
    let (from, onto) = (plan(&worked, "mine"), plan(&worked, "later"));
    let next = worked.0.path("next");
    let gone = patchset::rebase_to(&from, &onto, &next, &Silent).unwrap();
    assert!(gone.is_empty(), "{gone:?}");
    let changes = refresh::compare(&worked.0.layout, &next).unwrap();
    refresh::write(&worked.0.layout, &next, &changes).unwrap();
    assert_eq!(
        worked.text("mine/later/series"),
        "0002-fork.patch\n0001-new.patch\nno-exit.patch\n"
    );
    let report = check::check(&onto, false, &Silent).unwrap().to_string();
    assert!(
        report.starts_with("3 patches apply to later.tar"),
        "{report}"
    );
}

#[test]
fn a_source_that_is_not_what_it_should_be_is_named() {
    let Some(worked) = own() else { return };
    let tarball = worked.0.path("linux.tar");
    let whole = fs::read(&tarball).unwrap();
    let at_first = plan(&worked, "mine");
    fs::write(&tarball, &whole[..700]).unwrap();
    let found = source::fetch(&at_first, &Silent).unwrap_err().to_string();
    let checking = format!("checking {}: sha256 is ", tarball.display());
    assert!(found.starts_with(&checking), "{found}");
    for part in ["lab.toml says ", "hint: it is damaged, cut short"] {
        assert!(found.contains(part), "{found}");
    }
    // As lab.toml says, and cut all the same.
    let cut = plan(&worked, "mine");
    let fetched = source::fetch(&cut, &Silent).unwrap();
    let found = prepare(&cut, &fetched, &Silent).unwrap_err().to_string();
    let unpacking = format!("unpacking {}: ", tarball.display());
    assert!(found.starts_with(&unpacking), "{found}");
    fs::write(&tarball, &whole).unwrap();
    let fetched = source::fetch(&at_first, &Silent).unwrap();
    prepare(&at_first, &fetched, &Silent).unwrap();
}

#[test]
fn a_series_is_not_rewritten_for_the_source_of_another_kernel() {
    let Some(worked) = own() else { return };
    let project = &worked.0;
    // Two kernels have it, of sources that differ.
    for (tarball, sublevel, fork) in [
        ("linux.tar", 7, "zero\none\ntwo\n"),
        ("later.tar", 8, "new\nzero\none\ntwo\n"),
    ] {
        let makefile = format!("VERSION = 1\nPATCHLEVEL = 0\nSUBLEVEL = {sublevel}\n");
        write(&project.path("linux/Makefile"), &makefile);
        write(&project.path("linux/kernel/fork.c"), fork);
        pack(&project.path("."), &project.path(tarball));
    }
    write(&project.path("mine/base"), "1.0.7\n");
    write(&project.path("mine/0002-fork.patch"), &fork_at(2));
    let (mine, newer) = (plan(&worked, "mine"), plan(&worked, "newer"));
    let made = |plan: &Plan, name: &str| {
        let to = project.path(name);
        patchset::apply_to(plan, &to, None, &Silent).unwrap();
        to
    };
    let other = made(&newer, "other");
    let refused = || {
        refresh::compare(&project.layout, &other)
            .unwrap_err()
            .to_string()
    };
    // No kernel is known to have the source that it was made for: that may have been updated.
    refresh::compare(&project.layout, &other).unwrap();
    // One has it, once it has been fetched.
    let own = made(&mine, "own");
    let changes = refresh::compare(&project.layout, &own).unwrap().to_string();
    assert!(changes.starts_with("0 to write, 0 to remove"), "{changes}");
    write(&project.path("lab.toml"), &lab_toml(&worked));
    let said = refused();
    for part in [
        "the tree is of 1.0.8, and mine/base says that the series was made for 1.0.7\n",
        "patchset apply --kernel mine --to",
    ] {
        assert!(said.contains(part), "{said}");
    }
    // Nor is it carried over where the one that it was made for would lose it.
    let to = project.path("carried");
    let said = patchset::rebase_to(&mine, &newer, &to, &Silent)
        .unwrap_err()
        .to_string();
    for part in [
        "mine is the series of kernel \"mine\" too, whose source is the 1.0.7 that it was made for: it would become one for 1.0.8\n",
        "patchset rebase --from mine --onto newer",
    ] {
        assert!(said.contains(part), "{said}");
    }
    assert!(!to.exists());
    patchset::rebase_to(&mine, &plan(&worked, "later"), &to, &Silent).unwrap();
    refresh::compare(&project.layout, &to).unwrap();
    // A source that has moved on takes its series along.
    write(&project.path("mine/base"), "1.0.6\n");
    let moved = project.path("moved");
    patchset::rebase_to(&newer, &newer, &moved, &Silent).unwrap();
    let changes = refresh::compare(&project.layout, &moved).unwrap();
    refresh::write(&project.layout, &moved, &changes).unwrap();
    assert_eq!(worked.text("mine/base"), "1.0.8\n");
    refresh::compare(&project.layout, &other).unwrap();
}

#[test]
fn the_makefile_of_a_tarball_says_which_version_it_is() {
    let Some(worked) = own() else { return };
    let project = &worked.0;
    let makefile = "VERSION = 1\nPATCHLEVEL = 0\nSUBLEVEL = 7\nEXTRAVERSION =\n";
    write(&project.path("linux/Makefile"), makefile);
    write(&project.path("mine/0002-fork.patch"), &fork_at(3));
    pack(&project.path("."), &project.source.tarball);
    let plan = plan(&worked, "mine");
    assert_eq!(source::fetch(&plan, &Silent).unwrap().version, "1.0.7");
    let to = project.path("numbered");
    patchset::apply_to(&plan, &to, None, &Silent).unwrap();
    let first = project.ask("numbered", &["log", "--reverse", "--format=%s"]);
    assert!(first.starts_with("Linux 1.0.7\n"), "{first}");
    // What lies elsewhere is said of another version, and an error in the series' own.
    let offset = "0002-fork.patch: Hunk #1 succeeded at 2 (offset -1 lines).";
    let report = check::check(&plan, false, &Silent).unwrap().to_string();
    let elsewhere = format!("made for 1.0, so these lie elsewhere:\n  {offset}");
    assert!(report.contains(&elsewhere), "{report}");
    write(&project.path("mine/base"), "1.0.7\n");
    let refused = check::check(&plan, false, &Silent).unwrap_err().to_string();
    assert!(refused.contains(offset), "{refused}");
}
