// SPDX-License-Identifier: GPL-2.0-only

//! Sources of kernels in `lab.toml`: where each can be had from, and what does not fit together in that.

use std::path::PathBuf;

use serde::Deserialize;

/// Where a kernel's source comes from; the first origin that can be had is used.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Source {
    /// Origins in the order in which they are tried.
    pub origin: Vec<Origin>,
}

/// One place a kernel source can be had from.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Origin {
    /// A Debian source package of the `linux-source-*` kind, with a tar.xz under usr/src.
    pub debian: Option<String>,
    /// The suite of Debian's archive to look for it in, with `debian` (default: this machine's release).
    pub suite: Option<String>,
    /// A tarball in Debian's archive, below its root: the upstream part of a source package
    /// ("pool/main/l/linux/linux_6.12.107.orig.tar.xz").
    pub pool: Option<String>,
    /// The address of a tarball, by http or https.
    pub url: Option<String>,
    /// A tarball on this machine, relative to the project's root.
    pub file: Option<PathBuf>,
    /// What the tarball's sha256 must be; required with `pool`, `url` and `file`.
    pub sha256: Option<String>,
    /// A git repository on this machine, of which one commit is taken.
    pub git: Option<PathBuf>,
    /// Which one, with `git`: a branch, a tag or a hash (default: what is checked out).
    pub rev: Option<String>,
    /// A kernel tree on this machine that is built where it lies; for kernels without series and overlay.
    pub path: Option<PathBuf>,
}

impl Source {
    /// What does not fit together in it.
    pub(super) fn problems(&self) -> impl Iterator<Item = String> + '_ {
        let empty = self.origin.is_empty().then(|| "has no origin".to_string());
        let wrong = self.origin.iter().enumerate().filter_map(|(at, origin)| {
            let why = origin.problem()?;
            Some(format!("origin {}: {why}", at + 1))
        });
        // It is as it is: there is nothing to try after it.
        let lonely = self.origin.len() > 1 && self.origin.iter().any(|one| one.path.is_some());
        let lonely = lonely.then(|| "a path has to be its only origin".to_string());
        empty.into_iter().chain(wrong).chain(lonely)
    }
}

impl Origin {
    /// Whether it is got over the network.
    pub fn is_remote(&self) -> bool {
        self.debian.is_some() || self.pool.is_some() || self.url.is_some()
    }

    /// What is set in it, by the names that `lab.toml` has for it. A key that it gets later on changes nothing for
    /// origins that do not set it.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let Origin {
            debian,
            suite,
            pool,
            url,
            file,
            sha256,
            git,
            rev,
            path,
        } = self;
        let shown = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let all = [
            ("debian", debian.clone()),
            ("suite", suite.clone()),
            ("pool", pool.clone()),
            ("url", url.clone()),
            ("file", shown(file)),
            ("sha256", sha256.clone()),
            ("git", shown(git)),
            ("rev", rev.clone()),
            ("path", shown(path)),
        ];
        let set = all
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)));
        set.collect()
    }

    /// What does not fit together in it.
    fn problem(&self) -> Option<String> {
        let named = [
            self.debian.is_some(),
            self.pool.is_some(),
            self.url.is_some(),
            self.file.is_some(),
            self.git.is_some(),
            self.path.is_some(),
        ];
        if named.iter().filter(|named| **named).count() != 1 {
            return Some("needs one of debian, pool, url, file, git and path".into());
        }
        let tarball = self.pool.is_some() || self.url.is_some() || self.file.is_some();
        let sound =
            |sha256: &str| sha256.len() == 64 && sha256.bytes().all(|c| c.is_ascii_hexdigit());
        let misplaced = match &self.sha256 {
            _ if self.suite.is_some() && self.debian.is_none() => "a suite goes with debian",
            _ if self.rev.is_some() && self.git.is_none() => "a rev goes with git",
            None if tarball => "a tarball needs its sha256",
            Some(_) if !tarball => {
                "sha256 goes with a tarball; apt and git verify what they get themselves"
            }
            Some(sha256) if !sound(sha256) => "sha256 is not 64 hexadecimal digits",
            _ => {
                let pool = self.pool.as_deref().and_then(pool_problem);
                return pool.or_else(|| self.url.as_deref().and_then(url_problem));
            }
        };
        Some(misplaced.into())
    }
}

