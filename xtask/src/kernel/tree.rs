// SPDX-License-Identifier: GPL-2.0-only

//! The patched kernel tree: unpacked once, then only the files that differ are
//! written when the series or the overlay changes, so that builds stay incremental.
//!
//! Beside the tree lies its state: pristine copies of all files that the series
//! touches, and the list of files that the overlay laid in.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{AtPath, Error, Result};
use crate::event::{Event, Sink, Stage, Step};
use crate::kernel::source::Fetched;
use crate::layout::{copy_whole, create_dir, read_text, remove_dir, write_whole, Layout};
use crate::patchset::series::Series;
use crate::plan::Plan;
use crate::stage::Cached;
use crate::stamp::{self, files_below, Inputs};

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

/// The files of one folder of the overlay.
fn files_in(folder: &Path) -> Result<Vec<OverlayFile>> {
    let mut files = Vec::new();
    for (over, place) in PLACES {
        let place = folder.join(place);
        if place.is_file() {
            files.push(OverlayFile {
                from: place,
                to: over.to_string(),
            });
        } else if place.is_dir() {
            for from in files_below(&place)? {
                let below = from.strip_prefix(&place).unwrap_or(&from).display();
                let to = format!("{over}{below}");
                files.push(OverlayFile { from, to });
            }
        }
    }
    Ok(files)
}

/// What is known about an unpacked tree.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    source_sha256: String,
    overlay: BTreeSet<String>,
}

/// An unpacked tree and its state folder.
pub struct State {
    tree: PathBuf,
    pristine: PathBuf,
    manifest_path: PathBuf,
}

impl State {
    /// The tree of this name, of a source, unpacked if it is not there yet.
    pub fn open(layout: &Layout, name: &str, source: &Fetched, sink: &dyn Sink) -> Result<State> {
        let dir = layout.tree_state(name);
        let state = State {
            tree: layout.tree(name),
            pristine: dir.join("pristine"),
            manifest_path: dir.join("manifest.json"),
        };
        let usable = state
            .manifest()
            .is_some_and(|manifest| manifest.source_sha256 == source.sha256);
        if usable && state.tree.join("Makefile").is_file() {
            return Ok(state);
        }
        sink.emit(Event::StepProgress {
            step: Step::once(Stage::Tree),
            done: 0,
            total: None,
            text: format!("unpacking {}", source.origin),
        });
        // These go first: a tree without a state is not believed, one without a stamp not to be patched.
        stamp::forget(&stamp_of(layout, name))?;
        remove_dir(&dir)?;
        remove_dir(&state.tree)?;
        let scratch = layout.scratch("tree")?;
        let fresh = scratch.path().join("tree");
        create_dir(&fresh)?;
        source.unpack(&fresh)?;
        if !fresh.join("Makefile").is_file() {
            return Err(Error::lab(
                format!("unpacking {}", source.tarball.display()),
                "there is no kernel tree in it",
            ));
        }
        create_dir(&layout.tree(""))?;
        std::fs::rename(&fresh, &state.tree).at("renaming to", &state.tree)?;
        create_dir(&state.pristine)?;
        state.write_manifest(&Manifest {
            source_sha256: source.sha256.clone(),
            overlay: BTreeSet::new(),
        })?;
        Ok(state)
    }

    fn manifest(&self) -> Option<Manifest> {
        serde_json::from_str(&read_text(&self.manifest_path).ok()?).ok()
    }

    fn write_manifest(&self, manifest: &Manifest) -> Result<()> {
        let text = serde_json::to_string_pretty(manifest).map_err(|err| {
            Error::lab(
                format!("writing {}", self.manifest_path.display()),
                err.to_string(),
            )
        })?;
        write_whole(&self.manifest_path, text.as_bytes())
    }

    /// Whether a path exists in the unpatched source.
    pub fn exists_in_source(&self, path: &str) -> bool {
        let laid_in = self
            .manifest()
            .is_some_and(|manifest| manifest.overlay.contains(path));
        self.pristine.join(path).is_file() || (self.tree.join(path).exists() && !laid_in)
    }

    /// Copies of the unpatched files that the series touches, put into `staging`.
    pub fn stage_pristine(&self, series: &Series, staging: &Path) -> Result<()> {
        for path in series.touched() {
            let kept = self.pristine.join(&path);
            let from = if kept.is_file() {
                kept
            } else {
                self.tree.join(&path)
            };
            if from.is_file() {
                copy_whole(&from, &staging.join(&path))?;
            }
        }
        Ok(())
    }

    /// Applies the series to pristine copies, then brings every file that differs into the tree.
    pub fn sync_series(&self, layout: &Layout, series: &Series) -> Result<()> {
        let scratch = layout.scratch("series")?;
        let staging = scratch.path();
        self.stage_pristine(series, staging)?;
        let touched = series.touched();
        for path in &touched {
            let kept = self.pristine.join(path);
            if !kept.is_file() && staging.join(path).is_file() {
                copy_whole(&staging.join(path), &kept)?;
            }
        }
        series.apply(staging)?;
        for kept in files_below(&self.pristine)? {
            let path = kept.strip_prefix(&self.pristine).unwrap_or(&kept);
            let patched = staging.join(path);
            let from = if patched.is_file() {
                patched
            } else {
                kept.clone()
            };
            replace_if_different(&from, &self.tree.join(path))?;
        }
        Ok(())
    }

    /// Lays the overlay in, and takes out what it no longer has.
    pub fn sync_overlay(&self, overlay: &[OverlayFile]) -> Result<()> {
        let mut manifest = self.manifest().ok_or_else(|| {
            Error::lab(
                "reading the tree's state",
                format!("{} is unreadable", self.manifest_path.display()),
            )
        })?;
        let overwritten = self.overwritten(overlay);
        if !overwritten.is_empty() {
            return Err(Error::usage(
                "laying the overlay over the kernel",
                overwritten.join("\n"),
            ));
        }
        let wanted: BTreeSet<String> = overlay.iter().map(|file| file.to.clone()).collect();
        let gone: Vec<String> = manifest.overlay.difference(&wanted).cloned().collect();
        // Written before the files: what a cut run leaves is then known to be the overlay's.
        manifest.overlay.extend(wanted.iter().cloned());
        self.write_manifest(&manifest)?;
        for file in overlay {
            replace_if_different(&file.from, &self.tree.join(&file.to))?;
        }
        for path in gone {
            let path = self.tree.join(path);
            if path.is_file() {
                std::fs::remove_file(&path).at("removing", &path)?;
            }
        }
        manifest.overlay = wanted;
        self.write_manifest(&manifest)
    }

    /// Overlay files that would overwrite one of the source's, in words.
    pub fn overwritten(&self, overlay: &[OverlayFile]) -> Vec<String> {
        let clash = |file: &&OverlayFile| self.exists_in_source(&file.to);
        overlay
            .iter()
            .filter(clash)
            .map(|file| {
                format!(
                    "{} would overwrite {} of the kernel's source",
                    file.from.display(),
                    file.to
                )
            })
            .collect()
    }
}

/// Copies a file if the content differs; a file that stays the same keeps its time, and make skips it.
fn replace_if_different(from: &Path, to: &Path) -> Result<()> {
    let wanted = std::fs::read(from).at("reading", from)?;
    if std::fs::read(to).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    write_whole(to, &wanted)?;
    let mode = std::fs::metadata(from)
        .at("looking at", from)?
        .permissions();
    std::fs::set_permissions(to, mode).at("setting the mode of", to)
}
