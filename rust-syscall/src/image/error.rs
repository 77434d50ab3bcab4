// SPDX-License-Identifier: GPL-2.0-only

//! Why an image is refused: which record, where, what was expected and found.
//!
//! Small `Copy` values that print without allocation, and the one table that
//! maps them to errno.

use crate::image::header::Kind;
use core::fmt;

/// Errno values that a refusal can have; the same on x86_64 and arm64.
pub mod errno {
    /// Not for this machine: other format, version, arch, page size or vdso.
    pub const ENOEXEC: i32 = 8;
    /// Malformed.
    pub const EINVAL: i32 = 22;
    /// The stream ended too early.
    pub const EPIPE: i32 = 32;
    /// This CPU lacks a feature that the tasks may be using.
    pub const ENODATA: i32 = 61;
    /// A checksum does not fit its data.
    pub const EBADMSG: i32 = 74;
    /// Does not fit a record, or a size that adds up to more than 64 bits.
    pub const EOVERFLOW: i32 = 75;
}

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The stream ended: `expected` bytes were needed, `found` were there.
    Truncated {
        /// Bytes needed.
        expected: u64,
        /// Bytes there.
        found: u64,
    },
    /// The checksum over header and payload is another one.
    Checksum {
        /// Stored in the header.
        expected: u64,
        /// Computed over the bytes read.
        found: u64,
    },
    /// The checksum over the raw data is another one.
    BulkChecksum {
        /// Stored behind the data.
        expected: u64,
        /// Computed over the data read.
        found: u64,
    },
    /// No kind has this number.
    UnknownKind {
        /// The number.
        found: u64,
    },
    /// A record is missing, repeated or moved.
    Sequence {
        /// Number that the record should have.
        expected: u64,
        /// Number that it has.
        found: u64,
    },
    /// The kind of the record cannot stand here.
    Order {
        /// The kinds that can.
        expected: &'static str,
        /// Number of the kind found.
        found: u64,
    },
    /// A reserved field or padding is not zero.
    Reserved {
        /// Which field.
        field: &'static str,
        /// Its value.
        found: u64,
    },
    /// A field must have one value and has another.
    Value {
        /// Which field.
        field: &'static str,
        /// The value it must have.
        expected: u64,
        /// Its value.
        found: u64,
    },
    /// A field is too small.
    TooSmall {
        /// Which field.
        field: &'static str,
        /// Its least value.
        expected: u64,
        /// Its value.
        found: u64,
    },
    /// A field is too large.
    TooLarge {
        /// Which field.
        field: &'static str,
        /// Its greatest value.
        expected: u64,
        /// Its value.
        found: u64,
    },
    /// A field that holds flags has bits outside the known ones.
    Flags {
        /// Which field.
        field: &'static str,
        /// The bits that may be set.
        expected: u64,
        /// Its value.
        found: u64,
    },
    /// An address or size is not a multiple of its unit.
    Unaligned {
        /// Which field.
        field: &'static str,
        /// The unit.
        expected: u64,
        /// Its value.
        found: u64,
    },
    /// A number that must be unique is there twice.
    Repeated {
        /// Which field.
        field: &'static str,
        /// The value.
        found: u64,
    },
    /// A task's parent is no earlier task of the tree.
    Orphan {
        /// Process id of the task.
        pid: u64,
        /// Process id of its parent.
        found: u64,
    },
    /// A payload ended inside a field.
    Short {
        /// Bytes the field takes.
        expected: u64,
        /// Bytes that were left.
        found: u64,
    },
    /// A payload, or a stream after END, goes on where it should end.
    LeftOver {
        /// Bytes left.
        found: u64,
    },
    /// A record is full, or a sum needs more than 64 bits.
    Overflow {
        /// What did not fit.
        field: &'static str,
        /// What there is room for.
        expected: u64,
        /// What was wanted.
        found: u64,
    },
    /// The image is for another machine or kernel.
    Foreign {
        /// In what it differs.
        field: &'static str,
        /// This machine's value.
        expected: u64,
        /// The image's value.
        found: u64,
    },
    /// The image needs CPU features that are not here.
    Features {
        /// Index of the feature word.
        word: u32,
        /// This CPU's bits.
        expected: u64,
        /// The bits that the image asks for and this CPU lacks.
        found: u64,
    },
}

