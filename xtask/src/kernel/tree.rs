// SPDX-License-Identifier: GPL-2.0-only

//! The patched kernel tree: unpacked once, then only the files that differ are
//! written when the series or the overlay changes, so that builds stay incremental.
//! What is known of the tree between two runs is in `state`.

mod state;

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::event::{Sink, Stage, Step};
use crate::kernel::source::Fetched;
use crate::layout::Layout;
use crate::patchset::overlay::patched;
use crate::patchset::series::Series;
use crate::plan::Plan;
use crate::stage::Cached;
use crate::stamp::{entries_below, is_left_out, is_leftover, Inputs};

pub use state::State;

/// A patched tree.
#[derive(Debug, Clone)]
pub struct PatchedTree {
    /// Its folder.
    pub path: PathBuf,
    /// The source it was made from.
    pub source: Fetched,
    /// What it was made from, for the stamps of the stages that follow.
    pub inputs: Inputs,
    /// Files of series and overlay that configuration depends on.
    pub kconfig_files: Vec<String>,
}

/// A file of the overlay.
#[derive(Debug, Clone, PartialEq)]
pub struct OverlayFile {
    /// Where it lies in the project.
    pub from: PathBuf,
    /// Path in the kernel tree.
    pub to: String,
}

/// Brings the tree up to date.
pub fn prepare(plan: &Plan, source: &Fetched, sink: &dyn Sink) -> Result<PatchedTree> {
    let layout = &plan.layout;
    if source.in_place {
        return PatchedTree::in_place(source);
    }
    let series = match &plan.kernel.series {
        Some(dir) => Series::read(dir)?,
        None => Series::none(),
    };
    let overlay = overlay_of(plan)?;
    let name = &plan.kernel.tree_name;
    let tree = PatchedTree::of(layout, name, source, &series, &overlay)?;
    let stage = Cached {
        step: Step::once(Stage::Tree),
        stamp: stamp_of(layout, name),
        inputs: &tree.inputs,
        sink,
    };
    stage.get(
        |()| vec![tree.path.join("Makefile")],
        || {
            let problems = patched(&series, &overlay, layout);
            if !problems.is_empty() {
                return Err(Error::usage("patching the kernel", problems.join("\n"))
                    .hint("files of the overlay are edited where they lie"));
            }
            let state = State::open(layout, name, source, sink)?;
            state.sync_series(layout, &series)?;
            state.sync_overlay(&overlay)
        },
    )?;
    Ok(tree)
}

impl PatchedTree {
    /// A tree that is built where it lies.
    fn in_place(source: &Fetched) -> Result<PatchedTree> {
        Ok(PatchedTree {
            path: source.tarball.clone(),
            source: source.clone(),
            inputs: tree_inputs(source, &Series::none(), &[])?,
            kconfig_files: Vec::new(),
        })
    }

    /// The tree of this name, as series and overlay make it.
    pub fn of(
        layout: &Layout,
        name: &str,
        source: &Fetched,
        series: &Series,
        overlay: &[OverlayFile],
    ) -> Result<PatchedTree> {
        Ok(PatchedTree {
            path: layout.tree(name),
            source: source.clone(),
            inputs: tree_inputs(source, series, overlay)?,
            kconfig_files: kconfig_files(series, overlay),
        })
    }
}

/// The stamp of a tree that is patched.
fn stamp_of(layout: &Layout, name: &str) -> PathBuf {
    layout.stamp(&format!("tree-{name}"))
}

fn tree_inputs(source: &Fetched, series: &Series, overlay: &[OverlayFile]) -> Result<Inputs> {
    let mut inputs = Inputs::new();
    inputs.text(
        "kernel source",
        format!("{} {}", source.origin, source.sha256),
    );
    if !series.patches.is_empty() {
        let names = series.patches.iter().map(|patch| patch.name.as_str());
        inputs.text("order of the patches", names.collect::<Vec<_>>().join(" "));
    }
    for patch in &series.patches {
        inputs.file(
            format!("kernel-patches/{}", patch.name),
            &series.dir.join(&patch.name),
        )?;
    }
    for file in overlay {
        inputs.file(file.to.clone(), &file.from)?;
    }
    Ok(inputs)
}

