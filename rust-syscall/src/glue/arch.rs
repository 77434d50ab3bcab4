// SPDX-License-Identifier: GPL-2.0-only

//! What differs between the architectures: how the general registers tell of an interrupted
//! system call, and how they are set.
//!
//! Both modules have the same constant and functions over the same [`Interrupted`].

#[cfg(CONFIG_ARM64)]
mod arm64;
#[cfg(CONFIG_ARM64)]
pub(crate) use arm64::*;

#[cfg(CONFIG_X86_64)]
mod x86_64;
#[cfg(CONFIG_X86_64)]
pub(crate) use x86_64::*;

/// The result by which a system call asks to be restarted through its restart block.
pub(crate) const RESTART_BLOCK: i64 = -516;

/// What the registers alone do not say about a system call that was cut short.
#[derive(Clone, Copy, Default)]
pub(crate) struct Interrupted {
    /// Whether it goes on through the task's restart block.
    pub(crate) by_restart_block: bool,
    /// Words for the THREAD record.
    pub(crate) words: [u64; 4],
}

/// Word number `index` of a note; 0 behind its end.
fn word(note: &[u8], index: usize) -> u64 {
    note.get(index * 8..)
        .and_then(|rest| rest.first_chunk())
        .map_or(0, |bytes| u64::from_ne_bytes(*bytes))
}

fn set_word(note: &mut [u8], index: usize, value: u64) {
    if let Some(to) = note
        .get_mut(index * 8..)
        .and_then(|rest| rest.first_chunk_mut())
    {
        *to = value.to_ne_bytes();
    }
}
