// SPDX-License-Identifier: GPL-2.0-only

//! Building one record in a caller's buffer.

use crate::image::error::{Fault, ImageError, Place};
use crate::image::header::{Kind, RecordHeader};
use crate::image::{padded, HEADER_SIZE, MAX_PAYLOAD};

/// A payload under construction.
///
/// The first 40 bytes of the buffer are kept free for the header, which
/// [`Payload::finish`] fills in. A buffer of [`crate::image::RECORD_BUFFER`]
/// bytes holds any record.
#[derive(Debug)]
pub struct Payload<'a> {
    buffer: &'a mut [u8],
    len: usize,
}

impl<'a> Payload<'a> {
    /// Starts an empty payload; refuses a buffer that cannot hold a header.
    pub fn new(buffer: &'a mut [u8]) -> Result<Self, ImageError> {
        if buffer.len() < HEADER_SIZE {
            return Err(overflow("buffer", HEADER_SIZE, buffer.len()));
        }
        Ok(Payload { buffer, len: 0 })
    }

    /// Bytes put so far.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing has been put yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that can still be put.
    pub fn room(&self) -> usize {
        let buffer = self.buffer.len().saturating_sub(HEADER_SIZE);
        buffer.min(MAX_PAYLOAD).saturating_sub(self.len)
    }

    /// Puts bytes as they are, without a length.
    pub fn put_raw(&mut self, bytes: &[u8]) -> Result<(), ImageError> {
        let to = self.claim(bytes.len())?;
        to.copy_from_slice(bytes);
        Ok(())
    }

    /// Claims the next `len` bytes, zeroed, for the caller to fill in place.
    pub fn reserve(&mut self, len: usize) -> Result<&mut [u8], ImageError> {
        let to = self.claim(len)?;
        to.fill(0);
        Ok(to)
    }

    /// Gives back the last `len` bytes put, or all if there are fewer.
    pub fn unput(&mut self, len: usize) {
        self.len = self.len.saturating_sub(len);
    }

    /// Puts a u32.
    pub fn put_u32(&mut self, value: u32) -> Result<(), ImageError> {
        self.put_raw(&value.to_le_bytes())
    }

    /// Puts a u64.
    pub fn put_u64(&mut self, value: u64) -> Result<(), ImageError> {
        self.put_raw(&value.to_le_bytes())
    }

    /// Puts an i32.
    pub fn put_i32(&mut self, value: i32) -> Result<(), ImageError> {
        self.put_raw(&value.to_le_bytes())
    }

    /// Puts an i64.
    pub fn put_i64(&mut self, value: i64) -> Result<(), ImageError> {
        self.put_raw(&value.to_le_bytes())
    }

    /// Puts several u64.
    pub fn put_u64s(&mut self, values: &[u64]) -> Result<(), ImageError> {
        values.iter().try_for_each(|value| self.put_u64(*value))
    }

    /// Puts a u32 length and that many bytes.
    pub fn put_bytes(&mut self, bytes: &[u8]) -> Result<(), ImageError> {
        let len = u32::try_from(bytes.len())
            .map_err(|_| overflow("bytes", u32::MAX as usize, bytes.len()))?;
        self.put_u32(len)?;
        self.put_raw(bytes)
    }

    /// Overwrites the u32 at `at` bytes from the start of the payload, as for
    /// a count that is known only after its entries.
    pub fn patch_u32(&mut self, at: usize, value: u32) -> Result<(), ImageError> {
        let room = self.len;
        let put = self.buffer.get_mut(HEADER_SIZE..);
        let field = put
            .and_then(|bytes| bytes.get_mut(..room))
            .and_then(|bytes| bytes.get_mut(at..))
            .and_then(|bytes| bytes.first_chunk_mut::<4>());
        match field {
            Some(field) => {
                *field = value.to_le_bytes();
                Ok(())
            }
            None => Err(overflow("patched field", room, at.saturating_add(4))),
        }
    }

    /// Pads the payload, puts the header in front of it and gives the bytes to
    /// write: header and padded payload. `bulk` is the number of bytes of raw
    /// data that the caller will write behind them.
    pub fn finish(mut self, kind: Kind, seq: u64, bulk: u64) -> Result<&'a [u8], ImageError> {
        let place = Place {
            kind: kind.number(),
            seq,
            offset: 0,
        };
        let len = self.len;
        let full = padded(len as u64).unwrap_or(u64::MAX) as usize;
        self.reserve(full.saturating_sub(len))
            .map_err(|error| place.fault(error.what))?;
        let mut header = RecordHeader {
            kind: kind.number(),
            reserved: 0,
            seq,
            len: len as u64,
            bulk,
            checksum: 0,
        };
        let end = HEADER_SIZE.saturating_add(full);
        header.checksum = header.sum(self.buffer.get(HEADER_SIZE..end).unwrap_or(&[]));
        if let Some(front) = self.buffer.first_chunk_mut::<HEADER_SIZE>() {
            *front = header.encode();
        }
        self.buffer
            .get(..end)
            .ok_or_else(|| place.fault(overflow("record", len, full).what))
    }

    fn claim(&mut self, len: usize) -> Result<&mut [u8], ImageError> {
        let room = self.room();
        let full = || overflow("payload", room, len);
        if len > room {
            return Err(full());
        }
        let start = HEADER_SIZE.saturating_add(self.len);
        let end = start.saturating_add(len);
        self.len = self.len.saturating_add(len);
        self.buffer.get_mut(start..end).ok_or_else(full)
    }
}

fn overflow(field: &'static str, expected: usize, found: usize) -> ImageError {
    Place::default().fault(Fault::Overflow {
        field,
        expected: expected as u64,
        found: found as u64,
    })
}
