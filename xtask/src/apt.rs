// SPDX-License-Identifier: GPL-2.0-only

//! apt with package lists, state and cache of the lab's own: finds and
//! downloads packages of any architecture without root and without touching
//! what the host knows or has installed.

pub mod unpack;

use std::path::{Path, PathBuf};

use crate::arch::Arch;
use crate::error::{AtPath, Error, Kind, Result};
use crate::exec::{tool, Invocation};
use crate::layout::{create_dir, write_whole, Layout};

/// Where Debian keeps its archive's keys when they are not in apt's own folder.
const DEBIAN_KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// apt's own downloader, part of its package.
const APT_HELPER: &str = "/usr/lib/apt/apt-helper";

/// An apt of the lab's own, for one architecture.
#[derive(Debug, Clone)]
pub struct PrivateApt {
    dir: PathBuf,
    debian_arch: &'static str,
    /// Another suite than that of the host's release.
    suite: Option<String>,
}

impl PrivateApt {
    /// For packages of an architecture.
    pub fn new(layout: &Layout, arch: Arch) -> Result<Self> {
        Self::of(layout, arch, None)
    }

    /// For packages of this machine's architecture.
    pub fn for_host(layout: &Layout) -> Result<Self> {
        Self::of(layout, host_arch()?, None)
    }

    /// For packages of another suite of Debian's archive and this machine's architecture.
    pub fn for_suite(layout: &Layout, suite: &str) -> Result<Self> {
        Self::of(layout, host_arch()?, Some(suite))
    }

    fn of(layout: &Layout, arch: Arch, suite: Option<&str>) -> Result<Self> {
        let debian_arch = arch.debian();
        let name = match suite {
            None => debian_arch.to_string(),
            Some(suite) => format!("{debian_arch}-{suite}"),
        };
        let apt = PrivateApt {
            dir: layout.cache().join("apt").join(name),
            debian_arch,
            suite: suite.map(str::to_string),
        };
        apt.set_up()?;
        Ok(apt)
    }

    fn set_up(&self) -> Result<()> {
        for dir in ["state/lists/partial", "cache/archives/partial"] {
            create_dir(&self.dir.join(dir))?;
        }
        write_whole(&self.dir.join("status"), b"")?;
        write_whole(&self.dir.join("apt.conf"), self.configuration().as_bytes())
    }

    fn configuration(&self) -> String {
        let dir = self.dir.display();
        let arch = self.debian_arch;
        // Loopback never goes through a proxy.
        format!(
            "APT::Architecture \"{arch}\";\n\
             APT::Architectures {{ \"{arch}\"; }};\n\
             APT::Install-Recommends \"false\";\n\
             APT::Sandbox::User \"root\";\n\
             APT::Update::Error-Mode \"any\";\n\
             APT::Update::Post-Invoke \"\";\n\
             APT::Update::Post-Invoke-Success \"\";\n\
             Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";\n\
             Acquire::Languages \"none\";\n\
             Acquire::Retries \"3\";\n\
             Acquire::http::Proxy::127.0.0.1 \"DIRECT\";\n\
             Dir::State \"{dir}/state\";\n\
             Dir::State::status \"{dir}/status\";\n\
             Dir::Cache \"{dir}/cache\";\n\
             Dir::Log \"{dir}/log\";\n\
             Dir::Etc::SourceList \"{dir}/sources.list\";\n\
             Dir::Etc::SourceParts \"/dev/null\";\n\
             Dir::Etc::Preferences \"/dev/null\";\n\
             Dir::Etc::PreferencesParts \"/dev/null\";\n"
        )
    }

    fn apt_get(&self, doing: String) -> Invocation {
        self.run(doing, "apt-get")
    }

    /// A program of apt's, as this apt is set up.
    fn run(&self, doing: String, program: &str) -> Invocation {
        tool(doing, program)
            .env("APT_CONFIG", self.dir.join("apt.conf"))
            .env("LC_ALL", "C")
            .failure(Kind::Host)
            .dir(&self.dir)
    }

