// SPDX-License-Identifier: GPL-2.0-only

//! A new patch, begun: an empty commit on top of a git tree of the series, with what the header of a
//! patch must have. Its change and its reason are the user's, by `git commit --amend`.

use std::path::Path;

use crate::error::{Error, Result};
use crate::exec::tool;
use crate::layout::resolve;
use crate::patchset::commit::{refuse_detached, refuse_unfinished};
use crate::patchset::git::git;
use crate::patchset::header::identity;
use crate::patchset::origin::Origin;

const DOING: &str = "beginning a patch";
/// What a patch says until it is sent.
const MAINLINE: &str = "Patch-mainline: not yet, out of tree";
/// The longest subject that git's tools show whole.
const SUBJECT: usize = 75;

/// Commits the beginning of a patch with this subject ("mm: count pages") in the tree in `dir`.
pub fn begin(dir: &Path, subject: &str) -> Result<()> {
    let dir = resolve(dir)?;
    let doing = format!("{DOING} in {}", dir.display());
    Origin::of(&doing, &dir)?;
    refuse_unfinished(&doing, &dir)?;
    refuse_detached(&doing, &dir)?;
    let subject = checked(subject)?;
    let (name, address) = author(&dir)?;
    git(
        DOING,
        &dir,
        ["commit", "-q", "--allow-empty", "--no-verify", "-m"],
    )
    .arg(format!(
        "{subject}\n\n{MAINLINE}\nSigned-off-by: {name} <{address}>\n"
    ))
    .env("GIT_AUTHOR_NAME", &name)
    .env("GIT_AUTHOR_EMAIL", &address)
    .env("GIT_COMMITTER_NAME", &name)
    .env("GIT_COMMITTER_EMAIL", &address)
    .read()
    .map(drop)
}

/// A subject as the kernel wants it: the subsystem, a colon, what is done.
fn checked(subject: &str) -> Result<&str> {
    let subject = subject.trim();
    let wrong = |why: String| {
        Err(Error::usage(format!("{DOING}, \"{subject}\""), why)
            .hint("the subsystem, a colon, what it does: \"mm: let mremap be called\""))
    };
    let named = subject
        .split_once(": ")
        .is_some_and(|(prefix, rest)| !prefix.trim().is_empty() && !rest.trim().is_empty());
    match subject {
        _ if subject.contains('\n') => wrong("its subject has several lines".to_string()),
        _ if subject.chars().count() > SUBJECT => wrong(format!(
            "its subject has {} characters, at most {SUBJECT} are shown",
            subject.chars().count()
        )),
        _ if !named => wrong("its subject does not name the subsystem".to_string()),
        _ => Ok(subject),
    }
}

/// Name and address of the user, as their own git has them.
fn author(dir: &Path) -> Result<(String, String)> {
    let said = tool(DOING, "git")
        .args(["var", "GIT_AUTHOR_IDENT"])
        .dir(dir)
        .read()
        .map_err(|err| {
            Error::usage(DOING, err.found().to_string()).hint(
                "git config --global user.name \"Your Name\"; git config --global user.email you@example.com",
            )
        })?;
    // A time and its zone come behind.
    let who = said.split_inclusive('>').next().and_then(identity);
    let who = who.map(|(name, address)| (name.to_string(), address.to_string()));
    who.ok_or_else(|| {
        Error::lab(
            DOING,
            format!("git says that the author is {}", said.trim()),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_names_its_subsystem_in_one_short_line() {
        assert_eq!(checked(" mm: count pages\n").unwrap(), "mm: count pages");
        for wrong in [
            "",
            "count pages",
            "mm:",
            ": x",
            "mm: a\nb",
            &"mm: x".repeat(20),
        ] {
            assert!(checked(wrong).is_err(), "{wrong:?}");
        }
    }
}
