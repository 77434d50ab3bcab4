// SPDX-License-Identifier: GPL-2.0-only

//! An unpacked tree and its state, which lies beside it: pristine copies of all files of the source that the series
//! touches, and the lists of files that the series created and that the overlay laid in.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{stamp_of, OverlayFile};
use crate::error::{AtPath, Error, Result};
use crate::event::{Event, Sink, Stage, Step};
use crate::kernel::source::Fetched;
use crate::layout::{
    copy_whole, create_dir, read_text, remove_dir, write_whole, Layout, UNFINISHED,
};
use crate::patchset::paths::{copy_link, met_below, refuse_link};
use crate::patchset::series::{applying, Series};
use crate::stamp;

/// What is known about an unpacked tree.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    source_sha256: String,
    overlay: BTreeSet<String>,
    /// By the series.
    #[serde(default)]
    created: BTreeSet<String>,
}

/// The modes that files have: plain ones, and those that can be run.
const PLAIN: u32 = 0o644;
const PROGRAM: u32 = 0o755;

/// An unpacked tree and its state folder.
pub struct State {
    tree: PathBuf,
    pristine: PathBuf,
    manifest_path: PathBuf,
    /// What the tree is of, in words.
    source: String,
}

impl State {
    /// The tree of this name, of a source, unpacked if it is not there yet.
    pub fn open(layout: &Layout, name: &str, source: &Fetched, sink: &dyn Sink) -> Result<State> {
        let dir = layout.tree_state(name);
        let state = State {
            tree: layout.tree(name),
            pristine: dir.join("pristine"),
            manifest_path: dir.join("manifest.json"),
            source: source.told(),
        };
        let usable = state
            .manifest()
            .is_ok_and(|manifest| manifest.source_sha256 == source.sha256);
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
            return Err(Error::usage(
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
            created: BTreeSet::new(),
        })?;
        Ok(state)
    }

    fn manifest(&self) -> Result<Manifest> {
        serde_json::from_str(&read_text(&self.manifest_path)?).map_err(|err| {
            Error::lab(
                format!("reading {}", self.manifest_path.display()),
                err.to_string(),
            )
        })
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

    /// Copies of the unpatched files that the series touches, or that are in the place of those, put into `staging`. What
    /// the overlay or the series itself has put into the tree is none of the source's.
    pub fn stage_pristine(&self, series: &Series, staging: &Path) -> Result<()> {
        let manifest = self.manifest()?;
        let is_other =
            |path: &String| manifest.overlay.contains(path) || manifest.created.contains(path);
        for path in series.touched() {
            let mut kept = met_below(&self.pristine, &path)?;
            // The lab puts no link into a tree: one is the source's.
            kept.retain(|path| !self.tree.join(path).is_symlink());
            let mut here = met_below(&self.tree, &path)?;
            here.retain(|path| !is_other(path) && !kept.contains(path));
            let is_link = |place: &str| {
                let is_here = here.iter().any(|path| path == place);
                is_here && self.tree.join(place).is_symlink()
            };
            let name = series.first_to_change(&path).unwrap_or_default();
            refuse_link(&applying(name, &self.source), &path, is_link)?;
            let kept = kept.iter().map(|path| (&self.pristine, path));
            for (root, path) in kept.chain(here.iter().map(|path| (&self.tree, path))) {
                let (from, to) = (root.join(path), staging.join(path));
                match from.is_symlink() {
                    _ if to.symlink_metadata().is_ok() => {}
                    true => copy_link(&from, &to)?,
                    false => copy_whole(&from, &to)?,
                }
            }
        }
        Ok(())
    }

    /// Applies the series to pristine copies, then brings every file that differs into the tree, and takes out what the
    /// series deletes or no longer creates.
    pub fn sync_series(&self, layout: &Layout, series: &Series) -> Result<()> {
        let scratch = layout.scratch("series")?;
        let staging = scratch.path();
        self.stage_pristine(series, staging)?;
        let touched = series.touched();
        let is_new =
            |path: &&String| is_plain(&staging.join(path)) && !self.pristine.join(path).is_file();
        let fresh: Vec<&String> = touched.iter().filter(is_new).collect();
        series.apply(staging, &self.source)?;
        // A series that does not fit has touched nothing: these are still the source's.
        for path in fresh {
            copy_whole(&self.tree.join(path), &self.pristine.join(path))?;
        }
        let is_created =
            |path: &&String| is_plain(&staging.join(path)) && !self.pristine.join(path).is_file();
        let created: BTreeSet<String> = touched.iter().filter(is_created).cloned().collect();
        let mut manifest = self.manifest()?;
        let gone: Vec<String> = manifest.created.difference(&created).cloned().collect();
        // Written before the files, as the overlay's are.
        manifest.created.extend(created.iter().cloned());
        manifest.overlay.retain(|path| !created.contains(path));
        self.write_manifest(&manifest)?;
        // These first: one may lie where the source has a file.
        for path in gone {
            remove(&self.tree, &self.tree.join(path))?;
        }
        for path in paths_below(&self.pristine)? {
            let (patched, place) = (staging.join(&path), self.tree.join(&path));
            let is_touched = path.to_str().is_some_and(|path| touched.contains(path));
            match (is_plain(&patched), is_touched) {
                (true, _) => bring(&patched, mode_of(&patched)?, &place)?,
                (false, true) => remove(&self.tree, &place)?,
                (false, false) => {
                    let kept = self.pristine.join(&path);
                    bring(&kept, mode_of(&kept)?, &place)?
                }
            }
        }
        for path in &created {
            let patched = staging.join(path);
            bring(&patched, mode_of(&patched)?, &self.tree.join(path))?;
        }
        manifest.created = created;
        self.write_manifest(&manifest)
    }

    /// Lays the overlay in, and takes out what it no longer has.
    pub fn sync_overlay(&self, overlay: &[OverlayFile]) -> Result<()> {
        let mut manifest = self.manifest()?;
        let overwritten = self.overwritten(overlay, &manifest.created)?;
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
        // These first: one may lie where a folder is to be, or the other way round.
        for path in gone {
            remove(&self.tree, &self.tree.join(path))?;
        }
        for file in overlay {
            bring(&file.from, PLAIN, &self.tree.join(&file.to))?;
        }
        manifest.overlay = wanted;
        self.write_manifest(&manifest)
    }

    /// Overlay files that would overwrite one of the source's, or one that a patch creates, in words. What patches have
    /// created that are gone, or say so no more, goes with the next build.
    pub fn overwritten(
        &self,
        overlay: &[OverlayFile],
        created: &BTreeSet<String>,
    ) -> Result<Vec<String>> {
        let manifest = self.manifest()?;
        let mut clashes = Vec::new();
        for file in overlay {
            let mut met = met_below(&self.tree, &file.to)?;
            let goes = |path: &String| manifest.created.contains(path) && !created.contains(path);
            met.retain(|path| !manifest.overlay.contains(path) && !goes(path));
            met.extend(met_below(&self.pristine, &file.to)?);
            if created.contains(&file.to) {
                met.insert(0, file.to.clone());
            }
            let Some(path) = met.first() else { continue };
            let whose = match created.contains(path) {
                true => "which a patch creates",
                false => "of the kernel's source",
            };
            let from = file.from.display();
            clashes.push(format!("{from} would overwrite {path} {whose}"));
        }
        Ok(clashes)
    }
}

/// Whether there is a file, and no link to one.
fn is_plain(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|found| found.is_file())
}

