// SPDX-License-Identifier: GPL-2.0-only

//! Memory below `vm.mmap_min_addr`, where the kernel's own null pointers lead: nobody may have any there but
//! who may touch the hardware too.

use super::{mapping_of, mm, with_mapping, with_shared, without_mapping, PAGE, READ, READ_WRITE, SHARED};
use super::{Edits, Outcome};
use crate::edit::{put_doubles, word, Image};
use checkpoint::image::record::VmaKind;
use checkpoint::image::Kind;
use nix::errno::Errno;
use std::fs;

/// The lowest address that the user may map.
fn lowest() -> Result<u64, String> {
    const KNOB: &str = "/proc/sys/vm/mmap_min_addr";
    let text = fs::read_to_string(KNOB).map_err(|e| format!("{KNOB}: {e}"))?;
    let found = text.trim().parse().ok();
    found
        .filter(|lowest| (PAGE..super::FREE).contains(lowest) && lowest % PAGE == 0)
        .ok_or_else(|| format!("{KNOB}: expected a page's address, not 0, found {text:?}"))
}

/// The image with the kernel's own mappings moved to `to`, one behind the other in their order.
fn with_own_at(image: &Image, to: u64) -> Result<Image, String> {
    let mut moved = image.clone();
    let mut own = Vec::new();
    for kind in [VmaKind::Vvar, VmaKind::VvarClock, VmaKind::Vdso] {
        // Which of them there are differs by kernel and architecture.
        while let Ok((at, start, end)) = mapping_of(&moved, kind) {
            moved = without_mapping(&moved, at)?;
            own.push((start, end - start, kind));
        }
    }
    own.sort_by_key(|(start, ..)| *start);
    let mut start = to;
    for (_, len, kind) in own {
        moved = with_mapping(&moved, (start, start + len), READ, kind, 0)?;
        if kind == VmaKind::Vdso {
            moved = moved.edited(Kind::Mm, 0, |payload| put_doubles(payload, &[(mm::VDSO, start)]))?;
        }
        start += len;
    }
    Ok(moved)
}

/// Adds the cases.
pub(super) fn edit(edits: &mut Edits<'_>) -> Result<(), String> {
    let image = edits.image;
    let (first, lowest) = ((0, PAGE), lowest()?);
    edits.image("the vdso at 0", Errno::EPERM, with_own_at(image, 0)?);
    let (shared, object) = with_shared(image, PAGE)?;
    let shared = with_mapping(&shared, first, READ_WRITE | SHARED, VmaKind::SharedAnon, object)?;
    edits.image("shared memory at 0", Errno::EPERM, shared);
    let exe = word(image.payload(Kind::Mm, 0)?, mm::EXE)?;
    let file = with_mapping(image, first, READ, VmaKind::PrivateFile, exe)?;
    edits.image("a file at 0", Errno::EPERM, file);
    let shown = Outcome::Shows("maps", format!("{lowest:08x}-{:08x} rw-p", lowest + PAGE));
    for (what, outcome, start) in [
        ("a mapping below the lowest address", Errno::EPERM.into(), lowest - PAGE),
        ("a mapping at the lowest address", shown, lowest),
    ] {
        let edited = with_mapping(image, (start, start + PAGE), READ_WRITE, VmaKind::PrivateAnon, 0)?;
        edits.image(what, outcome, edited);
    }
    Ok(())
}
