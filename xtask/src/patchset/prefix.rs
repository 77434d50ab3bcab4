// SPDX-License-Identifier: GPL-2.0-only

//! Every prefix of the series, built: what `git bisect` may come by. A tree and object folders of
//! their own go from the bare source to the whole series, so that each build is what its patch
//! changes; what was built is remembered, and a cut check goes on where it was.

use std::time::Instant;

use crate::arch::Arch;
use crate::error::{Error, Result};
use crate::event::{Event, Sink, Stage, Step};
use crate::kernel::build::make;
use crate::kernel::config::{configure, describe_fragments, read_fragments, unset, Configured};
use crate::kernel::kconfig::Symbols;
use crate::kernel::source::Fetched;
use crate::kernel::toolchain::KernelTools;
use crate::kernel::tree::{OverlayFile, PatchedTree, State};
use crate::layout::{read_text, read_written};
use crate::patchset::series::Series;
use crate::pipeline::for_each_arch;
use crate::plan::Plan;
use crate::stage::announced;
use crate::stamp::{self, Freshness, Inputs};

/// What tree, object folders, stamps and logs of these builds are called by.
/// `+` is in no name of lab.toml.
const NAME: &str = "+prefix";

/// How the project's own options are set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Options {
    Off,
    On,
}

impl Options {
    fn word(self) -> &'static str {
        match self {
            Options::Off => "off",
            Options::On => "on",
        }
    }
}

/// What was built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Built {
    /// Builds that prove the series.
    pub all: u64,
    /// Those of them that an earlier check had made.
    pub before: u64,
}

/// Builds all prefixes for the plan's architectures, without and, where they exist, with the
/// options of the overlay. The caller holds the lock and has seen to the tools.
pub fn build_all(
    plan: &Plan,
    source: &Fetched,
    series: &Series,
    overlay: &[OverlayFile],
    sink: &dyn Sink,
) -> Result<Built> {
    let own = own_symbols(overlay)?;
    let tools = KernelTools::find(plan)?;
    let mut plan = plan.clone();
    plan.kernel.name.push_str(NAME);
    let checker = Checker {
        plan: &plan,
        tools: &tools,
        own: &own,
        sink,
    };
    let name = format!("{}{NAME}", plan.kernel.tree_name);
    // Opened when the first prefix has to be built.
    let mut state = None;
    let mut built = Built { all: 0, before: 0 };
    let step = Step::once(Stage::Prefix);
    let last = series.patches.len();
    sink.emit(Event::StepBegin {
        step,
        why: format!("{} prefixes to build", last + 1),
    });
    let start = Instant::now();
    for count in 0..=last {
        let prefix = series.prefix(count);
        let tree = PatchedTree::of(&plan.layout, &name, source, &prefix, overlay)?;
        let title = match prefix.patches.last() {
            Some(patch) => format!("up to {}", patch.name),
            None => "without a patch".to_string(),
        };
        let of_all = (count, last);
        sink.emit(Event::StepProgress {
            step,
            done: count as u64,
            total: Some(last as u64 + 1),
            text: title.clone(),
        });
        let (before, stale) = checker.known(&tree, count)?;
        built.before += before;
        built.all += before;
        if stale.is_empty() {
            continue;
        }
        let state = match &state {
            Some(state) => state,
            None => state.insert(State::open(&plan.layout, &name, source, sink)?),
        };
        state.sync_series(&plan.layout, &prefix)?;
        state.sync_overlay(overlay)?;
        let builds = for_each_arch(&stale, |arch| checker.build(&tree, of_all, arch, &title))?;
        built.all += builds.iter().sum::<u64>();
    }
    sink.emit(Event::StepEnd {
        step,
        elapsed: start.elapsed(),
    });
    Ok(built)
}

/// The symbols that the overlay's Kconfig files define.
pub fn own_symbols(overlay: &[OverlayFile]) -> Result<Vec<String>> {
    let mut symbols = Vec::new();
    for file in overlay.iter().filter(|file| file.to.ends_with("/Kconfig")) {
        let text = read_written(&file.from)?;
        let names = text.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            let entry = ["config", "menuconfig"].contains(&words.next()?);
            entry.then(|| words.next().map(str::to_string)).flatten()
        });
        symbols.extend(names);
    }
    Ok(symbols)
}

/// `CONFIG_A, CONFIG_B`
fn words(symbols: &[impl AsRef<str>]) -> String {
    let names = symbols
        .iter()
        .map(|symbol| format!("CONFIG_{}", symbol.as_ref()));
    names.collect::<Vec<_>>().join(", ")
}

