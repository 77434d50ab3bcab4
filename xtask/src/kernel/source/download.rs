// SPDX-License-Identifier: GPL-2.0-only

//! Tarballs that are got over the network and known by their hash: from Debian's archive, whichever mirror
//! this machine uses, and from anywhere. `apt-helper` gets them, as apt is set up (proxies, retries).

use std::path::Path;

use super::{emptied, progress, verified, Fetched};
use crate::apt::PrivateApt;
use crate::error::{AtPath, Error, Kind, Result};
use crate::event::Sink;
use crate::plan::Plan;

/// A file of the archive's pool, from the first of this machine's mirrors that has it.
pub fn from_pool(plan: &Plan, path: &str, sha256: &str, sink: &dyn Sink) -> Result<Fetched> {
    let apt = PrivateApt::for_host(&plan.layout)?;
    let mut refusals = Vec::new();
    for archive in apt.archives()? {
        let url = format!("{}/{path}", archive.trim_end_matches('/'));
        match fetch(plan, &apt, &url, sha256, sink) {
            Err(err) if err.kind() != Kind::Interrupted => refusals.push(err.to_string()),
            result => return result,
        }
    }
    Err(
        Error::host(format!("downloading {path}"), refusals.join("\n")).hint(
            "the archive keeps a release's sources until its next update: name those of another version",
        ),
    )
}

/// A tarball by its address.
pub fn from_url(plan: &Plan, url: &str, sha256: &str, sink: &dyn Sink) -> Result<Fetched> {
    fetch(
        plan,
        &PrivateApt::for_host(&plan.layout)?,
        url,
        sha256,
        sink,
    )
}

/// Into the cache, if it is what it should be.
fn fetch(
    plan: &Plan,
    apt: &PrivateApt,
    url: &str,
    sha256: &str,
    sink: &dyn Sink,
) -> Result<Fetched> {
    let name = url.rsplit('/').next().unwrap_or(url);
    progress(sink, format!("downloading {name}"));
    let scratch = plan.layout.scratch("source")?;
    let part = scratch.path().join(name);
    apt.download_file(url, &part)?;
    let whole = verified(
        plan,
        format!("checking what {url} gave"),
        name,
        part,
        sha256,
    )?;
    let tarball = emptied(plan)?.join(name);
    std::fs::rename(&whole.tarball, &tarball).at("renaming to", Path::new(&tarball))?;
    Ok(Fetched { tarball, ..whole })
}
