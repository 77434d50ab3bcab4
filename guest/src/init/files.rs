// SPDX-License-Identifier: GPL-2.0-only

//! Requests about files: reading, writing, damaging on purpose.

use crate::protocol::Answer;
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// At most `max` bytes of a file as text; also of files in /proc, which have no size.
pub fn read(path: &str, max: u64) -> Result<Answer, String> {
    let failure = |e| format!("read {path}: {e}");
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failure)?;
    file.take(max.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(failure)?;
    let truncated = bytes.len() as u64 > max;
    bytes.truncate(usize::try_from(max).unwrap_or(usize::MAX));
    Ok(Answer::Text {
        text: String::from_utf8_lossy(&bytes).into_owned(),
        truncated,
    })
}

/// The length of a regular file.
pub fn size(path: &str) -> Result<Answer, String> {
    let meta = fs::metadata(path).map_err(|e| format!("size {path}: {e}"))?;
    if !meta.is_file() {
        return Err(format!("size {path}: not a regular file"));
    }
    Ok(Answer::Size { bytes: meta.len() })
}

/// Makes or replaces a file, and its folder.
pub fn write(path: &str, text: &str) -> Result<Answer, String> {
    if let Some(folder) = Path::new(path).parent() {
        fs::create_dir_all(folder).map_err(|e| format!("write {path}: making its folder: {e}"))?;
    }
    fs::write(path, text).map_err(|e| format!("write {path}: {e}"))?;
    Ok(Answer::Done)
}

/// Changes one byte, which must be there.
pub fn tamper(path: &str, offset: u64, xor: u8) -> Result<Answer, String> {
    let failure = |e| format!("tamper {path} at {offset}: {e}");
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .map_err(failure)?;
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).map_err(failure)?;
    byte[0] ^= xor;
    file.write_all_at(&byte, offset).map_err(failure)?;
    Ok(Answer::Done)
}

/// Cuts a file, which must be at least that long.
pub fn truncate(path: &str, len: u64) -> Result<Answer, String> {
    let failure = |e| format!("truncate {path}: {e}");
    let file = OpenOptions::new().write(true).open(path).map_err(failure)?;
    let found = file.metadata().map_err(failure)?.len();
    if len > found {
        return Err(format!(
            "truncate {path}: expected at least {len} bytes, found {found}"
        ));
    }
    file.set_len(len).map_err(failure)?;
    Ok(Answer::Done)
}

/// How often `text` stands in a file; 0 where there is none yet.
pub fn occurrences(path: &str, text: &str) -> u64 {
    if text.is_empty() {
        return 0;
    }
    let content = fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&content).matches(text).count() as u64
}
