// SPDX-License-Identifier: GPL-2.0-only

//! Reading the fields of one verified record.

use crate::image::error::{Fault, ImageError, Place};
use crate::image::header::{Kind, RecordHeader};
use crate::image::record::Body;
use crate::image::HEADER_SIZE;

/// What values are checked against that no image can state for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a page; a power of two.
    pub page_size: u64,
    /// First address that no mapping reaches.
    pub task_size: u64,
}

impl Limits {
    /// The widest limits, for a reader that is no kernel: 4 KiB pages and
    /// 56-bit addresses.
    pub const WIDEST: Limits = Limits {
        page_size: 4096,
        task_size: 1 << 56,
    };
}

/// A record whose checksum, number and header are right; the content of its
/// payload is not checked yet.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// What it is about.
    pub kind: Kind,
    /// Kind, number and offset, for refusals.
    pub place: Place,
    /// Payload without padding.
    pub payload: &'a [u8],
    /// Bytes of raw data that follow in the stream.
    pub bulk: u64,
}

impl<'a> Record<'a> {
    /// Checks a header and its padded payload; `seq` and `offset` are those
    /// that the record has by counting.
    pub fn new(
        header: &RecordHeader,
        padded: &'a [u8],
        seq: u64,
        offset: u64,
    ) -> Result<Self, ImageError> {
        let place = Place {
            kind: 0,
            seq,
            offset,
        };
        let kind = header.verify(padded, place)?;
        Ok(Record {
            kind,
            place: Place {
                kind: kind.number(),
                ..place
            },
            payload: padded.get(..header.len as usize).unwrap_or(padded),
            bulk: header.bulk,
        })
    }

    /// A refusal of this record.
    pub const fn fault(&self, what: Fault) -> ImageError {
        self.place.fault(what)
    }

    /// The fields of the payload.
    pub fn fields(&self, limits: Limits) -> Fields<'a> {
        Fields {
            payload: self.payload,
            at: 0,
            bulk: self.bulk,
            place: self.place,
            limits,
        }
    }

    /// Decodes the payload as a `B`; refuses another kind and bytes left over.
    pub fn body<B: Body<'a>>(&self, limits: Limits) -> Result<B, ImageError> {
        if self.kind != B::KIND {
            return Err(self.fault(Fault::Order {
                expected: B::KIND.name(),
                found: u64::from(self.kind.number()),
            }));
        }
        let mut fields = self.fields(limits);
        let body = B::decode(&mut fields)?;
        fields.finish()?;
        Ok(body)
    }

    /// Checks the checksum behind the raw data, `trailer`, against `found`,
    /// that of the data read.
    pub fn check_bulk(&self, found: u64, trailer: &[u8]) -> Result<(), ImageError> {
        let stored = trailer.first_chunk::<8>();
        let expected = stored.copied().map_or(!found, u64::from_le_bytes);
        if expected != found {
            return Err(self.fault(Fault::BulkChecksum { expected, found }));
        }
        Ok(())
    }

    /// Bytes of the whole record in the stream, raw data included.
    pub fn stream_len(&self) -> Result<u64, ImageError> {
        let header = RecordHeader {
            len: self.payload.len() as u64,
            bulk: self.bulk,
            ..RecordHeader::default()
        };
        header.stream_len().ok_or(self.fault(Fault::Overflow {
            field: "bulk",
            expected: u64::MAX - HEADER_SIZE as u64,
            found: self.bulk,
        }))
    }
}

/// A cursor over the fields of a payload.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    payload: &'a [u8],
    at: usize,
    bulk: u64,
    place: Place,
    limits: Limits,
}

impl<'a> Fields<'a> {
    /// The fields of a payload that is part of no record.
    pub const fn over(payload: &'a [u8], limits: Limits) -> Self {
        Fields {
            payload,
            at: 0,
            bulk: 0,
            place: Place {
                kind: 0,
                seq: 0,
                offset: 0,
            },
            limits,
        }
    }

    /// A refusal of the record being read.
    pub const fn fault(&self, what: Fault) -> ImageError {
        self.place.fault(what)
    }

    /// Refuses with `what` unless `holds`.
    pub fn require(&self, holds: bool, what: Fault) -> Result<(), ImageError> {
        if holds {
            Ok(())
        } else {
            Err(self.fault(what))
        }
    }

    /// Bytes of raw data that follow the record.
    pub const fn bulk(&self) -> u64 {
        self.bulk
    }

    /// The limits that values are checked against.
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    /// Bytes not read yet.
    pub fn remaining(&self) -> usize {
        self.payload.len().saturating_sub(self.at)
    }

