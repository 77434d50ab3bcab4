// SPDX-License-Identifier: GPL-2.0-only

//! Whole files over the files port.

use super::port::Port;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

/// How long the host may leave a transfer without progress.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes handed to the port at once.
const CHUNK: usize = 256 << 10;

/// Opens a file that is to be sent; its length.
pub fn open(path: &str) -> Result<(File, u64), String> {
    let file = File::open(path).map_err(|e| format!("fetch {path}: {e}"))?;
    let meta = file.metadata().map_err(|e| format!("fetch {path}: {e}"))?;
    if !meta.is_file() {
        return Err(format!("fetch {path}: not a regular file"));
    }
    Ok((file, meta.len()))
}

/// Sends exactly `len` bytes; a file that has become shorter is filled up with
/// zeros, since the host counts on the length.
pub fn send(port: &mut Port, mut file: File, len: u64) -> Result<(), String> {
    let mut buffer = vec![0; CHUNK];
    let mut left = len;
    while left > 0 {
        let want = left.min(CHUNK as u64) as usize;
        let got = match file
            .read(&mut buffer[..want])
            .map_err(|e| format!("fetch: {e}"))?
        {
            0 => {
                buffer[..want].fill(0);
                want
            }
            got => got,
        };
        port.write_all(&buffer[..got], PATIENCE)
            .map_err(|e| format!("fetch: {e}"))?;
        left -= got as u64;
    }
    Ok(())
}

/// Takes `len` bytes from the port into a file. All are taken even when the
/// file cannot be written, or the next transfer would start with the rest.
pub fn receive(port: &mut Port, path: &str, len: u64, mode: u32) -> Result<(), String> {
    let mut file = create(path, mode);
    let mut buffer = vec![0; CHUNK];
    let mut left = len;
    while left > 0 {
        let want = left.min(CHUNK as u64) as usize;
        let got = port
            .read_some(&mut buffer[..want], PATIENCE)
            .map_err(|e| format!("store {path}: {e}"))?;
        if let Ok(open) = &mut file {
            if let Err(err) = open.write_all(&buffer[..got]) {
                file = Err(format!("store {path}: {err}"));
            }
        }
        left -= got as u64;
    }
    file.map(drop)
}

fn create(path: &str, mode: u32) -> Result<File, String> {
    if let Some(folder) = Path::new(path).parent() {
        fs::create_dir_all(folder).map_err(|e| format!("store {path}: making its folder: {e}"))?;
    }
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(path);
    let file = file.map_err(|e| format!("store {path}: {e}"))?;
    file.set_permissions(fs::Permissions::from_mode(mode))
        .map_err(|e| format!("store {path}: mode: {e}"))?;
    Ok(file)
}
