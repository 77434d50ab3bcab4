// SPDX-License-Identifier: GPL-2.0-only

//! Damaging images on purpose: where the records of an image are, which byte
//! to flip in each, and images that are whole but ask for what is not here. Pure.

use checkpoint::image::header::RecordHeader;
use checkpoint::image::stream::next_record;
use checkpoint::image::{ImageError, Kind, ARCH_ARM64, ARCH_X86_64, HEADER_SIZE};

use crate::scenario::step::Change;

/// Where a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Its kind.
    pub kind: Kind,
    /// Offset of its first byte.
    pub offset: u64,
    /// Bytes it takes, raw data included.
    pub len: u64,
}

/// The records of a whole image, in order.
pub fn extents(image: &[u8]) -> Result<Vec<Extent>, ImageError> {
    let mut found = Vec::new();
    let mut offset = 0;
    loop {
        let stored = next_record(image, offset, found.len() as u64)?;
        found.push(Extent {
            kind: stored.record.kind,
            offset: offset as u64,
            len: stored.stream_len as u64,
        });
        offset += stored.stream_len;
        if stored.record.kind == Kind::End {
            return Ok(found);
        }
    }
}

/// The byte of a record to flip, and the bits: spread over header, payload and raw data by a fixed
/// sequence, so that a run can be repeated.
pub fn byte_to_flip(extent: &Extent, number: u64) -> (u64, u8) {
    // The finalizer of splitmix64.
    let mut x = number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^= x >> 31;
    let area = match x % 3 {
        0 => HEADER_SIZE as u64,
        _ => extent.len,
    };
    let at = (x >> 8) % area.clamp(1, extent.len);
    (extent.offset + at, 1 << ((x >> 4) % 8))
}

/// Where to cut an image in or before a record: at its first byte, or inside it.
pub fn cut_at(extent: &Extent, number: u64) -> u64 {
    match number % 3 {
        0 => extent.offset,
        1 => extent.offset + HEADER_SIZE as u64 / 2,
        _ => extent.offset + extent.len - 1,
    }
}

/// The same image with its HEAD changed, checksums as they should be.
pub fn change(image: &[u8], what: Change) -> Result<Vec<u8>, String> {
    let head = next_record(image, 0, 0).map_err(|err| err.to_string())?;
    if head.record.kind != Kind::Head {
        return Err(format!(
            "record 0: expected HEAD, found {}",
            head.record.kind.name()
        ));
    }
    let mut changed = image.to_vec();
    let payload = HEADER_SIZE;
    let word = |bytes: &[u8], at: usize| {
        bytes
            .get(at..at + 4)
            .and_then(|four| four.try_into().ok())
            .map(u32::from_le_bytes)
            .ok_or("HEAD is too short")
    };
    match what {
        Change::OtherArch => {
            let other = match word(image, payload + 12)? {
                ARCH_X86_64 => ARCH_ARM64,
                _ => ARCH_X86_64,
            };
            changed[payload + 12..payload + 16].copy_from_slice(&other.to_le_bytes());
        }
        Change::MoreFeatures => {
            let count = word(image, payload + 40)?;
            if count == 0 {
                return Err("HEAD has no feature words".to_string());
            }
            let words = payload + 48..payload + 48 + 8 * count as usize;
            changed
                .get_mut(words)
                .ok_or("HEAD is too short")?
                .fill(0xff);
        }
    }
    let mut header = image[..HEADER_SIZE]
        .first_chunk::<HEADER_SIZE>()
        .ok_or("HEAD is too short")
        .and_then(|bytes| {
            RecordHeader::decode(bytes, Default::default()).map_err(|_| "HEAD cannot be read")
        })?;
    let end = payload + header.padded_len();
    header.checksum = header.sum(&changed[payload..end]);
    changed[..HEADER_SIZE].copy_from_slice(&header.encode());
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flipped_bytes_lie_in_their_record() {
        let extent = Extent {
            kind: Kind::Mm,
            offset: 1000,
            len: 64,
        };
        for number in 0..1000 {
            let (at, bits) = byte_to_flip(&extent, number);
            assert!((1000..1064).contains(&at) && bits.count_ones() == 1);
            assert!((1000..1064).contains(&cut_at(&extent, number)));
        }
    }
}