/// The paths of all files below a folder, whatever they are called, but for what a killed run was writing.
fn paths_below(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in walkdir::WalkDir::new(dir).sort_by_file_name() {
        let entry = entry
            .map_err(|err| Error::lab(format!("listing {}", dir.display()), err.to_string()))?;
        let name = entry.file_name().as_encoded_bytes();
        let is_whole = entry.file_type().is_file() && !name.starts_with(UNFINISHED.as_bytes());
        if let (true, Ok(path)) = (is_whole, entry.path().strip_prefix(dir)) {
            paths.push(path.to_path_buf());
        }
    }
    Ok(paths)
}

/// Which of the two modes a file has.
fn mode_of(path: &Path) -> Result<u32> {
    let meta = std::fs::metadata(path).at("looking at", path)?;
    Ok(match meta.permissions().mode() & 0o100 {
        0 => PLAIN,
        _ => PROGRAM,
    })
}

/// Copies a file if content or mode differ; a file that stays the same keeps its time, and make skips it.
fn bring(from: &Path, mode: u32, to: &Path) -> Result<()> {
    let wanted = std::fs::read(from).at("reading", from)?;
    if !std::fs::read(to).is_ok_and(|found| found == wanted) {
        write_whole(to, &wanted)?;
    }
    if mode_of(to)? != mode {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(to, mode).at("setting the mode of", to)?;
    }
    Ok(())
}

/// Takes a file out of a tree, with the folders that are empty then.
fn remove(tree: &Path, path: &Path) -> Result<()> {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    match std::fs::remove_file(path) {
        Err(err) if [NotFound, NotADirectory].contains(&err.kind()) => return Ok(()),
        other => other.at("removing", path)?,
    }
    let folders = path.ancestors().skip(1).take_while(|dir| *dir != tree);
    // The first that has something in it ends it.
    for folder in folders {
        if std::fs::remove_dir(folder).is_err() {
            break;
        }
    }
    Ok(())
}
