// SPDX-License-Identifier: GPL-2.0-only

//! The tools that build kernels: which ones, found where. Getting them is `setup`'s.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::arch::Arch;
use crate::config::Compiler;
use crate::error::{Error, Kind, Result};
use crate::exec::{tool, which_in, Invocation};
use crate::layout::Layout;
use crate::plan::{Plan, ToolchainPlan};
use crate::stamp::{self, Freshness, Inputs};

/// The oldest rustc that 6.12 takes.
const OLDEST_RUSTC: (u32, u32) = (1, 78);
/// Where the kernel's makefiles look for programs: the distribution's folders only, so that
/// rustup's proxies and a developer's own wrappers stay out.
const KBUILD_PATH: &str = "/usr/bin:/bin:/usr/sbin:/sbin";
/// What kernel builds see of the user's environment: of all else make, compilers and bindgen know a lot.
const KEPT: &[&str] = &["HOME", "TMPDIR"];

/// The tools that build kernels.
#[derive(Debug, Clone, PartialEq)]
pub struct KernelTools {
    /// rustc; its library's source is installed.
    pub rustc: Rustc,
    /// bindgen.
    pub bindgen: PathBuf,
    /// What compiles C.
    pub cc: Compiler,
    /// Version suffix of clang and the llvm tools.
    pub llvm: String,
}

impl KernelTools {
    /// Finds them for the plan's kernel and architectures, or says what is missing.
    pub fn find(plan: &Plan) -> Result<KernelTools> {
        let missing = |what: &str| {
            Error::host("looking for the kernel's tools", what)
                .hint("`cargo xtask lab setup` gets what is missing")
        };
        let rustc = find_rustc(&plan.layout, &plan.toolchain)?
            .ok_or_else(|| missing("no rustc of 1.78 or later that has its library's source"))?;
        let bindgen = bindgen_path(plan);
        if !bindgen.is_file() {
            return Err(missing("bindgen is not installed"));
        }
        let tools = KernelTools {
            rustc,
            bindgen,
            cc: plan.kernel.cc,
            llvm: plan.toolchain.llvm.clone(),
        };
        let needed = plan.arches.iter().flat_map(|arch| tools.programs(*arch));
        for name in needed {
            if find_program(&name).is_none() {
                return Err(missing(&format!("{name} is not in {KBUILD_PATH}")));
            }
        }
        Ok(tools)
    }

    /// The programs that an architecture's kernel depends on, but for those of Rust.
    fn programs(&self, arch: Arch) -> Vec<String> {
        let mut programs = vec![self.compiler(arch)];
        if self.cc == Compiler::Gcc {
            // Stands for all of binutils.
            programs.push(arch.gnu_program("as"));
        }
        programs.extend(["ld.lld", "llvm-objcopy"].map(|name| format!("{name}-{}", self.llvm)));
        programs
    }

    /// What compiles an architecture's C.
    fn compiler(&self, arch: Arch) -> String {
        match self.cc {
            Compiler::Gcc => arch.gnu_program("gcc"),
            Compiler::Clang => format!("clang-{}", self.llvm),
        }
    }

    /// Adds their identities to the inputs of an architecture's stage.
    pub fn describe(&self, arch: Arch, inputs: &mut Inputs) -> Result<()> {
        inputs.program("rustc", &self.rustc.path)?;
        inputs.program("bindgen", &self.bindgen)?;
        let libclang = libclang(&self.llvm).map(PathBuf::from);
        if let Some(path) = libclang.iter().find(|path| path.is_file()) {
            inputs.program("libclang", path)?;
        }
        for name in self.programs(arch) {
            if let Some(path) = find_program(&name) {
                inputs.program(name, &path)?;
            }
        }
        inputs.text("make's tools", self.settings(arch).join(" "));
        Ok(())
    }

    /// `make` in a kernel tree for an architecture, with everything but targets.
    pub fn make(&self, doing: String, tree: &Path, obj: &Path, arch: Arch) -> Invocation {
        in_build_environment(tool(doing, "make"))
            .failure(Kind::Build)
            // Of several that are installed bindgen would take the newest.
            .env("LIBCLANG_PATH", llvm_libraries(&self.llvm))
            .arg("-C")
            .arg(tree)
            .arg(format!("O={}", obj.display()))
            .arg(format!("ARCH={}", arch.kbuild_name()))
            .args(self.settings(arch))
            .arg(format!("RUSTC={}", self.rustc.path.display()))
            .arg(format!("HOSTRUSTC={}", self.rustc.path.display()))
            .arg(format!("BINDGEN={}", self.bindgen.display()))
            .args([
                "KBUILD_BUILD_USER=lab",
                "KBUILD_BUILD_HOST=lab",
                "KBUILD_BUILD_VERSION=1",
            ])
            .arg("KBUILD_BUILD_TIMESTAMP=Thu Jan  1 00:00:00 UTC 1970")
    }

