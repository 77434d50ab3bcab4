// SPDX-License-Identifier: GPL-2.0-only

//! Address spaces: MM, VMA and the task's PAGES.
//!
//! Saving takes `mmap_lock` only to look, never over I/O. Loading empties the calling task's
//! address space first: from then on only success or SIGKILL is left.

use super::failure::{numbers::EOPNOTSUPP, Context, Failure};
use super::loader::Loader;
use super::pages::{self, Place, Ranges};
use super::saver::{Kept, Saver};
use super::{files, vdso};
use crate::image::header::Kind;
use crate::image::list::Entry;
use crate::image::record::memory::{self as record, MAX_VMA_ENTRIES};
use crate::image::record::{Mm, PageRange, Shmem, VmaEntry, VmaKind, Vmas};
use kernel::alloc::{flags::GFP_KERNEL, KVVec};
use kernel::cred::new;
use kernel::error::{code::*, Error};
use kernel::fs::File;
use kernel::mm::mapping::{self, Advice, Mode, Protection};
use kernel::mm::space::{Layout, MAX_AUXV};
use kernel::mm::virt::VmaRef;
use kernel::mm::vma_flags as flags;
use kernel::mm::walk::{Content, Walk};
use kernel::mm::MmWithUser;
use kernel::page::PAGE_SIZE;
use kernel::rlimit;
use kernel::sync::aref::ARef;
use kernel::task::Task;

/// A mapping as it was seen under the lock.
struct Seen {
    entry: VmaEntry,
    file: Option<ARef<File>>,
}

/// Flags of the kernel and of the image that say the same.
const SAME: [(u64, u64); 13] = [
    (flags::READ, record::VMA_READ),
    (flags::WRITE, record::VMA_WRITE),
    (flags::EXEC, record::VMA_EXEC),
    (flags::GROWSDOWN, record::VMA_GROWSDOWN),
    (flags::LOCKED, record::VMA_LOCKED),
    (flags::DONTCOPY, record::VMA_DONTCOPY),
    (flags::DONTDUMP, record::VMA_DONTDUMP),
    (flags::WIPEONFORK, record::VMA_WIPEONFORK),
    (flags::SEQ_READ, record::VMA_SEQ_READ),
    (flags::RAND_READ, record::VMA_RAND_READ),
    (flags::NORESERVE, record::VMA_NORESERVE),
    (flags::HUGEPAGE, record::VMA_HUGEPAGE),
    (flags::NOHUGEPAGE, record::VMA_NOHUGEPAGE),
];

/// Flags that follow from others.
const IMPLIED: u64 = flags::MAYREAD
    | flags::MAYWRITE
    | flags::MAYEXEC
    | flags::ACCOUNT
    | flags::SOFTDIRTY;

/// Saves the task's address space.
pub(crate) fn save(task: &Task, out: &mut Saver) -> Result<(), Failure> {
    let mm = task
        .address_space()
        .ok_or(Failure::refused("task", 0, "without an address space"))?;
    let mut seen = look(&mm)?;
    for vma in &mut seen {
        vma.entry.objref = match (&vma.file, vma.entry.kind) {
            (Some(file), VmaKind::PrivateFile) => files::save_file(file, task, out)?,
            (Some(file), VmaKind::SharedAnon) => {
                let objref = save_shared(file, out)?;
                let pid = task.numbers_in(&out.ns).pid;
                out.count_mapping(objref, file, pid, vma.entry.start)?;
                objref
            }
            _ => 0,
        };
    }
    let exe = mm
        .exe_file()
        .ok_or(Failure::refused("task", 0, "without an executable file"))?;
    let exe = files::save_file(&exe, task, out)?;
    save_mm(&mm, exe, seen.len(), out)?;
    for part in seen.chunks(MAX_VMA_ENTRIES) {
        out.record(Kind::Vma, |payload| {
            part.iter().try_for_each(|vma| vma.entry.encode(payload))
        })?;
    }
    save_pages(&mm, &seen, out)
}

