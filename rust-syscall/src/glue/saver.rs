// SPDX-License-Identifier: GPL-2.0-only

//! Writing an image: the stream, its record numbers, and which kernel objects have been written.

use super::failure::{numbers::EOVERFLOW, Context, Failure};
use crate::image::checksum::Xxh64;
use crate::image::error::ImageError;
use crate::image::header::Kind;
use crate::image::record::Body;
use crate::image::writer::Payload;
use crate::image::RECORD_BUFFER;
use kernel::alloc::{flags::GFP_KERNEL, KVVec};
use kernel::error::{code::*, Error};
use kernel::fs::path::Path;
use kernel::fs::File;
use kernel::mm::pages::Pages;
use kernel::page::PAGE_SIZE;
use kernel::pid_namespace::PidNamespace;
use kernel::rbtree::RBTree;
use kernel::sync::aref::ARef;

/// What gives an object its address.
#[allow(dead_code)] // held, never looked at
pub(crate) enum Kept {
    /// An open file, or one of a shared memory object.
    File(ARef<File>),
    /// A place without an open file.
    Place(Path),
}

/// A shared memory object, and who of the tree maps it.
struct Sharing {
    file: ARef<File>,
    mappings: i64,
    /// Pid and address of the first mapping.
    first: (i32, u64),
}

/// One checkpoint in progress.
pub(crate) struct Saver {
    file: ARef<File>,
    pos: i64,
    seq: u64,
    bulk: u64,
    buffer: KVVec<u8>,
    objects: RBTree<usize, u32>,
    /// Keeps every object that has a number: an address is one object's only while it lives.
    kept: KVVec<Kept>,
    next_objref: u32,
    /// The pid namespace whose numbers the image has: the root's own.
    pub(crate) ns: ARef<PidNamespace>,
    /// Whether the tree sees other mounts than the caller of checkpoint.
    pub(crate) other_mounts: bool,
    /// Shared memory, by objref.
    shared: RBTree<u32, Sharing>,
    /// Pages in flight.
    pub(crate) pages: Pages,
}

impl Saver {
    /// Starts an image at the file's position.
    pub(crate) fn new(
        file: ARef<File>,
        ns: ARef<PidNamespace>,
        other_mounts: bool,
    ) -> Result<Self, Failure> {
        if !file.writable() {
            return Err(Failure::doing(EBADF, "writing the image: fd is not writable"));
        }
        if !file.is_written_by_kernel() {
            return Err(Failure::doing(EINVAL, "writing the image: the kernel cannot write that kind of file"));
        }
        let mut buffer = KVVec::new();
        buffer
            .extend_with(RECORD_BUFFER, 0, GFP_KERNEL)
            .doing("allocating the record buffer")?;
        Ok(Self {
            pos: file.pos(),
            file,
            seq: 0,
            bulk: 0,
            buffer,
            objects: RBTree::new(),
            kept: KVVec::new(),
            next_objref: 1,
            ns,
            other_mounts,
            shared: RBTree::new(),
            pages: Pages::new().doing("allocating a batch of pages")?,
        })
    }

    /// Writes one record.
    pub(crate) fn put<'a, B: Body<'a>>(&mut self, body: &B) -> Result<(), Failure> {
        self.emit(B::KIND, 0, |payload| body.encode(payload))
    }

