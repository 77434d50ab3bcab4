// SPDX-License-Identifier: GPL-2.0-only

//! Memory and register contents that can be told apart by task and by place.

use crate::sys::VECTORS;
use nix::sys::mman::{mmap_anonymous, MapFlags, ProtFlags};
use std::num::NonZeroUsize;

/// Bytes that the pattern treats as one page; a half of them may stay zero.
pub const PAGE: usize = 4096;

/// The word that belongs to index `at` of the pattern `seed`; never 0.
fn word(seed: u64, at: usize) -> u64 {
    let mut x = (at as u64 ^ seed.rotate_left(32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    x ^= x >> 29;
    x | 1
}

/// Which pages of a mapping carry the pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pages {
    /// All of them.
    All,
    /// Every second; the others are written with zeros, so that they exist.
    Half,
}

/// Anonymous memory of one task, filled with a pattern.
#[derive(Debug)]
pub struct Memory {
    words: &'static mut [u64],
    seed: u64,
    pages: Pages,
}

impl Memory {
    /// Maps `bytes` (rounded up to pages, at least one) and fills them.
    pub fn filled(bytes: usize, seed: u64, pages: Pages) -> Result<Memory, String> {
        let len = bytes.max(1).next_multiple_of(PAGE);
        let words = map(len, MapFlags::MAP_PRIVATE)?;
        let mut memory = Memory { words, seed, pages };
        memory.fill();
        Ok(memory)
    }

    fn fill(&mut self) {
        let per_page = PAGE / size_of::<u64>();
        for (number, page) in self.words.chunks_mut(per_page).enumerate() {
            let zero = self.pages == Pages::Half && number % 2 == 1;
            for (at, slot) in page.iter_mut().enumerate() {
                let value = if zero {
                    0
                } else {
                    word(self.seed, number * per_page + at)
                };
                // SAFETY: slot is a valid, aligned reference. Volatile: a plain store
                // of 0 to fresh memory could be left out, and the page with it.
                unsafe { std::ptr::write_volatile(slot, value) };
            }
        }
    }

    /// Compares every word with what was put there.
    pub fn verify(&self) -> Result<(), String> {
        let per_page = PAGE / size_of::<u64>();
        for (number, page) in self.words.chunks(per_page).enumerate() {
            let zero = self.pages == Pages::Half && number % 2 == 1;
            for (at, found) in page.iter().enumerate() {
                let expected = if zero {
                    0
                } else {
                    word(self.seed, number * per_page + at)
                };
                if *found != expected {
                    return Err(format!(
                        "memory at {:p} (page {number}): expected {expected:#x}, found {found:#x}",
                        found
                    ));
                }
            }
        }
        Ok(())
    }
}

/// Maps anonymous zeroed memory for the rest of the task's life.
pub fn map(bytes: usize, sharing: MapFlags) -> Result<&'static mut [u64], String> {
    let len = NonZeroUsize::new(bytes).ok_or("mapping of no bytes")?;
    // SAFETY: a fresh mapping at an address of the kernel's choice, never unmapped,
    // readable, writable, page-aligned and zeroed: valid as u64 for ever.
    unsafe {
        let at = mmap_anonymous(
            None,
            len,
            ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
            sharing,
        )
        .map_err(|e| format!("mmap of {bytes} bytes: {e}"))?;
        Ok(std::slice::from_raw_parts_mut(
            at.as_ptr().cast(),
            bytes / size_of::<u64>(),
        ))
    }
}

/// Values for all vector registers, different for every seed and register.
pub fn vectors(seed: u64) -> [[u32; 4]; VECTORS] {
    std::array::from_fn(|register| {
        std::array::from_fn(|lane| (word(seed, register * 4 + lane) >> 8) as u32)
    })
}

/// What [`crate::sys::hold_vectors`] leaves of `values` after `turns`.
pub fn vectors_after(mut values: [[u32; 4]; VECTORS], turns: u32) -> [[u32; 4]; VECTORS] {
    for half in values.chunks_mut(VECTORS / 2) {
        let last = half[half.len() - 1];
        for (lane, add) in half[0].iter_mut().zip(last) {
            *lane = lane.wrapping_add(add.wrapping_mul(turns));
        }
    }
    values
}

/// Holds the pattern `seed` in all vector registers for `turns` turns and
/// compares what comes out.
pub fn hold_and_verify(seed: u64, turns: u32) -> Result<(), String> {
    let start = vectors(seed);
    let mut held = start;
    crate::sys::hold_vectors(&mut held, turns);
    let expected = vectors_after(start, turns);
    match held
        .iter()
        .zip(&expected)
        .position(|(found, want)| found != want)
    {
        None => Ok(()),
        Some(register) => Err(format!(
            "vector register {register}: expected {:x?}, found {:x?}",
            expected[register], held[register]
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_hold_what_was_loaded() {
        for turns in [0, 1, 1000] {
            assert_eq!(hold_and_verify(7, turns), Ok(()));
        }
    }

    #[test]
    fn a_changed_word_is_found() {
        let memory = Memory::filled(3 * PAGE, 1, Pages::Half).unwrap();
        assert_eq!(memory.verify(), Ok(()));
        memory.words[PAGE / 8 + 3] = 1;
        assert!(memory.verify().unwrap_err().contains("page 1"));
    }
}
