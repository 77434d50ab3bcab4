// SPDX-License-Identifier: GPL-2.0-only

//! The series as mails, for `git am` and `git send-email`: a cover letter, the
//! overlay's commits, the patches. The same inputs give the same mails.

use std::path::{Path, PathBuf};

use crate::error::{AtPath, Error, Result};
use crate::event::Sink;
use crate::layout::{create_dir, read_text, write_whole};
use crate::patchset::commit;
use crate::patchset::git::{self, git, Contents};

const DOING: &str = "exporting the series";
/// What `git format-patch` leaves to be filled in.
const SUBJECT: &str = "*** SUBJECT HERE ***";
const BLURB: &str = "*** BLURB HERE ***";

/// What introduces the series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cover {
    subject: String,
    text: String,
}

impl Cover {
    /// Reads a file: the subject, an empty line, the text.
    pub fn read(path: &Path) -> Result<Cover> {
        let all = read_text(path)?;
        let (subject, text) = all.split_once('\n').unwrap_or((&all, ""));
        if subject.trim().is_empty() || !text.starts_with('\n') || text.trim().is_empty() {
            return Err(Error::usage(
                format!("reading the cover letter {}", path.display()),
                "expected a subject, an empty line, and the text",
            ));
        }
        Ok(Cover {
            subject: subject.trim().to_string(),
            text: text.trim().to_string(),
        })
    }

    /// Whether it tells what has changed since the version before this one.
    fn tells_changes(&self, version: u32) -> bool {
        let heading = format!("changes since v{}", version.saturating_sub(1));
        let is_heading = |line: &str| {
            let rest = line.to_lowercase();
            rest.strip_prefix(&heading)
                .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        version < 2 || self.text.lines().any(is_heading)
    }
}

/// Writes the mails into `out`, which must not exist or be empty; gives their paths.
pub fn export(
    contents: &Contents<'_>,
    cover: &Cover,
    version: u32,
    out: &Path,
    scratch: &Path,
    sink: &dyn Sink,
) -> Result<Vec<PathBuf>> {
    if !cover.tells_changes(version) {
        let before = version - 1;
        return Err(Error::usage(
            format!("{DOING}, version {version}"),
            format!("the cover letter does not say what has changed since v{before}"),
        )
        .hint(format!("add a paragraph \"Changes since v{before}:\"")));
    }
    git::refuse_full(out)?;
    let tree = scratch.join("tree");
    git::apply_without_files(contents, &tree, sink)?;
    let source = commit::source_of(&tree)?;
    let out = std::path::absolute(out).at("looking for", out)?;
    create_dir(&out)?;
    // The letter has no commit that it could take its date from: it is that of the last one.
    let (name, address) = git::LAB;
    let date = git(
        DOING,
        &tree,
        ["show", "-s", "--format=%cd", "--date=raw", "HEAD"],
    )
    .read()?;
    let format = git(
        DOING,
        &tree,
        [
            "format-patch",
            "--quiet",
            "--no-signature",
            "--cover-letter",
        ],
    )
    .args(["--no-renames", "--stat=72", "--abbrev=12"])
    .arg("--output-directory")
    .arg(&out)
    .arg(format!("{source}..HEAD"))
    .env("GIT_COMMITTER_NAME", name)
    .env("GIT_COMMITTER_EMAIL", address)
    .env("GIT_COMMITTER_DATE", date.trim());
    // The first version is not called one.
    let count = (version > 1).then(|| format!("--reroll-count={version}"));
    format.args(count).read()?;
    let mut mails = Vec::new();
    for entry in std::fs::read_dir(&out).at("listing", &out)? {
        mails.push(entry.at("listing", &out)?.path());
    }
    mails.sort();
    let letter = mails
        .first()
        .ok_or_else(|| Error::lab(DOING, "git wrote no mail"))?;
    let text = read_text(letter)?;
    if !text.contains(SUBJECT) || !text.contains(BLURB) {
        return Err(Error::lab(
            DOING,
            format!("{} is no cover letter to be filled in", letter.display()),
        ));
    }
    let text = text
        .replacen(SUBJECT, &cover.subject, 1)
        .replacen(BLURB, &cover.text, 1);
    write_whole(letter, text.as_bytes())?;
    Ok(mails)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_version_says_what_has_changed() {
        let cover = |text: &str| Cover {
            subject: "x".into(),
            text: text.into(),
        };
        assert!(cover("anything").tells_changes(1));
        assert!(!cover("anything").tells_changes(2));
        assert!(cover("Why.\n\nChanges since v1:\n- all").tells_changes(2));
        assert!(!cover("Changes since v1:\n- all").tells_changes(3));
        assert!(!cover("Changes since v12").tells_changes(2));
        assert!(!cover("Works with cgroup v1.").tells_changes(2));
    }

    #[test]
    fn a_letter_has_a_subject_and_a_text() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cover");
        for wrong in ["", "subject\n", "subject\ntext\n", "\n\ntext\n"] {
            std::fs::write(&path, wrong).unwrap();
            assert!(Cover::read(&path).is_err(), "{wrong:?}");
        }
        std::fs::write(&path, "subject\n\ntext\n\nmore\n").unwrap();
        let text = "text\n\nmore".to_string();
        let subject = "subject".to_string();
        assert_eq!(Cover::read(&path).unwrap(), Cover { subject, text });
    }
}