/// What of series and overlay configuration reads.
fn kconfig_files(series: &Series, overlay: &[OverlayFile]) -> Vec<String> {
    let laid_in = overlay.iter().map(|file| file.to.clone());
    let of_kconfig = |path: &String| {
        let name = path.rsplit('/').next().unwrap_or(path);
        name.starts_with("Kconfig") || path.starts_with("scripts/kconfig/")
    };
    series
        .touched()
        .into_iter()
        .chain(laid_in)
        .filter(of_kconfig)
        .collect()
}

/// Where files of the overlay lie: in the kernel tree, and below a folder of the project. Folders end in
/// `/`; files come before the folder that they would be in.
pub const PLACES: [(&str, &str); 5] = [
    ("kernel/checkpoint/Kconfig", "Kconfig"),
    ("kernel/checkpoint/Makefile", "Makefile"),
    ("kernel/checkpoint/", "src/"),
    ("rust/kernel/", "abstractions/"),
    ("rust/helpers/", "helpers/"),
];
/// Folders of the project that hold an overlay: what all kernels share, and what one kind has for itself.
pub const OVERLAY: &str = "rust-syscall";
/// In [`OVERLAY`]: the folders of what one kind of kernel has for itself.
pub const KERNELS: &str = "kernels";
/// Cargo's root of the same modules; the kernel has its own.
const CARGO_ROOT: &str = "kernel/checkpoint/lib.rs";

/// What is laid over the plan's kernel.
pub fn overlay_of(plan: &Plan) -> Result<Vec<OverlayFile>> {
    match &plan.kernel.overlay {
        Some(name) => overlay_files(&plan.layout, name),
        None => Ok(Vec::new()),
    }
}

/// Every file of the project that is laid over trees of this kind: what all share, and its own.
pub fn overlay_files(layout: &Layout, kind: &str) -> Result<Vec<OverlayFile>> {
    let shared = layout.root().join(OVERLAY);
    let own = shared.join(KERNELS).join(kind);
    let doing = || format!("collecting the overlay \"{kind}\"");
    if !own.is_dir() {
        let found = format!("there is no {}", layout.show(&own));
        return Err(Error::usage(doing(), found));
    }
    let mut files = files_in(&shared)?;
    for file in files_in(&own)? {
        // Two files of one name would hide each other.
        if files.iter().any(|other| other.to == file.to) {
            let found = format!(
                "{} is there for all kernels as well",
                layout.show(&file.from)
            );
            return Err(Error::usage(doing(), found));
        }
        files.push(file);
    }
    files.retain(|file| file.to != CARGO_ROOT);
    Ok(files)
}

/// The files of one folder of the overlay. What could not be laid in is refused, and not passed over.
fn files_in(folder: &Path) -> Result<Vec<OverlayFile>> {
    let mut files = Vec::new();
    for (over, place) in PLACES {
        let place = folder.join(place);
        let refused = |path: &Path, why: &str| {
            let doing = format!("collecting the overlay in {}", folder.display());
            Err(Error::usage(doing, format!("{} {why}", path.display())))
        };
        let wrong =
            "is not what the overlay has there, a plain file or folder: a link is not laid in, a copy is";
        // A link that leads nowhere is there as well.
        let Ok(meta) = std::fs::symlink_metadata(&place) else {
            continue;
        };
        if meta.is_dir() != over.ends_with('/') || meta.is_symlink() {
            return refused(&place, wrong);
        }
        for entry in entries_below(&place) {
            let entry = entry?;
            let path = entry.path();
            let Some(name) = entry.file_name().to_str() else {
                return refused(path, "has a name that is not UTF-8");
            };
            if entry.file_type().is_dir() || is_left_beside(name) {
                continue;
            }
            if !entry.file_type().is_file() {
                return refused(path, wrong);
            }
            let below = path.strip_prefix(&place).unwrap_or(path).display();
            files.push(OverlayFile {
                from: path.to_path_buf(),
                to: format!("{over}{below}"),
            });
        }
    }
    Ok(files)
}

/// Whether a file of the overlay is laid in, by the names of the folders that it is in and its own.
pub fn is_laid_in(path: &str) -> bool {
    !path.split('/').any(is_left_out) && !is_left_beside(path)
}

/// Whether a name is that of what editors, `patch` and compilers leave beside a file of the overlay.
fn is_left_beside(name: &str) -> bool {
    is_leftover(name)
        || [".bak", ".o", ".rmeta"]
            .iter()
            .any(|end| name.ends_with(end))
}
