// SPDX-License-Identifier: GPL-2.0-only

//! Git trees and mails of the series: whole, and the same each time.

use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;

use xtask::event::Event;

use crate::project::{pack, write, Project, Worked, DIVISION, PATCH, SECOND};

#[test]
fn a_git_tree_has_a_commit_each_and_the_same_hashes_each_time() {
    let Some(project) = Project::with_git() else {
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
    fs::remove_dir_all(project.layout.lab()).unwrap();
    project.ask("one", &["fsck", "--strict"]);
    let lab = project.layout.lab().display().to_string();
    for entry in walkdir::WalkDir::new(project.path("one/.git")) {
        let entry = entry.unwrap();
        if entry.file_type().is_file() {
            let text = String::from_utf8_lossy(&fs::read(entry.path()).unwrap()).into_owned();
            assert!(!text.contains(&lab), "{}", entry.path().display());
        }
    }
}

#[test]
fn a_source_is_packed_once_and_anew_when_it_is_another() {
    let Some(mut project) = Project::with_git() else {
        return;
    };
    write(&project.path("kernel-patches/overlay.toml"), DIVISION);
    project.git("one", None).unwrap();
    let tree_of_source = |project: &Project, tree: &str| {
        let first = project.ask(tree, &["rev-list", "--max-parents=0", "HEAD"]);
        project.ask(tree, &["show", "-s", "--format=%s %T", &first])
    };
    // What is packed is not looked for in the tarball again; what it is called is not packed with it.
    let away = project.path("away.tar");
    fs::rename(&project.source.tarball, &away).unwrap();
    let tarball = std::mem::replace(&mut project.source.tarball, away);
    project.source.tarball = project.path("gone.tar");
    project.source.version = "1.1".into();
    project.git("two", None).unwrap();
    let (one, two) = (
        tree_of_source(&project, "one"),
        tree_of_source(&project, "two"),
    );
    assert_eq!(one.replace("1.0", "1.1"), two);
    // Commits in a tree that was made from it, of contents that it has, are not its end.
    write(&project.path("two/kernel/fork.c"), "edited\n");
    project.ask("two", &["commit", "-qam", "an edit"]);
    project.ask("two", &["revert", "--no-edit", "HEAD"]);
    project.git("after", None).unwrap();
    assert_eq!(tree_of_source(&project, "after"), two);
    // Another source under the same name.
    write(&project.path("linux/more"), "more\n");
    pack(&project.path("."), &tarball);
    project.source.tarball = tarball;
    project.source.sha256 = "another".into();
    project.git("three", None).unwrap();
    let three = tree_of_source(&project, "three");
    assert_ne!(three, two);
    // One that is damaged, or not whole, is packed again.
    let packs = project.layout.packed("1.0");
    let files = fs::read_dir(&packs)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let is_pack = |path: &PathBuf| path.extension().is_some_and(|end| end == "pack");
    let pack = { files }.find(is_pack).unwrap();
    fs::remove_file(&pack).unwrap();
    fs::write(&pack, "damaged").unwrap();
    project.git("after damage", None).unwrap();
    assert_eq!(tree_of_source(&project, "after damage"), three);
    fs::remove_dir_all(&packs).unwrap();
    project.git("four", None).unwrap();
    assert_eq!(tree_of_source(&project, "four"), three);
}

#[test]
fn a_git_tree_can_be_on_another_file_system() {
    let Some(project) = Project::with_git() else {
        return;
    };
    use std::os::unix::fs::MetadataExt;
    let device = |path: &std::path::Path| fs::metadata(path).ok().map(|meta| meta.dev());
    let elsewhere = std::path::Path::new("/dev/shm");
    let there = device(elsewhere).filter(|there| Some(*there) != device(project.layout.root()));
    let Some(other) = there.and_then(|_| tempfile::tempdir_in(elsewhere).ok()) else {
        return;
    };
    write(&project.path("kernel-patches/overlay.toml"), DIVISION);
    let here = project.git("here", None).unwrap();
    let to = other.path().join("tree").display().to_string();
    assert_eq!(project.git(&to, None).unwrap(), here);
}

#[test]
fn hunks_are_headed_as_in_a_tree_with_all_files() {
    let Some(project) = Project::with_git() else {
        return;
    };
    write(&project.path("kernel-patches/overlay.toml"), DIVISION);
    write(&project.path("cover"), "x\n\nWhy.\n");
    write(&project.path("linux/.gitattributes"), "*.c diff=cpp\n");
    write(
        &project.path("linux/kernel/exit.c"),
        "int leave(void)\n{\nout:\n\ta;\n\tb;\n\tc;\n\td;\n}\n",
    );
    pack(&project.path("."), &project.source.tarball);
    let patch = "From: B <b@b.invalid>\nSubject: y\n\nWhy.\n---\n\
                 --- a/kernel/exit.c\n+++ b/kernel/exit.c\n@@ -5,4 +5,5 @@\n \tb;\n \tc;\n \td;\n+\te;\n }\n";
    write(&project.path("kernel-patches/100-fork.patch"), patch);
    let mails = project.export("mails", 1).unwrap();
    let mail = fs::read_to_string(mails.last().unwrap()).unwrap();
    assert!(
        mail.contains("@@ -5,4 +5,5 @@ int leave(void)\n"),
        "a label is no function: {mail}"
    );
    // A patch can change what heads the hunks of those behind it.
    let plain = "From: B <b@b.invalid>\nSubject: z\n\nWhy.\n---\n\
                 --- a/.gitattributes\n+++ b/.gitattributes\n@@ -1 +1 @@\n-*.c diff=cpp\n+*.h diff=cpp\n";
    write(&project.path("kernel-patches/050-plain.patch"), plain);
    write(
        &project.path("kernel-patches/series"),
        "050-plain.patch\n100-fork.patch\n",
    );
    let mails = project.export("plain", 1).unwrap();
    let mail = fs::read_to_string(mails.last().unwrap()).unwrap();
    assert!(mail.contains("@@ -5,4 +5,5 @@ out:\n"), "{mail}");
    // And what a commit said when the tree was made is what it says later.
    project.git("tree", None).unwrap();
    let worked = Worked(project);
    worked.refresh().unwrap();
    assert_eq!(worked.text("kernel-patches/100-fork.patch"), patch);
}

#[test]
fn the_overlay_does_not_get_over_the_source_in_a_git_tree() {
    let Some(project) = Project::with_git() else {
        return;
    };
    write(&project.path("kernel-patches/overlay.toml"), DIVISION);
    write(&project.path("linux/rust/kernel/mm.rs"), "theirs");
    pack(&project.path("."), &project.source.tarball);
    let said = project.git("one", None).unwrap_err().to_string();
    assert!(
        said.contains("rust/kernel/mm.rs is in the source already"),
        "{said}"
    );
    // Nor into a folder that is a file there.
    let mut project = Project::new().unwrap();
    write(&project.path("kernel-patches/overlay.toml"), DIVISION);
    write(&project.path("linux/rust/kernel"), "theirs");
    pack(&project.path("."), &project.source.tarball);
    project.source.sha256 = "another".into();
    let said = project.git("one", None).unwrap_err().to_string();
    assert!(
        said.contains("rust/kernel is in the source already"),
        "{said}"
    );
    assert!(!project.path("one").exists());
}

#[test]
fn a_source_may_have_any_names() {
    let Some(project) = Project::with_git() else {
        return;
    };
    write(&project.path("kernel-patches/overlay.toml"), DIVISION);
    let odd = "a \"b\"\t\u{e9}/.gitattributes";
    write(&project.path("linux").join(odd), "* text\n");
    pack(&project.path("."), &project.source.tarball);
    project.git("tree", None).unwrap();
    assert_eq!(
        fs::read_to_string(project.path("tree").join(odd)).unwrap(),
        "* text\n"
    );
    assert_eq!(project.ask("tree", &["status", "--porcelain"]), "");
}

#[test]
fn a_git_tree_is_made_whole_or_not_at_all() {
    let Some(project) = Project::with_git() else {
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
    insta::assert_snapshot!(stale, @r"
    applying 100-fork.patch to linux 1.0: patching file kernel/fork.c
    Hunk #1 FAILED at 1.
    1 out of 1 hunk FAILED
    kernel/fork.c: the hunk for line 1
            |  other
            | +restart
            |  two
    kernel/fork.c: what is there
          1 | one
          2 | two
      hint: the series was made for 1.0; `cargo xtask patchset rebase --onto KERNEL --to DIR` puts in what fits and stops where something does not
    ");
    assert!(!project.path("new").exists());
    assert_eq!(
        fs::read_to_string(project.path("full/mine")).unwrap(),
        "precious"
    );
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
    write(&project.path("full/mine"), "precious");
    let full = project.export("full", 1).unwrap_err().to_string();
    assert!(full.starts_with("exporting the series in "), "{full}");
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
fn a_tree_can_be_named_by_a_link() {
    let Some(project) = Project::with_git() else {
        return;
    };
    write(&project.path("kernel-patches/overlay.toml"), DIVISION);
    std::os::unix::fs::symlink("elsewhere", project.path("link")).unwrap();
    let nothing = project.git("link", None).unwrap_err().to_string();
    assert!(nothing.contains("following the link"), "{nothing}");
    fs::create_dir(project.path("elsewhere")).unwrap();
    let head = project.git("link", None).unwrap();
    assert_eq!(project.ask("elsewhere", &["rev-parse", "HEAD"]), head);
    assert!(project.path("link").is_symlink());
}

#[test]
fn what_is_not_plain_is_told_with_the_mails() {
    let Some(project) = Project::with_git() else {
        return;
    };
    write(&project.path("kernel-patches/overlay.toml"), DIVISION);
    write(&project.path("cover"), "f\u{fc}r alle\n\nGr\u{fc}nde.\n");
    let export = |to: &str| {
        let notes = Mutex::new(Vec::new());
        let sink = |event: Event| {
            if let Event::Note(note) = event {
                notes.lock().unwrap().push(note);
            }
        };
        let mails = project.export_telling(to, 1, &sink).unwrap();
        (mails, notes.into_inner().unwrap())
    };
    let (mails, told) = export("plain");
    assert_eq!(told, Vec::<String>::new());
    let letter = fs::read_to_string(&mails[0]).unwrap();
    for part in [
        "\nSubject: [PATCH 0/3] =?UTF-8?q?f=C3=BCr=20alle?=\n",
        "\nContent-Type: text/plain; charset=UTF-8\n",
        "\n\nGr\u{fc}nde.\n",
    ] {
        assert!(letter.contains(part), "{part}: {letter}");
    }
    let (file, text) = ("abstractions/mm.rs", "one\r\ntwo\r\n");
    write(&project.path("rust-syscall").join(file), text);
    let tagged = PATCH.replace("Subject: x", "Subject: [media] x");
    write(&project.path("kernel-patches/100-fork.patch"), &tagged);
    let (mails, told) = export("mails");
    let tag = "subjects that begin with a tag: 0003-media-x.patch want git am --keep-non-patch";
    let note = "lines that end in CR LF: 0001-rust-mm.patch want git am --keep-cr";
    assert_eq!(told, [note, tag]);
    // What the notes say is so.
    project.ask("linux", &["init", "-q"]);
    let user = ["-c", "user.name=C", "-c", "user.email=c@c.invalid"];
    let git = |args: &[&str]| project.ask("linux", &[&user[..], args].concat());
    git(&["add", "--all", "--force"]);
    git(&["commit", "-q", "-m", "source"]);
    git(&["am", "-q", "--keep-cr", mails[1].to_str().unwrap()]);
    let made = fs::read_to_string(project.path("linux/rust/kernel/mm.rs"));
    assert_eq!(made.unwrap(), text);
    git(&["am", "-q", "--keep-non-patch", mails[3].to_str().unwrap()]);
    assert_eq!(git(&["log", "-1", "--format=%s"]), "[media] x");
}

#[test]
fn a_patch_of_a_file_of_the_overlay_makes_no_tree() {
    let Some(project) = Project::with_git() else {
        return;
    };
    write(&project.path("kernel-patches/overlay.toml"), DIVISION);
    let patch = PATCH.replace("kernel/fork.c", "rust/kernel/mm.rs");
    write(&project.path("kernel-patches/100-fork.patch"), &patch);
    let said = project.git("tree", None).unwrap_err().to_string();
    let whose = "100-fork.patch: it changes rust/kernel/mm.rs, which is the overlay's rust-syscall/abstractions/mm.rs";
    assert!(said.contains(whose), "{said}");
    // Also one that the source has there.
    let patch = PATCH.replace("kernel/fork.c", "kernel/checkpoint/old.c");
    write(&project.path("kernel-patches/100-fork.patch"), &patch);
    let said = project.git("tree", None).unwrap_err().to_string();
    let whose = "it changes kernel/checkpoint/old.c, which lies in the overlay's folder";
    assert!(said.contains(whose), "{said}");
}

#[test]
fn a_patch_that_no_refresh_could_bring_back_makes_no_tree() {
    let Some(project) = Project::with_git() else {
        return;
    };
    write(&project.path("kernel-patches/overlay.toml"), DIVISION);
    let header = PATCH.split("--- a/").next().unwrap();
    let turn = "diff --git a/kernel/exit.c b/kernel/exit.c\nold mode 100644\nnew mode 100755\n";
    write(
        &project.path("kernel-patches/100-fork.patch"),
        &format!("{header}{turn}"),
    );
    let said = project.git("tree", None).unwrap_err().to_string();
    let whose =
        "making a git tree: 100-fork.patch: it changes no line of kernel/exit.c, but its mode";
    assert!(said.contains(whose), "{said}");
    assert!(!project.path("tree").exists());
    // One behind those that are wanted is no matter.
    write(&project.path("kernel-patches/050-fork.patch"), PATCH);
    write(
        &project.path("kernel-patches/series"),
        "050-fork.patch\n100-fork.patch\n",
    );
    project.git("tree", Some("050")).unwrap();
}