impl Fault {
    /// The errno that `restart` returns for this fault; positive.
    pub const fn errno(&self) -> i32 {
        match self {
            Fault::Truncated { .. } => errno::EPIPE,
            Fault::Checksum { .. } | Fault::BulkChecksum { .. } => errno::EBADMSG,
            Fault::Overflow { .. } => errno::EOVERFLOW,
            Fault::Foreign { .. } => errno::ENOEXEC,
            Fault::Features { .. } => errno::ENODATA,
            Fault::UnknownKind { .. }
            | Fault::Sequence { .. }
            | Fault::Order { .. }
            | Fault::Reserved { .. }
            | Fault::Value { .. }
            | Fault::TooSmall { .. }
            | Fault::TooLarge { .. }
            | Fault::Flags { .. }
            | Fault::Unaligned { .. }
            | Fault::Repeated { .. }
            | Fault::Orphan { .. }
            | Fault::Short { .. }
            | Fault::LeftOver { .. } => errno::EINVAL,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Fault::Truncated { expected, found } => write!(
                f,
                "the image ends here: expected {expected} bytes, found {found}"
            ),
            Fault::Checksum { expected, found } => write!(
                f,
                "checksum: expected {expected:#018x}, found {found:#018x} over the bytes read"
            ),
            Fault::BulkChecksum { expected, found } => write!(
                f,
                "checksum of the page data: expected {expected:#018x}, found {found:#018x} over the bytes read"
            ),
            Fault::UnknownKind { found } => {
                write!(f, "kind: expected a known one, found {found}")
            }
            Fault::Sequence { expected, found } => {
                write!(f, "seq: expected {expected}, found {found}")
            }
            Fault::Order { expected, found } => {
                write!(f, "order: expected {expected}, found {}", Named(found))
            }
            Fault::Reserved { field, found } => {
                write!(f, "{field}: expected 0, found {found:#x}")
            }
            Fault::Value {
                field,
                expected,
                found,
            } => write!(f, "{field}: expected {expected}, found {}", Signed(found)),
            Fault::TooSmall {
                field,
                expected,
                found,
            } => write!(
                f,
                "{field}: expected at least {}, found {}",
                Signed(expected),
                Signed(found)
            ),
            Fault::TooLarge {
                field,
                expected,
                found,
            } => write!(f, "{field}: expected at most {expected}, found {found}"),
            Fault::Flags {
                field,
                expected,
                found,
            } => write!(
                f,
                "{field}: expected no bits but {expected:#x}, found {found:#x}"
            ),
            Fault::Unaligned {
                field,
                expected,
                found,
            } => write!(
                f,
                "{field}: expected a multiple of {expected:#x}, found {found:#x}"
            ),
            Fault::Repeated { field, found } => {
                write!(f, "{field}: expected each once, found {found} twice")
            }
            Fault::Orphan { pid, found } => write!(
                f,
                "ppid of pid {pid}: expected an earlier task of the tree, found {found}"
            ),
            Fault::Short { expected, found } => write!(
                f,
                "payload: expected {expected} more bytes, found {found}"
            ),
            Fault::LeftOver { found } => {
                write!(f, "expected the end, found {found} more bytes")
            }
            Fault::Overflow {
                field,
                expected,
                found,
            } => write!(f, "{field}: expected at most {expected}, wanted {found}"),
            Fault::Foreign {
                field,
                expected,
                found,
            } => write!(
                f,
                "{field}: expected {expected:#x} as on this machine, found {found:#x}"
            ),
            Fault::Features {
                word,
                expected,
                found,
            } => write!(
                f,
                "cpu features, word {word}: expected none but {expected:#x}, found {found:#x} besides"
            ),
        }
    }
}

/// A field that may be a sign-extended negative number, printed as one.
struct Signed(u64);

impl fmt::Display for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signed = self.0 as i64;
        if signed < 0 && signed >= i64::from(i32::MIN) {
            write!(f, "{signed}")
        } else {
            write!(f, "{}", self.0)
        }
    }
}

/// A kind's number, printed as its name if it has one.
struct Named(u64);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match u32::try_from(self.0)
            .ok()
            .and_then(|n| Kind::try_from(n).ok())
        {
            Some(kind) => f.write_str(kind.name()),
            None => write!(f, "kind {}", self.0),
        }
    }
}

/// Where in an image something is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Number of the record's kind; 0 while it is not known.
    pub kind: u32,
    /// Number of the record.
    pub seq: u64,
    /// Offset of the record's first byte in the stream.
    pub offset: u64,
}

impl Place {
    /// The refusal of what stands here, for the reason `what`.
    pub const fn fault(&self, what: Fault) -> ImageError {
        ImageError {
            kind: self.kind,
            seq: self.seq,
            offset: self.offset,
            what,
        }
    }
}

/// The refusal of an image: the record, and what is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageError {
    /// Number of the record's kind; 0 if it is not known.
    pub kind: u32,
    /// Number of the record, from 0, by counting.
    pub seq: u64,
    /// Offset of the record's first byte in the stream.
    pub offset: u64,
    /// What is wrong.
    pub what: Fault,
}

impl ImageError {
    /// The errno that `restart` returns for this refusal; positive.
    pub const fn errno(&self) -> i32 {
        self.what.errno()
    }
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record {}", self.seq)?;
        if self.kind != 0 {
            write!(f, " ({})", Named(u64::from(self.kind)))?;
        }
        write!(f, " at offset {}: {}", self.offset, self.what)
    }
}
