// SPDX-License-Identifier: GPL-2.0-only

//! Kernel configuration: nothing but what the fragments ask for and what that
//! needs, and a check that every symbol asked for came through and is one of the kernel's.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::arch::Arch;
use crate::error::{AtPath, Error, Result};
use crate::event::{Sink, Stage, Step};
use crate::kernel::kconfig::{Symbols, Values};
use crate::kernel::objects;
use crate::kernel::rust;
use crate::kernel::toolchain::KernelTools;
use crate::kernel::tree::PatchedTree;
use crate::layout::{create_dir, read_text, read_written, remove_dir, write_whole};
use crate::pipeline::patched_tree;
use crate::plan::Plan;
use crate::stage::Cached;
use crate::stamp::{self, Inputs};

/// What symbols begin with in a configuration, and not in Kconfig files.
const PREFIX: &str = "CONFIG_";
/// The fragment of what is switched off whatever the others say. A prefix of the series may not have it at all.
const SWITCHED_OFF: &str = "(switched off)";

/// A configured object folder.
#[derive(Debug, Clone)]
pub struct Configured {
    /// For which architecture.
    pub arch: Arch,
    /// The object folder.
    pub obj: PathBuf,
    /// sha256 of its `.config`.
    pub config_sha256: String,
}

/// Configures the plan's kernel for each of its architectures.
pub fn configure_all(plan: &Plan, sink: &dyn Sink) -> Result<Vec<Configured>> {
    let tree = patched_tree(plan, sink)?;
    let tools = KernelTools::find(plan)?;
    plan.arches
        .iter()
        .map(|arch| configure(plan, &tree, &tools, *arch, sink))
        .collect()
}

/// Symbols asked for, and which fragment asked last.
pub type Wanted = BTreeMap<String, (String, String)>;

/// Configures a kernel for an architecture, unless it is.
pub fn configure(
    plan: &Plan,
    tree: &PatchedTree,
    tools: &KernelTools,
    arch: Arch,
    sink: &dyn Sink,
) -> Result<Configured> {
    let name = &plan.kernel.name;
    let obj = plan.layout.obj(name, arch);
    let fragments = read_fragments(plan, arch)?;
    let mut inputs = Inputs::new();
    inputs.text("kernel source", tree.source.sha256.clone());
    inputs.text("tree", tree.path.display().to_string());
    for path in &tree.kconfig_files {
        inputs.file(path, &tree.path.join(path))?;
    }
    describe_fragments(&fragments, &mut inputs);
    tools.describe(arch, &mut inputs)?;
    let stage = Cached {
        step: Step::of(Stage::Config, arch),
        stamp: plan.layout.stamp(&format!("config-{name}-{arch}")),
        inputs: &inputs,
        sink,
    };
    let config_sha256 = stage.get(
        |_| vec![obj.join(".config")],
        || {
            if !obj.exists() {
                objects::make_room(plan, sink)?;
            }
            make_config(plan, tree, tools, arch, &fragments)
        },
    )?;
    objects::mark_used(&obj)?;
    Ok(Configured {
        arch,
        obj,
        config_sha256,
    })
}

/// The fragments as an input: what each says and, as a later one overrides an earlier one, their order.
pub fn describe_fragments(fragments: &[(String, String)], inputs: &mut Inputs) {
    for (name, text) in fragments {
        let hash = stamp::hash_bytes(text.as_bytes());
        inputs.text(format!("images/kernel/{name}"), hash);
    }
    let names = fragments.iter().map(|(name, _)| name.as_str());
    inputs.text(
        "order of the fragments",
        names.collect::<Vec<_>>().join(" "),
    );
}

/// The fragments of the plan's kernel: name and text.
pub fn read_fragments(plan: &Plan, arch: Arch) -> Result<Vec<(String, String)>> {
    let mut fragments = Vec::new();
    for fragment in plan.kernel.fragments(arch) {
        let path = plan.layout.fragments().join(&fragment);
        if !path.is_file() {
            return Err(Error::usage(
                format!("configuring kernel \"{}\" for {arch}", plan.kernel.name),
                format!("its fragment {} does not exist", plan.layout.show(&path)),
            ));
        }
        fragments.push((fragment, read_written(&path)?));
    }
    let off = |symbol: &String| format!("{PREFIX}{symbol}=n\n");
    let without: String = plan.kernel.without.iter().map(off).collect();
    if !without.is_empty() {
        fragments.push((SWITCHED_OFF.to_string(), without));
    }
    Ok(fragments)
}

