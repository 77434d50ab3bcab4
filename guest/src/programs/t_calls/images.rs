// SPDX-License-Identifier: GPL-2.0-only

//! Images that are whole, or end early, and say what no image can.

use super::refused;
use crate::edit::{file_of, put_words, word, Image, NR_TASKS, TREE_ENTRY, TREE_PPID, TREE_TGID};
use crate::sys;
use checkpoint::image::{Kind, HEADER_SIZE};
use nix::errno::Errno;
use nix::unistd::getpid;
use std::fs::File;
use std::os::fd::AsFd;

/// The image with a HEAD and a TREE of the root alone; behind its records are those of the others.
pub(super) fn of_root_alone(image: &Image) -> Result<Image, String> {
    image
        .edited(Kind::Head, 0, |head| put_words(head, &[(NR_TASKS, 1)]))?
        .edited(Kind::Tree, 0, |tree| {
            tree.truncate(TREE_ENTRY);
            Ok(())
        })
}

/// HEAD and TREE of an image of the root alone.
pub(super) fn beginning_of_one(image: &Image) -> Result<Vec<u8>, String> {
    Ok(of_root_alone(image)?.beginning(2).bytes())
}

/// Each is refused to a caller that is alone.
pub(super) fn images(image: &Image) -> Result<(), String> {
    let me = getpid().as_raw();
    let own = sys::restart_as(image.root()?);
    let call = |file: &File| sys::restart(me, Some(file.as_fd()), own, None);
    let edited = |kind, words: &[(usize, u32)]| -> Result<File, String> {
        let edited = image.edited(kind, 0, |payload| put_words(payload, words))?;
        file_of(&edited.bytes())
    };
    let head = |value| edited(Kind::Head, &[(NR_TASKS, value)]);
    let tree = |words: &[(usize, u32)]| edited(Kind::Tree, words);
    let bytes = image.bytes();
    let cut = |len: usize| file_of(&bytes[..len]);
    let (root, second, third) = (0, TREE_ENTRY, 2 * TREE_ENTRY);
    let second_pid = word(image.payload(Kind::Tree, 0)?, second)?;
    for (what, expected, file) in [
        ("no task", Errno::EINVAL, head(0)?),
        ("2^31 tasks", Errno::EINVAL, head(1 << 31)?),
        ("2^32 - 1 tasks", Errno::EINVAL, head(u32::MAX)?),
        ("one task too many", Errno::EINVAL, head(32_769)?),
        ("two tasks of one pid", Errno::EINVAL, tree(&[(third, second_pid), (third + TREE_TGID, second_pid)])?),
        ("a task of pid 0", Errno::EINVAL, tree(&[(second, 0), (second + TREE_TGID, 0)])?),
        ("a task of a negative pid", Errno::EINVAL, tree(&[(second, u32::MAX), (second + TREE_TGID, u32::MAX)])?),
        ("a thread", Errno::EINVAL, tree(&[(second + TREE_TGID, image.root()? as u32)])?),
        ("a parent that comes later", Errno::EINVAL, tree(&[(second + TREE_PPID, 31_000)])?),
        ("a task that is its own parent", Errno::EINVAL, tree(&[(second + TREE_PPID, second_pid)])?),
        ("another root than the caller", Errno::EINVAL, tree(&[(root, 31_000), (root + TREE_TGID, 31_000)])?),
        ("an image that ends in HEAD", Errno::EPIPE, cut(HEADER_SIZE + 8)?),
        ("an image that ends behind HEAD", Errno::EPIPE, cut(image.offset(1))?),
        ("an image that ends in TREE", Errno::EPIPE, cut(image.offset(1) + HEADER_SIZE + 8)?),
    ] {
        refused(what, expected, || call(&file))?;
    }
    // The image is whole, and the caller is alone: nobody can become the others.
    let whole = file_of(&image.bytes())?;
    refused("a tree whose other tasks are missing", Errno::ESRCH, || call(&whole))
}
