// SPDX-License-Identifier: GPL-2.0-only

//! Files of a task: FILE, FS and FDS.

use crate::image::error::{Fault, ImageError};
use crate::image::header::Kind;
use crate::image::list::{Entry, List};
use crate::image::reader::Fields;
use crate::image::record::head::whole_entries;
use crate::image::record::Body;
use crate::image::writer::Payload;

/// Most descriptors in one FDS record.
pub const MAX_FD_ENTRIES: usize = 4096;
/// Most bytes of a path, without a NUL.
pub const MAX_PATH: u64 = 4095;
/// [`FdEntry::flags`]: close on exec.
pub const FD_CLOEXEC: u32 = 1 << 0;

/// Open flags that act at `open` only (O_CREAT, O_EXCL, O_NOCTTY, O_TRUNC):
/// no open file has them, and an image that does wants files changed.
pub const CREATION_FLAGS: u32 = 0o100 | 0o200 | 0o400 | 0o1000;

const S_IFMT: u32 = 0o170_000;

/// What an open file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum FileKind {
    /// A regular file.
    Regular = 1,
    /// A directory.
    Directory = 2,
    /// A character device.
    CharDevice = 3,
}

impl FileKind {
    const ALL: [FileKind; 3] = [FileKind::Regular, FileKind::Directory, FileKind::CharDevice];

    /// The type bits of `st_mode` that belong to the kind.
    pub const fn mode_type(self) -> u32 {
        match self {
            FileKind::Regular => 0o100_000,
            FileKind::Directory => 0o040_000,
            FileKind::CharDevice => 0o020_000,
        }
    }
}

/// Which inode a file is, and whose. Numbers are those of the file system while it is mounted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Device of the file system, as the kernel numbers it.
    pub dev: u32,
    /// Tells inodes apart that had one number after another.
    pub generation: u32,
    /// Number of the inode.
    pub ino: u64,
    /// Its owner, in the user namespace of who looks; `u32::MAX` if there is no number for it.
    pub uid: u32,
    /// Its group, likewise.
    pub gid: u32,
}

/// Permission bits of `st_mode`.
const PERMISSIONS: u32 = 0o777;

impl Identity {
    /// Whether it is the same inode as `other`.
    pub fn is(&self, other: &Identity) -> bool {
        (self.dev, self.generation, self.ino) == (other.dev, other.generation, other.ino)
    }

    /// Whether `found` may stand for a file of this identity, with these modes: it is that file, or another one of
    /// the same owner that is not closed to anybody whom the first was open to. Who could put something else in its
    /// place would otherwise have it opened by whoever restarts.
    pub fn may_be_replaced_by(&self, mode: u32, found: &Identity, found_mode: u32) -> bool {
        const NOBODY: u32 = u32::MAX;
        let owned = [self.uid, self.gid] == [found.uid, found.gid]
            && self.uid != NOBODY
            && self.gid != NOBODY;
        self.is(found) || (owned && mode & !found_mode & PERMISSIONS == 0)
    }
}

/// FILE: an open file, shared by all who name its objref.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct File<'a> {
    /// Number of the object.
    pub objref: u32,
    /// What it is.
    pub kind: FileKind,
    /// Open flags.
    pub flags: u32,
    /// `st_mode`.
    pub mode: u32,
    /// Offset.
    pub pos: i64,
    /// Bytes of the file when it was saved.
    pub size: u64,
    /// Major and minor number of a device, else 0.
    pub rdev: (u32, u32),
    /// Which file it was.
    pub identity: Identity,
    /// Absolute path, seen from the task's root.
    pub path: &'a [u8],
}

impl<'a> File<'a> {
    fn check(&self, fields: &Fields<'a>) -> Result<(), ImageError> {
        let expected = self.kind.mode_type();
        fields.require(
            self.mode & S_IFMT == expected,
            Fault::Value {
                field: "file type in mode",
                expected: u64::from(expected),
                found: u64::from(self.mode & S_IFMT),
            },
        )?;
        fields.require(
            self.pos >= 0,
            Fault::TooSmall {
                field: "pos",
                expected: 0,
                found: self.pos as u64,
            },
        )?;
        let (major, minor) = self.rdev;
        fields.require(
            self.kind == FileKind::CharDevice || (major == 0 && minor == 0),
            Fault::Reserved {
                field: "rdev of no device",
                found: u64::from(major) << 32 | u64::from(minor),
            },
        )?;
        fields.range("bytes of path", self.path.len() as u64, 1, MAX_PATH)?;
        let first = self.path.first().copied().unwrap_or(0);
        fields.require(
            first == b'/',
            Fault::Value {
                field: "first byte of path",
                expected: u64::from(b'/'),
                found: u64::from(first),
            },
        )?;
        let nul = self.path.iter().position(|byte| *byte == 0);
        fields.require(
            nul.is_none(),
            Fault::Value {
                field: "bytes of path before a NUL",
                expected: self.path.len() as u64,
                found: nul.unwrap_or(0) as u64,
            },
        )
    }
}