/// Runs kconfig on the fragments; the hash of the result.
fn make_config(
    plan: &Plan,
    tree: &PatchedTree,
    tools: &KernelTools,
    arch: Arch,
    fragments: &[(String, String)],
) -> Result<String> {
    let name = &plan.kernel.name;
    let obj = plan.layout.obj(name, arch);
    let doing = format!("configuring the kernel ({name}, {arch})");
    let wanted = wanted(fragments)?;
    rust::refuse_unfit(&doing, &wanted, tree, tools, arch)?;
    create_dir(&obj)?;
    // kbuild makes them anew when bindgen or gcc are others, and not when libclang is.
    for folder in ["rust/bindings", "rust/uapi"] {
        remove_dir(&obj.join(folder))?;
    }
    let asked = obj.join("asked.config");
    write_whole(&asked, joined(fragments).as_bytes())?;
    tools
        .make(doing.clone(), &tree.path, &obj, arch)
        .env("KCONFIG_ALLCONFIG", &asked)
        .arg("allnoconfig")
        .run_logged(
            &plan.layout.log(&format!("config-{name}-{arch}")),
            |_, _| {},
        )?;
    let result = read_text(&obj.join(".config"))?;
    let read = || Symbols::read(&tree.path, arch.kbuild_name());
    let problems = problems(&wanted, &result, read);
    if !problems.is_empty() {
        return Err(Error::usage(doing, problems.join("\n")).hint(
            "ask for what it depends on in the same fragment, or take it out; \
             what only some kernels have goes into a fragment of theirs",
        ));
    }
    Ok(stamp::hash_bytes(result.as_bytes()))
}

/// What of the fragments did not come through, or means nothing to the kernel. Its symbols are read only if
/// something did not, or is not spoken of.
fn problems(wanted: &Wanted, result: &str, read: impl FnOnce() -> Symbols) -> Vec<String> {
    let (lost, unspoken) = (lost_symbols(wanted, result), unspoken(wanted, result));
    if lost.is_empty() && unspoken.is_empty() {
        return Vec::new();
    }
    let (symbols, values) = (read(), values(result));
    let why = |(symbol, words): (String, String)| {
        let symbol = symbol.trim_start_matches(PREFIX);
        let asked = wanted.get(&format!("{PREFIX}{symbol}"));
        let asked = asked.map_or("", |(value, _)| value.as_str());
        format!("{words}: {}", symbols.why(symbol, asked, &values))
    };
    let is_undefined = |(symbol, _): &(String, String)| {
        let symbol = symbol.trim_start_matches(PREFIX);
        !symbols.defines(symbol)
    };
    let undefined = unspoken.into_iter().filter(is_undefined);
    lost.into_iter().chain(undefined).map(why).collect()
}

/// Symbols that were to be off and that a finished configuration does not mention, each with that in words: those that
/// cannot be set as things are, and those that do not exist.
fn unspoken(wanted: &Wanted, result: &str) -> Vec<(String, String)> {
    let off = |line: &'_ str| {
        let symbol = line.strip_prefix("# ")?.strip_suffix(" is not set")?;
        Some(symbol.to_string())
    };
    let mentioned: BTreeSet<String> = result.lines().filter_map(off).collect();
    let asked = wanted
        .iter()
        .filter(|(_, (value, fragment))| value == "n" && fragment != SWITCHED_OFF);
    let unspoken = asked.filter(|(symbol, _)| !mentioned.contains(*symbol));
    let told = unspoken.map(|(symbol, (value, fragment))| {
        let words = format!("images/kernel/{fragment}: {symbol}={value} switches nothing off");
        (symbol.clone(), words)
    });
    told.collect()
}

/// The fragments as one text. The last line of one may have no end.
fn joined(fragments: &[(String, String)]) -> String {
    let texts: Vec<&str> = fragments.iter().map(|(_, text)| text.as_str()).collect();
    texts.join("\n")
}

