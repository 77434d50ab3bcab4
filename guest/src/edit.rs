// SPDX-License-Identifier: GPL-2.0-only

//! Images changed by hand: whole and with right checksums, so that what is
//! refused is what they ask for. In memory only.

use checkpoint::image::header::RecordHeader;
use checkpoint::image::list::Entry;
use checkpoint::image::record::TreeEntry;
use checkpoint::image::stream::next_record;
use checkpoint::image::{padded, Kind, HEADER_SIZE};
use nix::fcntl::{fcntl, FcntlArg, OFlag};
use nix::sys::memfd::{memfd_create, MFdFlags};
use nix::unistd::pipe2;
use std::fs::{self, File};
use std::io::{Seek, Write};

/// Offset in the payload of HEAD of the number of tasks, a word.
pub const NR_TASKS: usize = 20;
/// Size of an entry of TREE, which begins with the pid.
pub const TREE_ENTRY: usize = TreeEntry::SIZE;
/// Offset in an entry of TREE of the thread group, a word.
pub const TREE_TGID: usize = 4;
/// Offset in an entry of TREE of the parent's pid, a word.
pub const TREE_PPID: usize = 8;

/// A record, its payload without padding.
#[derive(Debug, Clone)]
struct Stored {
    header: RecordHeader,
    kind: Kind,
    payload: Vec<u8>,
    /// Raw data and its checksum.
    bulk: Vec<u8>,
}

/// A whole image.
#[derive(Debug, Clone)]
pub struct Image {
    records: Vec<Stored>,
}

impl Image {
    /// Reads the image in a file.
    pub fn read(path: &str) -> Result<Image, String> {
        let bytes = fs::read(path).map_err(|e| format!("{path}: {e}"))?;
        let mut records: Vec<Stored> = Vec::new();
        let mut at = 0;
        while records.last().is_none_or(|last| last.kind != Kind::End) {
            let found = next_record(&bytes, at, records.len() as u64)
                .map_err(|e| format!("{path}: {e}"))?;
            let record = &bytes[at..at + found.stream_len];
            let (head, rest) = record
                .split_first_chunk()
                .ok_or("a record without a header")?;
            let header =
                RecordHeader::decode(head, Default::default()).map_err(|e| e.to_string())?;
            let (payload, bulk) = rest.split_at(header.padded_len());
            records.push(Stored {
                header,
                kind: found.record.kind,
                payload: payload[..header.len as usize].to_vec(),
                bulk: bulk.to_vec(),
            });
            at += found.stream_len;
        }
        Ok(Image { records })
    }

    /// The saved pid of the root.
    pub fn root(&self) -> Result<i32, String> {
        Ok(word(self.payload(Kind::Tree, 0)?, 0)? as i32)
    }

    /// The place among all records, from 0, of record `number` of this kind.
    pub fn index(&self, kind: Kind, number: usize) -> Result<usize, String> {
        let mut of_kind = self
            .records
            .iter()
            .enumerate()
            .filter(|(_, record)| record.kind == kind);
        let found = of_kind.nth(number).map(|(at, _)| at);
        found.ok_or_else(|| format!("the image has no {} record number {number}", kind.name()))
    }

    /// The payload of record `number`, from 0, of this kind.
    pub fn payload(&self, kind: Kind, number: usize) -> Result<&[u8], String> {
        Ok(&self.records[self.index(kind, number)?].payload)
    }

    /// How many records of this kind there are.
    pub fn count(&self, kind: Kind) -> usize {
        self.records
            .iter()
            .filter(|record| record.kind == kind)
            .count()
    }

    /// The first record of this kind whose payload is wanted: its number among those of its kind.
    pub fn find(&self, kind: Kind, wanted: impl Fn(&[u8]) -> bool) -> Result<usize, String> {
        let mut of_kind = self.records.iter().filter(|record| record.kind == kind);
        of_kind
            .position(|record| wanted(&record.payload))
            .ok_or_else(|| format!("the image has no {} record that is looked for", kind.name()))
    }

    /// The image with the payload of record `number` of this kind changed.
    pub fn edited(
        &self,
        kind: Kind,
        number: usize,
        change: impl FnOnce(&mut Vec<u8>) -> Result<(), String>,
    ) -> Result<Image, String> {
        let mut image = self.clone();
        let at = self.index(kind, number)?;
        change(&mut image.records[at].payload)?;
        Ok(image)
    }

    /// The image with one more record in front of record `number` of a kind; those behind it, and what END
    /// counts, follow.
    pub fn inserted(
        &self,
        before: (Kind, usize),
        kind: Kind,
        payload: Vec<u8>,
    ) -> Result<Image, String> {
        let mut image = self.clone();
        let at = self.index(before.0, before.1)?;
        let header = RecordHeader {
            kind: kind as u32,
            len: 0,
            bulk: 0,
            ..self.records[at].header
        };
        image.records.insert(
            at,
            Stored {
                header,
                kind,
                payload,
                bulk: Vec::new(),
            },
        );
        image.renumbered()
    }

