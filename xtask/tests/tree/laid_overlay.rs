// SPDX-License-Identifier: GPL-2.0-only

//! The overlay in the patched tree: which of its files are laid in, and what none may overwrite.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use xtask::error::Kind;
use xtask::event::Silent;
use xtask::kernel::tree::{overlay_files, State};

use crate::lab_tree::sync_own;
use crate::project::{pack, write, Project};

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

/// What a patch has created that is gone is nobody's, though it lies in the tree until that is built again.
#[test]
fn a_file_that_a_patch_has_created_can_become_the_overlays() {
    let Some(project) = Project::new() else {
        return;
    };
    let creates = |path: &str| format!("--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n+mine\n");
    let created = ["rust/kernel/new.rs", "rust/kernel/zz/a.rs"];
    sync_own(&project, &[("a.patch", &created.map(creates).concat())]).unwrap();
    let at = |name: &str| project.path("rust-syscall/abstractions").join(name);
    write(&at("new.rs"), "mine\n");
    write(&at("zz"), "mine\n");
    let state = State::open(
        &project.layout,
        &project.source.name,
        &project.source,
        &Silent,
    );
    let files = overlay_files(&project.layout, "1.0").unwrap();
    let overwritten = |created: BTreeSet<String>| {
        state
            .as_ref()
            .unwrap()
            .overwritten(&files, &created)
            .unwrap()
    };
    assert_eq!(overwritten(BTreeSet::new()), Vec::<String>::new());
    let clashes = overwritten(created.map(str::to_string).into());
    let clash = |name: &str, path: &str| {
        let from = at(name);
        format!(
            "{} would overwrite {path} which a patch creates",
            from.display()
        )
    };
    assert_eq!(
        clashes,
        [clash("new.rs", created[0]), clash("zz", created[1])]
    );
}

#[test]
fn an_overlay_file_may_become_a_folder_and_one_again() {
    let Some(project) = Project::new() else {
        return;
    };
    let at = |name: &str| project.path("rust-syscall/abstractions").join(name);
    for (there, other) in [("zz", "zz/a.rs"), ("zz/a.rs", "zz"), ("zz", "zz/a.rs")] {
        let _ = fs::remove_dir_all(at("zz"));
        let _ = fs::remove_file(at("zz"));
        write(&at(there), there);
        project.sync().unwrap();
        let laid = project.tree("rust/kernel");
        assert_eq!(fs::read_to_string(laid.join(there)).unwrap(), there);
        assert!(!laid.join(other).is_file());
    }
    // Of the source it is neither.
    write(&project.path("linux/rust/kernel/yy"), "theirs");
    pack(&project.path(""), &project.source.tarball);
    fs::remove_dir_all(project.path("target")).unwrap();
    write(&at("yy/a.rs"), "mine");
    let error = project.sync().unwrap_err().to_string();
    assert!(
        error.contains("would overwrite rust/kernel/yy of the kernel's source"),
        "{error}"
    );
}

#[test]
fn what_is_no_file_of_the_overlay_is_left_out_or_refused() {
    let Some(project) = Project::new() else {
        return;
    };
    let src = project.path("rust-syscall/src");
    let leftovers = [
        "cr_main.rs~",
        "#cr_main.rs#",
        ".cr_main.rs.swp",
        "x.rs.orig",
        "x.rs.rej",
        "x.o",
    ];
    for name in leftovers {
        write(&src.join(name), "left");
    }
    project.sync().unwrap();
    for name in leftovers {
        assert!(
            !project.tree("kernel/checkpoint").join(name).exists(),
            "{name}"
        );
    }
    let refused = |words: &str| {
        let error = project.sync().unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(error.kind(), Kind::Usage);
    };
    let link = src.join("link.rs");
    std::os::unix::fs::symlink("cr_main.rs", &link).unwrap();
    refused("link.rs is not what the overlay has there");
    fs::remove_file(link).unwrap();
    let odd = src.join(OsStr::from_bytes(b"\xe9"));
    fs::create_dir(&odd).unwrap();
    refused("has a name that is not UTF-8");
    fs::remove_dir(odd).unwrap();
    // The places themselves are no links either, wherever those lead.
    let kconfig = project.path("rust-syscall/Kconfig");
    for target in ["src/cr_main.rs", "nowhere"] {
        fs::remove_file(&kconfig).unwrap();
        std::os::unix::fs::symlink(target, &kconfig).unwrap();
        refused("Kconfig is not what the overlay has there");
    }
}