    /// What tells make which tools to use. Beside gcc those of LLVM that read what its linker has written are
    /// named one by one (binutils do not know all of that): with `LLVM=`, newer kernels link their own programs by
    /// an lld without a version in its name.
    fn settings(&self, arch: Arch) -> Vec<String> {
        let llvm = &self.llvm;
        if self.cc == Compiler::Clang {
            return vec![format!("LLVM=-{llvm}")];
        }
        let named = |name: &str| format!("{}=llvm-{}-{llvm}", name.to_uppercase(), name);
        let mut settings: Vec<String> = ["nm", "objcopy", "objdump", "readelf", "strip"]
            .map(named)
            .into();
        settings.push(format!("CROSS_COMPILE={}", arch.gnu_program("")));
        settings.push(format!("LD=ld.lld-{llvm}"));
        settings
    }
}

/// Where the library is that bindgen reads headers with: one of these.
pub fn libclang(llvm: &str) -> [String; 2] {
    let folder = llvm_libraries(llvm);
    ["libclang.so", "libclang.so.1"].map(|name| format!("{folder}/{name}"))
}

fn llvm_libraries(llvm: &str) -> String {
    format!("/usr/lib/llvm-{llvm}/lib")
}

/// Where kernel builds find a program: what comes earlier in the user's PATH, ccache say, is not what compiles.
pub fn find_program(name: &str) -> Option<PathBuf> {
    which_in(name, KBUILD_PATH.as_ref())
}

/// Runs a program as kernel builds run theirs, whatever the user's environment says.
pub fn in_build_environment(program: Invocation) -> Invocation {
    program
        .env_only(KEPT)
        .env("PATH", KBUILD_PATH)
        .env("LC_ALL", "C")
}

/// Where the lab keeps a version of bindgen. The version is in the path: the kernel's makefiles generate
/// bindings again only when the command line changes.
pub fn bindgen_root(layout: &Layout, version: &str) -> PathBuf {
    layout.tools().join(format!("bindgen-{version}"))
}

/// The lab's bindgen.
pub fn bindgen_path(plan: &Plan) -> PathBuf {
    bindgen_root(&plan.layout, &plan.toolchain.bindgen).join("bin/bindgen")
}

/// A rustc that can build kernels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rustc {
    /// The compiler itself, not a proxy.
    pub path: PathBuf,
    /// What `--version` says.
    pub version: String,
}

/// The kernel's rustc: the one the user named, else the first with its library's source.
/// Asking compilers for their version takes long, so the answer is kept until one of them changes.
pub fn find_rustc(layout: &Layout, plan: &ToolchainPlan) -> Result<Option<Rustc>> {
    let candidates = match &plan.rustc {
        Some(named) => vec![named_rustc(named)?],
        None => rustc_candidates()
            .into_iter()
            .filter(|rustc| has_library_source(rustc))
            .collect(),
    };
    let mut inputs = Inputs::new();
    for rustc in &candidates {
        inputs.program(rustc.display().to_string(), rustc)?;
    }
    let stamp_file = layout.stamp("rustc");
    if let Freshness::Fresh(Some(rustc)) = stamp::check::<Option<Rustc>>(&stamp_file, &inputs) {
        return Ok(Some(rustc));
    }
    if let Some(named) = &plan.rustc {
        refuse_old(named, &rustc_version(named)?)?;
    }
    let found = candidates.into_iter().find_map(|path| {
        let version = rustc_version(&path).ok()?;
        (parse_version(&version)? >= OLDEST_RUSTC).then_some(Rustc { path, version })
    });
    stamp::record(&stamp_file, &inputs, &[], &found)?;
    Ok(found)
}

fn named_rustc(rustc: &Path) -> Result<PathBuf> {
    if !rustc.is_file() {
        return Err(unfit(rustc, "there is no such file"));
    }
    if !has_library_source(rustc) {
        return Err(unfit(rustc, "its library's source is not installed"));
    }
    Ok(rustc.to_path_buf())
}

/// Refuses a rustc that the user named and that says that it is too old for any kernel.
fn refuse_old(rustc: &Path, said: &str) -> Result<()> {
    match parse_version(said) {
        Some(version) if version >= OLDEST_RUSTC => Ok(()),
        _ => {
            let (major, minor) = OLDEST_RUSTC;
            let found = format!(
                "it says \"{}\", and kernels take {major}.{minor} or later",
                said.trim()
            );
            Err(unfit(rustc, &found))
        }
    }
}

