// SPDX-License-Identifier: GPL-2.0-only

//! Rust as a kernel tree wants it: whether the tree has any, and which tools are too old for it. The tree itself
//! knows (`scripts/min-tool-version.sh`); its own check only switches CONFIG_RUST off.

use std::path::Path;

use crate::arch::Arch;
use crate::error::{Error, Kind, Result};
use crate::exec::tool;
use crate::kernel::config::Wanted;
use crate::kernel::toolchain::{in_build_environment, program_version, KernelTools};
use crate::kernel::tree::PatchedTree;

/// The symbol that asks for it.
const SYMBOL: &str = "CONFIG_RUST";
/// What says how old a tool may be.
const SCRIPT: &str = "scripts/min-tool-version.sh";

/// Refuses a tree without Rust, and tools that are too old for it, if a configuration wants Rust. `doing` is said of
/// a failure.
pub fn refuse_unfit(
    doing: &str,
    wanted: &Wanted,
    tree: &PatchedTree,
    tools: &KernelTools,
    arch: Arch,
) -> Result<()> {
    let Some((value, fragment)) = wanted.get(SYMBOL) else {
        return Ok(());
    };
    if value != "y" {
        return Ok(());
    }
    if let Some(lacking) = lacking(&tree.path) {
        return Err(Error::usage(
            doing,
            format!(
                "images/kernel/{fragment} asks for {SYMBOL}=y, and {} has no Rust: there is no {lacking}",
                tree.source.origin
            ),
        )
        .hint("kernels from 6.1 on have it; for older ones lab.toml has to name fragments without it"));
    }
    let rustc = (&tools.rustc.path, tools.rustc.version.clone());
    let bindgen = (&tools.bindgen, program_version("bindgen", &tools.bindgen)?);
    for (name, (path, said), hint) in [
        (
            "rustc",
            rustc,
            "lab.toml [toolchain] rustc or RESTART_LAB_RUSTC names another, which needs its library's source",
        ),
        (
            "bindgen",
            bindgen,
            "lab.toml [toolchain] bindgen names its version; `cargo xtask lab setup` gets it",
        ),
    ] {
        if let Some(oldest) = oldest(&tree.path, name, arch)? {
            refuse_old(doing, (name, path), &said, &oldest, &tree.source.origin)
                .map_err(|err| err.hint(hint))?;
        }
    }
    Ok(())
}

/// What a tree without Rust lacks.
fn lacking(tree: &Path) -> Option<&'static str> {
    if !tree.join("rust").is_dir() {
        return Some("rust/");
    }
    let text = std::fs::read_to_string(tree.join("init/Kconfig")).unwrap_or_default();
    let defined = text.lines().any(|line| line.trim_end() == "config RUST");
    (!defined).then_some("\"config RUST\" in init/Kconfig")
}

/// The oldest version of a tool that a tree takes, where it says so.
fn oldest(tree: &Path, name: &str, arch: Arch) -> Result<Option<String>> {
    let script = tree.join(SCRIPT);
    if !script.is_file() {
        return Ok(None);
    }
    let asking = format!("asking {} about {name}", script.display());
    let said = in_build_environment(tool(asking, "sh").arg(&script).arg(name))
        .env("SRCARCH", arch.kbuild_name())
        .failure(Kind::Build)
        .output()?;
    // It ends with a failure for tools that it does not know.
    let said = String::from_utf8_lossy(&said.stdout).trim().to_string();
    Ok(Some(said).filter(|said| !said.is_empty()))
}

/// Refuses a tool that says that it is older than what a source wants.
fn refuse_old(
    doing: &str,
    (name, path): (&str, &Path),
    said: &str,
    oldest: &str,
    source: &str,
) -> Result<()> {
    match (numbers(said), numbers(oldest)) {
        (Some(found), Some(needed)) if found < needed => Err(Error::host(
            doing,
            format!(
                "{name} is too old: {} says \"{}\", and {source} takes {oldest} or later ({SCRIPT})",
                path.display(),
                said.trim()
            ),
        )),
        // One whose version nobody can read is left to the build.
        _ => Ok(()),
    }
}