    /// Package lists, fetched if there are none or if `again`.
    pub fn update(&self, again: bool) -> Result<()> {
        let done = self.dir.join("updated");
        if done.is_file() && !again {
            return Ok(());
        }
        let sources = host_sources(self.suite.as_deref())?;
        write_whole(&self.dir.join("sources.list"), sources.as_bytes())?;
        self.apt_get(format!("fetching package lists ({})", self.debian_arch))
            .args(["-q", "update"])
            .read()
            .map_err(ask_for_network)?;
        write_whole(&done, b"")
    }

    /// Downloads one package without what it depends on, into a folder.
    pub fn download(&self, package: &str, into: &Path) -> Result<()> {
        self.update(false)?;
        let get = || {
            self.apt_get(format!("downloading {package}"))
                .dir(into)
                .args(["-q", "download", package])
                .read()
        };
        if get().is_err() {
            // The lists may be older than what the archive still keeps.
            self.update(true)?;
            get()?;
        }
        Ok(())
    }

    /// Addresses of the archives that it asks.
    pub fn archives(&self) -> Result<Vec<String>> {
        let sources = host_sources(self.suite.as_deref())?;
        let mut archives: Vec<String> = Vec::new();
        for address in sources
            .split_whitespace()
            .filter(|word| word.contains("://"))
        {
            if !archives.iter().any(|known| known == address) {
                archives.push(address.to_string());
            }
        }
        Ok(archives)
    }

    /// Downloads a file by its address. Whoever asks sees to what it is.
    pub fn download_file(&self, url: &str, into: &Path) -> Result<()> {
        self.run(format!("downloading {url}"), APT_HELPER)
            .args(["-q", "download-file", url])
            .arg(into)
            .read()
            .map(drop)
            .map_err(|err| match is_not_there(&err) {
                true => err,
                false => ask_for_network(err),
            })
    }

    /// Downloads packages with everything they depend on; returns the files, in apt's order.
    pub fn download_closure(&self, packages: &[String]) -> Result<Vec<PathBuf>> {
        self.update(false)?;
        match self.try_closure(packages) {
            Ok(files) => Ok(files),
            Err(err) if err.kind() == Kind::Interrupted => Err(err),
            Err(_) => {
                self.update(true)?;
                self.try_closure(packages)
            }
        }
    }

    fn try_closure(&self, packages: &[String]) -> Result<Vec<PathBuf>> {
        let names = packages.join(", ");
        let doing = format!(
            "downloading {names} ({}) and what it depends on",
            self.debian_arch
        );
        // `--print-uris` leaves out files that are there already; an archive folder of their own keeps the answer whole.
        let archives = self.dir.join("cache/archives");
        let nowhere = self.dir.join("nowhere");
        create_dir(&nowhere.join("partial"))?;
        let install = |flags: &[&str]| {
            self.apt_get(doing.clone())
                .args(["-qq", "-y"])
                .args(flags)
                .arg("install")
                .args(packages)
                .read()
        };
        let elsewhere = format!("Dir::Cache::Archives={}", nowhere.display());
        let uris = install(&["--print-uris", "-o", &elsewhere])?;
        install(&["--download-only"])?;
        let files: Vec<PathBuf> = uris
            .lines()
            .filter_map(|line| line.split_whitespace().nth(1))
            .map(|file| archives.join(file))
            .collect();
        match files.iter().find(|path| !path.is_file()) {
            Some(path) => Err(Error::host(
                doing,
                format!("apt-get did not leave {}", path.display()),
            )),
            None => Ok(files),
        }
    }
}

/// Whether a server has answered that it has no such file.
pub fn is_not_there(err: &Error) -> bool {
    // As apt shows the answer; addresses have no blanks.
    err.kind() == Kind::Host && err.found().contains(" 404 ")
}

/// An error of a program that asks the network, with what may help.
fn ask_for_network(err: Error) -> Error {
    match err.kind() {
        Kind::Host => err.hint("is the network up? behind a proxy, set http_proxy"),
        _ => err,
    }
}

