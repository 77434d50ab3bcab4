// SPDX-License-Identifier: GPL-2.0-only

//! Stamps: what a stage was made from, so that it is skipped when nothing
//! changed and can say what did when something has.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{de::DeserializeOwned, Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{AtPath, Error, Result};
use crate::layout::write_whole;

/// Everything a stage depends on: names as the user knows them, values as hashes or short texts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Inputs(BTreeMap<String, String>);

impl Inputs {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A setting.
    pub fn text(&mut self, name: impl Into<String>, value: impl Into<String>) -> &mut Self {
        self.0.insert(name.into(), value.into());
        self
    }

    /// The content of a file.
    pub fn file(&mut self, name: impl Into<String>, path: &Path) -> Result<&mut Self> {
        let hash = hash_file(path)?;
        Ok(self.text(name, hash))
    }

    /// The content of every file below a folder; hidden files and `target` are left out.
    pub fn folder(&mut self, name: &str, path: &Path) -> Result<&mut Self> {
        for file in files_below(path)? {
            let shown = file
                .strip_prefix(path)
                .unwrap_or(&file)
                .display()
                .to_string();
            self.file(format!("{name}/{shown}"), &file)?;
        }
        Ok(self)
    }

    /// A program, known by size and time: reading compilers whole on every run would cost more than it tells.
    pub fn program(&mut self, name: impl Into<String>, path: &Path) -> Result<&mut Self> {
        let identity = Identity::of(path)?;
        Ok(self.text(name, format!("{} {identity}", path.display())))
    }

    /// One hash over all of them.
    pub fn digest(&self) -> String {
        let mut hasher = Sha256::new();
        for (name, value) in &self.0 {
            hasher.update(format!("{name}\0{value}\0"));
        }
        hex(&hasher.finalize())
    }

    /// What differs from `old`, in words; `None` when nothing does.
    fn difference(&self, old: &Inputs) -> Option<String> {
        let mut changes = Vec::new();
        for (name, value) in &self.0 {
            match old.0.get(name) {
                None => changes.push(format!("{name} is new")),
                Some(before) if before != value => changes.push(format!("{name} changed")),
                Some(_) => {}
            }
        }
        changes.extend(
            old.0
                .keys()
                .filter(|name| !self.0.contains_key(*name))
                .map(|name| format!("{name} is gone")),
        );
        match changes.len() {
            0 => None,
            1..=3 => Some(changes.join(", ")),
            more => Some(format!(
                "{}, {} and {} more",
                changes[0],
                changes[1],
                more - 2
            )),
        }
    }
}

/// A file as known by its size and time of change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Identity {
    len: u64,
    mtime_ns: i128,
}

impl Identity {
    fn of(path: &Path) -> Result<Self> {
        let meta = std::fs::metadata(path).at("looking at", path)?;
        let mtime_ns = i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec());
        Ok(Identity {
            len: meta.len(),
            mtime_ns,
        })
    }
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes, time {}", self.len, self.mtime_ns)
    }
}

#[derive(Serialize, Deserialize)]
struct Record {
    inputs: Inputs,
    outputs: BTreeMap<String, Identity>,
    facts: serde_json::Value,
}

/// Whether a stage's outputs can be used as they are.
#[derive(Debug, PartialEq)]
pub enum Freshness<T> {
    /// They can; the facts recorded with them.
    Fresh(T),
    /// They cannot, and why.
    Stale(String),
}

/// Compares a stage's stamp with its inputs of today and with its outputs on disk.
pub fn check<T: DeserializeOwned>(stamp: &Path, inputs: &Inputs) -> Freshness<T> {
    let Ok(text) = std::fs::read_to_string(stamp) else {
        return Freshness::Stale("first time".into());
    };
    let Ok(record) = serde_json::from_str::<Record>(&text) else {
        return Freshness::Stale("its stamp is of another version".into());
    };
    if let Some(difference) = inputs.difference(&record.inputs) {
        return Freshness::Stale(difference);
    }
    for (path, identity) in &record.outputs {
        match Identity::of(Path::new(path)) {
            Ok(now) if now == *identity => {}
            Ok(_) => return Freshness::Stale(format!("{path} was changed from outside")),
            Err(_) => return Freshness::Stale(format!("{path} is gone")),
        }
    }
    match serde_json::from_value(record.facts) {
        Ok(facts) => Freshness::Fresh(facts),
        Err(_) => Freshness::Stale("its stamp is of another version".into()),
    }
}

