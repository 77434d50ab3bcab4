// SPDX-License-Identifier: GPL-2.0-only

//! The 40 bytes in front of every record, and the kinds of records.

use crate::image::checksum::Xxh64;
use crate::image::error::{Fault, ImageError, Place};
use crate::image::{padded, BULK_TRAILER, HEADER_SIZE, MAX_PAYLOAD};

/// Bytes of the header that the checksum covers.
const CHECKED: usize = 32;

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Kind {
    /// The image as a whole.
    Head = 1,
    /// The tasks and how they descend from each other.
    Tree = 2,
    /// Start of a task.
    Task = 10,
    /// Credentials.
    Creds = 11,
    /// Root, working directory, umask.
    Fs = 12,
    /// File descriptors.
    Fds = 13,
    /// Resource limits.
    Rlimits = 14,
    /// An address space.
    Mm = 15,
    /// Mappings.
    Vma = 16,
    /// Content of pages.
    Pages = 17,
    /// One set of registers.
    Regset = 18,
    /// What else belongs to a thread.
    Thread = 19,
    /// Signal handlers.
    SignalActions = 20,
    /// Signal mask and stack.
    SignalState = 21,
    /// A pending signal.
    Pending = 22,
    /// End of a task.
    TaskEnd = 29,
    /// An open file.
    File = 30,
    /// A shared memory object.
    Shmem = 31,
    /// End of the image.
    End = 255,
}

impl Kind {
    /// Every kind, in the order of their numbers.
    pub const ALL: [Kind; 19] = [
        Kind::Head,
        Kind::Tree,
        Kind::Task,
        Kind::Creds,
        Kind::Fs,
        Kind::Fds,
        Kind::Rlimits,
        Kind::Mm,
        Kind::Vma,
        Kind::Pages,
        Kind::Regset,
        Kind::Thread,
        Kind::SignalActions,
        Kind::SignalState,
        Kind::Pending,
        Kind::TaskEnd,
        Kind::File,
        Kind::Shmem,
        Kind::End,
    ];

    /// The number in the header.
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// The name in `docs/image-format.md`.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Head => "HEAD",
            Kind::Tree => "TREE",
            Kind::Task => "TASK",
            Kind::Creds => "CREDS",
            Kind::Fs => "FS",
            Kind::Fds => "FDS",
            Kind::Rlimits => "RLIMITS",
            Kind::Mm => "MM",
            Kind::Vma => "VMA",
            Kind::Pages => "PAGES",
            Kind::Regset => "REGSET",
            Kind::Thread => "THREAD",
            Kind::SignalActions => "SIGNAL_ACTIONS",
            Kind::SignalState => "SIGNAL_STATE",
            Kind::Pending => "PENDING",
            Kind::TaskEnd => "TASK_END",
            Kind::File => "FILE",
            Kind::Shmem => "SHMEM",
            Kind::End => "END",
        }
    }
}

impl TryFrom<u32> for Kind {
    type Error = Fault;

    fn try_from(number: u32) -> Result<Self, Fault> {
        Kind::ALL
            .iter()
            .copied()
            .find(|kind| kind.number() == number)
            .ok_or(Fault::UnknownKind {
                found: u64::from(number),
            })
    }
}

/// A record's header as it is in the stream; `kind` and `reserved` are only to
/// be believed after [`RecordHeader::verify`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordHeader {
    /// Number of the kind.
    pub kind: u32,
    /// Zero.
    pub reserved: u32,
    /// Number of the record in the image.
    pub seq: u64,
    /// Bytes of payload, without padding.
    pub len: u64,
    /// Bytes of raw data behind the padded payload.
    pub bulk: u64,
    /// XXH64 of the first 32 bytes and the padded payload.
    pub checksum: u64,
}

impl RecordHeader {
    /// Bytes of a header in the stream.
    pub const SIZE: usize = HEADER_SIZE;