/// Why something cannot be the path of a tarball below the root of Debian's archive.
fn pool_problem(path: &str) -> Option<String> {
    let Some(below) = path.strip_prefix("pool/") else {
        return Some(format!(
            "pool {path:?} does not begin with pool/, as paths below the archive's root do"
        ));
    };
    let wrong = below.split('/').find_map(file_name_problem)?;
    Some(format!("pool {path:?}: {wrong}"))
}

/// Why something cannot be the address of a tarball, which has to have a name to be kept by.
fn url_problem(url: &str) -> Option<String> {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    let why: String = match rest.map(|rest| rest.rsplit_once('/')) {
        None => "it does not begin with https:// or http://".into(),
        Some(None) => "no name of a tarball follows the host's".into(),
        Some(Some(("", _))) => "it names no host".into(),
        Some(Some(_)) if url.contains(is_blank) => "it has a blank in it".into(),
        Some(Some((_, name))) => file_name_problem(name)?,
    };
    Some(format!("url {url:?}: {why}"))
}

/// Why something cannot be the name of a file in the cache.
fn file_name_problem(name: &str) -> Option<String> {
    let foreign = |c: char| "?#".contains(c) || is_blank(c);
    match name.chars().find(|c| foreign(*c)) {
        _ if name.is_empty() => Some("it has a file name that is empty".into()),
        _ if name.starts_with('.') => Some(format!("the file name {name:?} begins with '.'")),
        Some(c) => Some(format!("the file name {name:?} has {c:?} in it")),
        None => None,
    }
}

fn is_blank(c: char) -> bool {
    c.is_whitespace() || c.is_control()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_archives_call_their_files_is_taken() {
        for path in [
            "pool/main/l/linux/linux_6.12.107.orig.tar.xz",
            "pool/main/l/linux/linux_7.2~rc3+dfsg.orig.tar.xz",
            "pool/x%2by.tar",
        ] {
            assert_eq!(pool_problem(path), None);
        }
        for url in [
            "http://127.0.0.1:80/linux-6.12.tar.xz",
            "https://x/~me/snapshot/linux-7.2-rc1+.tar.gz",
            "https://x/y?z/linux.tar",
        ] {
            assert_eq!(url_problem(url), None);
        }
    }

    #[test]
    fn what_is_wrong_with_a_place_is_told() {
        let pool = [
            "/pool/x",
            "pool",
            "pool/",
            "pool/../x",
            "pool//x",
            "pool/a b",
        ];
        let url = [
            "ftp://x/y",
            "http:///y",
            "http://x",
            "http://x/",
            "http://x/y?z",
            "http://x/y#z",
            "http://x/.y",
            "http://x/a b/y",
            "http://x/y\u{7}",
        ];
        let said = pool.iter().map(|path| pool_problem(path));
        let said = said.chain(url.iter().map(|url| url_problem(url)));
        let said: Vec<String> = said
            .map(|why| why.unwrap_or_else(|| "nothing".into()))
            .collect();
        insta::assert_snapshot!(said.join("\n"), @r#"
        pool "/pool/x" does not begin with pool/, as paths below the archive's root do
        pool "pool" does not begin with pool/, as paths below the archive's root do
        pool "pool/": it has a file name that is empty
        pool "pool/../x": the file name ".." begins with '.'
        pool "pool//x": it has a file name that is empty
        pool "pool/a b": the file name "a b" has ' ' in it
        url "ftp://x/y": it does not begin with https:// or http://
        url "http:///y": it names no host
        url "http://x": no name of a tarball follows the host's
        url "http://x/": it has a file name that is empty
        url "http://x/y?z": the file name "y?z" has '?' in it
        url "http://x/y#z": the file name "y#z" has '#' in it
        url "http://x/.y": the file name ".y" begins with '.'
        url "http://x/a b/y": it has a blank in it
        url "http://x/y\u{7}": it has a blank in it
        "#);
    }

    #[test]
    fn an_origin_says_what_is_set_in_it_and_nothing_else() {
        let origin = Origin {
            pool: Some("pool/x".into()),
            sha256: Some("ab".into()),
            ..Origin::default()
        };
        let said = [("pool", "pool/x".to_string()), ("sha256", "ab".to_string())];
        assert_eq!(origin.settings(), said);
    }
}
