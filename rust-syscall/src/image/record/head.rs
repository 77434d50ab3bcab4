// SPDX-License-Identifier: GPL-2.0-only

//! The image as a whole: HEAD, TREE and END.

use crate::image::error::{Fault, ImageError};
use crate::image::header::Kind;
use crate::image::list::{Entry, List};
use crate::image::reader::{Fields, Limits, Record};
use crate::image::record::Body;
use crate::image::writer::Payload;
use crate::image::{ARCH_ARM64, ARCH_X86_64, MAGIC, MAX_TASKS, VERSION};

/// Most feature words in a HEAD.
pub const MAX_FEATURES: u32 = 32;
/// Most tasks in one TREE record.
pub const MAX_TREE_ENTRIES: usize = 2048;
/// Least page size of a machine that writes images.
pub const MIN_PAGE_SIZE: u32 = 4096;
/// Greatest page size of a machine that writes images.
pub const MAX_PAGE_SIZE: u32 = 65_536;

/// [`Head::flags`]: ids in the image are those of a user namespace other than the first. In that one they
/// would be somebody else's, root's among them.
pub const HEAD_OWN_IDS: u64 = 1 << 0;

/// HEAD: where the image comes from and what it takes to restart it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// ELF machine number.
    pub arch: u32,
    /// Bytes of a page.
    pub page_size: u32,
    /// Number of tasks in the tree.
    pub nr_tasks: u32,
    /// `HEAD_*` bits.
    pub flags: u64,
    /// XXH64 of the vdso's pages.
    pub vdso_hash: u64,
    /// Feature words; a restoring CPU must have every bit.
    pub features: List<'a, u64>,
    /// Release of the kernel that wrote the image.
    pub release: &'a [u8],
}

/// What a HEAD is held against: the machine that is to restart the image.
#[derive(Clone, Copy, Debug)]
pub struct Host<'a> {
    /// ELF machine number.
    pub arch: u32,
    /// Bytes of a page.
    pub page_size: u32,
    /// XXH64 of this kernel's vdso.
    pub vdso_hash: u64,
    /// This CPU's feature words.
    pub features: &'a [u64],
}

impl Head<'_> {
    /// Checks that the tasks of `record`, which is this HEAD, can run on
    /// `host`.
    pub fn check_host(&self, record: &Record<'_>, host: &Host<'_>) -> Result<(), ImageError> {
        let foreign = [
            ("arch", u64::from(host.arch), u64::from(self.arch)),
            (
                "page size",
                u64::from(host.page_size),
                u64::from(self.page_size),
            ),
        ];
        for (field, expected, found) in foreign {
            if expected != found {
                return Err(record.fault(Fault::Foreign {
                    field,
                    expected,
                    found,
                }));
            }
        }
        self.check_features(record, host.features)?;
        if self.vdso_hash != host.vdso_hash {
            return Err(record.fault(Fault::Foreign {
                field: "hash of the vdso",
                expected: host.vdso_hash,
                found: self.vdso_hash,
            }));
        }
        Ok(())
    }

    /// Limits for a reader that is not the kernel that will restart the image.
    pub fn limits(&self) -> Limits {
        Limits {
            page_size: u64::from(self.page_size),
            ..Limits::WIDEST
        }
    }

    fn check_features(&self, record: &Record<'_>, host: &[u64]) -> Result<(), ImageError> {
        for (word, (wanted, index)) in self.features.iter().zip(0u32..).enumerate() {
            let expected = host.get(word).copied().unwrap_or(0);
            let found = wanted & !expected;
            if found != 0 {
                return Err(record.fault(Fault::Features {
                    word: index,
                    expected,
                    found,
                }));
            }
        }
        Ok(())
    }
}