fn look(mm: &ARef<MmWithUser>) -> Result<KVVec<Seen>, Failure> {
    let mut seen = KVVec::new();
    let guard = mm.read_lock();
    let mut addr = 0;
    while let Some(vma) = guard.vma_above(addr) {
        seen.push(look_at(vma)?, GFP_KERNEL)
            .doing("listing mappings")?;
        addr = vma.end() as u64;
    }
    Ok(seen)
}

fn look_at(vma: &VmaRef) -> Result<Seen, Failure> {
    let start = vma.start() as u64;
    let refused = |why| Failure::refused("mapping", start, why);
    let mut entry = VmaEntry {
        start,
        end: vma.end() as u64,
        ..VmaEntry::default()
    };
    if let Some(kind) = vdso::special(vma) {
        entry.kind = kind;
        return Ok(Seen { entry, file: None });
    }
    let mut rest = vma.flags() as u64 & !IMPLIED;
    for (kernels, images) in SAME {
        if rest & kernels != 0 && kernels != 0 {
            entry.flags |= images;
            rest &= !kernels;
        }
    }
    if rest & (flags::IO | flags::PFNMAP | flags::MIXEDMAP) != 0 {
        return Err(refused("device memory"));
    }
    if rest & flags::HUGETLB != 0 {
        return Err(refused("huge pages"));
    }
    if vma.has_name() {
        return Err(refused("memory with a name (PR_SET_VMA_ANON_NAME)"));
    }
    if vma.has_memory_policy() {
        return Err(refused("NUMA memory policy (mbind)"));
    }
    if vma.has_userfaultfd() {
        return Err(refused("watched by a userfaultfd"));
    }
    let file = vma.file();
    let shared = flags::SHARED | flags::MAYSHARE;
    let kernel_private = file.is_some_and(File::is_kernel_private);
    if rest & shared != 0 && vma.is_shmem() && kernel_private {
        entry.kind = VmaKind::SharedAnon;
        entry.flags |= record::VMA_SHARED;
        entry.pgoff = vma.pgoff();
        rest &= !shared;
    } else if rest & shared != 0 {
        return Err(refused("shared mapping of a file"));
    } else if vma.is_anonymous() && file.is_none() {
        entry.kind = VmaKind::PrivateAnon;
    } else {
        entry.kind = VmaKind::PrivateFile;
        entry.pgoff = vma.pgoff();
    }
    if rest != 0 {
        return Err(refused("mapping flags unknown to the image format"));
    }
    let file = file.filter(|_| entry.kind.has_object());
    Ok(Seen {
        entry,
        file: file.map(ARef::from),
    })
}

fn save_shared(file: &File, out: &mut Saver) -> Result<u32, Failure> {
    let (objref, new) = out.objref_of(file.inode_address(), || Kept::File(file.into()))?;
    if new {
        let size = u64::try_from(file.size()).unwrap_or(0);
        out.put(&Shmem { objref, size })?;
        pages::save_shared(file, objref, out)?;
    }
    Ok(objref)
}

fn save_mm(mm: &MmWithUser, exe: u32, nr_vmas: usize, out: &mut Saver) -> Result<(), Failure> {
    let layout = mm.layout();
    let mut auxv = [0; MAX_AUXV];
    let words = mm.auxv(&mut auxv);
    let body = Mm {
        code: (layout.start_code, layout.end_code),
        data: (layout.start_data, layout.end_data),
        brk: (layout.start_brk, layout.brk),
        start_stack: layout.start_stack,
        arg: (layout.arg_start, layout.arg_end),
        env: (layout.env_start, layout.env_end),
        exe,
        nr_vmas: u32::try_from(nr_vmas).unwrap_or(u32::MAX),
        vdso: mm.vdso(),
        flags: mm.dump_filter(),
        ..Mm::default()
    };
    out.record(Kind::Mm, |payload| {
        body.encode_with(payload, auxv.get(..words).unwrap_or(&[]))
    })
}

