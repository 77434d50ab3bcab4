// SPDX-License-Identifier: GPL-2.0-only

//! Small but complete images, built record by record.

use checkpoint::image::list::Entry;
use checkpoint::image::record::*;
use checkpoint::image::stream::next_record;
use checkpoint::image::{
    Body, ImageError, Kind, Payload, RecordHeader, Xxh64, ARCH_X86_64, HEADER_SIZE, RECORD_BUFFER,
};

pub const PAGE: u64 = 4096;

/// Bytes of one record, raw data included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raw {
    pub kind: Kind,
    pub payload: Vec<u8>,
    pub bulk: Vec<u8>,
}

/// An image as a list of records, numbered and summed when it is written out.
#[derive(Clone, Debug, Default)]
pub struct Image {
    pub records: Vec<Raw>,
}

impl Image {
    pub fn put(
        &mut self,
        kind: Kind,
        encode: impl FnOnce(&mut Payload<'_>) -> Result<(), ImageError>,
    ) {
        let payload = payload_of(encode);
        let bulk = Vec::new();
        self.records.push(Raw {
            kind,
            payload,
            bulk,
        });
    }

    pub fn body<'a, B: Body<'a>>(&mut self, body: B) {
        self.put(B::KIND, |payload| body.encode(payload));
    }

    pub fn pages(&mut self, target: u32, ranges: &[PageRange]) {
        let payload = payload_of(|payload| Pages::encode_with(target, ranges, payload));
        let nr: u64 = ranges.iter().map(|range| range.nr_pages).sum();
        let pattern: Vec<u8> = (0..=250).collect();
        let mut bulk = pattern.repeat((nr * PAGE) as usize / pattern.len() + 1);
        bulk.truncate((nr * PAGE) as usize);
        self.records.push(Raw {
            kind: Kind::Pages,
            payload,
            bulk,
        });
    }

    /// Puts an END that fits the records so far.
    pub fn end(&mut self) {
        let bulk = self.records.iter().map(|raw| raw.bulk.len() as u64).sum();
        let records = self.records.len() as u64;
        self.body(End { records, bulk });
    }

    /// The bytes, and where each record starts.
    pub fn write(&self) -> (Vec<u8>, Vec<usize>) {
        let mut bytes = Vec::new();
        let mut starts = Vec::new();
        for (seq, raw) in self.records.iter().enumerate() {
            starts.push(bytes.len());
            raw.write(seq as u64, &mut bytes);
        }
        (bytes, starts)
    }
}

impl Raw {
    pub fn write(&self, seq: u64, bytes: &mut Vec<u8>) {
        let mut buffer = vec![0; RECORD_BUFFER];
        let mut payload = Payload::new(&mut buffer).unwrap();
        payload.put_raw(&self.payload).unwrap();
        let bulk = self.bulk.len() as u64;
        bytes.extend_from_slice(payload.finish(self.kind, seq, bulk).unwrap());
        if bulk > 0 {
            bytes.extend_from_slice(&self.bulk);
            bytes.extend_from_slice(&Xxh64::of(&self.bulk).to_le_bytes());
        }
    }
}

/// The bytes that `encode` puts.
pub fn payload_of(encode: impl FnOnce(&mut Payload<'_>) -> Result<(), ImageError>) -> Vec<u8> {
    let mut buffer = vec![0xAA; RECORD_BUFFER];
    let mut payload = Payload::new(&mut buffer).unwrap();
    encode(&mut payload).unwrap();
    let len = payload.len();
    payload.finish(Kind::Head, 0, 0).unwrap()[HEADER_SIZE..HEADER_SIZE + len].to_vec()
}

/// Puts the header checksum right after the bytes of a record were changed.
pub fn reseal(image: &mut [u8], start: usize) {
    let front: [u8; HEADER_SIZE] = image[start..start + HEADER_SIZE].try_into().unwrap();
    let mut header = RecordHeader::decode(&front, Default::default()).unwrap();
    let behind = start + HEADER_SIZE;
    header.checksum = header.sum(&image[behind..behind + header.padded_len()]);
    image[start..behind].copy_from_slice(&header.encode());
}

fn path(objref: u32, kind: FileKind, path: &'static [u8]) -> File<'static> {
    File {
        objref,
        kind,
        flags: 0o100_002,
        mode: kind.mode_type() | 0o644,
        pos: 12,
        size: 100,
        rdev: match kind {
            FileKind::CharDevice => (1, 3),
            FileKind::Regular | FileKind::Directory => (0, 0),
        },
        identity: Identity {
            dev: 27,
            generation: 0x5EED,
            ino: 1 << 40,
            uid: 1000,
            gid: 100,
        },
        path,
    }
}

/// An image of `nr` tasks in a row, each the parent of the next, with a record
/// of every kind.
pub fn chain(nr: u32) -> Image {
    let mut image = Image::default();
    image.put(Kind::Head, |payload| {
        let features = payload_of(|payload| payload.put_u64s(&[0xFF, 3]));
        payload.put_u64(checkpoint::image::MAGIC)?;
        payload.put_u32(checkpoint::image::VERSION)?;
        payload.put_u32(ARCH_X86_64)?;
        payload.put_u32(PAGE as u32)?;
        payload.put_u32(nr)?;
        payload.put_u64s(&[0, 0x1234])?;
        payload.put_u32(2)?;
        payload.put_u32(0)?;
        payload.put_raw(&features)?;
        payload.put_bytes(b"6.12.0")
    });
    for first in (0..nr).step_by(2048) {
        image.put(Kind::Tree, |payload| {
            (first..nr.min(first + 2048)).try_for_each(|n| tree_entry(n).encode(payload))
        });
    }
    for n in 0..nr {
        task(&mut image, n);
    }
    image.end();
    image
}

pub fn tree_entry(n: u32) -> TreeEntry {
    let pid = 100 + n as i32;
    TreeEntry {
        pid,
        tgid: pid,
        ppid: if n == 0 { 0 } else { pid - 1 },
        pgid: 100,
        sid: 100,
    }
}

fn task(image: &mut Image, n: u32) {
    let pid = tree_entry(n).pid;
    image.body(Task {
        pid,
        exit_signal: 17,
        comm: *b"sample\0\0\0\0\0\0\0\0\0\0",
        ..Task::default()
    });
    image.put(Kind::Creds, |payload| {
        Creds::default().encode_with(payload, [4u32, 24].into_iter())
    });
    if n == 0 {
        image.body(path(1, FileKind::Directory, b"/"));
        image.body(path(2, FileKind::CharDevice, b"/dev/null"));
        image.body(path(3, FileKind::Regular, b"/tmp/out"));
    }
    image.body(Fs {
        umask: 0o22,
        root: 1,
        cwd: 1,
    });
    image.put(Kind::Fds, |payload| {
        [(0, 2, 0), (1, 3, 0), (7, 3, 1)]
            .into_iter()
            .try_for_each(|(fd, objref, flags)| FdEntry { fd, objref, flags }.encode(payload))
    });
    memory(image, n);
    thread(image);
    image.body(TaskEnd { pid });
}

fn memory(image: &mut Image, n: u32) {
    if n == 0 {
        image.body(Shmem {
            objref: 4,
            size: 5 * PAGE,
        });
        image.pages(
            4,
            &[PageRange {
                start: PAGE,
                nr_pages: 1,
            }],
        );
    }
    image.put(Kind::Mm, |payload| {
        Mm {
            exe: 3,
            nr_vmas: 2,
            ..Mm::default()
        }
        .encode_with(payload, &[6, 4096, 0, 0])
    });
    image.put(Kind::Vma, |payload| {
        VmaEntry {
            start: 0x10000,
            end: 0x20000,
            pgoff: 16,
            flags: 3,
            kind: VmaKind::PrivateAnon,
            objref: 0,
        }
        .encode(payload)?;
        VmaEntry {
            start: 0x30000,
            end: 0x35000,
            pgoff: 0,
            flags: 3 | memory::VMA_SHARED,
            kind: VmaKind::SharedAnon,
            objref: 4,
        }
        .encode(payload)
    });
    image.pages(
        0,
        &[PageRange {
            start: 0x11000,
            nr_pages: 1,
        }],
    );
}

fn thread(image: &mut Image) {
    image.body(Regset {
        note: 1,
        data: &[5; 27],
    });
    image.body(Thread {
        restart: RestartBlock::Nanosleep,
        restart_args: [1, 0, 0, 55, 0, 0],
        ..Thread::default()
    });
    image.put(Kind::SignalActions, |payload| {
        (0..64).try_for_each(|_| SigAction::default().encode(payload))
    });
    image.body(SignalState {
        blocked: 1 << 9,
        ..SignalState::default()
    });
    let mut siginfo = [0; 48];
    siginfo[0] = 10;
    image.body(Pending {
        shared: true,
        signo: 10,
        siginfo,
    });
    image.body(Rlimits::default());
}

/// Walks to the record `seq` only, as a reader in the middle of an image does.
pub fn record_at(
    image: &[u8],
    start: usize,
    seq: usize,
) -> Result<checkpoint::image::stream::Stored<'_>, ImageError> {
    next_record(image, start, seq as u64)
}
