// SPDX-License-Identifier: GPL-2.0-only

//! Mappings and the content of memory: VMA, PAGES and SHMEM.

use crate::image::error::{Fault, ImageError};
use crate::image::header::Kind;
use crate::image::list::{Entry, List};
use crate::image::reader::Fields;
use crate::image::record::head::whole_entries;
use crate::image::record::Body;
use crate::image::writer::Payload;

/// Most mappings in one VMA record.
pub const MAX_VMA_ENTRIES: usize = 1024;
/// Most ranges in one PAGES record.
pub const MAX_PAGE_RANGES: u32 = 2048;
/// Most pages in one PAGES record.
pub const MAX_PAGES: u64 = 4096;

/// [`VmaEntry::flags`]: can be read.
pub const VMA_READ: u64 = 1 << 0;
/// Can be written.
pub const VMA_WRITE: u64 = 1 << 1;
/// Can be executed.
pub const VMA_EXEC: u64 = 1 << 2;
/// Shared with other mappings of the object.
pub const VMA_SHARED: u64 = 1 << 3;
/// Grows downwards, as a stack does.
pub const VMA_GROWSDOWN: u64 = 1 << 4;
/// Locked in memory.
pub const VMA_LOCKED: u64 = 1 << 5;
/// Not inherited over fork.
pub const VMA_DONTCOPY: u64 = 1 << 6;
/// Left out of core dumps.
pub const VMA_DONTDUMP: u64 = 1 << 7;
/// Zero in the child after fork.
pub const VMA_WIPEONFORK: u64 = 1 << 8;
/// Read front to back.
pub const VMA_SEQ_READ: u64 = 1 << 9;
/// Read in no order.
pub const VMA_RAND_READ: u64 = 1 << 10;
/// Not accounted.
pub const VMA_NORESERVE: u64 = 1 << 11;
/// Huge pages wanted.
pub const VMA_HUGEPAGE: u64 = 1 << 12;
/// Huge pages not wanted.
pub const VMA_NOHUGEPAGE: u64 = 1 << 13;
const VMA_FLAGS: u64 = (1 << 14) - 1;

/// What a mapping maps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u32)]
pub enum VmaKind {
    /// Private memory of no file.
    #[default]
    PrivateAnon = 1,
    /// A file, privately.
    PrivateFile = 2,
    /// A shared memory object.
    SharedAnon = 3,
    /// The kernel's vvar pages.
    Vvar = 4,
    /// The kernel's vdso pages.
    Vdso = 5,
    /// The kernel's pages of clocks that others keep, behind vvar.
    VvarClock = 6,
}

impl VmaKind {
    const ALL: [VmaKind; 6] = [
        VmaKind::PrivateAnon,
        VmaKind::PrivateFile,
        VmaKind::SharedAnon,
        VmaKind::Vvar,
        VmaKind::Vdso,
        VmaKind::VvarClock,
    ];

    /// Whether a mapping of this kind names an object.
    pub const fn has_object(self) -> bool {
        match self {
            VmaKind::PrivateFile | VmaKind::SharedAnon => true,
            VmaKind::PrivateAnon | VmaKind::Vvar | VmaKind::Vdso | VmaKind::VvarClock => false,
        }
    }

    /// Whether the kernel has put it into the program: vdso and what goes with it.
    pub const fn is_special(self) -> bool {
        matches!(self, VmaKind::Vvar | VmaKind::Vdso | VmaKind::VvarClock)
    }
}

/// One mapping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VmaEntry {
    /// First address.
    pub start: u64,
    /// First address behind it.
    pub end: u64,
    /// Offset in the object, in pages.
    pub pgoff: u64,
    /// `VMA_*` bits.
    pub flags: u64,
    /// What it maps.
    pub kind: VmaKind,
    /// Objref of the FILE or SHMEM, or 0.
    pub objref: u32,
}

impl VmaEntry {
    fn check(&self, fields: &Fields<'_>) -> Result<(), ImageError> {
        let limits = fields.limits();
        fields.page_aligned("start", self.start)?;
        fields.page_aligned("end", self.end)?;
        fields.range(
            "end",
            self.end,
            self.start.saturating_add(1),
            limits.task_size,
        )?;
        let bytes = self.end.saturating_sub(self.start);
        let pages = bytes.checked_div(limits.page_size).unwrap_or(0);
        let most = (u64::MAX.checked_div(limits.page_size).unwrap_or(0)).saturating_sub(pages);
        fields.range("pgoff", self.pgoff, 0, most)?;
        let shared = self.flags & VMA_SHARED;
        let expected = if self.kind == VmaKind::SharedAnon {
            VMA_SHARED
        } else {
            0
        };
        fields.require(
            shared == expected,
            Fault::Value {
                field: "shared flag for the kind of mapping",
                expected,
                found: shared,
            },
        )?;
        let objref = u64::from(self.objref);
        if self.kind.has_object() {
            fields.range("objref", objref, 1, u64::MAX)
        } else {
            let field = "objref of a mapping without object";
            fields.require(
                objref == 0,
                Fault::Reserved {
                    field,
                    found: objref,
                },
            )
        }
    }
}

impl Entry for VmaEntry {
    const SIZE: usize = 40;

    fn encode(&self, payload: &mut Payload<'_>) -> Result<(), ImageError> {
        payload.put_u64s(&[self.start, self.end, self.pgoff, self.flags])?;
        payload.put_u32(self.kind as u32)?;
        payload.put_u32(self.objref)
    }

