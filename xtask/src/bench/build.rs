// SPDX-License-Identifier: GPL-2.0-only

//! `lab bench build`: what building a kernel takes. From nothing, beside the same source and configuration
//! without series and overlay; with nothing changed; and with one line of the overlay changed. In a tree and
//! object folders of its own, which are gone afterwards: those of `lab run` stay as warm as they were.

use std::path::Path;
use std::time::{Duration, Instant};

use procfs::process::Process;
use serde::Serialize;

use crate::arch::Arch;
use crate::bench::median;
use crate::error::{AtPath, Error, Result};
use crate::event::{Sink, Stage, Step};
use crate::flags;
use crate::kernel::build::make;
use crate::kernel::config::{configure, Configured};
use crate::kernel::source::{self, Fetched};
use crate::kernel::toolchain::KernelTools;
use crate::kernel::tree::{overlay_of, OverlayFile, PatchedTree, State};
use crate::layout::{read_written, remove_dir};
use crate::patchset::prefix::own_symbols;
use crate::patchset::series::Series;
use crate::plan::Plan;
use crate::stage::announced;

/// How often the small builds are measured where nothing is said.
pub const REPEAT: u32 = 3;
/// What tree and object folders of these builds are called by; `+` is in no name of lab.toml.
const NAME: &str = "+bench";

/// Numbers of one architecture, in seconds. CPU time is that of make and of all that it starts, in user and kernel
/// mode; configuring is not part of it.
#[derive(Debug, Serialize)]
pub struct Numbers {
    arch: Arch,
    jobs: usize,
    /// From nothing: CPU time, and time on the clock.
    cold_cpu_s: f64,
    cold_s: f64,
    /// The same without series, overlay and its options: CPU time.
    plain_cpu_s: f64,
    /// The one over the other.
    ratio: f64,
    repeat: u32,
    /// Nothing changed, the median: what make takes to find that out.
    same_s: f64,
    /// One line of the overlay changed, the median.
    change_s: f64,
}

/// What builds are made of. The caller holds the lock and has seen to the tools.
pub struct Bench<'a> {
    plan: Plan,
    source: Fetched,
    series: Series,
    overlay: Vec<OverlayFile>,
    tools: KernelTools,
    sink: &'a dyn Sink,
}

