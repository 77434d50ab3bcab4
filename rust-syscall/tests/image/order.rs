// SPDX-License-Identifier: GPL-2.0-only

//! Rules over several records, with checksums and numbers that are right.

use crate::sample::{chain, tree_entry, Image};
use crate::stride;
use checkpoint::image::record::{File, FileKind, Fs, Identity, TreeEntry};
use checkpoint::image::stream::Stream;
use checkpoint::image::{tree, Fault, ImageError, Kind};

fn walk(image: &Image) -> Result<(), ImageError> {
    let (bytes, _) = image.write();
    let mut stream = Stream::new(&bytes);
    while stream.next_record()?.is_some() {}
    Ok(())
}

/// The image with an END that fits it.
fn ended(mut image: Image) -> Image {
    image.records.retain(|raw| raw.kind != Kind::End);
    image.end();
    image
}

/// Kinds of which there may be none.
fn optional(kind: Kind) -> bool {
    matches!(kind, Kind::Regset | Kind::Pending | Kind::Pages)
}

/// Kinds of which there may be several, each with the same content.
fn repeatable(kind: Kind) -> bool {
    matches!(kind, Kind::Regset | Kind::Pending)
}

#[test]
fn a_missing_record_is_refused() {
    let whole = chain(2);
    for seq in (0..whole.records.len()).step_by(stride(13)) {
        let mut image = whole.clone();
        let kind = image.records.remove(seq).kind;
        assert!(walk(&image).is_err(), "without record {seq}, {kind:?}");
        if kind != Kind::End {
            let fits = walk(&ended(image));
            assert_eq!(fits.is_ok(), optional(kind), "{seq} {kind:?} {fits:?}");
        }
    }
}

#[test]
fn a_repeated_record_is_refused() {
    let whole = chain(2);
    for seq in (0..whole.records.len()).step_by(stride(13)) {
        let mut image = whole.clone();
        let again = image.records[seq].clone();
        let kind = again.kind;
        image.records.insert(seq, again);
        assert!(walk(&image).is_err(), "record {seq}, {kind:?}, twice");
        if kind != Kind::End {
            let fits = walk(&ended(image));
            assert_eq!(fits.is_ok(), repeatable(kind), "{seq} {kind:?} {fits:?}");
        }
    }
}

#[test]
fn records_in_another_order_are_refused() {
    let whole = chain(2);
    for seq in (1..whole.records.len()).step_by(stride(13)) {
        let mut image = whole.clone();
        image.records.swap(seq - 1, seq);
        let kinds = [image.records[seq - 1].kind, image.records[seq].kind];
        let free = kinds.contains(&Kind::File) || kinds.contains(&Kind::Shmem);
        if !free {
            assert!(walk(&image).is_err(), "{kinds:?}");
        }
    }
}

#[test]
fn task_records_of_another_task_are_refused() {
    let mut image = chain(2);
    let pid = 77i32.to_le_bytes();
    for raw in &mut image.records {
        if matches!(raw.kind, Kind::Task | Kind::TaskEnd)
            && raw.payload[..4] == 101i32.to_le_bytes()
        {
            raw.payload[..4].copy_from_slice(&pid);
        }
    }
    let error = walk(&image).expect_err("accepted");
    assert_eq!(error.kind, Kind::End.number());
}

/// P13: an object cannot be taken for another one.
#[test]
fn objects_are_numbered_in_order_and_before_use() {
    let fs = |root| Fs {
        umask: 0,
        root,
        cwd: 1,
    };
    for (root, accepted) in [(1, true), (4, true), (5, false), (u32::MAX, false)] {
        let mut image = chain(1);
        let raw = image.records.iter_mut().find(|raw| raw.kind == Kind::Fs);
        raw.unwrap().payload = crate::sample::payload_of(|p| {
            use checkpoint::image::Body;
            fs(root).encode(p)
        });
        // Object 4, the shared memory, only comes behind FS.
        assert_eq!(walk(&image).is_ok(), accepted && root < 4, "{root}");
    }
    for objref in [0, 1, 2, 4, u32::MAX] {
        let mut image = chain(1);
        let at = image.records.iter().position(|raw| raw.kind == Kind::Fs);
        let mut extra = Image::default();
        extra.body(File {
            objref,
            kind: FileKind::Regular,
            flags: 0,
            mode: 0o100_644,
            pos: 0,
            size: 0,
            rdev: (0, 0),
            identity: Identity::default(),
            path: b"/x",
        });
        image.records.insert(at.unwrap(), extra.records.remove(0));
        assert!(walk(&image).is_err(), "{objref}");
    }
}

#[test]
fn the_order_fault_names_what_could_come() {
    let mut image = chain(1);
    image.records.remove(3);
    let error = walk(&image).expect_err("accepted");
    assert_eq!(
        error.what,
        Fault::Order {
            expected: "FILE, SHMEM or CREDS",
            found: u64::from(Kind::Fs.number()),
        },
        "{error}"
    );
}

fn check(entries: &[TreeEntry]) -> Result<(), tree::TreeFault> {
    let mut index = vec![0; entries.len()];
    tree::check(entries, &mut index)?;
    for (number, entry) in entries.iter().enumerate() {
        assert_eq!(tree::find(entries, &index, entry.pid), Some(number));
    }
    assert_eq!(tree::find(entries, &index, 99_999), None);
    Ok(())
}

/// P7: the root comes first, and no pid twice.
#[test]
fn trees_have_parents_first_and_pids_once() {
    let whole: Vec<TreeEntry> = (0..5).map(tree_entry).collect();
    assert_eq!(check(&whole), Ok(()));
    let most = 32_768 / stride(128) as u32;
    let most: Vec<TreeEntry> = (0..most).map(tree_entry).collect();
    assert_eq!(check(&most), Ok(()));

    let mut twice = whole.clone();
    twice[4].pid = 101;
    let (at, fault) = check(&twice).unwrap_err();
    assert_eq!(at, 4);
    assert!(matches!(fault, Fault::Repeated { found: 101, .. }));

    for stranger in [99, 103, 104, 0] {
        let mut orphan = whole.clone();
        orphan[3].ppid = stranger;
        let (at, fault) = check(&orphan).unwrap_err();
        assert_eq!(at, 3, "{stranger}");
        assert!(matches!(fault, Fault::Orphan { pid: 103, .. }));
    }
    assert!(tree::check(&whole, &mut [0; 4]).is_err());
}

/// P19: trees of any size, in as many full TREE records as they need.
#[test]
#[cfg_attr(miri, ignore = "thousands of tasks take miri hours")]
fn trees_of_thousands_are_in_several_records() {
    const TASKS: u32 = 2 * 2048 + 1;
    let whole = chain(TASKS);
    let trees: Vec<usize> = (0..whole.records.len())
        .filter(|seq| whole.records[*seq].kind == Kind::Tree)
        .collect();
    assert_eq!(trees, [1, 2, 3]);
    walk(&whole).unwrap();
    let entries: Vec<TreeEntry> = (0..TASKS).map(tree_entry).collect();
    assert!(check(&entries).is_ok());
    for without in trees {
        let mut image = whole.clone();
        image.records.remove(without);
        assert!(walk(&ended(image)).is_err(), "without record {without}");
    }
    // The last one before its time: the others are not full where they stand.
    let mut image = whole;
    image.records.swap(2, 3);
    assert!(
        walk(&image).is_err(),
        "a TREE that is not full in the middle"
    );
}