    fn decode(fields: &mut Fields<'_>) -> Result<Self, ImageError> {
        let [start, end, pgoff] = fields.u64s()?;
        let flags = fields.flags64("flags", VMA_FLAGS)?;
        let number = fields.u32_in("kind of mapping", 1, VmaKind::VvarClock as u32)?;
        let kind = VmaKind::ALL
            .iter()
            .copied()
            .find(|kind| *kind as u32 == number)
            .unwrap_or_default();
        let entry = VmaEntry {
            start,
            end,
            pgoff,
            flags,
            kind,
            objref: fields.u32()?,
        };
        entry.check(fields)?;
        Ok(entry)
    }
}

/// VMA: a part of an address space's mappings, ascending.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vmas<'a> {
    /// The mappings.
    pub entries: List<'a, VmaEntry>,
}

impl<'a> Body<'a> for Vmas<'a> {
    const KIND: Kind = Kind::Vma;

    fn encode(&self, payload: &mut Payload<'_>) -> Result<(), ImageError> {
        self.entries.encode(payload)
    }

    fn decode(fields: &mut Fields<'a>) -> Result<Self, ImageError> {
        let count = whole_entries(fields, VmaEntry::SIZE)?;
        fields.range("entries", count as u64, 1, MAX_VMA_ENTRIES as u64)?;
        let entries = List::decode(fields, count, |fields, last: Option<&VmaEntry>, entry| {
            let least = last.map_or(0, |last| last.end);
            fields.range("start", entry.start, least, u64::MAX)
        })?;
        Ok(Vmas { entries })
    }
}

/// A run of pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageRange {
    /// First address, or first byte in a shared memory object.
    pub start: u64,
    /// Number of pages.
    pub nr_pages: u64,
}

impl PageRange {
    /// First byte behind the range; `None` if that needs more than 64 bits.
    pub fn end(&self, page_size: u64) -> Option<u64> {
        self.start
            .checked_add(self.nr_pages.checked_mul(page_size)?)
    }
}

impl Entry for PageRange {
    const SIZE: usize = 16;

    fn encode(&self, payload: &mut Payload<'_>) -> Result<(), ImageError> {
        payload.put_u64(self.start)?;
        payload.put_u64(self.nr_pages)
    }

    fn decode(fields: &mut Fields<'_>) -> Result<Self, ImageError> {
        let start = fields.u64()?;
        fields.page_aligned("start", start)?;
        let nr_pages = fields.u64()?;
        fields.range("nr_pages", nr_pages, 1, MAX_PAGES)?;
        let range = PageRange { start, nr_pages };
        let end = range.end(fields.limits().page_size);
        fields.require(
            end.is_some(),
            Fault::Overflow {
                field: "end of the range",
                expected: u64::MAX,
                found: start,
            },
        )?;
        Ok(range)
    }
}

/// PAGES: whose pages the raw data behind the record is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pages<'a> {
    /// 0: addresses of the task; else the objref of a SHMEM.
    pub target: u32,
    /// The pages, ascending.
    pub ranges: List<'a, PageRange>,
}

impl<'a> Pages<'a> {
    /// Puts the record for ranges that are not in a payload yet.
    pub fn encode_with(
        target: u32,
        ranges: &[PageRange],
        payload: &mut Payload<'_>,
    ) -> Result<(), ImageError> {
        payload.put_u32(target)?;
        payload.put_u32(u32::try_from(ranges.len()).unwrap_or(u32::MAX))?;
        ranges.iter().try_for_each(|range| range.encode(payload))
    }
}

impl<'a> Body<'a> for Pages<'a> {
    const KIND: Kind = Kind::Pages;

    fn encode(&self, payload: &mut Payload<'_>) -> Result<(), ImageError> {
        payload.put_u32(self.target)?;
        payload.put_u32(self.ranges.len() as u32)?;
        self.ranges.encode(payload)
    }

    fn decode(fields: &mut Fields<'a>) -> Result<Self, ImageError> {
        let page_size = fields.limits().page_size;
        let target = fields.u32()?;
        let count = fields.u32_in("nr_ranges", 1, MAX_PAGE_RANGES)?;
        let mut total = 0u64;
        let check = |fields: &Fields<'a>, last: Option<&PageRange>, range: &PageRange| {
            let least = last.and_then(|last| last.end(page_size)).unwrap_or(0);
            fields.range("start", range.start, least, u64::MAX)?;
            total = total.saturating_add(range.nr_pages);
            fields.range("pages in the record", total, 1, MAX_PAGES)
        };
        let ranges = List::decode(fields, count as usize, check)?;
        let expected = total.saturating_mul(page_size);
        let found = fields.bulk();
        fields.require(
            expected == found,
            Fault::Value {
                field: "bulk",
                expected,
                found,
            },
        )?;
        Ok(Pages { target, ranges })
    }
}

/// SHMEM: an anonymous memory object shared by mappings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shmem {
    /// Number of the object.
    pub objref: u32,
    /// Bytes.
    pub size: u64,
}

impl<'a> Body<'a> for Shmem {
    const KIND: Kind = Kind::Shmem;

    fn encode(&self, payload: &mut Payload<'_>) -> Result<(), ImageError> {
        payload.put_u32(self.objref)?;
        payload.put_u32(0)?;
        payload.put_u64(self.size)
    }

    fn decode(fields: &mut Fields<'a>) -> Result<Self, ImageError> {
        let objref = fields.u32_in("objref", 1, u32::MAX)?;
        fields.reserved()?;
        let size = fields.u64()?;
        fields.range("size", size, 1, i64::MAX as u64)?;
        Ok(Shmem { objref, size })
    }
}
