// SPDX-License-Identifier: GPL-2.0-only

//! Memory that nobody, or not this user, may have: MM, VMA, PAGES and SHMEM.

mod low;

use super::files::status_file;
use super::{mm, Edits, Outcome, KERNEL_HALF};
use crate::edit::{double, put_doubles, put_words, word, Image};
use checkpoint::image::list::Entry;
use checkpoint::image::record::{VmaEntry, VmaKind};
use checkpoint::image::Kind;
use nix::errno::Errno;
use nix::sys::signal::Signal;

const PAGE: u64 = 0x1000;
/// Where nothing is mapped.
const FREE: u64 = 0x10_0000_0000;

/// Flags of VMA.
const READ: u64 = 1;
const READ_WRITE: u64 = 3;
const SHARED: u64 = 1 << 3;
const LOCKED: u64 = 1 << 5;

/// Offsets in an entry of VMA.
mod vma {
    pub const START: usize = 0;
    pub const END: usize = 8;
    pub const KIND: usize = 32;
}

/// One more mapping, in its place among the others.
fn with_mapping(
    image: &Image,
    (start, end): (u64, u64),
    flags: u64,
    kind: VmaKind,
    objref: u32,
) -> Result<Image, String> {
    let count = word(image.payload(Kind::Mm, 0)?, mm::NR_VMAS)?;
    let mut entry = Vec::new();
    for value in [start, end, 0, flags, u64::from(objref) << 32 | kind as u64] {
        entry.extend_from_slice(&value.to_le_bytes());
    }
    image
        .edited(Kind::Mm, 0, |payload| put_words(payload, &[(mm::NR_VMAS, count + 1)]))?
        .edited(Kind::Vma, 0, |payload| {
            let others = payload.chunks_exact(VmaEntry::SIZE);
            let before =
                others.take_while(|other| double(other, vma::START).is_ok_and(|other| other < start));
            let at = before.count() * VmaEntry::SIZE;
            payload.splice(at..at, entry);
            Ok(())
        })
}

/// Where the first mapping of a kind stands in the first VMA record, and its addresses.
fn mapping_of(image: &Image, kind: VmaKind) -> Result<(usize, u64, u64), String> {
    let payload = image.payload(Kind::Vma, 0)?;
    let mut entries = payload.chunks_exact(VmaEntry::SIZE);
    let number = entries
        .position(|entry| word(entry, vma::KIND) == Ok(kind as u32))
        .ok_or_else(|| format!("the image has no mapping of kind {kind:?}"))?;
    let at = number * VmaEntry::SIZE;
    let (start, end) = (double(payload, at + vma::START)?, double(payload, at + vma::END)?);
    Ok((at, start, end))
}

/// The image without the mapping that stands there in the first VMA record.
fn without_mapping(image: &Image, at: usize) -> Result<Image, String> {
    let count = word(image.payload(Kind::Mm, 0)?, mm::NR_VMAS)?;
    image
        .edited(Kind::Mm, 0, |payload| put_words(payload, &[(mm::NR_VMAS, count - 1)]))?
        .edited(Kind::Vma, 0, |payload| {
            payload.drain(at..at + VmaEntry::SIZE);
            Ok(())
        })
}

/// The image with an object of shared memory, and the objref of that.
fn with_shared(image: &Image, size: u64) -> Result<(Image, u32), String> {
    // All objects of an image of one task come before its MM.
    let objref = image.count(Kind::File) as u32 + 1;
    let mut payload = vec![0; 16];
    put_words(&mut payload, &[(0, objref)])?;
    put_doubles(&mut payload, &[(8, size)])?;
    Ok((image.inserted((Kind::Mm, 0), Kind::Shmem, payload)?, objref))
}

fn mappings(edits: &mut Edits<'_>, status: &str) -> Result<(), String> {
    let image = edits.image;
    let (shared, object) = with_shared(image, PAGE)?;
    let entries = image.payload(Kind::Vma, 0)?;
    let highest = double(entries, entries.len() - VmaEntry::SIZE + vma::END)?;
    let shown = Outcome::Shows("maps", format!("{FREE:x}-{:x} rw-p", FREE + PAGE));
    for (what, outcome, start, end, flags) in [
        ("a mapping at 0", Errno::EPERM.into(), 0, PAGE, READ_WRITE),
        ("a mapping in the kernel's half", Errno::EINVAL.into(), KERNEL_HALF, KERNEL_HALF + PAGE, READ_WRITE),
        ("a mapping that ends in the kernel's half", Errno::EINVAL.into(), highest, KERNEL_HALF, READ_WRITE),
        ("a mapping of half a page", Errno::EINVAL.into(), FREE, FREE + PAGE / 2, READ_WRITE),
        ("64 MB of locked memory", Errno::EAGAIN.into(), FREE, FREE + (64 << 20), READ_WRITE | LOCKED),
        ("a terabyte of memory", Errno::ENOMEM.into(), FREE, FREE + (1 << 40), READ_WRITE),
        ("a mapping that anyone may have", shown, FREE, FREE + PAGE, READ_WRITE),
    ] {
        let edited = with_mapping(image, (start, end), flags, VmaKind::PrivateAnon, 0)?;
        edits.image(what, outcome, edited);
    }
    let one = (FREE, FREE + PAGE);
    let exe = word(image.payload(Kind::Mm, 0)?, mm::EXE)?;
    let cwd = word(image.payload(Kind::Fs, 0)?, 8)?;
    let status = word(image.payload(Kind::File, status_file(image, status)?)?, 0)?;
    for (what, errno, flags, kind, objref) in [
        ("a file as shared memory", Errno::EINVAL, READ_WRITE | SHARED, VmaKind::SharedAnon, exe),
        ("a file that is open for writing", Errno::EACCES, READ, VmaKind::PrivateFile, status),
        ("the working directory", Errno::EACCES, READ, VmaKind::PrivateFile, cwd),
        ("a file that is no object", Errno::EINVAL, READ, VmaKind::PrivateFile, 0xffff),
    ] {
        edits.image(what, errno, with_mapping(image, one, flags, kind, objref)?);
    }
    let file = with_mapping(&shared, one, READ, VmaKind::PrivateFile, object)?;
    edits.image("shared memory as a file", Errno::EINVAL, file);
    let exe = shared.edited(Kind::Mm, 0, |payload| put_words(payload, &[(mm::EXE, object)]))?;
    edits.image("shared memory as an executable", Errno::EINVAL, exe);
    let (at, start, end) = mapping_of(image, VmaKind::Vdso)?;
    let larger = (FREE, FREE + end - start + PAGE);
    let larger = with_mapping(&without_mapping(image, at)?, larger, READ, VmaKind::Vdso, 0)?;
    edits.image("a vdso of another size", Errno::EINVAL, larger);
    let twice = with_mapping(image, (FREE, FREE + end - start), READ, VmaKind::Vdso, 0)?;
    edits.image("a second vdso", Errno::ENOENT, twice);
    Ok(())
}