/// The symbols that fragments ask for; a later fragment overrides an earlier one.
pub fn wanted(fragments: &[(String, String)]) -> Result<Wanted> {
    let mut wanted = Wanted::new();
    for (name, text) in fragments {
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || (line.starts_with('#') && !line.ends_with("is not set")) {
                continue;
            }
            let unset = line
                .strip_prefix("# ")
                .and_then(|rest| rest.strip_suffix(" is not set"));
            let setting = unset
                .map(|symbol| (symbol, "n"))
                .or_else(|| line.split_once('='));
            // What has spaces around its sign is none to kconfig either.
            let is_tight = |text: &str| text == text.trim();
            match setting {
                Some((symbol, value))
                    if symbol.starts_with(PREFIX) && is_tight(symbol) && is_tight(value) =>
                {
                    wanted.insert(symbol.to_string(), (value.to_string(), name.clone()));
                }
                _ => {
                    return Err(Error::usage(
                        format!("reading images/kernel/{name}"),
                        format!("line {}: \"{line}\" is not CONFIG_NAME=value", at + 1),
                    ))
                }
            }
        }
    }
    Ok(wanted)
}

/// What a finished configuration sets.
fn values(result: &str) -> Values<'_> {
    let lines = result.lines().filter_map(|line| line.strip_prefix(PREFIX));
    lines.filter_map(|line| line.split_once('=')).collect()
}

/// Those of `symbols` (without `CONFIG_`) that are not switched on in a finished configuration.
pub fn unset<'a>(symbols: &'a [String], result: &str) -> Vec<&'a str> {
    let set = values(result);
    let names = symbols.iter().map(String::as_str);
    names
        .filter(|name| matches!(set.get(name), None | Some(&"n")))
        .collect()
}

/// Symbols whose value in the finished configuration is not the one asked for, each with that in words.
pub fn lost_symbols(wanted: &Wanted, result: &str) -> Vec<(String, String)> {
    let set = values(result);
    let mut lost = Vec::new();
    for (symbol, (value, fragment)) in wanted {
        let name = symbol.trim_start_matches(PREFIX);
        let found = set.get(name).copied().unwrap_or("n");
        if found != value {
            let found = if found == "n" { "not set" } else { found };
            let words = format!(
                "images/kernel/{fragment}: {symbol}={value} did not come through: it is {found}"
            );
            lost.push((symbol.clone(), words));
        }
    }
    lost
}

/// `KERNELRELEASE` of an object folder.
pub fn kernel_release(obj: &Path) -> Result<String> {
    let path = obj.join("include/config/kernel.release");
    std::fs::read_to_string(&path)
        .at("reading", &path)
        .map(|text| text.trim().to_string())
}

