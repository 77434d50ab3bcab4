// SPDX-License-Identifier: GPL-2.0-only

//! Which version a source says it is, in its top-level Makefile.

use std::path::Path;

use crate::error::{Kind, Result};
use crate::exec::tool;

/// The version of the kernel in a tarball, if it can be read. A tarball that tells none is read to its end.
pub fn of_tarball(tarball: &Path) -> Result<Option<String>> {
    let doing = format!("looking for the version of {}", tarball.display());
    let run = tool(doing, "tar")
        .args(["-xO", "--wildcards", "--no-wildcards-match-slash"])
        .arg("-f")
        .arg(tarball)
        .args(["--occurrence=1", "*/Makefile"]);
    said(run.read())
}

/// The version in what a program has said of a Makefile. One that could not is left to whoever needs the source.
pub fn said(makefile: Result<String>) -> Result<Option<String>> {
    match makefile {
        Ok(text) => Ok(of_makefile(&text)),
        Err(err) if err.kind() == Kind::Interrupted => Err(err),
        Err(_) => Ok(None),
    }
}

/// `6.12.107`, `7.2.0-rc1`: as `make kernelversion` says it.
pub fn of_makefile(text: &str) -> Option<String> {
    let value = |name: &str| {
        text.lines().find_map(|line| {
            let (key, value) = line.split_once('=')?;
            (key.trim() == name).then(|| value.trim())
        })
    };
    let number = |name: &str| {
        let is_number =
            |value: &&str| !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        value(name).filter(is_number)
    };
    let is_plain = |value: &&str| !value.contains(|c: char| c.is_whitespace() || c == '$');
    Some(format!(
        "{}.{}.{}{}",
        number("VERSION")?,
        number("PATCHLEVEL")?,
        number("SUBLEVEL")?,
        value("EXTRAVERSION").filter(is_plain).unwrap_or_default()
    ))
}

/// Whether this is a version that can be compared with another, and not digits of a hash, which have no dot between.
pub fn is_known(version: &str) -> bool {
    version.contains('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "# SPDX-License-Identifier: GPL-2.0\nVERSION = 7\nPATCHLEVEL = 2\nSUBLEVEL = 0\n\
                        EXTRAVERSION = -rc1\nNAME = Baby\n\nKERNELVERSION = $(VERSION)$(if $(PATCHLEVEL),.x)\n";

    #[test]
    fn a_version_is_what_make_says() {
        assert_eq!(of_makefile(HEAD).unwrap(), "7.2.0-rc1");
        let released = HEAD.replace(" -rc1", "").replace("= 0", "= 13");
        assert_eq!(of_makefile(&released).unwrap(), "7.2.13");
        let computed = HEAD.replace("-rc1", "$(shell date)");
        assert_eq!(of_makefile(&computed).unwrap(), "7.2.0");
        for none in ["", "all:\n", "VERSION = 7\nPATCHLEVEL = x\nSUBLEVEL =\n"] {
            assert_eq!(of_makefile(none), None);
        }
    }

    #[test]
    fn only_the_top_makefile_of_a_tarball_counts() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("linux/arch/Makefile", &HEAD.replace('7', "9"));
        write("linux/Makefile", HEAD);
        write("none/arch/Makefile", HEAD);
        let pack = |name: &str, files: &[&str]| {
            let tarball = dir.path().join(name);
            let tar = tool("packing", "tar").arg("-C").arg(dir.path()).arg("-cf");
            tar.arg(&tarball)
                .args(files.iter().copied())
                .read()
                .unwrap();
            tarball
        };
        let whole = pack("linux.tar", &["linux/arch", "linux/Makefile"]);
        assert_eq!(of_tarball(&whole).unwrap().unwrap(), "7.2.0-rc1");
        assert_eq!(of_tarball(&pack("none.tar", &["none"])).unwrap(), None);
        std::fs::write(&whole, "damaged").unwrap();
        assert_eq!(of_tarball(&whole).unwrap(), None);
    }

    #[test]
    fn hashes_are_no_versions() {
        assert!(is_known("6.12.117-1~deb12u1") && is_known("6.12.107"));
        assert!(!is_known("efc76d3c78a5"));
    }
}
