// SPDX-License-Identifier: GPL-2.0-only

//! Walking an image that is in memory as a whole, as on the host.

use crate::image::checksum::Xxh64;
use crate::image::error::{Fault, ImageError, Place};
use crate::image::header::RecordHeader;
use crate::image::reader::Record;
use crate::image::record::AnyBody;
use crate::image::sequence::OrderChecker;
use crate::image::{BULK_TRAILER, HEADER_SIZE};

/// A record of an image in memory, with its raw data.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'a> {
    /// The record.
    pub record: Record<'a>,
    /// Its raw data; empty but for PAGES.
    pub bulk: &'a [u8],
    /// Bytes of the whole record in the stream.
    pub stream_len: usize,
}

/// Reads the record at `offset` of `image` and checks its number, `seq`, and
/// its checksums. Neither the order of records nor the payload is looked at.
pub fn next_record(image: &[u8], offset: usize, seq: u64) -> Result<Stored<'_>, ImageError> {
    let mut place = Place {
        kind: 0,
        seq,
        offset: offset as u64,
    };
    let mut rest = image.get(offset..).unwrap_or(&[]);
    let front = cut(&mut rest, HEADER_SIZE as u64, place)?;
    let header = match front.first_chunk::<HEADER_SIZE>() {
        Some(bytes) => RecordHeader::decode(bytes, place)?,
        None => return Err(truncated(place, HEADER_SIZE as u64, front.len())),
    };
    place = header.place(place);
    let payload = cut(&mut rest, header.padded_len() as u64, place)?;
    let record = Record::new(&header, payload, seq, place.offset)?;
    let mut bulk: &[u8] = &[];
    if record.bulk > 0 {
        bulk = cut(&mut rest, record.bulk, place)?;
        let trailer = cut(&mut rest, BULK_TRAILER, place)?;
        record.check_bulk(Xxh64::of(bulk), trailer)?;
    }
    Ok(Stored {
        record,
        bulk,
        stream_len: image
            .len()
            .saturating_sub(offset)
            .saturating_sub(rest.len()),
    })
}

/// Takes `len` bytes off the front of `rest`.
fn cut<'a>(rest: &mut &'a [u8], len: u64, place: Place) -> Result<&'a [u8], ImageError> {
    let size = usize::try_from(len).unwrap_or(usize::MAX);
    match (rest.get(..size), rest.get(size..)) {
        (Some(front), Some(after)) => {
            *rest = after;
            Ok(front)
        }
        _ => Err(truncated(place, len, rest.len())),
    }
}

fn truncated(place: Place, expected: u64, found: usize) -> ImageError {
    place.fault(Fault::Truncated {
        expected,
        found: found as u64,
    })
}

/// Walks an image from front to back and checks all that
/// [`OrderChecker`] checks, the end included.
#[derive(Clone, Debug)]
pub struct Stream<'a> {
    image: &'a [u8],
    checker: OrderChecker,
}

impl<'a> Stream<'a> {
    /// Starts at the front of `image`. Page and address sizes are those of
    /// the image's own HEAD.
    pub fn new(image: &'a [u8]) -> Self {
        Stream {
            image,
            checker: OrderChecker::new(),
        }
    }

    /// What has been checked so far.
    pub fn checker(&self) -> &OrderChecker {
        &self.checker
    }

    /// The next record and its content; `None` behind END, if the image ends
    /// there.
    pub fn next_record(&mut self) -> Result<Option<(Stored<'a>, AnyBody<'a>)>, ImageError> {
        let place = self.checker.place();
        let offset = usize::try_from(place.offset).unwrap_or(usize::MAX);
        if self.checker.ended() {
            return match self.image.len().saturating_sub(offset) {
                0 => Ok(None),
                found => Err(place.fault(Fault::LeftOver {
                    found: found as u64,
                })),
            };
        }
        let stored = next_record(self.image, offset, place.seq)?;
        let body = self.checker.accept(&stored.record)?;
        Ok(Some((stored, body)))
    }
}