/// The facts that a stage recorded last, whether they still hold or not.
pub fn last<T: DeserializeOwned>(stamp: &Path) -> Option<T> {
    let text = std::fs::read_to_string(stamp).ok()?;
    let record: Record = serde_json::from_str(&text).ok()?;
    serde_json::from_value(record.facts).ok()
}

/// Records that a stage's outputs were made from these inputs.
pub fn record<T: Serialize>(
    stamp: &Path,
    inputs: &Inputs,
    outputs: &[&Path],
    facts: &T,
) -> Result<()> {
    let mut identities = BTreeMap::new();
    for path in outputs {
        identities.insert(path.display().to_string(), Identity::of(path)?);
    }
    let facts = serde_json::to_value(facts).map_err(|err| stamp_error(stamp, err))?;
    let record = Record {
        inputs: inputs.clone(),
        outputs: identities,
        facts,
    };
    let text = serde_json::to_string_pretty(&record).map_err(|err| stamp_error(stamp, err))?;
    write_whole(stamp, text.as_bytes())
}

/// Forgets a stage: before its outputs are touched, so that a cut run is not believed.
pub fn forget(stamp: &Path) -> Result<()> {
    match std::fs::remove_file(stamp) {
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.at("removing", stamp),
    }
}

fn stamp_error(stamp: &Path, err: serde_json::Error) -> Error {
    Error::lab(format!("writing {}", stamp.display()), err.to_string())
}

/// Whether files and folders of this name are left out where a folder is taken as a whole.
pub fn is_left_out(name: &str) -> bool {
    name.starts_with('.') || name == "target"
}

/// Whether a name is that of what editors and `patch` leave beside a file.
pub fn is_leftover(name: &str) -> bool {
    ["~", "#", ".orig", ".rej"]
        .iter()
        .any(|end| name.ends_with(end))
}

/// All regular files below a folder, sorted, but for those that [`is_left_out`] names.
pub fn files_below(dir: &Path) -> Result<Vec<std::path::PathBuf>> {
    let mut files = Vec::new();
    for entry in entries_below(dir) {
        let entry = entry?;
        if entry.file_type().is_file() {
            files.push(entry.into_path());
        }
    }
    Ok(files)
}

/// All that is below a folder, itself first, sorted, but for what [`is_left_out`] names.
pub fn entries_below(dir: &Path) -> impl Iterator<Item = Result<walkdir::DirEntry>> + '_ {
    let shown = |entry: &walkdir::DirEntry| {
        let name = entry.file_name().to_string_lossy();
        entry.depth() == 0 || !is_left_out(&name)
    };
    let entries = walkdir::WalkDir::new(dir).sort_by_file_name().into_iter();
    entries.filter_entry(shown).map(move |entry| {
        entry.map_err(|err| Error::lab(format!("listing {}", dir.display()), err.to_string()))
    })
}

/// sha256 of a file, in hex.
pub fn hash_file(path: &Path) -> Result<String> {
    let mut hasher = Sha256::new();
    let mut file = std::fs::File::open(path).at("opening", path)?;
    std::io::copy(&mut file, &mut hasher).at("reading", path)?;
    Ok(hex(&hasher.finalize()))
}

/// sha256 of bytes, in hex.
pub fn hash_bytes(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let (stamp, output) = (dir.path().join("s.json"), dir.path().join("out"));
        let mut inputs = Inputs::new();
        inputs.text("base.config", "1").text("gone", "x");
        assert_eq!(
            check::<u32>(&stamp, &inputs),
            Freshness::Stale("first time".into())
        );
        std::fs::write(&output, "x").unwrap();
        record(&stamp, &inputs, &[&output], &7u32).unwrap();
        assert_eq!(check(&stamp, &inputs), Freshness::Fresh(7u32));
        let mut now = Inputs::new();
        now.text("base.config", "2");
        assert_eq!(
            check::<u32>(&stamp, &now),
            Freshness::Stale("base.config changed, gone is gone".into())
        );
        std::fs::remove_file(&output).unwrap();
        assert_eq!(
            check::<u32>(&stamp, &inputs),
            Freshness::Stale(format!("{} is gone", output.display()))
        );
        std::fs::write(&stamp, "{ half").unwrap();
        assert!(matches!(check::<u32>(&stamp, &inputs), Freshness::Stale(_)));
    }
}