fn layout(edits: &mut Edits<'_>) -> Result<(), String> {
    edits.words("4 billion mappings", Errno::ENOMEM, Kind::Mm, &[(mm::NR_VMAS, u32::MAX)])?;
    edits.words("an executable that is no object", Errno::EINVAL, Kind::Mm, &[(mm::EXE, 0xffff)])?;
    edits.doubles("a heap in the kernel's half", Errno::EINVAL, Kind::Mm, &[(mm::BRK, KERNEL_HALF)])?;
    edits.doubles("arguments in the kernel's half", Errno::EINVAL, Kind::Mm, &[(mm::ARG_END, KERNEL_HALF)])
}

/// The content of pages, to go where it must not.
fn pages(edits: &mut Edits<'_>) -> Result<(), String> {
    // Offsets in PAGES: the target, the number of ranges, and of each range where it starts and how
    // many pages it has.
    let (target, ranges, first) = (0, 4, 8);
    let image = edits.image;
    let saved = image.payload(Kind::Pages, 0)?;
    let mut total = 0;
    for range in 0..word(saved, ranges)? as usize {
        total += double(saved, first + 16 * range + 8)?;
    }
    let (_, vdso, _) = mapping_of(image, VmaKind::Vdso)?;
    let (_, _, end) = mapping_of(image, VmaKind::PrivateFile)?;
    // With room for all of them, and where only one or two go elsewhere.
    let room = (FREE, FREE + (total + 1) * PAGE);
    let roomy = with_mapping(image, room, READ_WRITE, VmaKind::PrivateAnon, 0)?;
    let moved = |image: &Image, to: &[(u64, u64)]| {
        image.edited(Kind::Pages, 0, |payload| {
            payload.truncate(first);
            put_words(payload, &[(ranges, to.len() as u32)])?;
            for number in to.iter().flat_map(|(start, pages)| [start, pages]) {
                payload.extend_from_slice(&number.to_le_bytes());
            }
            Ok(())
        })
    };
    let most = (FREE, total - 1);
    for (what, errno, edited) in [
        ("pages where nothing is mapped", Errno::EINVAL, moved(image, &[(FREE, total)])?),
        ("pages of the vdso", Errno::EINVAL, moved(&roomy, &[most, (vdso, 1)])?),
        ("pages of the kernel", Errno::EINVAL, moved(&roomy, &[most, (KERNEL_HALF, 1)])?),
        ("pages beyond the end of a mapping", Errno::EINVAL, moved(image, &[(end - PAGE, total)])?),
        ("pages beyond all addresses", Errno::EOVERFLOW, moved(image, &[(u64::MAX - PAGE + 1, total)])?),
        ("half a page", Errno::EINVAL, moved(&roomy, &[(FREE + PAGE / 2, total)])?),
        ("pages in the wrong order", Errno::EINVAL, moved(&roomy, &[(FREE + PAGE, total - 1), (FREE, 1)])?),
    ] {
        edits.image(what, errno, edited);
    }
    edits.words("pages of an object", Errno::EINVAL, Kind::Pages, &[(target, 1)])
}

/// A task without a single mapping: one that has nothing to go on with, and one that has pages all the same.
fn nothing(edits: &mut Edits<'_>) -> Result<(), String> {
    let unmapped = edits
        .image
        .without(Kind::Vma)?
        .edited(Kind::Mm, 0, |payload| put_words(payload, &[(mm::NR_VMAS, 0)]))?;
    edits.image("no memory at all", Outcome::Dies(Signal::SIGSEGV), unmapped.without(Kind::Pages)?);
    edits.image("pages of no memory at all", Errno::EINVAL, unmapped);
    Ok(())
}

fn shared(edits: &mut Edits<'_>) -> Result<(), String> {
    let image = edits.image;
    edits.image("an exabyte of shared memory", Errno::ENOMEM, with_shared(image, 1 << 60)?.0);
    edits.image("shared memory that nobody maps", Outcome::Runs, with_shared(image, PAGE)?.0);
    Ok(())
}

/// Adds the cases about memory; the task has the file `status` open for writing.
pub(super) fn edit(edits: &mut Edits<'_>, status: &str) -> Result<(), String> {
    mappings(edits, status)?;
    low::edit(edits)?;
    layout(edits)?;
    pages(edits)?;
    nothing(edits)?;
    shared(edits)
}
