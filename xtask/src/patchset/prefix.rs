// SPDX-License-Identifier: GPL-2.0-only

//! Every prefix of the series, built: what `git bisect` may come by. A tree and object folders of
//! their own go from the bare source to the whole series, so that each build is what its patch
//! changes; what was built is remembered, and a cut check goes on where it was.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::arch::Arch;
use crate::error::Result;
use crate::event::{Event, Sink, Stage, Step};
use crate::kernel::kconfig::Symbols;
use crate::kernel::source::Fetched;
use crate::kernel::toolchain::KernelTools;
use crate::kernel::tree::{kconfig_files, tree_inputs, OverlayFile, PatchedTree, State};
use crate::kernel::{build, config};
use crate::layout::read_text;
use crate::patchset::series::Series;
use crate::pipeline::for_each_arch;
use crate::plan::Plan;
use crate::stamp::{self, Freshness, Inputs};

/// What tree, object folders, stamps and logs of these builds are called by.
const NAME: &str = "prefix";

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
    plan.kernel.name = format!("{}-{NAME}", plan.kernel.name);
    let checker = Checker {
        plan: &plan,
        tools: &tools,
        own: &own,
        sink,
        all: AtomicU64::new(0),
        before: AtomicU64::new(0),
    };
    let name = format!("{}-{NAME}", plan.kernel.tree_name);
    // Opened when the first prefix has to be built.
    let mut state = None;
    for count in 0..=series.patches.len() {
        let prefix = series.prefix(count);
        let tree = PatchedTree {
            path: plan.layout.tree(&name),
            source: source.clone(),
            inputs: tree_inputs(source, &prefix, overlay)?,
            kconfig_files: kconfig_files(&prefix, overlay),
        };
        let title = match prefix.patches.last() {
            Some(patch) => format!("up to {}", patch.name),
            None => "without a patch".to_string(),
        };
        let of_all = (count, series.patches.len());
        let stale = checker.not_built(&tree, count)?;
        if stale.is_empty() {
            continue;
        }
        let state = match &state {
            Some(state) => state,
            None => state.insert(State::open(&plan.layout, &name, source, sink)?),
        };
        state.sync_series(&plan.layout, &prefix)?;
        state.sync_overlay(overlay)?;
        for_each_arch(&stale, |arch| checker.build(&tree, of_all, arch, &title))?;
    }
    Ok(Built {
        all: checker.all.into_inner(),
        before: checker.before.into_inner(),
    })
}

/// The symbols that the overlay's Kconfig files define.
fn own_symbols(overlay: &[OverlayFile]) -> Result<Vec<String>> {
    let mut symbols = Vec::new();
    for file in overlay.iter().filter(|file| file.to.ends_with("/Kconfig")) {
        let text = read_text(&file.from)?;
        let names = text.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            let entry = ["config", "menuconfig"].contains(&words.next()?);
            entry.then(|| words.next().map(str::to_string)).flatten()
        });
        symbols.extend(names);
    }
    Ok(symbols)
}

struct Checker<'a> {
    plan: &'a Plan,
    tools: &'a KernelTools,
    own: &'a [String],
    sink: &'a dyn Sink,
    all: AtomicU64,
    before: AtomicU64,
}

impl Checker<'_> {
    /// What a build of this tree depends on, its configuration included.
    fn inputs(&self, tree: &PatchedTree, arch: Arch) -> Result<Inputs> {
        let mut inputs = tree.inputs.clone();
        for name in self.plan.kernel.fragments(arch) {
            inputs.file(
                format!("images/kernel/{name}"),
                &self.plan.layout.fragments().join(&name),
            )?;
        }
        self.tools.describe(&mut inputs)?;
        Ok(inputs)
    }

    fn stamp(&self, count: usize, arch: Arch) -> std::path::PathBuf {
        let name = &self.plan.kernel.name;
        self.plan.layout.stamp(&format!("{name}-{count}-{arch}"))
    }

    /// The architectures for which this prefix has not been built as it is now.
    fn not_built(&self, tree: &PatchedTree, count: usize) -> Result<Vec<Arch>> {
        let mut stale = Vec::new();
        for arch in &self.plan.arches {
            let inputs = self.inputs(tree, *arch)?;
            match stamp::check::<u64>(&self.stamp(count, *arch), &inputs) {
                Freshness::Fresh(builds) => {
                    self.all.fetch_add(builds, Ordering::Relaxed);
                    self.before.fetch_add(builds, Ordering::Relaxed);
                }
                Freshness::Stale(_) => stale.push(*arch),
            }
        }
        Ok(stale)
    }

    /// Builds the prefix of `count` patches, of all that there are, for an architecture.
    fn build(
        &self,
        tree: &PatchedTree,
        (count, all): (usize, usize),
        arch: Arch,
        title: &str,
    ) -> Result<()> {
        let (inputs, stamp) = (self.inputs(tree, arch)?, self.stamp(count, arch));
        stamp::forget(&stamp)?;
        // Off first: the next prefix is nearer to it.
        let known = Symbols::read(&tree.path, arch.kbuild_name());
        let both = self.own.iter().any(|symbol| known.defines(symbol));
        let ways: &[Options] = match both {
            true => &[Options::Off, Options::On],
            false => &[Options::Off],
        };
        for options in ways {
            let (step, start) = (Step::of(Stage::Prefix, arch), Instant::now());
            self.sink.emit(Event::StepBegin {
                step,
                why: format!("{count} of {all}, {title}, options {}", options.word()),
            });
            let make_says = |event| match event {
                Event::StepProgress {
                    done, total, text, ..
                } => self.sink.emit(Event::StepProgress {
                    step,
                    done,
                    total,
                    text,
                }),
                other => self.sink.emit(other),
            };
            let mut plan = self.plan.clone();
            if *options == Options::Off {
                plan.kernel.without = self.own.to_vec();
            }
            let configured = config::configure(&plan, tree, self.tools, arch, self.sink)?;
            let doing = format!(
                "building the series {title}, its options {}, for {arch}",
                options.word()
            );
            build::make(
                &plan,
                tree,
                self.tools,
                arch,
                &configured,
                doing,
                &make_says,
            )?;
            self.sink.emit(Event::StepEnd {
                step,
                elapsed: start.elapsed(),
            });
        }
        let builds = ways.len() as u64;
        self.all.fetch_add(builds, Ordering::Relaxed);
        stamp::record(&stamp, &inputs, &[], &builds)
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
