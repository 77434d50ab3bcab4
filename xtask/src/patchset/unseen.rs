// SPDX-License-Identifier: GPL-2.0-only

//! New files of a tree that git does not see. Debian's source has a `.gitignore` that ends by ignoring
//! everything: what is new in a tree of it is neither told as dirty nor taken by `git add --all`.

use std::collections::BTreeSet;
use std::path::Path;

use crate::error::{Error, Result};
use crate::patchset::commit::Source;
use crate::patchset::git::git;

const DOING: &str = "looking for files that git ignores";

/// Refuses a tree that has a new source file, ignored by git, beside what its commits change: in a folder with
/// such a file, or anywhere below one that the source does not have. Products of builds are none.
pub fn refuse(doing: &str, dir: &Path, source: &Source) -> Result<()> {
    let range = format!("{}..HEAD", source.commit);
    let changed = git(DOING, dir, ["diff", "--name-only", "-z", &range]).read()?;
    // The list ends in a NUL too: what stands behind that is no name.
    let changed = changed.split('\0').filter(|path| !path.is_empty());
    let folders: BTreeSet<&str> = changed.map(parent).collect();
    let list = git(
        DOING,
        dir,
        ["ls-tree", "-r", "-d", "-z", "--name-only", &source.commit],
    )
    .read()?;
    let before: BTreeSet<&str> = list.split('\0').collect();
    let is_new = |folder: &str| !folder.is_empty() && !before.contains(folder);
    let others = git(DOING, dir, ["ls-files", "--others", "-z"]).read()?;
    let is_beside = |path: &&str| {
        let mut above = Path::new(path).ancestors().skip(1).filter_map(Path::to_str);
        folders.contains(parent(path))
            || above.any(|folder| is_new(folder) && folders.contains(folder))
    };
    let unseen: Vec<&str> = others
        .split('\0')
        .filter(|path| is_source(path))
        .filter(is_beside)
        .take(3)
        .collect();
    if unseen.is_empty() {
        return Ok(());
    }
    let why = format!("not committed, and ignored by git: {}", unseen.join("; "));
    Err(Error::usage(doing, why)
        .hint("git add --force, and git commit; or remove what is not wanted"))
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Whether a file is one that people write.
fn is_source(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let written = [
        ".c", ".h", ".rs", ".S", ".lds", ".dts", ".dtsi", ".dtso", ".rst", ".tbl", ".y", ".l",
        ".asn1", ".sh", ".py", ".pl", ".awk", "_shipped",
    ];
    let named = ["Kconfig", "Makefile", "Kbuild"];
    let is_product = name.ends_with(".mod.c");
    !is_product
        && (written.iter().any(|end| name.ends_with(end))
            || named.iter().any(|start| name.starts_with(start)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_told_from_products() {
        for path in [
            "kernel/checkpoint/new.rs",
            "mm/foo.c",
            "kernel/Kconfig.mine",
            "Makefile",
            "a/b.S",
        ] {
            assert!(is_source(path), "{path}");
        }
        for path in [
            "mm/foo.o",
            "mm/.foo.o.cmd",
            "net/x.mod.c",
            "vmlinux",
            "kernel/modules.order",
            "",
        ] {
            assert!(!is_source(path), "{path}");
        }
    }
}
