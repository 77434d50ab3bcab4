// SPDX-License-Identifier: GPL-2.0-only

//! Kernel source: fetched from the first origin that has it, kept as a tarball in the cache; or a tree
//! of the user's own, left where it is.

pub mod download;
pub mod local;
pub mod search;
pub mod version;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::apt::PrivateApt;
use crate::config::Origin;
use crate::error::{AtPath, Error, Kind, Result};
use crate::event::{Event, Sink, Stage, Step};
use crate::exec::tool;
use crate::layout::{create_dir, remove_dir, Layout};
use crate::plan::Plan;
use crate::stage::Cached;
use crate::stamp::{self, Inputs};
use search::{Found, Refusal};

/// A kernel source that is on this machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fetched {
    /// Name of the source in `lab.toml`.
    pub name: String,
    /// Where it came from, with its exact version ("linux-source-6.12 6.12.117-1").
    pub origin: String,
    /// Exact version of the package; of other sources what their Makefile says, or else the first digits of the hash of
    /// the tarball, commit or tree ([`version::is_known`]).
    pub version: String,
    /// The tarball in the cache; of a tree that is built in place, its folder.
    pub tarball: PathBuf,
    /// Its sha256; of a tree in place, a hash that changes when anything in it may have.
    pub sha256: String,
    /// Whether it is a tree that is built where it lies.
    #[serde(default)]
    pub in_place: bool,
}

impl Fetched {
    /// Where it came from and its version, for messages.
    pub fn told(&self) -> String {
        match self.origin.contains(&self.version) {
            true => self.origin.clone(),
            false => format!("{} ({})", self.origin, self.version),
        }
    }

    /// Unpacks it into a folder that is there. Files are as old as their unpacking, not as the archive
    /// says: to make, objects of the source that lay there before are older than they.
    pub fn unpack(&self, dir: &Path) -> Result<()> {
        tool(format!("unpacking {}", self.tarball.display()), "tar")
            .arg("-C")
            .arg(dir)
            .args(["--strip-components=1", "-m", "-xf"])
            .arg(&self.tarball)
            .env("LC_ALL", "C")
            .failure(Kind::Usage)
            .read()
            .map(drop)
            .map_err(|err| match err.kind() {
                // tar's words for a program that it has not.
                Kind::Usage if err.found().contains("Cannot exec") => err
                    .with_kind(Kind::Host)
                    .hint("install the program that unpacks it"),
                Kind::Usage => err.hint(
                    "the file is damaged, though it is what was got: get it again, and say its new sha256 in lab.toml if that names one; \
                     what lies in target/ the lab gets again once it is removed",
                ),
                _ => err,
            })
    }
}

/// Fetches the plan's source, unless the cache has it. What is known of it lies beside it: both stay
/// until the cache is cleaned.
pub fn fetch(plan: &Plan, sink: &dyn Sink) -> Result<Fetched> {
    let name = &plan.kernel.source_name;
    let origins = &plan.kernel.source.origin;
    if let Some(path) = origins.iter().find_map(|origin| origin.path.as_ref()) {
        return local::in_place(plan, path);
    }
    let inputs = inputs(plan, origins);
    let stage = Cached {
        step: Step::once(Stage::Source),
        stamp: stamp_of(&plan.layout, name),
        inputs: &inputs,
        sink,
    };
    // What was fetched may be out of reach by now: it stays until another one is there.
    stage.get_keeping(
        |fetched: &Fetched| vec![fetched.tarball.clone()],
        || fetch_first(plan, origins, sink).map_err(Refusal::into_error),
    )
}

/// Where it is written down what was fetched.
fn stamp_of(layout: &Layout, name: &str) -> PathBuf {
    layout.source(name).join("fetched.json")
}

/// The version of a source as it was fetched last.
pub fn last_version(layout: &Layout, name: &str) -> Option<String> {
    let fetched: Fetched = stamp::last(&stamp_of(layout, name))?;
    Some(fetched.version)
}