    /// Reads a header. `place` is where it is by counting; only the length is
    /// checked, the rest has to wait for the payload and [`Self::verify`].
    pub fn decode(bytes: &[u8; HEADER_SIZE], place: Place) -> Result<Self, ImageError> {
        let [kind_and_reserved, seq, len, bulk, checksum] = words(bytes);
        let header = RecordHeader {
            kind: kind_and_reserved as u32,
            reserved: (kind_and_reserved >> 32) as u32,
            seq,
            len,
            bulk,
            checksum,
        };
        if len > MAX_PAYLOAD as u64 {
            return Err(place.fault(Fault::TooLarge {
                field: "len",
                expected: MAX_PAYLOAD as u64,
                found: len,
            }));
        }
        Ok(header)
    }

    /// The header as it is in the stream.
    pub fn encode(&self) -> [u8; HEADER_SIZE] {
        let values = [
            u64::from(self.kind) | u64::from(self.reserved) << 32,
            self.seq,
            self.len,
            self.bulk,
            self.checksum,
        ];
        let mut bytes = [0; HEADER_SIZE];
        for (to, value) in bytes.chunks_exact_mut(8).zip(values) {
            to.copy_from_slice(&value.to_le_bytes());
        }
        bytes
    }

    /// `place` with the kind that the header states, if there is such a kind;
    /// for refusals, which the checksum may not have vouched for yet.
    pub fn place(&self, place: Place) -> Place {
        Place {
            kind: Kind::try_from(self.kind).map_or(0, Kind::number),
            ..place
        }
    }

    /// Bytes of payload to read behind the header, padding included; at most
    /// [`MAX_PAYLOAD`] for a header that [`Self::decode`] gave.
    pub fn padded_len(&self) -> usize {
        let capped = self.len.min(MAX_PAYLOAD as u64);
        padded(capped).unwrap_or(capped) as usize
    }

    /// Bytes of the whole record in the stream; `None` if that overflows.
    pub fn stream_len(&self) -> Option<u64> {
        let front = (HEADER_SIZE as u64).checked_add(padded(self.len)?)?;
        if self.bulk == 0 {
            return Some(front);
        }
        front.checked_add(self.bulk)?.checked_add(BULK_TRAILER)
    }

    /// The checksum that belongs to this header and `payload`, padded.
    pub fn sum(&self, payload: &[u8]) -> u64 {
        let mut sum = Xxh64::new();
        let bytes = self.encode();
        sum.update(bytes.get(..CHECKED).unwrap_or(&[]));
        sum.update(payload);
        sum.finish()
    }

    /// Checks the header against its payload (`padded_len` bytes) and against
    /// `place`, the number and offset that the record has by counting.
    ///
    /// The checksum comes first, so that damage is called damage.
    pub fn verify(&self, payload: &[u8], place: Place) -> Result<Kind, ImageError> {
        let place = self.place(place);
        if payload.len() != self.padded_len() {
            return Err(place.fault(Fault::Truncated {
                expected: self.padded_len() as u64,
                found: payload.len() as u64,
            }));
        }
        let found = self.sum(payload);
        if found != self.checksum {
            return Err(place.fault(Fault::Checksum {
                expected: self.checksum,
                found,
            }));
        }
        let kind = Kind::try_from(self.kind).map_err(|what| place.fault(what))?;
        self.verify_fields(kind, payload)
            .map_err(|what| place.fault(what))?;
        if self.seq != place.seq {
            return Err(place.fault(Fault::Sequence {
                expected: place.seq,
                found: self.seq,
            }));
        }
        Ok(kind)
    }

    fn verify_fields(&self, kind: Kind, payload: &[u8]) -> Result<(), Fault> {
        if self.reserved != 0 {
            return Err(Fault::Reserved {
                field: "reserved field of the header",
                found: u64::from(self.reserved),
            });
        }
        let padding = payload.iter().skip(self.len as usize);
        if let Some(byte) = padding.copied().find(|byte| *byte != 0) {
            return Err(Fault::Reserved {
                field: "padding",
                found: u64::from(byte),
            });
        }
        if kind != Kind::Pages && self.bulk != 0 {
            return Err(Fault::Value {
                field: "bulk",
                expected: 0,
                found: self.bulk,
            });
        }
        Ok(())
    }
}

/// The five little-endian words of a header.
fn words(bytes: &[u8; HEADER_SIZE]) -> [u64; 5] {
    let mut words = [0; 5];
    for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        if let Some(chunk) = chunk.first_chunk::<8>() {
            *word = u64::from_le_bytes(*chunk);
        }
    }
    words
}
