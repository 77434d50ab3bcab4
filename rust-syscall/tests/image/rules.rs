// SPDX-License-Identifier: GPL-2.0-only

//! Every rule that one record can break, broken once with a right checksum.

use crate::sample::{chain, Image};
use crate::stride;
use checkpoint::image::stream::Stream;
use checkpoint::image::Kind;

/// A change of one field: where, and the bytes put there.
struct Edit {
    kind: Kind,
    at: usize,
    bytes: Vec<u8>,
    /// How the refusal begins, behind the record's place; empty: accepted.
    refusal: &'static str,
}

fn edit32(kind: Kind, at: usize, value: u32, refusal: &'static str) -> Edit {
    let bytes = value.to_le_bytes().to_vec();
    Edit {
        kind,
        at,
        bytes,
        refusal,
    }
}

fn edit64(kind: Kind, at: usize, value: u64, refusal: &'static str) -> Edit {
    let bytes = value.to_le_bytes().to_vec();
    Edit {
        kind,
        at,
        bytes,
        refusal,
    }
}

/// Applies the edit to the first record of its kind and walks the image.
fn check(edit: &Edit) {
    let mut image: Image = chain(1);
    let raw = image.records.iter_mut().find(|raw| raw.kind == edit.kind);
    let payload = &mut raw.unwrap().payload;
    payload[edit.at..edit.at + edit.bytes.len()].copy_from_slice(&edit.bytes);
    let (bytes, _) = image.write();
    let mut stream = Stream::new(&bytes);
    let refusal = loop {
        match stream.next_record() {
            Ok(Some(_)) => {}
            Ok(None) => break String::new(),
            Err(error) => break error.to_string(),
        }
    };
    let what = refusal.split_once(": ").map_or("", |(_, what)| what);
    let fits = what.starts_with(edit.refusal) && what.is_empty() == edit.refusal.is_empty();
    assert!(
        fits,
        "{:?} at {}: expected {:?}, found {refusal:?}",
        edit.kind, edit.at, edit.refusal
    );
    if !edit.refusal.is_empty() {
        let name = format!(" ({})", edit.kind.name());
        assert!(refusal.contains(&name), "{refusal}");
    }
}

/// P7: counts that cannot be.
#[test]
fn of_the_whole() {
    use Kind::{End, Head, Tree};
    for edit in [
        edit64(Head, 0, 5, "magic: expected 0x31304b4c43525452"),
        edit32(
            Head,
            8,
            1,
            "version: expected 0x2 as on this machine, found 0x1",
        ),
        edit32(Head, 12, 183, ""),
        edit32(Head, 12, 3, "arch (62 or 183): expected 62, found 3"),
        edit32(
            Head,
            16,
            2048,
            "page size: expected at least 4096, found 2048",
        ),
        edit32(Head, 16, 12288, "page size: expected a multiple of"),
        edit32(Head, 16, 131_072, "page size: expected at most 65536"),
        edit32(Head, 20, 0, "nr_tasks: expected at least 1, found 0"),
        edit32(
            Head,
            20,
            32_769,
            "nr_tasks: expected at most 32768, found 32769",
        ),
        edit64(Head, 24, 2, "flags: expected no bits but 0x1, found 0x2"),
        edit32(Head, 40, 33, "nr_features: expected at most 32, found 33"),
        edit32(Head, 40, 32, "payload: expected 256 more bytes"),
        edit32(Head, 44, 1, "reserved field: expected 0, found 0x1"),
        edit32(
            Head,
            64,
            u32::MAX,
            "payload: expected 4294967295 more bytes, found 6",
        ),
        edit32(Tree, 0, 0, "pid: expected at least 1, found 0"),
        edit32(Tree, 0, u32::MAX, "pid: expected at least 1, found -1"),
        edit32(Tree, 4, 7, "tgid: expected 100, found 7"),
        edit32(Tree, 8, u32::MAX, "ppid: expected at least 0, found -1"),
        edit32(Tree, 12, u32::MAX, "pgid: expected at least 0, found -1"),
        edit32(Tree, 16, u32::MAX, "sid: expected at least 0, found -1"),
        edit32(Tree, 20, 1, "flags: expected no bits but 0x0, found 0x1"),
        edit64(End, 0, 1, "records: expected "),
        edit64(End, 8, 1, "bulk: expected 8192, found 1"),
    ]
    .into_iter()
    .step_by(stride(6))
    {
        check(&edit);
    }
}

