// SPDX-License-Identifier: GPL-2.0-only

//! Object folders of kernels, bounded in size: before a new one is made the least recently used ones go, if all together
//! take more than `lab.toml` allows. Not those of guest programs, which are one an architecture.

use std::fs::File;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use indicatif::{HumanBytes, HumanDuration};

use crate::arch::Arch;
use crate::config::GUEST;
use crate::error::{AtPath, Result};
use crate::event::{Event, Sink};
use crate::layout::{disk_bytes, remove_dir};
use crate::plan::Plan;
use crate::stamp;

/// What of a kernel's name is the lab's addition, for builds beside those of the kernel itself, begins so.
const ADDED: char = '+';

/// Whose an object folder is; in the order in which folders go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Owner {
    /// A kernel's that is no longer in `lab.toml`.
    Nobody,
    /// Another kernel's, or this one's for another architecture.
    Other,
    /// The kernel's that is being built: it stays.
    ThisPlan,
}

/// An object folder.
#[derive(Debug, Clone, PartialEq)]
struct Folder {
    /// `<kernel>-<arch>`, as stamps are called too.
    name: String,
    owner: Owner,
    /// What it takes of the disk.
    bytes: u64,
    /// When it was last built in.
    used: SystemTime,
}

/// Removes what there is too much of, and says so, before the plan's kernel gets a new object folder. The caller
/// holds the lock.
pub fn make_room(plan: &Plan, sink: &dyn Sink) -> Result<()> {
    // Architectures are built at once; whoever comes second finds it done.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let all = folders(plan)?;
    let taken: u64 = all.iter().map(|folder| folder.bytes).sum();
    for folder in to_go(all, plan.objects_bytes) {
        let layout = &plan.layout;
        // Stamps first: without them nothing half-removed is believed.
        for stage in ["kernel", "config"] {
            stamp::forget(&layout.stamp(&format!("{stage}-{}", folder.name)))?;
        }
        let path = layout.objects().join(&folder.name);
        remove_dir(&path)?;
        let why = match folder.owner {
            Owner::Nobody => "its kernel is not in lab.toml".to_string(),
            _ => {
                let age = folder.used.elapsed().unwrap_or_default();
                format!("last used {} ago", HumanDuration(age))
            }
        };
        sink.emit(Event::Note(format!(
            "removed {} ({}, {why}): object folders took {}, lab.toml [cache] allows {}",
            layout.show(&path),
            HumanBytes(folder.bytes),
            HumanBytes(taken),
            HumanBytes(plan.objects_bytes)
        )));
    }
    Ok(())
}

/// Remembers that an object folder is in use.
pub fn mark_used(obj: &Path) -> Result<()> {
    let dir = File::open(obj).at("opening", obj)?;
    dir.set_modified(SystemTime::now())
        .at("setting the time of", obj)
}

/// Which folders go so that the rest takes no more than `bound`, in order; it may be that nothing more can.
fn to_go(mut folders: Vec<Folder>, bound: u64) -> Vec<Folder> {
    let mut taken: u64 = folders.iter().map(|folder| folder.bytes).sum();
    folders.retain(|folder| folder.owner != Owner::ThisPlan);
    folders.sort_by_key(|folder| (folder.owner, folder.used));
    let mut going = Vec::new();
    for folder in folders {
        if taken <= bound {
            break;
        }
        taken -= folder.bytes;
        going.push(folder);
    }
    going
}

/// The object folders of kernels that are there.
fn folders(plan: &Plan) -> Result<Vec<Folder>> {
    let all = plan.layout.objects();
    let mut folders = Vec::new();
    if !all.is_dir() {
        return Ok(folders);
    }
    for entry in std::fs::read_dir(&all).at("listing", &all)? {
        let path = entry.at("listing", &all)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let Some(owner) = owner(&name, plan) else {
            continue;
        };
        let meta = std::fs::metadata(&path).at("looking at", &path)?;
        folders.push(Folder {
            name: name.into_owned(),
            owner,
            bytes: disk_bytes(&path),
            used: meta.modified().at("looking at", &path)?,
        });
    }
    Ok(folders)
}

/// Whose the folder of this name is; `None` if it is no kernel's.
fn owner(name: &str, plan: &Plan) -> Option<Owner> {
    let of_arch = |arch: &Arch| {
        let kernel = name.strip_suffix(arch.name())?.strip_suffix('-')?;
        Some((kernel, *arch))
    };
    let (kernel, arch) = Arch::ALL.iter().find_map(of_arch)?;
    if kernel == GUEST {
        return None;
    }
    let base = |kernel: &str| kernel.split(ADDED).next().unwrap_or(kernel).to_string();
    let (own, own_base) = (&plan.kernel.name, base(&plan.kernel.name));
    Some(
        if plan.arches.contains(&arch) && (kernel == own || kernel == own_base) {
            Owner::ThisPlan
        } else if plan.kernels.contains(&base(kernel)) {
            Owner::Other
        } else {
            Owner::Nobody
        },
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn folder(name: &str, owner: Owner, bytes: u64, age_s: u64) -> Folder {
        Folder {
            name: name.into(),
            owner,
            bytes,
            used: SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 - age_s),
        }
    }

    #[test]
    fn the_least_recently_used_go_until_the_rest_fits() {
        let all = vec![
            folder("new", Owner::Other, 4, 10),
            folder("old", Owner::Other, 4, 1000),
            folder("mine", Owner::ThisPlan, 8, 5000),
            folder("gone", Owner::Nobody, 2, 1),
        ];
        let going = |bound: u64| {
            let gone = to_go(all.clone(), bound);
            let names: Vec<String> = gone.into_iter().map(|folder| folder.name).collect();
            names.join(" ")
        };
        assert_eq!(going(18), "");
        assert_eq!(going(17), "gone");
        assert_eq!(going(16), "gone");
        assert_eq!(going(15), "gone old");
        assert_eq!(going(8), "gone old new");
        assert_eq!(going(0), "gone old new", "what is being built stays");
    }
}