    /// The image without any record of a kind; those behind them, and what END counts, follow.
    pub fn without(&self, kind: Kind) -> Result<Image, String> {
        let mut image = self.clone();
        image.records.retain(|record| record.kind != kind);
        image.renumbered()
    }

    /// The image with its records numbered in their order, and END with what it counts.
    fn renumbered(mut self) -> Result<Image, String> {
        for (seq, record) in self.records.iter_mut().enumerate() {
            record.header.seq = seq as u64;
        }
        let bulk = self.records.iter().map(|record| record.header.bulk).sum();
        let end = self.index(Kind::End, 0)?;
        put_doubles(
            &mut self.records[end].payload,
            &[(0, end as u64), (8, bulk)],
        )?;
        Ok(self)
    }

    /// The first `records` records and nothing behind them.
    pub fn beginning(&self, records: usize) -> Image {
        Image {
            records: self.records[..records].to_vec(),
        }
    }

    /// The image but for its last record, END.
    pub fn without_end(&self) -> Image {
        self.beginning(self.records.len() - 1)
    }

    /// The image as a stream, every checksum right.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for record in &self.records {
            let mut payload = record.payload.clone();
            let len = payload.len() as u64;
            payload.resize(padded(len).unwrap_or(len) as usize, 0);
            let mut header = RecordHeader {
                len,
                ..record.header
            };
            header.checksum = header.sum(&payload);
            bytes.extend_from_slice(&header.encode());
            bytes.extend_from_slice(&payload);
            bytes.extend_from_slice(&record.bulk);
        }
        bytes
    }

    /// Bytes of the stream in front of record `number`, of whatever kind.
    pub fn offset(&self, number: usize) -> usize {
        let before = self.records.iter().take(number);
        let len = |record: &Stored| HEADER_SIZE + record.header.padded_len() + record.bulk.len();
        before.map(len).sum()
    }
}

/// A file in memory that holds these bytes, at its start.
pub fn file_of(bytes: &[u8]) -> Result<File, String> {
    let memory =
        memfd_create(c"image", MFdFlags::MFD_CLOEXEC).map_err(|e| format!("memfd: {e}"))?;
    let mut file = File::from(memory);
    let failed = |e: std::io::Error| format!("writing an image: {e}");
    file.write_all(bytes).map_err(failed)?;
    file.rewind().map_err(failed)?;
    Ok(file)
}

/// A pipe with these bytes in it: where they are read, and where more could be written.
pub fn pipe_of(bytes: &[u8]) -> Result<(File, File), String> {
    /// What a pipe takes at once.
    const ROOM: i32 = 1 << 20;
    let (read, write) = pipe2(OFlag::O_CLOEXEC).map_err(|e| format!("pipe: {e}"))?;
    let mut write = File::from(write);
    if bytes.len() > ROOM as usize {
        let len = bytes.len();
        return Err(format!(
            "an image of {len} bytes does not fit into a pipe of {ROOM}"
        ));
    }
    if !bytes.is_empty() {
        fcntl(&write, FcntlArg::F_SETPIPE_SZ(ROOM)).map_err(|e| format!("F_SETPIPE_SZ: {e}"))?;
        write.write_all(bytes).map_err(|e| format!("pipe: {e}"))?;
    }
    Ok((File::from(read), write))
}

/// The word at byte `at` of a payload.
pub fn word(payload: &[u8], at: usize) -> Result<u32, String> {
    let four = payload.get(at..).and_then(|rest| rest.first_chunk());
    four.map(|four| u32::from_le_bytes(*four))
        .ok_or_else(|| format!("no word at {at} of a payload of {} bytes", payload.len()))
}

/// The double word at byte `at` of a payload.
pub fn double(payload: &[u8], at: usize) -> Result<u64, String> {
    let (low, high) = (word(payload, at)?, word(payload, at + 4)?);
    Ok(u64::from(high) << 32 | u64::from(low))
}

/// Puts `value` at byte `at` of a payload.
pub fn put(payload: &mut [u8], at: usize, value: &[u8]) -> Result<(), String> {
    let len = payload.len();
    let place = payload.get_mut(at..at + value.len());
    place
        .ok_or_else(|| format!("no {} bytes at {at} of a payload of {len}", value.len()))?
        .copy_from_slice(value);
    Ok(())
}

/// As [`put`], of words at several places.
pub fn put_words(payload: &mut [u8], words: &[(usize, u32)]) -> Result<(), String> {
    words
        .iter()
        .try_for_each(|(at, value)| put(payload, *at, &value.to_le_bytes()))
}

/// As [`put_words`], of double words.
pub fn put_doubles(payload: &mut [u8], doubles: &[(usize, u64)]) -> Result<(), String> {
    doubles
        .iter()
        .try_for_each(|(at, value)| put(payload, *at, &value.to_le_bytes()))
}
