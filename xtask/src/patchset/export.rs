// SPDX-License-Identifier: GPL-2.0-only

//! The series as mails, for `git am` and `git send-email`: a cover letter, the
//! overlay's commits, the patches. The same inputs give the same mails.

use std::path::{Path, PathBuf};

use crate::error::{AtPath, Error, Result};
use crate::event::{Event, Sink};
use crate::layout::{create_dir, read_text, write_whole};
use crate::patchset::commit;
use crate::patchset::cover::Cover;
use crate::patchset::git::{self, git, Contents};
use crate::patchset::header::without_tags;

const DOING: &str = "exporting the series";

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
    if contents.overlay.is_empty() && contents.series.patches.is_empty() {
        let found = format!("{} lists no patch", contents.series.dir.display());
        return Err(Error::usage(DOING, found));
    }
    git::refuse_full(DOING, out)?;
    let tree = scratch.join("tree");
    git::apply_without_files(contents, &tree, sink)?;
    let source = commit::Source::of(&tree, !contents.overlay.is_empty())?.commit;
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
    let filled = cover.fill(&read_text(letter)?).ok_or_else(|| {
        let found = format!("{} is no cover letter to be filled in", letter.display());
        Error::lab(DOING, found)
    })?;
    write_whole(letter, filled.as_bytes())?;
    tell_options(&mails, sink)?;
    Ok(mails)
}

/// Notes which mails `git am` by itself changes: subjects that it takes tags from which are not the mail's, and the ends of
/// lines, after which nothing would fit.
fn tell_options(mails: &[PathBuf], sink: &dyn Sink) -> Result<()> {
    let (mut tagged, mut with_cr) = (Vec::new(), Vec::new());
    for mail in mails {
        let text = std::fs::read(mail).at("reading", mail)?;
        let name = mail.file_name().unwrap_or_default().display().to_string();
        let said = String::from_utf8_lossy(&text);
        let subject = said.lines().find_map(|line| line.strip_prefix("Subject: "));
        if subject.is_some_and(|subject| without_tags(subject).starts_with('[')) {
            tagged.push(name.clone());
        }
        if text.windows(2).any(|two| two == b"\r\n") {
            with_cr.push(name);
        }
    }
    for (what, names, option) in [
        ("lines that end in CR LF", with_cr, "--keep-cr"),
        ("subjects that begin with a tag", tagged, "--keep-non-patch"),
    ] {
        if !names.is_empty() {
            let names = names.join(", ");
            sink.emit(Event::Note(format!("{what}: {names} want git am {option}")));
        }
    }
    Ok(())
}