    /// The next `len` bytes.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], ImageError> {
        let end = self.at.checked_add(len);
        let taken = end.and_then(|end| self.payload.get(self.at..end));
        match (taken, end) {
            (Some(bytes), Some(end)) => {
                self.at = end;
                Ok(bytes)
            }
            _ => Err(self.fault(Fault::Short {
                expected: len as u64,
                found: self.remaining() as u64,
            })),
        }
    }

    /// The next `N` bytes, as an array.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], ImageError> {
        let bytes = self.take(N)?;
        match bytes.first_chunk::<N>() {
            Some(array) => Ok(*array),
            None => Err(self.fault(Fault::Short {
                expected: N as u64,
                found: bytes.len() as u64,
            })),
        }
    }

    /// The next u32.
    pub fn u32(&mut self) -> Result<u32, ImageError> {
        self.array().map(u32::from_le_bytes)
    }

    /// The next u64.
    pub fn u64(&mut self) -> Result<u64, ImageError> {
        self.array().map(u64::from_le_bytes)
    }

    /// The next i32.
    pub fn i32(&mut self) -> Result<i32, ImageError> {
        self.array().map(i32::from_le_bytes)
    }

    /// The next i64.
    pub fn i64(&mut self) -> Result<i64, ImageError> {
        self.array().map(i64::from_le_bytes)
    }

    /// The next `N` u64.
    pub fn u64s<const N: usize>(&mut self) -> Result<[u64; N], ImageError> {
        let mut values = [0; N];
        for value in values.iter_mut() {
            *value = self.u64()?;
        }
        Ok(values)
    }

    /// A u32 length and that many bytes.
    pub fn bytes(&mut self) -> Result<&'a [u8], ImageError> {
        let len = self.u32()?;
        self.take(len as usize)
    }

    /// A reserved u32, which must be zero.
    pub fn reserved(&mut self) -> Result<(), ImageError> {
        let found = u64::from(self.u32()?);
        let field = "reserved field";
        self.require(found == 0, Fault::Reserved { field, found })
    }

    /// A u32 that must lie in `least..=most`.
    pub fn u32_in(
        &mut self,
        field: &'static str,
        least: u32,
        most: u32,
    ) -> Result<u32, ImageError> {
        let value = self.u32()?;
        self.range(field, u64::from(value), u64::from(least), u64::from(most))?;
        Ok(value)
    }

    /// An i32 that must lie in `least..=most`.
    pub fn i32_in(
        &mut self,
        field: &'static str,
        least: i32,
        most: i32,
    ) -> Result<i32, ImageError> {
        let value = self.i32()?;
        let found = i64::from(value) as u64;
        let expected = i64::from(least) as u64;
        self.require(
            value >= least,
            Fault::TooSmall {
                field,
                expected,
                found,
            },
        )?;
        let expected = i64::from(most) as u64;
        self.require(
            value <= most,
            Fault::TooLarge {
                field,
                expected,
                found,
            },
        )?;
        Ok(value)
    }

    /// A u32 of flags, all of which must be in `known`.
    pub fn flags32(&mut self, field: &'static str, known: u32) -> Result<u32, ImageError> {
        let value = self.u32()?;
        self.known(field, u64::from(value), u64::from(known))?;
        Ok(value)
    }

    /// A u64 of flags, all of which must be in `known`.
    pub fn flags64(&mut self, field: &'static str, known: u64) -> Result<u64, ImageError> {
        let value = self.u64()?;
        self.known(field, value, known)?;
        Ok(value)
    }

    /// Refuses a value outside `least..=most`.
    pub fn range(
        &self,
        field: &'static str,
        found: u64,
        least: u64,
        most: u64,
    ) -> Result<(), ImageError> {
        self.require(
            found >= least,
            Fault::TooSmall {
                field,
                expected: least,
                found,
            },
        )?;
        self.require(
            found <= most,
            Fault::TooLarge {
                field,
                expected: most,
                found,
            },
        )
    }

    /// Refuses a value that is not a multiple of the page size.
    pub fn page_aligned(&self, field: &'static str, found: u64) -> Result<(), ImageError> {
        let expected = self.limits.page_size;
        let aligned = found.checked_rem(expected) == Some(0);
        self.require(
            aligned,
            Fault::Unaligned {
                field,
                expected,
                found,
            },
        )
    }

    /// Refuses bytes left over.
    pub fn finish(&self) -> Result<(), ImageError> {
        let found = self.remaining() as u64;
        self.require(found == 0, Fault::LeftOver { found })
    }

    fn known(&self, field: &'static str, found: u64, expected: u64) -> Result<(), ImageError> {
        self.require(
            found & !expected == 0,
            Fault::Flags {
                field,
                expected,
                found,
            },
        )
    }
}