struct Checker<'a> {
    plan: &'a Plan,
    tools: &'a KernelTools,
    own: &'a [String],
    sink: &'a dyn Sink,
}

impl Checker<'_> {
    /// What a build of this tree depends on, its configuration included.
    fn inputs(&self, tree: &PatchedTree, arch: Arch) -> Result<Inputs> {
        let mut inputs = tree.inputs.clone();
        describe_fragments(&read_fragments(self.plan, arch)?, &mut inputs);
        self.tools.describe(arch, &mut inputs)?;
        Ok(inputs)
    }

    fn stamp(&self, count: usize, arch: Arch) -> std::path::PathBuf {
        let name = &self.plan.kernel.name;
        self.plan.layout.stamp(&format!("{name}-{count}-{arch}"))
    }

    /// How many builds of this prefix are known as it is now, and the architectures that lack theirs.
    fn known(&self, tree: &PatchedTree, count: usize) -> Result<(u64, Vec<Arch>)> {
        let (mut known, mut stale) = (0, Vec::new());
        for arch in &self.plan.arches {
            let inputs = self.inputs(tree, *arch)?;
            match stamp::check::<u64>(&self.stamp(count, *arch), &inputs) {
                Freshness::Fresh(builds) => known += builds,
                Freshness::Stale(_) => stale.push(*arch),
            }
        }
        Ok((known, stale))
    }

    /// Builds the prefix of `count` patches, of all that there are, for an architecture; how many builds
    /// that took.
    fn build(
        &self,
        tree: &PatchedTree,
        (count, all): (usize, usize),
        arch: Arch,
        title: &str,
    ) -> Result<u64> {
        let (inputs, stamp) = (self.inputs(tree, arch)?, self.stamp(count, arch));
        stamp::forget(&stamp)?;
        let known = Symbols::read(&tree.path, arch.kbuild_name());
        let (there, lacking): (Vec<_>, Vec<_>) =
            self.own.iter().partition(|symbol| known.defines(symbol));
        // Off first: the next prefix is nearer to it.
        let ways: &[Options] = match there.is_empty() {
            false => &[Options::Off, Options::On],
            true => &[Options::Off],
        };
        if count == all && !lacking.is_empty() {
            return Err(Error::build(
                format!("looking for the overlay's options in the whole series, for {arch}"),
                format!("no Kconfig file that it reads defines {}", words(&lacking)),
            )
            .hint("a patch has to source the overlay's Kconfig"));
        }
        for options in ways {
            let (step, word) = (Step::of(Stage::Prefix, arch), options.word());
            let why = format!("{count} of {all}, {title}, options {word}");
            let doing = format!("building the series {title}, its options {word}, for {arch}");
            let mut plan = self.plan.clone();
            if *options == Options::Off {
                plan.kernel.without = self.own.to_vec();
            }
            announced(step, why, self.sink, || {
                let configured = configure(&plan, tree, self.tools, arch, self.sink)?;
                if *options == Options::On {
                    self.see_that_they_are_on(&configured, &doing)?;
                }
                make(&plan, tree, self.tools, &configured, step, doing, self.sink)
            })?;
        }
        let builds = ways.len() as u64;
        stamp::record(&stamp, &inputs, &[], &builds)?;
        Ok(builds)
    }

    /// Fails if a configuration that should have the overlay's options does not: what is off compiles always.
    fn see_that_they_are_on(&self, configured: &Configured, doing: &str) -> Result<()> {
        let config = read_text(&configured.obj.join(".config"))?;
        let off = unset(self.own, &config);
        if off.is_empty() {
            return Ok(());
        }
        Err(
            Error::usage(doing, format!("its configuration has {} off", words(&off)))
                .hint("the kernel's fragments in lab.toml have to ask for what the overlay brings"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_options_of_the_overlay_are_those_its_kconfig_defines() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let from = dir.path().join(name.replace('/', "-"));
            std::fs::write(&from, text).unwrap();
            let to = name.to_string();
            OverlayFile { from, to }
        };
        let overlay = [
            file(
                "kernel/checkpoint/Kconfig",
                "config CHECKPOINT\n\tbool \"config X\"\n\tdepends on RUST\n\nmenuconfig CHECKPOINT_DEBUG\n",
            ),
            file("kernel/checkpoint/cr_main.rs", "config NOT\n"),
        ];
        assert_eq!(
            own_symbols(&overlay).unwrap(),
            ["CHECKPOINT", "CHECKPOINT_DEBUG"]
        );
    }
}