impl<'a> Body<'a> for File<'a> {
    const KIND: Kind = Kind::File;

    fn encode(&self, payload: &mut Payload<'_>) -> Result<(), ImageError> {
        payload.put_u32(self.objref)?;
        payload.put_u32(self.kind as u32)?;
        payload.put_u32(self.flags)?;
        payload.put_u32(self.mode)?;
        payload.put_i64(self.pos)?;
        payload.put_u64(self.size)?;
        payload.put_u32(self.rdev.0)?;
        payload.put_u32(self.rdev.1)?;
        payload.put_u32(self.identity.dev)?;
        payload.put_u32(self.identity.generation)?;
        payload.put_u64(self.identity.ino)?;
        payload.put_u32(self.identity.uid)?;
        payload.put_u32(self.identity.gid)?;
        payload.put_bytes(self.path)
    }

    fn decode(fields: &mut Fields<'a>) -> Result<Self, ImageError> {
        let objref = fields.u32_in("objref", 1, u32::MAX)?;
        let number = fields.u32_in("kind of file", 1, FileKind::CharDevice as u32)?;
        let kind = FileKind::ALL
            .iter()
            .copied()
            .find(|kind| *kind as u32 == number)
            .unwrap_or(FileKind::Regular);
        let file = File {
            objref,
            kind,
            flags: fields.flags32("open flags", !CREATION_FLAGS)?,
            mode: fields.u32()?,
            pos: fields.i64()?,
            size: fields.u64()?,
            rdev: (fields.u32()?, fields.u32()?),
            identity: Identity {
                dev: fields.u32()?,
                generation: fields.u32()?,
                ino: fields.u64()?,
                uid: fields.u32()?,
                gid: fields.u32()?,
            },
            path: fields.bytes()?,
        };
        file.check(fields)?;
        Ok(file)
    }
}

/// FS: where a task is in the file system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fs {
    /// Permission bits taken from new files.
    pub umask: u32,
    /// Objref of the root directory.
    pub root: u32,
    /// Objref of the working directory.
    pub cwd: u32,
}

impl<'a> Body<'a> for Fs {
    const KIND: Kind = Kind::Fs;

    fn encode(&self, payload: &mut Payload<'_>) -> Result<(), ImageError> {
        payload.put_u32(self.umask)?;
        payload.put_u32(self.root)?;
        payload.put_u32(self.cwd)?;
        payload.put_u32(0)
    }

    fn decode(fields: &mut Fields<'a>) -> Result<Self, ImageError> {
        let fs = Fs {
            umask: fields.u32_in("umask", 0, 0o777)?,
            root: fields.u32_in("root objref", 1, u32::MAX)?,
            cwd: fields.u32_in("cwd objref", 1, u32::MAX)?,
        };
        fields.reserved()?;
        Ok(fs)
    }
}

/// One file descriptor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FdEntry {
    /// The descriptor.
    pub fd: u32,
    /// Objref of the open file.
    pub objref: u32,
    /// `FD_CLOEXEC` or 0.
    pub flags: u32,
}

impl Entry for FdEntry {
    const SIZE: usize = 16;

    fn encode(&self, payload: &mut Payload<'_>) -> Result<(), ImageError> {
        payload.put_u32(self.fd)?;
        payload.put_u32(self.objref)?;
        payload.put_u32(self.flags)?;
        payload.put_u32(0)
    }

    fn decode(fields: &mut Fields<'_>) -> Result<Self, ImageError> {
        let entry = FdEntry {
            fd: fields.u32_in("fd", 0, i32::MAX as u32)?,
            objref: fields.u32_in("objref", 1, u32::MAX)?,
            flags: fields.flags32("flags", FD_CLOEXEC)?,
        };
        fields.reserved()?;
        Ok(entry)
    }
}

/// FDS: a part of a task's descriptors, ascending.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fds<'a> {
    /// The descriptors.
    pub entries: List<'a, FdEntry>,
}

impl<'a> Body<'a> for Fds<'a> {
    const KIND: Kind = Kind::Fds;

    fn encode(&self, payload: &mut Payload<'_>) -> Result<(), ImageError> {
        self.entries.encode(payload)
    }

    fn decode(fields: &mut Fields<'a>) -> Result<Self, ImageError> {
        let count = whole_entries(fields, FdEntry::SIZE)?;
        fields.range("entries", count as u64, 0, MAX_FD_ENTRIES as u64)?;
        let entries = List::decode(fields, count, |fields, last: Option<&FdEntry>, entry| {
            let least = last.map_or(0, |last| u64::from(last.fd).saturating_add(1));
            fields.range("fd", u64::from(entry.fd), least, u64::MAX)
        })?;
        Ok(Fds { entries })
    }
}
