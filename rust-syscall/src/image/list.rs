// SPDX-License-Identifier: GPL-2.0-only

//! Lists of entries of one size, read where they are.

use crate::image::error::ImageError;
use crate::image::reader::{Fields, Limits};
use crate::image::writer::Payload;
use core::marker::PhantomData;

/// One entry of a list.
pub trait Entry: Copy {
    /// Bytes of an entry.
    const SIZE: usize;

    /// Puts the entry.
    fn encode(&self, payload: &mut Payload<'_>) -> Result<(), ImageError>;

    /// Reads an entry and checks what can be checked by itself.
    fn decode(fields: &mut Fields<'_>) -> Result<Self, ImageError>;
}

impl Entry for u64 {
    const SIZE: usize = 8;

    fn encode(&self, payload: &mut Payload<'_>) -> Result<(), ImageError> {
        payload.put_u64(*self)
    }

    fn decode(fields: &mut Fields<'_>) -> Result<Self, ImageError> {
        fields.u64()
    }
}

impl Entry for u32 {
    const SIZE: usize = 4;

    fn encode(&self, payload: &mut Payload<'_>) -> Result<(), ImageError> {
        payload.put_u32(*self)
    }

    fn decode(fields: &mut Fields<'_>) -> Result<Self, ImageError> {
        fields.u32()
    }
}

/// A list of `T`, as bytes of a payload.
///
/// # Invariants
///
/// `bytes` is a multiple of `T::SIZE` long, and every entry in it decodes.
#[derive(Debug)]
pub struct List<'a, T> {
    bytes: &'a [u8],
    limits: Limits,
    entry: PhantomData<T>,
}

impl<T> Clone for List<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for List<'_, T> {}

impl<T> Default for List<'_, T> {
    fn default() -> Self {
        List {
            bytes: &[],
            limits: Limits::WIDEST,
            entry: PhantomData,
        }
    }
}

impl<T> PartialEq for List<'_, T> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl<T> Eq for List<'_, T> {}

impl<'a, T: Entry> List<'a, T> {
    /// Reads `count` entries, handing each to `check` with the one before it.
    pub fn decode(
        fields: &mut Fields<'a>,
        count: usize,
        mut check: impl FnMut(&Fields<'a>, Option<&T>, &T) -> Result<(), ImageError>,
    ) -> Result<Self, ImageError> {
        let mut cursor = fields.clone();
        let bytes = fields.take(count.saturating_mul(T::SIZE))?;
        let mut last = None;
        for _ in 0..count {
            let entry = T::decode(&mut cursor)?;
            check(&cursor, last.as_ref(), &entry)?;
            last = Some(entry);
        }
        Ok(List {
            bytes,
            limits: fields.limits(),
            entry: PhantomData,
        })
    }

    /// Puts the entries.
    pub fn encode(&self, payload: &mut Payload<'_>) -> Result<(), ImageError> {
        payload.put_raw(self.bytes)
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.bytes.len().checked_div(T::SIZE).unwrap_or(0)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Entry number `index`.
    pub fn get(&self, index: usize) -> Option<T> {
        self.iter().nth(index)
    }

    /// The entries in order.
    pub fn iter(&self) -> Entries<'a, T> {
        Entries {
            chunks: self.bytes.chunks_exact(T::SIZE.max(1)),
            limits: self.limits,
            entry: PhantomData,
        }
    }
}

impl<'a, T: Entry> IntoIterator for &List<'a, T> {
    type Item = T;
    type IntoIter = Entries<'a, T>;

    fn into_iter(self) -> Entries<'a, T> {
        self.iter()
    }
}

/// Iterator over the entries of a [`List`].
#[derive(Clone, Debug)]
pub struct Entries<'a, T> {
    chunks: core::slice::ChunksExact<'a, u8>,
    limits: Limits,
    entry: PhantomData<T>,
}

impl<T: Entry> Entries<'_, T> {
    fn read(&self, payload: &[u8]) -> Option<T> {
        T::decode(&mut Fields::over(payload, self.limits)).ok()
    }
}

impl<T: Entry> Iterator for Entries<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        let chunk = self.chunks.next()?;
        self.read(chunk)
    }

    fn nth(&mut self, n: usize) -> Option<T> {
        let chunk = self.chunks.nth(n)?;
        self.read(chunk)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.chunks.size_hint()
    }
}