    /// Writes a record whose payload `encode` makes.
    pub(crate) fn record(
        &mut self,
        kind: Kind,
        encode: impl FnOnce(&mut Payload<'_>) -> Result<(), ImageError>,
    ) -> Result<(), Failure> {
        self.emit(kind, 0, encode)
    }

    /// As [`Self::record`], announcing `bulk` bytes of page data, which the caller writes next.
    pub(crate) fn record_with_bulk(
        &mut self,
        kind: Kind,
        bulk: u64,
        encode: impl FnOnce(&mut Payload<'_>) -> Result<(), ImageError>,
    ) -> Result<(), Failure> {
        self.emit(kind, bulk, encode)
    }

    fn emit(
        &mut self,
        kind: Kind,
        bulk: u64,
        encode: impl FnOnce(&mut Payload<'_>) -> Result<(), ImageError>,
    ) -> Result<(), Failure> {
        let mut payload = Payload::new(&mut self.buffer)?;
        encode(&mut payload)?;
        let bytes = payload.finish(kind, self.seq, bulk)?;
        write_all(&self.file, &mut self.pos, bytes)?;
        self.seq += 1;
        self.bulk += bulk;
        Ok(())
    }

    /// Writes the pages of the batch, and counts them into the record's checksum.
    pub(crate) fn write_batch(&mut self, sum: &mut Xxh64) -> Result<(), Failure> {
        self.pages.for_each_chunk(|chunk| sum.update(chunk));
        let mut done = 0;
        while done < self.pages.bytes() {
            let n = self
                .file
                .write_pages(&mut self.pages, done, &mut self.pos)
                .doing("writing page data to the image")?;
            if n == 0 {
                return Err(Failure::doing(EIO, "writing page data to the image"));
            }
            done += n;
        }
        self.pages.release();
        Ok(())
    }

    /// Writes the checksum behind a record's page data.
    pub(crate) fn write_bulk_sum(&mut self, sum: Xxh64) -> Result<(), Failure> {
        write_all(&self.file, &mut self.pos, &sum.finish().to_le_bytes())
    }

    /// The number of a kernel object by its address, and whether it is new: then the caller
    /// writes its record at once. `keep` gives what keeps the address the object's.
    pub(crate) fn objref_of(
        &mut self,
        key: usize,
        keep: impl FnOnce() -> Kept,
    ) -> Result<(u32, bool), Failure> {
        if let Some(objref) = self.objects.get(&key) {
            return Ok((*objref, false));
        }
        let objref = self.next_objref;
        self.next_objref = objref
            .checked_add(1)
            .ok_or(Error::from_errno(EOVERFLOW))
            .doing("numbering objects")?;
        self.objects
            .try_create_and_insert(key, objref, GFP_KERNEL)
            .doing("remembering an object")?;
        self.kept
            .push(keep(), GFP_KERNEL)
            .doing("remembering an object")?;
        Ok((objref, true))
    }

    /// Counts a mapping of a shared memory object, by the task with this pid.
    pub(crate) fn count_mapping(
        &mut self,
        objref: u32,
        file: &File,
        pid: i32,
        start: u64,
    ) -> Result<(), Failure> {
        if let Some(sharing) = self.shared.get_mut(&objref) {
            sharing.mappings += 1;
            return Ok(());
        }
        let sharing = Sharing {
            file: file.into(),
            mappings: 1,
            first: (pid, start),
        };
        self.shared
            .try_create_and_insert(objref, sharing, GFP_KERNEL)
            .doing("remembering a shared memory object")?;
        Ok(())
    }

    /// Refuses shared memory that has more mappings than the tree's: whoever else has it would go on
    /// with another copy. `at` becomes the pid of a task that maps it.
    pub(crate) fn refuse_shared_outside(&self, at: &mut i32) -> Result<(), Failure> {
        for sharing in self.shared.values() {
            if sharing.file.shared_mappings() > sharing.mappings {
                *at = sharing.first.0;
                let why = "memory shared with a process outside the tree";
                return Err(Failure::refused("mapping", sharing.first.1, why));
            }
        }
        Ok(())
    }

    /// Records and bytes of page data so far.
    pub(crate) fn totals(&self) -> (u64, u64) {
        (self.seq, self.bulk)
    }

    /// Moves the file's position behind the image, where the file has one.
    pub(crate) fn finish(self) {
        // A pipe has no position to move: that is no failure of the checkpoint.
        let _ = self.file.seek_to(self.pos);
    }
}

fn write_all(file: &File, pos: &mut i64, mut bytes: &[u8]) -> Result<(), Failure> {
    while !bytes.is_empty() {
        let n = file.write(bytes, pos).doing("writing the image")?;
        if n == 0 {
            return Err(Failure::doing(EIO, "writing the image"));
        }
        bytes = bytes.get(n..).unwrap_or(&[]);
    }
    Ok(())
}

/// Bytes in `pages` pages.
pub(crate) fn page_bytes(pages: u64) -> u64 {
    pages.saturating_mul(PAGE_SIZE as u64)
}
