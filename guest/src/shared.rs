// SPDX-License-Identifier: GPL-2.0-only

//! A page of words that related tasks share: MAP_SHARED | MAP_ANONYMOUS.

use crate::pattern;
use crate::sys::{futex_wait, futex_wake, Scope};
use nix::errno::Errno;
use nix::sys::mman::MapFlags;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Words in shared memory, zero at first; children forked later see the same.
#[derive(Debug, Clone, Copy)]
pub struct Words(&'static [AtomicU32]);

impl Words {
    /// Maps at least `count` words.
    pub fn map(count: usize) -> Result<Words, String> {
        let bytes = (count * size_of::<AtomicU32>())
            .max(1)
            .next_multiple_of(pattern::PAGE);
        let memory = pattern::map(bytes, MapFlags::MAP_SHARED)?;
        let words = memory.len() * 2;
        // SAFETY: the mapping lives for ever and is given up to this view alone;
        // u64 memory is aligned for AtomicU32, which has no invalid values.
        Ok(Words(unsafe {
            std::slice::from_raw_parts(memory.as_ptr().cast(), words)
        }))
    }

    /// Word number `at`; the last one for numbers beyond the end.
    pub fn word(&self, at: usize) -> &'static AtomicU32 {
        &self.0[at.min(self.0.len() - 1)]
    }

    /// How many words there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Sets a word and wakes whoever waits for it.
    pub fn set(&self, at: usize, value: u32) {
        self.word(at).store(value, Ordering::SeqCst);
        self.wake(at);
    }

    /// Adds 1 to a word and wakes whoever waits for it.
    pub fn add_one(&self, at: usize) {
        self.word(at).fetch_add(1, Ordering::SeqCst);
        self.wake(at);
    }

    fn wake(&self, at: usize) {
        // A wake-up has no failure that matters: the address is valid.
        let _ = futex_wake(self.word(at), Scope::Shared, i32::MAX);
    }

    /// Waits until a word is at least `value`; false when that takes too long.
    pub fn wait_at_least(&self, at: usize, value: u32, patience: Duration) -> bool {
        let start = Instant::now();
        loop {
            let found = self.word(at).load(Ordering::SeqCst);
            if found >= value {
                return true;
            }
            let Some(left) = patience.checked_sub(start.elapsed()) else {
                return false;
            };
            match futex_wait(self.word(at), found, Scope::Shared, Some(left)) {
                Ok(()) | Err(Errno::EAGAIN | Errno::EINTR | Errno::ETIMEDOUT) => (),
                Err(_) => return false,
            }
        }
    }
}
