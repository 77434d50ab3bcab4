// SPDX-License-Identifier: GPL-2.0-only

//! The image on stdin: HEAD and TREE are read and checked here, the rest is
//! left to the kernel, which gets the stream from its start.

use super::UNREADABLE;
use crate::cli::Failure;
use checkpoint::image::error::Fault;
use checkpoint::image::reader::Limits;
use checkpoint::image::record::{Head, Tree, TreeEntry};
use checkpoint::image::{stream, tree};
use nix::sys::memfd::{memfd_create, MFdFlags};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

/// Enough for HEAD and the TREE of a few thousand tasks.
const FIRST_LOOK: usize = 128 << 10;
/// More than HEAD and TREE can be: 16 full TREE records.
const SECOND_LOOK: usize = 2 << 20;

/// An image that the kernel can read from its first byte on.
#[derive(Debug)]
pub struct Image {
    /// The stream, positioned at the image's start.
    pub file: File,
    /// The tasks, root first, parents before children.
    pub tasks: Vec<TreeEntry>,
}

fn unreadable(why: impl std::fmt::Display) -> Failure {
    Failure::new(UNREADABLE, format_args!("image: {why}"))
}

/// Takes the image from `source`: a regular file as it is, anything else
/// copied to memory first, since what was read from a pipe is gone.
pub fn open(source: File) -> Result<Image, Failure> {
    let meta = source.metadata().map_err(unreadable)?;
    let file = if meta.is_file() {
        source
    } else {
        spool(source)?
    };
    let start = (&file).stream_position().map_err(unreadable)?;
    let mut look = prefix(&file, start, FIRST_LOOK)?;
    let mut tasks = tasks_of(&look);
    if look.len() == FIRST_LOOK && matches!(tasks, Err(Trouble::Short(_))) {
        look = prefix(&file, start, SECOND_LOOK)?;
        tasks = tasks_of(&look);
    }
    match tasks {
        Ok(tasks) => Ok(Image { file, tasks }),
        Err(Trouble::Short(why) | Trouble::Bad(why)) => Err(unreadable(why)),
    }
}

/// Copies what has the beginning of an image: what has not may have no end.
fn spool(mut source: File) -> Result<File, Failure> {
    let memory = memfd_create(c"image", MFdFlags::MFD_CLOEXEC)
        .map_err(|e| unreadable(format_args!("memfd to hold it: {e}")))?;
    let mut file = File::from(memory);
    let copying = |e: io::Error| unreadable(format_args!("copying it: {e}"));
    let mut first = (&source).take(FIRST_LOOK as u64);
    io::copy(&mut first, &mut file).map_err(copying)?;
    if let Err(Trouble::Bad(why)) = tasks_of(&prefix(&file, 0, FIRST_LOOK)?) {
        return Err(unreadable(why));
    }
    io::copy(&mut source, &mut file).map_err(copying)?;
    file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
    Ok(file)
}

/// At most `len` bytes from `start` on, without moving the file's position.
fn prefix(file: &File, start: u64, len: usize) -> Result<Vec<u8>, Failure> {
    let mut bytes = vec![0; len];
    let mut have = 0;
    while have < len {
        match file.read_at(&mut bytes[have..], start + have as u64) {
            Ok(0) => break,
            Ok(more) => have += more,
            Err(err) if err.kind() == io::ErrorKind::Interrupted => (),
            Err(err) => return Err(unreadable(format_args!("reading: {err}"))),
        }
    }
    bytes.truncate(have);
    Ok(bytes)
}

/// Why HEAD and TREE are not to be had.
#[derive(Debug, PartialEq, Eq)]
enum Trouble {
    /// The bytes end too early; there may be more in the file.
    Short(String),
    /// Damaged or not an image.
    Bad(String),
}

impl From<checkpoint::image::error::ImageError> for Trouble {
    fn from(err: checkpoint::image::error::ImageError) -> Self {
        match err.what {
            Fault::Truncated { .. } => Trouble::Short(err.to_string()),
            _ => Trouble::Bad(err.to_string()),
        }
    }
}

/// Reads HEAD and all TREE records, and checks the rules of the tree.
fn tasks_of(bytes: &[u8]) -> Result<Vec<TreeEntry>, Trouble> {
    let first = stream::next_record(bytes, 0, 0)?;
    let head: Head<'_> = first.record.body(Limits::WIDEST)?;
    let limits = head.limits();
    let wanted = head.nr_tasks as usize;
    let mut tasks: Vec<TreeEntry> = Vec::with_capacity(wanted);
    let (mut offset, mut seq) = (first.stream_len, 1);
    while tasks.len() < wanted {
        let next = stream::next_record(bytes, offset, seq)?;
        let part: Tree<'_> = next.record.body(limits)?;
        tasks.extend(part.entries.iter());
        if tasks.len() > wanted {
            return Err(Trouble::Bad(format!(
                "record {seq} (TREE) at offset {offset}: HEAD tells of {wanted} tasks, found {}",
                tasks.len()
            )));
        }
        offset += next.stream_len;
        seq += 1;
    }
    let mut index = vec![0; tasks.len()];
    tree::check(&tasks, &mut index).map_err(|(entry, fault)| {
        Trouble::Bad(format!("TREE, entry {entry} of {wanted}: {fault}"))
    })?;
    Ok(tasks)
}