/// What decides which source is fetched: what the origins say, and what there is of them on this machine.
fn inputs(plan: &Plan, origins: &[Origin]) -> Inputs {
    let root = plan.layout.root();
    let mut inputs = Inputs::new();
    for (at, origin) in origins.iter().enumerate() {
        for (key, value) in origin.settings() {
            inputs.text(format!("lab.toml: {key} of origin {}", at + 1), value);
        }
        if let Some(git) = &origin.git {
            // A branch moves on; a repository that is not there is told of when it is tried.
            let commit = local::commit(&root.join(git), origin.rev.as_deref()).unwrap_or_default();
            let rev = origin.rev.as_deref().unwrap_or("HEAD");
            inputs.text(format!("{rev} of {}", git.display()), commit);
        }
    }
    // A tarball that comes to lie here goes before what was got over the network in its place. Behind such an origin
    // it is a way out when that cannot be reached, and nothing is fetched again for its sake.
    let preferred = origins.iter().take_while(|origin| !origin.is_remote());
    for file in preferred.filter_map(|origin| origin.file.as_ref()) {
        let is = match root.join(file).is_file() {
            true => "there",
            false => "not there",
        };
        inputs.text(file.display().to_string(), is);
    }
    inputs
}

/// From the first origin that has it.
fn fetch_first(plan: &Plan, origins: &[Origin], sink: &dyn Sink) -> Found {
    let doing = format!("fetching kernel source \"{}\"", plan.kernel.source_name);
    let get = |origin: &Origin| fetch_origin(plan, origin, sink);
    search::first(origins, sink, get, |texts| {
        Error::host(doing, texts).hint(
            "lab.toml [source] lists the origins that are tried; for Debian's, is the network up?",
        )
    })
}

fn fetch_origin(plan: &Plan, origin: &Origin, sink: &dyn Sink) -> Found {
    if let Some(package) = &origin.debian {
        return Ok(fetch_debian(plan, package, origin.suite.as_deref(), sink)?);
    }
    if let Some(git) = &origin.git {
        return Ok(local::archive(plan, git, origin.rev.as_deref())?);
    }
    match (&origin.pool, &origin.url, &origin.file, &origin.sha256) {
        (Some(path), _, _, Some(sha256)) => download::from_pool(plan, path, sha256, sink),
        (_, Some(url), _, Some(sha256)) => download::from_url(plan, url, sha256, sink),
        (_, _, Some(file), Some(sha256)) => use_file(plan, file, sha256),
        _ => Err(Error::usage(
            "reading lab.toml",
            "an origin names none of debian, git, path, and pool, url or file with sha256",
        )
        .into()),
    }
}

/// A tarball on this machine, checked against its pinned hash.
fn use_file(plan: &Plan, file: &Path, sha256: &str) -> Found {
    let tarball = plan.layout.root().join(file);
    if !tarball.is_file() {
        return Err(Error::usage(
            format!("fetching kernel source \"{}\"", plan.kernel.source_name),
            format!("{} does not exist; lab.toml names it", tarball.display()),
        )
        .into());
    }
    let doing = format!("checking {}", tarball.display());
    verified(plan, doing, &file.display().to_string(), tarball, sha256)
}

/// A tarball that is what lab.toml says it is; `origin` is what it is called. One that is there and is another ends
/// the search: whoever pinned it is to hear of it.
fn verified(plan: &Plan, doing: String, origin: &str, tarball: PathBuf, sha256: &str) -> Found {
    let found = stamp::hash_file(&tarball)?;
    if !found.eq_ignore_ascii_case(sha256) {
        let why = format!("sha256 is {found}, lab.toml says {sha256}");
        return Err(Refusal::Final(Error::usage(doing, why).hint(
            "it is damaged, cut short or another one: get it again, or say in lab.toml what it is",
        )));
    }
    let version = version::of_tarball(&tarball)?;
    Ok(Fetched {
        name: plan.kernel.source_name.clone(),
        origin: origin.to_string(),
        version: version.unwrap_or_else(|| found[..12].to_string()),
        tarball,
        sha256: found,
        in_place: false,
    })
}