#[test]
fn of_tasks() {
    use Kind::{Creds, Regset, Rlimits, Task, TaskEnd, Thread};
    for edit in [
        edit32(Task, 0, 0, "pid: expected at least 1"),
        edit32(Task, 4, 65, "exit_signal: expected at most 64, found 65"),
        edit32(Task, 8, 65, "pdeath_signal: expected at most 64, found 65"),
        edit32(Task, 16, 4, "flags: expected no bits but 0xb, found 0x4"),
        edit32(Task, 20, 20, "nice: expected at most 19, found 20"),
        edit32(
            Task,
            20,
            -21i32 as u32,
            "nice: expected at least -20, found -21",
        ),
        edit32(Task, 24, 1001, "oom_score_adj: expected at most 1000"),
        edit32(Task, 28, 3, "dumpable: expected at most 2, found 3"),
        edit64(
            Task,
            56,
            u64::MAX,
            "last byte of comm: expected 0, found 255",
        ),
        edit32(
            Creds,
            36,
            8193,
            "ngroups: expected at most 8192, found 8193",
        ),
        edit32(
            Creds,
            36,
            8192,
            "payload: expected 32768 more bytes, found 8",
        ),
        edit32(Creds, 36, 1, "expected the end, found 4 more bytes"),
        edit64(Rlimits, 0, 1, "soft limit: expected at most 0, found 1"),
        edit32(Regset, 0, 0, "note type: expected at least 1, found 0"),
        edit32(Regset, 4, 1, "reserved field: expected 0, found 0x1"),
        edit32(Thread, 52, 4, "restart kind: expected at most 3, found 4"),
        edit32(Thread, 52, 0, "restart argument: expected 0, found 0x1"),
        edit32(Thread, 48, 77, ""),
        edit32(TaskEnd, 0, 7, "pid: expected 100, found 7"),
        edit32(TaskEnd, 4, 1, "reserved field: expected 0, found 0x1"),
    ]
    .into_iter()
    .step_by(stride(6))
    {
        check(&edit);
    }
}

/// P13: objects out of order, or of the wrong kind. P14: open flags that no open file keeps.
#[test]
fn of_files() {
    use Kind::{Fds, File, Fs};
    for edit in [
        edit32(File, 0, 0, "objref: expected at least 1, found 0"),
        edit32(File, 0, 2, "objref: expected 1, found 2"),
        edit32(File, 4, 4, "kind of file: expected at most 3, found 4"),
        edit32(File, 8, 0o100, "open flags: expected no bits but"),
        edit32(File, 8, 0o1000, "open flags: expected no bits but"),
        edit32(
            File,
            12,
            0o100_644,
            "file type in mode: expected 16384, found 32768",
        ),
        edit64(File, 16, u64::MAX, "pos: expected at least 0, found -1"),
        edit32(File, 32, 1, "rdev of no device: expected 0"),
        edit32(File, 64, 0, "bytes of path: expected at least 1, found 0"),
        edit32(File, 64, 0x6E << 24 | 1, "payload: expected"),
        edit32(Fs, 0, 0o1000, "umask: expected at most 511, found 512"),
        edit32(Fs, 4, 0, "root objref: expected at least 1, found 0"),
        edit32(Fs, 8, 9, "cwd objref: expected at most 3, found 9"),
        edit32(Fs, 12, 9, "reserved field: expected 0, found 0x9"),
        edit32(Fds, 0, u32::MAX, "fd: expected at most 2147483647"),
        edit32(Fds, 16, 0, "fd: expected at least 1, found 0"),
        edit32(Fds, 4, 9, "objref: expected at most 3, found 9"),
        edit32(Fds, 8, 2, "flags: expected no bits but 0x1, found 0x2"),
        edit32(Fds, 12, 2, "reserved field: expected 0, found 0x2"),
    ]
    .into_iter()
    .step_by(stride(6))
    {
        check(&edit);
    }
    for (path, refusal) in [
        (&b"x"[..], "first byte of path: expected 47, found 120"),
        (b"\0", "first byte of path: expected 47, found 0"),
    ] {
        check(&Edit {
            kind: File,
            at: 68,
            bytes: path.to_vec(),
            refusal,
        });
    }
}

