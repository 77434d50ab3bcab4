// SPDX-License-Identifier: GPL-2.0-only

//! What keeps an open file from being carried, by name.

use kernel::fs::fdtable::FdTable;
use kernel::fs::path::flags::{FASYNC, O_PATH};
use kernel::fs::path::{FileKind, Path};
use kernel::fs::File;

/// Major number of the memory devices.
const MEM_MAJOR: u32 = 1;
/// Those of them that hold no state: null, zero, full, random, urandom.
const MEM_MINORS: [u32; 5] = [3, 5, 7, 8, 9];

/// Why a file cannot be carried, whatever its name.
pub(super) fn to_carrying(file: &File, table: Option<&FdTable>) -> Option<&'static str> {
    let flags = file.flags();
    if flags & O_PATH != 0 {
        return Some("O_PATH descriptor");
    }
    if file.is_pidfd() {
        return Some("pidfd");
    }
    match file.kind() {
        FileKind::Socket => return Some("socket"),
        FileKind::Fifo => return Some("pipe or FIFO"),
        FileKind::BlockDevice => return Some("block device"),
        FileKind::Symlink => return Some("symbolic link"),
        FileKind::Anonymous => return Some(anonymous_kind(&file.path())),
        FileKind::CharDevice { major, minor } => {
            if let Some(why) = to_carrying_device(major, minor) {
                return Some(why);
            }
        }
        FileKind::Regular if file.is_on_procfs() => return Some("file of procfs"),
        FileKind::Directory if file.path().is_inside_procfs() => {
            return Some("folder of procfs")
        }
        FileKind::Regular | FileKind::Directory => {}
    }
    if file.holds_lock() {
        return Some("file with an flock, open-file-description lock or lease");
    }
    if table.is_some_and(|table| table.owns_lock_on(file)) {
        return Some("file with a POSIX lock");
    }
    if file.has_owner() || flags & FASYNC != 0 {
        return Some("file that signals its owner (F_SETOWN, F_SETSIG, F_NOTIFY)");
    }
    if file.pos() < 0 {
        return Some("file with a negative offset");
    }
    None
}

/// Why a character device cannot be carried.
pub(super) fn to_carrying_device(major: u32, minor: u32) -> Option<&'static str> {
    match major {
        MEM_MAJOR if MEM_MINORS.contains(&minor) => None,
        // BSD ptys, virtual consoles and serial lines, /dev/tty and its kind, Unix98 ptys.
        2..=5 | 128..=143 | 204 => Some("terminal"),
        _ => Some("device other than null, zero, full, random and urandom"),
    }
}

fn anonymous_kind(place: &Path) -> &'static str {
    const NAMES: [(&[u8], &str); 8] = [
        (b"[eventpoll]", "epoll instance"),
        (b"[eventfd]", "eventfd"),
        (b"[timerfd]", "timerfd"),
        (b"[signalfd]", "signalfd"),
        (b"inotify", "inotify instance"),
        (b"[userfaultfd]", "userfaultfd"),
        (b"[io_uring]", "io_uring instance"),
        (b"[perf_event]", "perf event"),
    ];
    let known = NAMES.iter().find(|(name, _)| place.is_named(name));
    known.map_or("anonymous inode", |(_, kind)| kind)
}

/// What a file is that no name leads to.
pub(super) fn unreachable_kind(place: &Path) -> &'static str {
    if place.is_named(b"memfd:") {
        return "memfd";
    }
    "file outside the task's root directory or mount namespace"
}