impl<'a> Body<'a> for Head<'a> {
    const KIND: Kind = Kind::Head;

    fn encode(&self, payload: &mut Payload<'_>) -> Result<(), ImageError> {
        payload.put_u64(MAGIC)?;
        payload.put_u32(VERSION)?;
        payload.put_u32(self.arch)?;
        payload.put_u32(self.page_size)?;
        payload.put_u32(self.nr_tasks)?;
        payload.put_u64(self.flags)?;
        payload.put_u64(self.vdso_hash)?;
        payload.put_u32(self.features.len() as u32)?;
        payload.put_u32(0)?;
        self.features.encode(payload)?;
        payload.put_bytes(self.release)
    }

    fn decode(fields: &mut Fields<'a>) -> Result<Self, ImageError> {
        let magic = fields.u64()?;
        exactly(fields, "magic", MAGIC, magic)?;
        let version = fields.u32()?;
        exactly(fields, "version", u64::from(VERSION), u64::from(version))?;
        let arch = fields.u32()?;
        let known = arch == ARCH_X86_64 || arch == ARCH_ARM64;
        fields.require(
            known,
            Fault::Value {
                field: "arch (62 or 183)",
                expected: u64::from(ARCH_X86_64),
                found: u64::from(arch),
            },
        )?;
        let page_size = fields.u32_in("page size", MIN_PAGE_SIZE, MAX_PAGE_SIZE)?;
        fields.require(
            page_size.is_power_of_two(),
            Fault::Unaligned {
                field: "page size",
                expected: u64::from(page_size.checked_next_power_of_two().unwrap_or(0)),
                found: u64::from(page_size),
            },
        )?;
        let nr_tasks = fields.u32_in("nr_tasks", 1, MAX_TASKS)?;
        let flags = fields.flags64("flags", HEAD_OWN_IDS)?;
        let vdso_hash = fields.u64()?;
        let nr_features = fields.u32_in("nr_features", 0, MAX_FEATURES)?;
        fields.reserved()?;
        let features = List::decode(fields, nr_features as usize, |_, _, _| Ok(()))?;
        let release = fields.bytes()?;
        Ok(Head {
            arch,
            page_size,
            nr_tasks,
            flags,
            vdso_hash,
            features,
            release,
        })
    }
}

fn exactly(
    fields: &Fields<'_>,
    field: &'static str,
    expected: u64,
    found: u64,
) -> Result<(), ImageError> {
    fields.require(
        expected == found,
        Fault::Foreign {
            field,
            expected,
            found,
        },
    )
}

/// One task of the tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TreeEntry {
    /// Process id, as all ids here seen from the pid namespace of the root.
    pub pid: i32,
    /// Thread group id; equal to `pid`.
    pub tgid: i32,
    /// Id of the parent; the root's lies outside the tree and may be 0.
    pub ppid: i32,
    /// Process group id; 0 if it lies outside the pid namespace.
    pub pgid: i32,
    /// Session id; 0 if it lies outside the pid namespace.
    pub sid: i32,
}

impl Entry for TreeEntry {
    const SIZE: usize = 24;

    fn encode(&self, payload: &mut Payload<'_>) -> Result<(), ImageError> {
        payload.put_i32(self.pid)?;
        payload.put_i32(self.tgid)?;
        payload.put_i32(self.ppid)?;
        payload.put_i32(self.pgid)?;
        payload.put_i32(self.sid)?;
        payload.put_u32(0)
    }

    fn decode(fields: &mut Fields<'_>) -> Result<Self, ImageError> {
        let pid = fields.i32_in("pid", 1, i32::MAX)?;
        let tgid = fields.i32()?;
        fields.require(
            tgid == pid,
            Fault::Value {
                field: "tgid",
                expected: i64::from(pid) as u64,
                found: i64::from(tgid) as u64,
            },
        )?;
        let entry = TreeEntry {
            pid,
            tgid,
            ppid: fields.i32_in("ppid", 0, i32::MAX)?,
            pgid: fields.i32_in("pgid", 0, i32::MAX)?,
            sid: fields.i32_in("sid", 0, i32::MAX)?,
        };
        fields.flags32("flags", 0)?;
        Ok(entry)
    }
}

/// TREE: a part of the list of tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tree<'a> {
    /// The tasks, in the order in which they are restored.
    pub entries: List<'a, TreeEntry>,
}

impl<'a> Body<'a> for Tree<'a> {
    const KIND: Kind = Kind::Tree;

    fn encode(&self, payload: &mut Payload<'_>) -> Result<(), ImageError> {
        self.entries.encode(payload)
    }

    fn decode(fields: &mut Fields<'a>) -> Result<Self, ImageError> {
        let count = whole_entries(fields, TreeEntry::SIZE)?;
        fields.range("entries", count as u64, 1, MAX_TREE_ENTRIES as u64)?;
        let entries = List::decode(fields, count, |_, _, _| Ok(()))?;
        Ok(Tree { entries })
    }
}

/// Number of entries of `size` bytes in the rest of a payload.
///
/// A part of an entry at the end is left for [`Fields::finish`] to refuse.
pub(super) fn whole_entries(fields: &Fields<'_>, size: usize) -> Result<usize, ImageError> {
    Ok(fields.remaining().checked_div(size).unwrap_or(0))
}

/// END: what the image amounts to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// Records before this one.
    pub records: u64,
    /// Bytes of raw data in all records together.
    pub bulk: u64,
}

impl<'a> Body<'a> for End {
    const KIND: Kind = Kind::End;

    fn encode(&self, payload: &mut Payload<'_>) -> Result<(), ImageError> {
        payload.put_u64(self.records)?;
        payload.put_u64(self.bulk)
    }

    fn decode(fields: &mut Fields<'a>) -> Result<Self, ImageError> {
        Ok(End {
            records: fields.u64()?,
            bulk: fields.u64()?,
        })
    }
}
