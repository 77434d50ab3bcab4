// SPDX-License-Identifier: GPL-2.0-only

//! XXH64 with seed 0, streaming.
//!
//! Guards against accident, not against an attacker: an image is as trusted as
//! whoever wrote it, and everything in it is validated after the checksum.

const P1: u64 = 0x9E37_79B1_85EB_CA87;
const P2: u64 = 0xC2B2_AE3D_27D4_EB4F;
const P3: u64 = 0x1656_67B1_9E37_79F9;
const P4: u64 = 0x85EB_CA77_C2B2_AE63;
const P5: u64 = 0x27D4_EB2F_1656_67C5;

/// Bytes that one round over the four accumulators takes in.
const STRIPE: usize = 32;

/// A running XXH64.
#[derive(Clone, Debug)]
pub struct Xxh64 {
    acc: [u64; 4],
    /// Start of a stripe that is not full yet; `held` bytes of it are valid.
    tail: [u8; STRIPE],
    held: usize,
    total: u64,
}

impl Default for Xxh64 {
    fn default() -> Self {
        Self::new()
    }
}

impl Xxh64 {
    /// Starts a checksum over nothing.
    pub const fn new() -> Self {
        Xxh64 {
            acc: [P1.wrapping_add(P2), P2, 0, 0u64.wrapping_sub(P1)],
            tail: [0; STRIPE],
            held: 0,
            total: 0,
        }
    }

    /// The checksum of `data` alone.
    pub fn of(data: &[u8]) -> u64 {
        let mut sum = Self::new();
        sum.update(data);
        sum.finish()
    }

    /// Takes in `data`; how the data is cut into calls does not matter.
    pub fn update(&mut self, data: &[u8]) {
        self.total = self.total.wrapping_add(data.len() as u64);
        let mut rest = data;
        if self.held > 0 {
            rest = self.fill_tail(rest);
            if self.held < STRIPE {
                return;
            }
            let stripe = self.tail;
            self.acc = rounds(self.acc, &stripe);
            self.held = 0;
        }
        let mut acc = self.acc;
        while let Some((stripe, after)) = rest.split_first_chunk::<STRIPE>() {
            acc = rounds(acc, stripe);
            rest = after;
        }
        self.acc = acc;
        self.fill_tail(rest);
    }

    /// The checksum of everything taken in so far.
    pub fn finish(&self) -> u64 {
        let [a, b, c, d] = self.acc;
        let mut hash = if self.total >= STRIPE as u64 {
            let sum = a
                .rotate_left(1)
                .wrapping_add(b.rotate_left(7))
                .wrapping_add(c.rotate_left(12))
                .wrapping_add(d.rotate_left(18));
            merge(merge(merge(merge(sum, a), b), c), d)
        } else {
            P5
        };
        hash = hash.wrapping_add(self.total);
        avalanche(self.absorb_tail(hash))
    }

    /// Copies from `data` into the unfinished stripe and returns what is left.
    fn fill_tail<'d>(&mut self, data: &'d [u8]) -> &'d [u8] {
        let free = self.tail.get_mut(self.held..).unwrap_or(&mut []);
        let take = data.len().min(free.len());
        for (to, from) in free.iter_mut().zip(data) {
            *to = *from;
        }
        self.held = self.held.saturating_add(take);
        data.get(take..).unwrap_or(&[])
    }

    fn absorb_tail(&self, mut hash: u64) -> u64 {
        let mut rest = self.tail.get(..self.held).unwrap_or(&[]);
        while let Some((lane, after)) = rest.split_first_chunk::<8>() {
            hash ^= round(0, u64::from_le_bytes(*lane));
            hash = hash.rotate_left(27).wrapping_mul(P1).wrapping_add(P4);
            rest = after;
        }
        if let Some((lane, after)) = rest.split_first_chunk::<4>() {
            hash ^= u64::from(u32::from_le_bytes(*lane)).wrapping_mul(P1);
            hash = hash.rotate_left(23).wrapping_mul(P2).wrapping_add(P3);
            rest = after;
        }
        for byte in rest {
            hash ^= u64::from(*byte).wrapping_mul(P5);
            hash = hash.rotate_left(11).wrapping_mul(P1);
        }
        hash
    }
}

fn round(acc: u64, lane: u64) -> u64 {
    acc.wrapping_add(lane.wrapping_mul(P2))
        .rotate_left(31)
        .wrapping_mul(P1)
}

/// One stripe into the four accumulators.
#[inline(always)]
fn rounds(acc: [u64; 4], stripe: &[u8; STRIPE]) -> [u64; 4] {
    let mut acc = acc;
    for (a, lane) in acc.iter_mut().zip(stripe.chunks_exact(8)) {
        if let Some(lane) = lane.first_chunk::<8>() {
            *a = round(*a, u64::from_le_bytes(*lane));
        }
    }
    acc
}

fn merge(hash: u64, acc: u64) -> u64 {
    (hash ^ round(0, acc)).wrapping_mul(P1).wrapping_add(P4)
}

fn avalanche(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(P2);
    hash ^= hash >> 29;
    hash = hash.wrapping_mul(P3);
    hash ^ (hash >> 32)
}