fn host_arch() -> Result<Arch> {
    Arch::host().ok_or_else(|| {
        Error::host(
            "asking the package archive",
            "this machine's architecture is not known",
        )
    })
}

/// The host's own sources of its release's main component, as a sources.list; with a suite, that one of
/// the same archive.
fn host_sources(suite: Option<&str>) -> Result<String> {
    let release =
        std::fs::read_to_string("/etc/os-release").at("reading", Path::new("/etc/os-release"))?;
    let field = |name: &str| {
        let line = release
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.map(|value| value.trim_matches('"').to_string())
    };
    let targets = tool("asking apt for its sources", "apt-get")
        .args([
            "indextargets",
            "--format",
            "$(REPO_URI) $(RELEASE) $(COMPONENT)",
            "Created-By: Packages",
        ])
        .failure(Kind::Host)
        .read()?;
    let signed =
        field("ID").is_some_and(|id| id == "debian") && Path::new(DEBIAN_KEYRING).is_file();
    let codename = field("VERSION_CODENAME").unwrap_or_default();
    let lines = sources_list(&targets, &codename, suite, signed.then_some(DEBIAN_KEYRING));
    if lines.is_empty() {
        return Err(Error::host(
            "asking apt for its sources",
            format!("this machine's sources have no main component of \"{codename}\""),
        ));
    }
    Ok(lines)
}

/// One `deb` line for each archive of this release, or, with a suite, for that suite of the archive that
/// has the release itself: security and updates have suites of their own. Other vendors' archives are
/// left out.
fn sources_list(
    targets: &str,
    codename: &str,
    suite: Option<&str>,
    keyring: Option<&str>,
) -> String {
    let options = keyring
        .map(|path| format!("[signed-by={path}] "))
        .unwrap_or_default();
    let mut lines: Vec<String> = targets
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let (uri, release, component) = (words.next()?, words.next()?, words.next()?);
            let beside = release
                .strip_prefix(codename)
                .is_some_and(|rest| rest.starts_with('-'));
            let ours = release == codename || (beside && suite.is_none());
            let release = suite.unwrap_or(release);
            (ours && component == "main").then(|| format!("deb {options}{uri} {release} main\n"))
        })
        .collect();
    lines.sort();
    lines.dedup();
    lines.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_told_from_no_answer() {
        let said = |found: &str| Error::host("downloading http://a/x_6.12.404.tar", found);
        let answer = said("Err:1 http://a/x_6.12.404.tar\n  404  Not Found [IP: 127.0.0.1 80]");
        assert!(is_not_there(&answer));
        let silence = said("Err:1 http://a/404/x_6.12.404.tar\n  Could not connect to a:80");
        assert!(!is_not_there(&silence));
        let silence = ask_for_network(silence).to_string();
        assert!(silence.contains("hint: is the network up?"), "{silence}");
        // What has a hint of its own keeps it.
        let full = Error::lab("x", "y").hint("free some space");
        let full = ask_for_network(full).to_string();
        assert!(full.ends_with("hint: free some space"), "{full}");
    }

    #[test]
    fn another_suite_comes_from_the_same_archive() {
        let targets = "http://a/debian/ bookworm main\nhttp://a/debian/ bookworm-updates main\n\
                       http://a/security/ bookworm-security main\n";
        assert_eq!(
            sources_list(targets, "bookworm", Some("sid"), Some("/k.gpg")),
            "deb [signed-by=/k.gpg] http://a/debian/ sid main\n"
        );
    }

    #[test]
    fn only_the_releases_own_archives_are_used() {
        let targets = "http://a/debian/ bookworm main\nhttp://a/debian/ bookworm contrib\nhttp://v/apt cloud-bookworm main\n\
                       http://a/security/ bookworm-security main\nhttp://a/debian/ bookworm main\n";
        assert_eq!(
            sources_list(targets, "bookworm", None, None),
            "deb http://a/debian/ bookworm main\ndeb http://a/security/ bookworm-security main\n"
        );
    }
}