/// Puts a finished tarball into the cache, in the place of what the source's folder had; where it is now.
fn keep(plan: &Plan, made: &Path, file_name: &str) -> Result<PathBuf> {
    let (layout, name) = (&plan.layout, &plan.kernel.source_name);
    let folder = layout.source(name);
    // From here on nothing is believed until the new one is written down.
    stamp::forget(&stamp_of(layout, name))?;
    remove_dir(&folder)?;
    create_dir(&folder)?;
    let tarball = folder.join(file_name);
    std::fs::rename(made, &tarball).at("renaming to", &tarball)?;
    Ok(tarball)
}

/// The meta-package that depends on the newest `linux-source-*` package.
const NEWEST: &str = "linux-source";

/// A `linux-source-*` package: downloaded without root, its tarball taken out.
fn fetch_debian(
    plan: &Plan,
    package: &str,
    suite: Option<&str>,
    sink: &dyn Sink,
) -> Result<Fetched> {
    let layout = &plan.layout;
    let scratch = layout.scratch("source")?;
    progress(sink, format!("downloading {package}"));
    let deb = download(layout, package, suite, scratch.path(), sink)?;
    let field = |name: &str| {
        tool(format!("reading {package}"), "dpkg-deb")
            .arg("-f")
            .arg(&deb)
            .arg(name)
            .read()
    };
    if package == NEWEST {
        let depends = field("Depends")?;
        let newest = newest(&depends).ok_or_else(|| {
            Error::host(
                format!("reading {package}"),
                format!(
                    "it depends on no version of itself, but on: {}",
                    depends.trim()
                ),
            )
        })?;
        return fetch_debian(plan, &newest, suite, sink);
    }
    let version = field("Version")?;
    progress(sink, format!("unpacking {package} {version}"));
    let unpacked = scratch.path().join("unpacked");
    tool(format!("unpacking {package}"), "dpkg")
        .arg("-x")
        .arg(&deb)
        .arg(&unpacked)
        .read()?;
    let file_name = format!("{package}.tar.xz");
    let inside = unpacked.join("usr/src").join(&file_name);
    if !inside.is_file() {
        return Err(Error::host(
            format!("unpacking {package} {version}"),
            format!("the package has no usr/src/{file_name}"),
        ));
    }
    let sha256 = stamp::hash_file(&inside)?;
    Ok(Fetched {
        name: plan.kernel.source_name.clone(),
        origin: format!("{package} {version}"),
        version,
        sha256,
        tarball: keep(plan, &inside, &file_name)?,
        in_place: false,
    })
}

/// `linux-source-7.2 (= 7.2.13-1)` as the package's name.
fn newest(depends: &str) -> Option<String> {
    let names = depends
        .split(',')
        .filter_map(|part| part.split_whitespace().next());
    let mut names =
        names.filter(|name| name.strip_prefix(NEWEST).is_some_and(|rest| rest.len() > 1));
    names.next().map(str::to_string)
}

/// The package's file, through the host's package lists or, where they do not have it, through lists of the lab's own.
fn download(
    layout: &Layout,
    package: &str,
    suite: Option<&str>,
    into: &Path,
    sink: &dyn Sink,
) -> Result<PathBuf> {
    let direct = || {
        tool(format!("downloading {package}"), "apt-get")
            .args(["-q", "download", package])
            .dir(into)
            .failure(Kind::Host)
            .read()
    };
    if let Some(suite) = suite {
        let apt = PrivateApt::for_suite(layout, suite)?;
        // Old lists name an old version as the newest.
        apt.update(package == NEWEST)?;
        apt.download(package, into)?;
    } else if let Err(first) = direct() {
        if first.kind() != Kind::Host {
            return Err(first);
        }
        progress(
            sink,
            format!("{package} is not in this machine's package lists; asking the archive"),
        );
        PrivateApt::for_host(layout)?.download(package, into)?;
    }
    let entries = std::fs::read_dir(into).at("listing", into)?;
    entries
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|ext| ext == "deb"))
        .ok_or_else(|| {
            Error::host(
                format!("downloading {package}"),
                "apt-get left no .deb file",
            )
        })
}

fn progress(sink: &dyn Sink, text: String) {
    sink.emit(Event::StepProgress {
        step: Step::once(Stage::Source),
        done: 0,
        total: None,
        text,
    });
}
