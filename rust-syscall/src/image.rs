// SPDX-License-Identifier: GPL-2.0-only

//! The image format, version 1: encoding, decoding and checking of records.
//!
//! Works on bytes in memory only; reading from and writing to files is the
//! caller's. `docs/image-format.md` is the specification. Image bytes are
//! hostile: every count is bounded before it is used, sizes add with overflow
//! checks, and a refusal is an [`ImageError`] that names the record.

pub mod checksum;
pub mod error;
pub mod header;
pub mod list;
pub mod reader;
pub mod record;
pub mod sequence;
pub mod stream;
pub mod tree;
pub mod writer;

pub use checksum::Xxh64;
pub use error::{Fault, ImageError, Place};
pub use header::{Kind, RecordHeader};
pub use reader::{Fields, Limits, Record};
pub use record::Body;
pub use writer::Payload;

/// First field of every image: "RTRCLK01" read as little-endian bytes.
pub const MAGIC: u64 = 0x3130_4B4C_4352_5452;
/// Version of the format that this code reads and writes.
pub const VERSION: u32 = 2;
/// Bytes in front of every payload.
pub const HEADER_SIZE: usize = 40;
/// Most bytes a payload can have, before padding and after it.
pub const MAX_PAYLOAD: usize = 65_536;
/// A buffer of this size holds the header and payload of any record.
pub const RECORD_BUFFER: usize = HEADER_SIZE + MAX_PAYLOAD;
/// Bytes of the checksum that follows the raw data of a PAGES record.
pub const BULK_TRAILER: u64 = 8;
/// Most tasks in an image.
pub const MAX_TASKS: u32 = 32_768;

/// ELF machine number of x86_64.
pub const ARCH_X86_64: u32 = 62;
/// ELF machine number of arm64.
pub const ARCH_ARM64: u32 = 183;

/// `len` rounded up to the 8 bytes that records are aligned to; `None` if
/// that does not fit.
pub const fn padded(len: u64) -> Option<u64> {
    match len.checked_add(7) {
        Some(sum) => Some(sum & !7),
        None => None,
    }
}