#[test]
fn of_memory() {
    use Kind::{Mm, Pages, Shmem, Vma};
    for edit in [
        edit64(Mm, 0, 1, "end_code: expected at least 1, found 0"),
        edit64(Mm, 8, 1 << 57, "end_code: expected at most"),
        edit64(Mm, 48, 1 << 57, "start_stack: expected at most"),
        edit32(Mm, 88, 9, "exe objref: expected at most 4, found 9"),
        edit64(Mm, 96, 100, "vdso base: expected a multiple of 0x1000"),
        edit64(Mm, 104, 0x200, "flags: expected no bits but 0x1ff"),
        edit32(Mm, 112, 5, "payload: expected 40 more bytes, found 32"),
        edit32(
            Mm,
            112,
            u32::MAX,
            "payload: expected 34359738360 more bytes",
        ),
        edit64(Vma, 0, 1, "start: expected a multiple of 0x1000, found 0x1"),
        edit64(
            Vma,
            0,
            0x20000,
            "end: expected at least 131073, found 131072",
        ),
        edit64(Vma, 8, 1 << 57, "end: expected at most"),
        edit64(
            Vma,
            8,
            0x31000,
            "start: expected at least 200704, found 196608",
        ),
        edit64(Vma, 16, u64::MAX, "pgoff: expected at most"),
        edit64(Vma, 24, 1 << 14, "flags: expected no bits but 0x3fff"),
        edit64(
            Vma,
            24,
            8,
            "shared flag for the kind of mapping: expected 0, found 8",
        ),
        edit64(
            Vma,
            64,
            3,
            "shared flag for the kind of mapping: expected 8, found 0",
        ),
        edit32(Vma, 32, 7, "kind of mapping: expected at most 6, found 7"),
        edit32(Vma, 36, 1, "objref of a mapping without object: expected 0"),
        edit32(Vma, 76, 0, "objref: expected at least 1, found 0"),
        edit32(Vma, 76, 9, "objref: expected at most 4, found 9"),
        edit32(Pages, 0, 3, "target: expected 4, found 3"),
        edit32(Pages, 4, 0, "nr_ranges: expected at least 1, found 0"),
        edit32(
            Pages,
            4,
            2049,
            "nr_ranges: expected at most 2048, found 2049",
        ),
        edit64(
            Pages,
            8,
            8,
            "start: expected a multiple of 0x1000, found 0x8",
        ),
        edit64(
            Pages,
            8,
            5 << 12,
            "end of the last range: expected at most 20480",
        ),
        edit64(
            Pages,
            8,
            u64::MAX - 4095,
            "end of the range: expected at most",
        ),
        edit64(Pages, 16, 0, "nr_pages: expected at least 1, found 0"),
        edit64(
            Pages,
            16,
            4097,
            "nr_pages: expected at most 4096, found 4097",
        ),
        edit64(Pages, 16, 2, "bulk: expected 8192, found 4096"),
        edit32(Shmem, 0, 5, "objref: expected 4, found 5"),
        edit64(Shmem, 8, 0, "size: expected at least 1, found 0"),
        edit64(Shmem, 8, 1 << 63, "size: expected at most"),
    ]
    .into_iter()
    .step_by(stride(6))
    {
        check(&edit);
    }
}

