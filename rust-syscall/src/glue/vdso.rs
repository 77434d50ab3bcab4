// SPDX-License-Identifier: GPL-2.0-only

//! The kernel's own mappings in a program, vdso and vvar: never dumped, moved to the saved address.

use super::failure::{Context, Failure};
use crate::image::checksum::Xxh64;
use crate::image::record::{VmaEntry, VmaKind};
use kernel::error::code::*;
use kernel::mm::mapping;
use kernel::mm::pages::read_current;
use kernel::mm::space::task_size;
use kernel::mm::virt::VmaRef;
use kernel::mm::MmWithUser;

/// One of the kernel's own mappings, where it is now.
#[derive(Clone, Copy)]
struct Own {
    kind: VmaKind,
    start: u64,
    len: u64,
}

/// Most of them that a program has.
const MAX_OWN: usize = 4;

/// Which of the kernel's own mappings it is, if any.
pub(crate) fn special(vma: &VmaRef) -> Option<VmaKind> {
    let kinds = [
        (c"[vvar]", VmaKind::Vvar),
        (c"[vvar_vclock]", VmaKind::VvarClock),
        (c"[vdso]", VmaKind::Vdso),
    ];
    let mut kinds = kinds.into_iter();
    kinds.find_map(|(name, kind)| vma.is_special(name).then_some(kind))
}

/// XXH64 of the vdso's pages, as the current task has them; 0 if it has none.
pub(crate) fn hash(mm: &MmWithUser) -> Result<u64, Failure> {
    let Some(vdso) = own(mm)?.into_iter().flatten().find(|own| own.kind == VmaKind::Vdso) else {
        return Ok(0);
    };
    let mut sum = Xxh64::new();
    let mut chunk = [0; 512];
    for at in (vdso.start..vdso.start + vdso.len).step_by(chunk.len()) {
        read_current(at, &mut chunk).doing_on("reading the vdso at", at)?;
        sum.update(&chunk);
    }
    Ok(sum.finish())
}

fn own(mm: &MmWithUser) -> Result<[Option<Own>; MAX_OWN], Failure> {
    let mut found = [None; MAX_OWN];
    let mut free = found.iter_mut();
    let guard = mm.read_lock();
    let mut addr = 0;
    while let Some(vma) = guard.vma_above(addr) {
        addr = vma.end() as u64;
        let Some(kind) = special(vma) else { continue };
        let slot = free
            .next()
            .ok_or(E2BIG)
            .doing_on("counting the kernel's own mappings at", vma.start() as u64)?;
        *slot = Some(Own {
            kind,
            start: vma.start() as u64,
            len: vma.end() as u64 - vma.start() as u64,
        });
    }
    Ok(found)
}

/// Empties the current task's address space but for the kernel's own mappings, and moves those to
/// where `vmas` has them; unmaps those that it does not have.
pub(crate) fn relocate(mm: &MmWithUser, vmas: &[VmaEntry]) -> Result<(), Failure> {
    let now = own(mm)?;
    let mut moves = [None; MAX_OWN];
    let wanted = vmas.iter().filter(|vma| vma.kind.is_special());
    for wanted in wanted {
        let (own, slot) = now
            .iter()
            .flatten()
            .zip(moves.iter_mut())
            .find(|(own, slot)| own.kind == wanted.kind && slot.is_none())
            .ok_or(ENOENT)
            .doing_on("finding the kernel's own mapping for the one at", wanted.start)?;
        let len = wanted.end - wanted.start;
        if own.len != len {
            return Err(Failure::mismatch(EINVAL, "size of the kernel's own mapping", own.len, len));
        }
        *slot = Some(wanted.start);
    }
    clear_around(now.iter().zip(&moves).filter(|(_, to)| to.is_some()).filter_map(|(own, _)| *own))?;
    let moves = || {
        now.iter()
            .zip(&moves)
            .filter_map(|(own, to)| Some(((*own)?, (*to)?)))
            .filter(|(own, to)| own.start != *to)
    };
    // In two steps by way of free addresses: an old and a new place may overlap.
    let aside = free_place(moves())?;
    for step in 0..2 {
        let mut at = aside;
        for (own, to) in moves() {
            let (from, to) = if step == 0 { (own.start, at) } else { (at, to) };
            mapping::relocate(from, own.len, to).doing_on("moving the vdso from", from)?;
            at += own.len;
        }
    }
    Ok(())
}

fn clear_around(keep: impl Iterator<Item = Own>) -> Result<(), Failure> {
    // They ascend: `own` has found them in that order.
    let mut at = 0;
    for own in keep {
        mapping::unmap(at, own.start).doing_on("unmapping memory from", at)?;
        at = own.start + own.len;
    }
    mapping::unmap(at, task_size()).doing_on("unmapping memory from", at)
}

/// Addresses for all of the mappings to be moved that are neither where one is nor where one goes.
fn free_place(moves: impl Iterator<Item = (Own, u64)> + Clone) -> Result<u64, Failure> {
    let total: u64 = moves.clone().map(|(own, _)| own.len).sum();
    let overlaps = |at: u64| {
        moves.clone().any(|(own, to)| {
            [own.start, to]
                .iter()
                .any(|start| at < start + own.len && *start < at + total)
        })
    };
    (1..64)
        .map(|part| (task_size() / 64 * part) & !0xffff)
        .find(|at| !overlaps(*at))
        .ok_or(ENOMEM)
        .doing("finding room to move the vdso")
}