fn save_pages(mm: &ARef<MmWithUser>, seen: &[Seen], out: &mut Saver) -> Result<(), Failure> {
    let mut ranges = Ranges::new()?;
    for vma in seen {
        let keep_zero = match vma.entry.kind {
            VmaKind::PrivateAnon => false,
            // A zero page that covers a page of the file.
            VmaKind::PrivateFile => true,
            VmaKind::SharedAnon | VmaKind::Vvar | VmaKind::Vdso | VmaKind::VvarClock => continue,
        };
        ranges.end_range();
        let start = vma.entry.start;
        let mut at = start;
        while at < vma.entry.end {
            let mut next = vma.entry.end;
            mm.read_lock()
                .walk_own_pages(at, vma.entry.end, &mut |addr, content| {
                    let skip = content == (Content::Own { zero: true }) && !keep_zero;
                    if skip || ranges.add(addr) {
                        return Walk::On;
                    }
                    next = addr;
                    Walk::Stop
                })
                .or_else(|errno| match errno == Error::from_errno(EOPNOTSUPP) {
                    true => Err(Failure::refused("mapping", start, "page that gives SIGBUS (poison or a guard)")),
                    false => Err(errno).doing_on("looking for the pages of the mapping at", at),
                })?;
            if next < vma.entry.end {
                pages::save(Place::Mm(mm), &mut ranges, out)?;
            }
            at = next;
        }
    }
    pages::save(Place::Mm(mm), &mut ranges, out)
}

/// Puts the saved address space in the place of the current task's.
pub(crate) fn load(input: &mut Loader) -> Result<(), Failure> {
    let record = input.take(Kind::Mm)?;
    let body: Mm<'_> = record.body(input.limits)?;
    let mm = kernel::current!()
        .address_space()
        .ok_or(ESRCH)
        .doing("finding the own address space")?;
    check_data_limit(&body)?;
    let vmas = load_vmas(body.nr_vmas as usize, input)?;
    let exe = input.file(body.exe)?;
    // Whoever is seen as such a program has been raised by executing it, or may set what is seen.
    if exe.raises_privileges() && !new::may_checkpoint_restore() {
        return Err(Failure::doing(EPERM, "taking an executable file that raises privileges"));
    }
    vdso::relocate(&mm, &vmas)?;
    // While nothing is mapped: the kernel refuses to let go of a program file that is.
    mm.set_exe_file(&exe).doing("setting the executable file")?;
    for vma in &vmas {
        map(vma, input)?;
    }
    while let Some(record) = input.take_if(Kind::Pages)? {
        pages::load_own(&record, input, |range| is_code(&vmas, range))?;
    }
    for vma in &vmas {
        advise(vma).doing_on("giving advice on the mapping at", vma.start)?;
    }
    set_layout(&mm, &body)
}

/// The rule of `brk(2)`; the codec has made sure that ends are not below starts.
fn check_data_limit(body: &Mm<'_>) -> Result<(), Failure> {
    let limit = kernel::current!()
        .limit(rlimit::DATA)
        .doing("reading the limit on data")?
        .cur;
    let bytes = (body.brk.1 - body.brk.0).saturating_add(body.data.1 - body.data.0);
    if bytes > limit {
        return Err(Failure::mismatch(ENOMEM, "bytes of data", limit, bytes));
    }
    Ok(())
}

fn load_vmas(count: usize, input: &mut Loader) -> Result<KVVec<VmaEntry>, Failure> {
    let most = mapping::max_count();
    if count > most {
        return Err(Failure::mismatch(ENOMEM, "number of mappings, at most", most as u64, count as u64));
    }
    let mut vmas: KVVec<VmaEntry> = KVVec::new();
    while vmas.len() < count {
        let record = input.take(Kind::Vma)?;
        let body: Vmas<'_> = record.body(input.limits)?;
        for entry in &body.entries {
            let floor = vmas.last().map_or(0, |last| last.end);
            if entry.start < floor {
                return Err(Failure::mismatch(EINVAL, "start of a mapping", floor, entry.start));
            }
            vmas.push(entry, GFP_KERNEL).doing("listing mappings")?;
        }
    }
    if vmas.len() != count {
        return Err(Failure::mismatch(EINVAL, "number of mappings", count as u64, vmas.len() as u64));
    }
    Ok(vmas)
}