#[test]
#[cfg_attr(miri, ignore = "sixteen MiB take miri an hour")]
fn of_page_ranges() {
    use checkpoint::image::record::PageRange;
    let range = |start, nr_pages| PageRange { start, nr_pages };
    let cases: [(&[PageRange], bool); 6] = [
        (&[range(0x11000, 1), range(0x12000, 1)], true),
        (&[range(0x11000, 1), range(0x11000, 1)], false),
        (&[range(0x11000, 2), range(0x12000, 1)], false),
        (&[range(0x12000, 1), range(0x11000, 1)], false),
        (&[range(0x11000, 4096)], true),
        (&[range(0x11000, 4096), range(0x4000_0000, 1)], false),
    ];
    for (ranges, accepted) in cases {
        let mut image = chain(1);
        let at = image
            .records
            .iter()
            .rposition(|raw| raw.kind == Kind::Pages);
        let mut pages = Image::default();
        pages.pages(0, ranges);
        image.records[at.unwrap()] = pages.records.remove(0);
        image.records.pop();
        image.end();
        let (bytes, _) = image.write();
        let mut stream = Stream::new(&bytes);
        let mut last = stream.next_record();
        while let Ok(Some(_)) = last {
            last = stream.next_record();
        }
        assert_eq!(last.is_ok(), accepted, "{ranges:?}");
    }
}

#[test]
fn of_signals() {
    use Kind::{Pending, SignalActions, SignalState};
    const KILL: u64 = 1 << 8;
    let masked = "mask: expected no bits but 0xfffffffffffbfeff";
    for edit in [
        edit64(
            SignalActions,
            8 * 32,
            1,
            "handler of SIGKILL or SIGSTOP: expected 0",
        ),
        edit64(
            SignalActions,
            18 * 32,
            1,
            "handler of SIGKILL or SIGSTOP: expected 0",
        ),
        edit64(SignalActions, 9 * 32, 1, ""),
        edit64(SignalActions, 24, KILL, masked),
        edit64(SignalState, 0, KILL, "blocked: expected no bits but"),
        edit64(
            SignalState,
            8,
            2,
            "saved without has_saved: expected 0, found 0x2",
        ),
        edit32(SignalState, 16, 2, "has_saved: expected at most 1, found 2"),
        edit32(SignalState, 20, 2, "reserved field: expected 0, found 0x2"),
        edit32(SignalState, 40, 4, "altstack flags: expected no bits but"),
        edit32(SignalState, 44, 4, "reserved field: expected 0, found 0x4"),
        edit32(Pending, 0, 2, "shared: expected at most 1, found 2"),
        edit32(Pending, 4, 0, "signo: expected at least 1, found 0"),
        edit32(Pending, 4, 65, "signo: expected at most 64, found 65"),
        edit32(Pending, 8, 11, "si_signo: expected 10, found 11"),
    ]
    .into_iter()
    .step_by(stride(6))
    {
        check(&edit);
    }
}

#[test]
fn who_may_stand_in_a_files_place() {
    use checkpoint::image::record::Identity;
    let saved = Identity {
        dev: 1,
        generation: 7,
        ino: 100,
        uid: 1000,
        gid: 100,
    };
    let may = |found: Identity, mode: u32| saved.may_be_replaced_by(0o100_640, &found, mode);
    // The same inode, whatever has become of it.
    let given_away = Identity { uid: 0, ..saved };
    assert!(may(saved, 0o100_000) && may(given_away, 0o100_600));
    // Another one of the same owner, at least as open.
    for another in [
        Identity { ino: 101, ..saved },
        Identity {
            generation: 8,
            ..saved
        },
        Identity { dev: 2, ..saved },
    ] {
        assert!(may(another, 0o100_640) && may(another, 0o100_644));
        assert!(!may(another, 0o100_600), "closed to the group");
        assert!(!may(Identity { uid: 0, ..another }, 0o100_644));
        assert!(!may(Identity { gid: 0, ..another }, 0o100_644));
    }
    // Owners without a number are not known to be the same.
    let nobodys = Identity {
        uid: u32::MAX,
        ..saved
    };
    let other = Identity {
        ino: 101,
        ..nobodys
    };
    assert!(!nobodys.may_be_replaced_by(0o100_640, &other, 0o100_640));
}