/// The compiler that an object folder is configured for, as it names itself.
pub fn compiler_version(obj: &Path) -> Result<String> {
    let config = read_text(&obj.join(".config"))?;
    let version = values(&config).get("CC_VERSION_TEXT").copied();
    Ok(version.unwrap_or("unknown").trim_matches('"').to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fragment(name: &str, text: &str) -> (String, String) {
        (name.to_string(), text.to_string())
    }

    #[test]
    fn every_lost_symbol_is_named() {
        let base = fragment(
            "base.config",
            "# note\nCONFIG_A=y\nCONFIG_B=n\nCONFIG_S=\"lab\"\nCONFIG_K=y\n",
        );
        let debug = fragment("debug.config", "# CONFIG_K is not set\nCONFIG_N=8\n");
        let wanted = wanted(&[base, debug]).unwrap();
        let lost = lost_symbols(
            &wanted,
            "CONFIG_B=y\nCONFIG_S=\"lab\"\n# CONFIG_A is not set\nCONFIG_N=4\n",
        );
        let lost: Vec<&str> = lost.iter().map(|(_, words)| words.as_str()).collect();
        insta::assert_snapshot!(lost.join("\n"), @r"
        images/kernel/base.config: CONFIG_A=y did not come through: it is not set
        images/kernel/base.config: CONFIG_B=n did not come through: it is y
        images/kernel/debug.config: CONFIG_N=8 did not come through: it is 4
        ");
    }

    #[test]
    fn what_no_kconfig_file_knows_cannot_be_switched_off() {
        let dir = tempfile::tempdir().unwrap();
        let kconfig =
            "config THERE\n\tbool \"x\"\nconfig HIDDEN\n\tbool \"x\"\n\tdepends on THERE\n";
        std::fs::write(dir.path().join("Kconfig"), kconfig).unwrap();
        let base = "CONFIG_THERE=n\nCONFIG_HIDDEN=n\nCONFIG_HIDDE=n\n# CONFIG_GONE is not set\nCONFIG_NONE=y\n";
        let off = "CONFIG_OF_LATER_PATCHES=n\n";
        let all = [fragment("base.config", base), fragment(SWITCHED_OFF, off)];
        let read = || Symbols::read(dir.path(), "x86");
        let told = problems(&wanted(&all).unwrap(), "# CONFIG_THERE is not set\n", read);
        insta::assert_snapshot!(told.join("\n"), @r"
        images/kernel/base.config: CONFIG_NONE=y did not come through: it is not set: no Kconfig file of this kernel defines it
        images/kernel/base.config: CONFIG_GONE=n switches nothing off: no Kconfig file of this kernel defines it
        images/kernel/base.config: CONFIG_HIDDE=n switches nothing off: no Kconfig file of this kernel defines it (did you mean HIDDEN?)
        ");
        // Where every one is spoken of, nobody has to look.
        let there = [fragment("base.config", "CONFIG_THERE=n\n")];
        let unread = || unreachable!();
        let wanted = wanted(&there).unwrap();
        assert!(problems(&wanted, "# CONFIG_THERE is not set\n", unread).is_empty());
    }

    #[test]
    fn a_module_wants_modules() {
        let dir = tempfile::tempdir().unwrap();
        let kconfig =
            "config FREE\n\ttristate \"x\"\nconfig BOUND\n\ttristate \"x\"\n\tdepends on THERE\n";
        std::fs::write(dir.path().join("Kconfig"), kconfig).unwrap();
        let base = fragment(
            "base.config",
            "CONFIG_FREE=m\nCONFIG_BOUND=m\nCONFIG_NONE=m\n",
        );
        let wanted = wanted(&[base]).unwrap();
        let told = |result: &str| problems(&wanted, result, || Symbols::read(dir.path(), "x86"));
        insta::assert_snapshot!(told("CONFIG_FREE=y\n").join("\n"), @r"
        images/kernel/base.config: CONFIG_BOUND=m did not come through: it is not set: as a module it depends on MODULES; Kconfig:3 depends on THERE
        images/kernel/base.config: CONFIG_FREE=m did not come through: it is y: as a module it depends on MODULES
        images/kernel/base.config: CONFIG_NONE=m did not come through: it is not set: no Kconfig file of this kernel defines it
        ");
        insta::assert_snapshot!(told("CONFIG_FREE=y\nCONFIG_MODULES=y\n")[1], @"images/kernel/base.config: CONFIG_FREE=m did not come through: it is y: Kconfig:1 has all that it depends on: a choice or another symbol decides");
    }

    #[test]
    fn what_is_not_on_is_told() {
        let symbols = ["A", "B", "C"].map(str::to_string);
        let found = unset(&symbols, "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_AB=y\n");
        assert_eq!(found, ["B", "C"]);
    }

    #[test]
    fn the_last_line_of_a_fragment_needs_no_end() {
        let both = [fragment("a", "CONFIG_A=y"), fragment("b", "CONFIG_B=y")];
        assert_eq!(joined(&both), "CONFIG_A=y\nCONFIG_B=y");
    }

    #[test]
    fn a_line_that_is_no_setting_is_refused() {
        let error = wanted(&[fragment("base.config", "CONFIG_A=y\nSMP=y\n")]).unwrap_err();
        assert_eq!(error.found(), "line 2: \"SMP=y\" is not CONFIG_NAME=value");
        for spaced in ["CONFIG_SMP = y", "CONFIG_SMP =y", "CONFIG_SMP= y"] {
            let error = wanted(&[fragment("base.config", spaced)]).unwrap_err();
            assert!(
                error.found().contains("is not CONFIG_NAME=value"),
                "{error}"
            );
        }
    }
}
