// SPDX-License-Identifier: GPL-2.0-only

//! Tarballs that are got over the network and known by their hash: from Debian's archive, whichever mirror
//! this machine uses, and from anywhere. `apt-helper` gets them, as apt is set up (proxies, retries).

use super::search::{self, Found, Refusal};
use super::{keep, progress, verified, Fetched};
use crate::apt::{is_not_there, PrivateApt};
use crate::error::Error;
use crate::event::Sink;
use crate::plan::Plan;

/// A file of the archive's pool, from the first of this machine's mirrors that has it.
pub fn from_pool(plan: &Plan, path: &str, sha256: &str, sink: &dyn Sink) -> Found {
    let archives = PrivateApt::for_host(&plan.layout)?.archives()?;
    from_archives(plan, &archives, path, sha256, sink)
}

/// The same from archives at these addresses.
pub fn from_archives(
    plan: &Plan,
    archives: &[String],
    path: &str,
    sha256: &str,
    sink: &dyn Sink,
) -> Found {
    let doing = format!("downloading {path}");
    if archives.is_empty() {
        return Err(Error::host(
            doing,
            "apt's sources of this machine name no archive of its release by an address",
        )
        .into());
    }
    let get = |archive: &String| {
        let url = format!("{}/{path}", archive.trim_end_matches('/'));
        from_url(plan, &url, sha256, sink)
    };
    let found = search::first(archives, sink, get, |texts| Error::host(doing, texts));
    found.map_err(|refusal| match refusal {
        Refusal::Absent(err) if is_not_there(&err) => Refusal::Absent(err.hint(
            "the archive keeps a release's sources until its next update: name those of another version",
        )),
        other => other,
    })
}

/// A tarball by its address: into the cache, if it is what it should be.
pub fn from_url(plan: &Plan, url: &str, sha256: &str, sink: &dyn Sink) -> Found {
    let apt = PrivateApt::for_host(&plan.layout)?;
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
    let tarball = keep(plan, &whole.tarball, name)?;
    Ok(Fetched { tarball, ..whole })
}