impl<'a> Bench<'a> {
    /// Of a plan's kernel, which has a series.
    pub fn new(plan: &Plan, sink: &'a dyn Sink) -> Result<Bench<'a>> {
        let mut named = plan.clone();
        named.kernel.name.push_str(NAME);
        named.kernel.tree_name.push_str(NAME);
        Ok(Bench {
            series: Series::read(plan.series()?)?,
            overlay: overlay_of(plan)?,
            source: source::fetch(plan, sink)?,
            tools: KernelTools::find(plan)?,
            plan: named,
            sink,
        })
    }

    /// Measures one architecture.
    pub fn measure(&self, flags: &flags::Bench, arch: Arch) -> Result<Numbers> {
        let repeat = flags.repeat.unwrap_or(REPEAT).max(1);
        let (layout, name) = (&self.plan.layout, &self.plan.kernel.tree_name);
        let state = State::open(layout, name, &self.source, self.sink)?;
        let (plain_cpu, _, _) = self.cold(&state, arch, false)?;
        let (cold_cpu, cold, configured) = self.cold(&state, arch, true)?;
        let tree = self.tree(&self.series)?;
        let (mut sames, mut changes) = (Vec::new(), Vec::new());
        for round in 1..=repeat {
            let same = self.build(&tree, &configured, "nothing changed")?;
            sames.push(same.1);
            let scratch = layout.scratch("bench")?;
            state.sync_overlay(&changed(&self.overlay, scratch.path(), round)?)?;
            let change = self.build(&tree, &configured, "one line changed")?;
            changes.push(change.1);
        }
        Ok(Numbers {
            arch,
            jobs: self.plan.build_jobs,
            cold_cpu_s: cold_cpu.as_secs_f64(),
            cold_s: cold.as_secs_f64(),
            plain_cpu_s: plain_cpu.as_secs_f64(),
            ratio: cold_cpu.as_secs_f64() / plain_cpu.as_secs_f64(),
            repeat,
            same_s: median(sames),
            change_s: median(changes),
        })
    }

    /// Builds from nothing, with or without what the project adds: CPU time, time, and what was configured.
    fn cold(
        &self,
        state: &State,
        arch: Arch,
        whole: bool,
    ) -> Result<(Duration, Duration, Configured)> {
        let mut plan = self.plan.clone();
        let count = if whole { self.series.patches.len() } else { 0 };
        let series = self.series.prefix(count);
        state.sync_series(&plan.layout, &series)?;
        state.sync_overlay(&self.overlay)?;
        remove_dir(&plan.layout.obj(&plan.kernel.name, arch))?;
        if !whole {
            // Nothing reads the overlay's Kconfig files before the series does.
            plan.kernel.without = own_symbols(&self.overlay)?;
        }
        let tree = self.tree(&series)?;
        let configured = configure(&plan, &tree, &self.tools, arch, self.sink)?;
        let why = match whole {
            true => "from nothing",
            false => "from nothing, without series and overlay",
        };
        let (cpu, time) = self.build(&tree, &configured, why)?;
        Ok((cpu, time, configured))
    }

    fn tree(&self, series: &Series) -> Result<PatchedTree> {
        let (layout, name) = (&self.plan.layout, &self.plan.kernel.tree_name);
        PatchedTree::of(layout, name, &self.source, series, &self.overlay)
    }

    /// One run of make: its CPU time, and the time it took.
    fn build(
        &self,
        tree: &PatchedTree,
        configured: &Configured,
        why: &str,
    ) -> Result<(Duration, Duration)> {
        let step = Step::of(Stage::Kernel, configured.arch);
        let doing = format!("measuring a build ({}, {why})", configured.arch);
        let (plan, tools) = (&self.plan, &self.tools);
        let (before, began) = (cpu_time()?, Instant::now());
        announced(step, why.to_string(), self.sink, || {
            make(plan, tree, tools, configured, step, doing, self.sink)
        })?;
        Ok((cpu_time()?.saturating_sub(before), began.elapsed()))
    }

    /// Removes tree and object folders.
    pub fn clean(&self) -> Result<()> {
        let (layout, kernel) = (&self.plan.layout, &self.plan.kernel);
        for arch in &self.plan.arches {
            remove_dir(&layout.obj(&kernel.name, *arch))?;
        }
        // The state first: a tree without one is not believed.
        remove_dir(&layout.tree_state(&kernel.tree_name))?;
        remove_dir(&layout.tree(&kernel.tree_name))
    }
}

/// The overlay with one line more in its first file that Rust or C compiles, a copy of which is made in `folder`.
fn changed(overlay: &[OverlayFile], folder: &Path, round: u32) -> Result<Vec<OverlayFile>> {
    let mut files = overlay.to_vec();
    let compiled = |file: &&mut OverlayFile| file.to.ends_with(".rs") || file.to.ends_with(".c");
    let file = files.iter_mut().find(compiled).ok_or_else(|| {
        Error::usage(
            "measuring a build with one line changed",
            "the kernel's overlay has no file in Rust or C",
        )
        .hint("--kernel names another one")
    })?;
    let copy = folder.join("changed");
    let text = read_written(&file.from)?;
    std::fs::write(&copy, format!("{text}// {round}\n")).at("writing", &copy)?;
    file.from = copy;
    Ok(files)
}

/// What all programs that this one has started and waited for, and theirs, have had of processors.
fn cpu_time() -> Result<Duration> {
    let stat = Process::myself().and_then(|this| this.stat());
    let stat =
        stat.map_err(|err| Error::lab("asking for the CPU time of builds", err.to_string()))?;
    let ticks = u64::try_from(stat.cutime + stat.cstime).unwrap_or(0);
    Ok(Duration::from_secs_f64(
        ticks as f64 / procfs::ticks_per_second() as f64,
    ))
}

/// A line for people.
pub fn text(numbers: &Numbers) -> String {
    format!(
        "{:<7} from nothing {:.2} CPU-minutes ({:.0} s with {} jobs), ratio {:.2} to the source without series and overlay ({:.2}); \
         nothing changed {:.1} s, one line of the overlay {:.1} s (medians of {})\n",
        numbers.arch,
        numbers.cold_cpu_s / 60.0,
        numbers.cold_s,
        numbers.jobs,
        numbers.ratio,
        numbers.plain_cpu_s / 60.0,
        numbers.same_s,
        numbers.change_s,
        numbers.repeat,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_changed_overlay_is_the_overlay_but_for_a_line() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            let from = dir.path().join(name);
            std::fs::write(&from, name).unwrap();
            let to = format!("kernel/checkpoint/{name}");
            OverlayFile { from, to }
        };
        let overlay = [file("Kconfig"), file("cr_main.rs"), file("lib.rs")];
        let scratch = tempfile::tempdir().unwrap();
        let files = changed(&overlay, scratch.path(), 7).unwrap();
        assert_eq!((&files[0], &files[2]), (&overlay[0], &overlay[2]));
        assert_eq!(files[1].to, overlay[1].to);
        assert_eq!(read_written(&files[1].from).unwrap(), "cr_main.rs// 7\n");
        assert_eq!(read_written(&overlay[1].from).unwrap(), "cr_main.rs");
        assert!(changed(&overlay[..1], scratch.path(), 1).is_err());
    }

    #[test]
    fn cpu_time_is_that_of_programs_that_have_ended() {
        let before = cpu_time().unwrap();
        // Not by the lab's own means: another test ends whatever those have started.
        let burn = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
        let status = std::process::Command::new("sh").args(["-c", burn]).status();
        assert!(status.unwrap().success());
        assert!(cpu_time().unwrap() > before);
    }
}