/// The numbers of the first word that begins with one: `rustc 1.96.0-nightly (...)` as 1, 96, 0.
fn numbers(said: &str) -> Option<Vec<u32>> {
    let is_version = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit());
    let word = said.split_whitespace().find(is_version)?;
    let end = word.find(|c: char| c != '.' && !c.is_ascii_digit());
    let parts = word[..end.unwrap_or(word.len())].split('.');
    let mut numbers: Vec<u32> = parts.map_while(|part| part.parse().ok()).collect();
    // 1.78 and 1.78.0 are one.
    while numbers.len() > 1 && numbers.last() == Some(&0) {
        numbers.pop();
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Compiler;
    use crate::kernel::source::Fetched;
    use crate::kernel::toolchain::Rustc;
    use crate::stamp::Inputs;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        let refused = |said: &str, oldest: &str| {
            refuse_old("x", ("rustc", Path::new("/r")), said, oldest, "linux").is_err()
        };
        assert!(refused("rustc 1.77.2 (25ef9e3d8 2024-04-09)", "1.78.0"));
        assert!(refused("bindgen 0.65.0", "0.65.1") && refused("bindgen 0.9.1", "0.65.1"));
        for (said, oldest) in [
            ("rustc 1.78.0", "1.78.0"),
            ("rustc 1.78.0", "1.78"),
            ("rustc 1.100.0-nightly (x)", "1.99.9"),
            ("bindgen 1.0", "0.72.1"),
            ("something else", "0.72.1"),
        ] {
            assert!(!refused(said, oldest), "{said} {oldest}");
        }
    }

    /// A tree below a folder, and tools of these versions.
    fn made(dir: &Path, rustc: &str, bindgen: &str) -> (PatchedTree, KernelTools) {
        let write = |name: &str, text: &str| {
            let path = dir.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("init/Kconfig", "config RUST\n\tbool\n");
        write("rust/Makefile", "");
        write(
            SCRIPT,
            "case $1 in rustc) echo 1.78.0;; bindgen) echo 0.65.1;; *) exit 1;; esac\n",
        );
        write("bindgen", &format!("#!/bin/sh\necho bindgen {bindgen}\n"));
        let bindgen = dir.join("bindgen");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&bindgen, mode).unwrap();
        let source = Fetched {
            name: "x".into(),
            origin: "linux 6.12".into(),
            version: "6.12".into(),
            tarball: dir.into(),
            sha256: String::new(),
            in_place: true,
        };
        let tree = PatchedTree {
            path: dir.into(),
            source,
            inputs: Inputs::new(),
            kconfig_files: Vec::new(),
        };
        let rustc = Rustc {
            path: "/usr/bin/rustc".into(),
            version: format!("rustc {rustc}"),
        };
        let tools = KernelTools {
            rustc,
            bindgen,
            cc: Compiler::Gcc,
            llvm: "19".into(),
        };
        (tree, tools)
    }

    #[test]
    fn what_a_tree_does_not_take_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let fragments = [("base.config".to_string(), "CONFIG_RUST=y\n".to_string())];
        let wanted = crate::kernel::config::wanted(&fragments).unwrap();
        let refused = |wanted: &Wanted, rustc: &str, bindgen: &str| {
            let (tree, tools) = made(dir.path(), rustc, bindgen);
            let result = refuse_unfit("configuring", wanted, &tree, &tools, Arch::Arm64);
            let place = dir.path().display().to_string();
            result
                .err()
                .map(|err| err.to_string().replace(&place, "TREE"))
        };
        assert_eq!(refused(&wanted, "1.78.0", "0.65.1"), None);
        let text = [("1.77.0", "0.65.1"), ("1.78.0", "0.64.0")]
            .map(|(rustc, bindgen)| refused(&wanted, rustc, bindgen).unwrap());
        insta::assert_snapshot!(text.join("\n"), @r#"
        configuring: rustc is too old: /usr/bin/rustc says "rustc 1.77.0", and linux 6.12 takes 1.78.0 or later (scripts/min-tool-version.sh)
          hint: lab.toml [toolchain] rustc or RESTART_LAB_RUSTC names another, which needs its library's source
        configuring: bindgen is too old: TREE/bindgen says "bindgen 0.64.0", and linux 6.12 takes 0.65.1 or later (scripts/min-tool-version.sh)
          hint: lab.toml [toolchain] bindgen names its version; `cargo xtask lab setup` gets it
        "#);
        // Who does not ask for it is not asked about it.
        assert_eq!(refused(&Wanted::new(), "1.0.0", "0.1.0"), None);
        let (tree, tools) = made(dir.path(), "1.78.0", "0.65.1");
        std::fs::remove_dir_all(dir.path().join("rust")).unwrap();
        let none = refuse_unfit("configuring", &wanted, &tree, &tools, Arch::X86_64);
        assert_eq!(
            none.unwrap_err().found(),
            "images/kernel/base.config asks for CONFIG_RUST=y, and linux 6.12 has no Rust: there is no rust/"
        );
    }
}