fn map(vma: &VmaEntry, input: &mut Loader) -> Result<(), Failure> {
    let has = |bit| vma.flags & bit != 0;
    let protection = Protection {
        read: has(record::VMA_READ),
        write: has(record::VMA_WRITE),
        exec: has(record::VMA_EXEC),
    };
    let mode = Mode {
        shared: has(record::VMA_SHARED),
        grows_down: has(record::VMA_GROWSDOWN),
        locked: has(record::VMA_LOCKED),
        no_reserve: has(record::VMA_NORESERVE),
    };
    let file = match vma.kind {
        VmaKind::Vvar | VmaKind::Vdso | VmaKind::VvarClock => return Ok(()),
        VmaKind::PrivateAnon => None,
        VmaKind::PrivateFile => Some(input.file(vma.objref)?),
        VmaKind::SharedAnon => Some(input.shared(vma.objref)?),
    };
    let offset = vma.pgoff.saturating_mul(PAGE_SIZE as u64);
    mapping::map(
        file.as_deref(),
        vma.start,
        vma.end - vma.start,
        protection,
        mode,
        offset,
    )
    .doing_on("mapping memory at", vma.start)
}

fn advise(vma: &VmaEntry) -> kernel::error::Result {
    const ADVICE: [(u64, Advice); 7] = [
        (record::VMA_DONTCOPY, Advice::DontFork),
        (record::VMA_DONTDUMP, Advice::DontDump),
        (record::VMA_WIPEONFORK, Advice::WipeOnFork),
        (record::VMA_SEQ_READ, Advice::Sequential),
        (record::VMA_RAND_READ, Advice::Random),
        (record::VMA_HUGEPAGE, Advice::HugePage),
        (record::VMA_NOHUGEPAGE, Advice::NoHugePage),
    ];
    for (bit, advice) in ADVICE {
        if vma.flags & bit != 0 {
            mapping::advise(vma.start, vma.end - vma.start, advice)?;
        }
    }
    Ok(())
}

/// Whether a range that is to be filled may be executed; `None` if it does not lie inside one
/// private mapping.
fn is_code(vmas: &[VmaEntry], range: &PageRange) -> Option<bool> {
    let end = range.end(PAGE_SIZE as u64)?;
    let vma = vmas.get(vmas.partition_point(|vma| vma.end <= range.start))?;
    let private = matches!(vma.kind, VmaKind::PrivateAnon | VmaKind::PrivateFile);
    (private && vma.start <= range.start && end <= vma.end)
        .then_some(vma.flags & record::VMA_EXEC != 0)
}

fn set_layout(mm: &MmWithUser, body: &Mm<'_>) -> Result<(), Failure> {
    let mut auxv = [0; MAX_AUXV];
    let words = body.auxv.len();
    if words > MAX_AUXV {
        return Err(Failure::mismatch(EINVAL, "auxiliary vector words", MAX_AUXV as u64, words as u64));
    }
    for (to, word) in auxv.iter_mut().zip(&body.auxv) {
        *to = word;
    }
    let layout = Layout {
        start_code: body.code.0,
        end_code: body.code.1,
        start_data: body.data.0,
        end_data: body.data.1,
        start_brk: body.brk.0,
        brk: body.brk.1,
        start_stack: body.start_stack,
        arg_start: body.arg.0,
        arg_end: body.arg.1,
        env_start: body.env.0,
        env_end: body.env.1,
    };
    mm.set_layout(&layout, auxv.get(..words).unwrap_or(&[]));
    mm.set_dump_filter(body.flags);
    Ok(())
}