/// What is wrong with a rustc that the user named.
fn unfit(rustc: &Path, found: &str) -> Error {
    Error::usage(format!("using {} as the kernel's rustc", rustc.display()), found)
        .hint("lab.toml [toolchain] rustc or RESTART_LAB_RUSTC names it; a rustup toolchain needs `rustup component add rust-src`")
}

/// Real compilers, not rustup's proxies: the distribution's first, then rustup's toolchains, stable before others.
fn rustc_candidates() -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from("/usr/bin/rustc")];
    let home = std::env::var_os("RUSTUP_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".rustup")));
    if let Some(entries) = home.and_then(|home| std::fs::read_dir(home.join("toolchains")).ok()) {
        let mut toolchains: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        toolchains.sort_by_key(|path| {
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            (
                name.starts_with("nightly"),
                !name.starts_with("stable"),
                name,
            )
        });
        found.extend(toolchains.into_iter().map(|path| path.join("bin/rustc")));
    }
    found.into_iter().filter(|path| path.is_file()).collect()
}

/// Whether `core`'s source is where the kernel's makefiles look for it: below the sysroot.
fn has_library_source(rustc: &Path) -> bool {
    let real = std::fs::canonicalize(rustc).unwrap_or_else(|_| rustc.to_path_buf());
    let sysroot = real.parent().and_then(Path::parent);
    sysroot.is_some_and(|sysroot| {
        sysroot
            .join("lib/rustlib/src/rust/library/core/src/lib.rs")
            .is_file()
    })
}

/// `rustc 1.96.0 (...)` -> (1, 96)
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split_whitespace().nth(1)?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// What `rustc --version` says.
pub fn rustc_version(rustc: &Path) -> Result<String> {
    program_version("rustc", rustc)
}

/// What a program of Rust's says to `--version`.
pub fn program_version(name: &str, path: &Path) -> Result<String> {
    tool(format!("asking for {name}'s version"), path)
        .arg("--version")
        .env_remove("LD_LIBRARY_PATH")
        .env_remove("RUSTUP_TOOLCHAIN")
        .failure(Kind::Host)
        .read()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn make_is_told_of_each_tool() {
        let tools = |cc| KernelTools {
            rustc: Rustc {
                path: "/usr/bin/rustc".into(),
                version: "rustc 1.96.0".into(),
            },
            bindgen: "/lab/bindgen".into(),
            cc,
            llvm: "19".into(),
        };
        let told = |cc, arch| {
            let tools = tools(cc);
            format!(
                "{} | {}",
                tools.settings(arch).join(" "),
                tools.programs(arch).join(" ")
            )
        };
        assert_eq!(
            told(Compiler::Gcc, Arch::X86_64),
            "NM=llvm-nm-19 OBJCOPY=llvm-objcopy-19 OBJDUMP=llvm-objdump-19 READELF=llvm-readelf-19 STRIP=llvm-strip-19 \
             CROSS_COMPILE=x86_64-linux-gnu- LD=ld.lld-19 \
             | x86_64-linux-gnu-gcc x86_64-linux-gnu-as ld.lld-19 llvm-objcopy-19"
        );
        assert_eq!(
            told(Compiler::Clang, Arch::Arm64),
            "LLVM=-19 | clang-19 ld.lld-19 llvm-objcopy-19"
        );
    }

    #[test]
    fn a_rustc_that_the_user_named_is_told_to_be_too_old() {
        let refused = |said: &str| refuse_old(Path::new("/opt/rustc"), said).err();
        assert!(refused("rustc 1.78.0 (9b00956e5 2024-04-29)").is_none());
        let old = refused("rustc 1.77.2 (25ef9e3d8 2024-04-09)\n").unwrap();
        let found = "using /opt/rustc as the kernel's rustc: it says \"rustc 1.77.2 (25ef9e3d8 2024-04-09)\", and kernels take 1.78 or later";
        assert!(old.to_string().starts_with(found), "{old}");
        assert!(refused("no compiler").is_some());
    }

    #[test]
    fn builds_see_little_of_the_users_environment() {
        let make = in_build_environment(tool("looking", "/usr/bin/env"));
        let text = make.read().unwrap();
        let mut names: Vec<&str> = text
            .lines()
            .filter_map(|line| Some(line.split_once('=')?.0))
            .filter(|name| !KEPT.contains(name))
            .collect();
        names.sort_unstable();
        assert_eq!(names, ["LC_ALL", "PATH"]);
        let path = format!("PATH={KBUILD_PATH}");
        assert!(text.lines().any(|line| line == path), "{text}");
    }
}
