// SPDX-License-Identifier: GPL-2.0-only

//! Open files: FILE objects, and the FDS records that name them.
//!
//! A file is carried by its path and opened anew, as the task that is being restored and with
//! the checks of `open(2)`: an image opens nothing that its user could not. What cannot come back
//! that way is refused when it is saved.

use super::failure::{Context, Failure};
use super::loader::{Loader, Record};
use super::saver::{Kept, Saver};
use crate::image::header::Kind;
use crate::image::list::Entry;
use crate::image::record::files::{FD_CLOEXEC, MAX_FD_ENTRIES};
use crate::image::record::{FdEntry, Fds, File as Saved, FileKind as SavedKind, Identity};
use core::ffi::CStr;
use core::mem;
use kernel::alloc::{flags::GFP_KERNEL, KVVec};
use kernel::current;
use kernel::error::code::*;
use kernel::fs::fdtable::{self, FdTable};
use kernel::fs::file::flags::{O_ACCMODE, O_RDONLY};
use kernel::fs::path::flags::*;
use kernel::fs::path::{FileKind, InodeIdentity, Path, PATH_MAX};
use kernel::fs::File;
use kernel::rlimit::{self, Limit};
use kernel::sync::aref::ARef;
use kernel::task::Task;

mod obstacle;

/// Open flags that a file keeps.
const KEPT_FLAGS: u32 = O_ACCMODE
    | O_APPEND
    | O_NONBLOCK
    | O_DSYNC
    | O_SYNC
    | O_DIRECT
    | O_LARGEFILE
    | O_DIRECTORY
    | O_NOFOLLOW
    | O_NOATIME;
/// Open flags of a working or root directory, which needs no permission to be read.
const PLACE_FLAGS: u32 = O_PATH | O_DIRECTORY;

/// Who uses a file, for refusals: `("fd", 5)`.
type User = (&'static str, u64);

/// Writes the files behind the task's descriptors, then the descriptors.
pub(crate) fn save(task: &Task, out: &mut Saver) -> Result<(), Failure> {
    let table = task
        .fd_table()
        .ok_or(ESRCH)
        .doing("reading the descriptors of an exiting task")?;
    if table.is_shared() {
        let why = "descriptors shared with another process (CLONE_FILES)";
        return Err(Failure::refused("task", pid_of(task, out), why));
    }
    let root = root_of(task)?;
    let mut entries: KVVec<FdEntry> = KVVec::new();
    let mut records = 0;
    let mut from = 0;
    while let Some(descriptor) = table.next(from) {
        let fd = descriptor.fd;
        from = fd + 1;
        let objref = save_for(
            ("fd", fd.into()),
            &descriptor.file,
            Some(&table),
            &root,
            out,
        )?;
        if entries.len() == MAX_FD_ENTRIES {
            put_entries(&entries, out)?;
            entries.clear();
            records += 1;
        }
        let flags = if descriptor.close_on_exec {
            FD_CLOEXEC
        } else {
            0
        };
        let entry = FdEntry { fd, objref, flags };
        entries
            .push(entry, GFP_KERNEL)
            .doing("collecting descriptors")?;
    }
    if records == 0 || !entries.is_empty() {
        put_entries(&entries, out)?;
    }
    Ok(())
}

/// The open files of the current task, kept open by those who hold them.
pub(crate) type Held = KVVec<ARef<File>>;

/// Holds all open files of the current task. Whoever waits for the other end of one sees it close
/// when these are dropped, not when the descriptors are replaced.
pub(crate) fn hold_current() -> Result<Held, Failure> {
    let mut held = KVVec::new();
    let Some(table) = current!().fd_table() else {
        return Ok(held);
    };
    let mut from = 0;
    while let Some(descriptor) = table.next(from) {
        from = descriptor.fd + 1;
        held.push(descriptor.file, GFP_KERNEL)
            .doing("holding the caller's descriptors")?;
    }
    Ok(held)
}

/// Has the exit of the current task, which is being killed, close what it had open: whoever sees the
/// other end of such a file close sees a task that exits. Those for which there is no descriptor
/// are closed now.
pub(crate) fn leave_to_exit(held: Held) {
    for file in held {
        let _ = fdtable::install_anywhere(file);
    }
}

fn put_entries(entries: &[FdEntry], out: &mut Saver) -> Result<(), Failure> {
    out.record(Kind::Fds, |payload| {
        entries.iter().try_for_each(|entry| entry.encode(payload))
    })
}

/// Writes a file that the task uses other than by a descriptor, if it has not been written yet;
/// gives its objref.
pub(crate) fn save_file(file: &File, task: &Task, out: &mut Saver) -> Result<u32, Failure> {
    let root = root_of(task)?;
    let user = ("mapped file with inode number", file.inode_number());
    save_for(user, file, None, &root, out)
}

fn save_for(
    user: User,
    file: &File,
    table: Option<&FdTable>,
    root: &Path,
    out: &mut Saver,
) -> Result<u32, Failure> {
    let refused = |why| Failure::refused(user.0, user.1, why);
    if let Some(why) = obstacle::to_carrying(file, table) {
        return Err(refused(why));
    }
    let (objref, new) = out.objref_of(file.as_ptr() as usize, || Kept::File(file.into()))?;
    if !new {
        return Ok(objref);
    }
    let place = file.path();
    if place.is_unlinked() {
        return Err(refused("file that has been removed"));
    }
    let mut buf = path_buffer()?;
    let Some(name) = place.seen_from(root, &mut buf).doing("naming a file")? else {
        return Err(refused(obstacle::unreachable_kind(&place)));
    };
    if !leads_to(root, name, &place)? {
        return Err(refused("file that its name no longer leads to"));
    }
    if out.other_mounts && !is_found_by_caller(&place)? {
        return Err(refused("file that the caller of checkpoint does not find by its name (mount namespace)"));
    }
    let (kind, rdev) = saved_kind(file.kind()).ok_or(refused("file of unknown type"))?;
    let mut flags = file.flags() & KEPT_FLAGS;
    let mut size = 0;
    if kind == SavedKind::Regular {
        // A file of O_TMPFILE that was given a name has this bit too, and cannot be opened with it.
        flags &= !O_DIRECTORY;
        size = u64::try_from(file.size()).unwrap_or(0);
    }
    out.put(&Saved {
        objref,
        kind,
        flags,
        mode: file.mode(),
        pos: file.pos(),
        size,
        rdev,
        identity: of_image(file.inode_identity()),
        path: name.to_bytes(),
    })?;
    Ok(objref)
}

/// An identity as images have it.
fn of_image(inode: InodeIdentity) -> Identity {
    let InodeIdentity { dev, generation, ino, uid, gid } = inode;
    Identity { dev, generation, ino, uid, gid }
}

/// Writes a directory that a task is in, by the name given, if it has not been written yet.
pub(crate) fn save_directory(place: &Path, name: &CStr, out: &mut Saver) -> Result<u32, Failure> {
    let (objref, new) = out.objref_of(place.key(), || Kept::Place(place.clone()))?;
    if new {
        out.put(&Saved {
            objref,
            kind: SavedKind::Directory,
            flags: PLACE_FLAGS,
            mode: place.mode(),
            pos: 0,
            size: 0,
            rdev: (0, 0),
            identity: of_image(place.inode_identity()),
            path: name.to_bytes(),
        })?;
    }
    Ok(objref)
}

fn saved_kind(kind: FileKind) -> Option<(SavedKind, (u32, u32))> {
    match kind {
        FileKind::Regular => Some((SavedKind::Regular, (0, 0))),
        FileKind::Directory => Some((SavedKind::Directory, (0, 0))),
        FileKind::CharDevice { major, minor } => Some((SavedKind::CharDevice, (major, minor))),
        _ => None,
    }
}

/// Whether a name looked up from `root` still ends at `place`: it does not if something else
/// was put in its way, as a mount.
pub(crate) fn leads_to(root: &Path, name: &CStr, place: &Path) -> Result<bool, Failure> {
    match root.lookup_inside(name) {
        Ok(found) => Ok(found.is(place)),
        Err(errno) if errno == ENOENT || errno == ENOTDIR => Ok(false),
        Err(errno) => Err(Failure::doing(errno, "looking up the name of an open file")),
    }
}

/// Whether the caller finds the same file by the name that it has in its own mount namespace: if not, a
/// restart in namespaces like the caller's would find another, or none.
pub(crate) fn is_found_by_caller(place: &Path) -> Result<bool, Failure> {
    let mut buf = path_buffer()?;
    let name = place.absolute(&mut buf).doing("naming a file")?;
    Ok(Path::lookup(name).is_ok_and(|found| found.is_inode_of(place)))
}

fn root_of(task: &Task) -> Result<Path, Failure> {
    let state = task.fs_state().ok_or(ESRCH);
    Ok(state.doing("reading the root of an exiting task")?.root)
}

/// The task's pid as the image has it.
pub(crate) fn pid_of(task: &Task, out: &Saver) -> u64 {
    u64::try_from(task.numbers_in(&out.ns).pid).unwrap_or(0)
}

/// Room for any path.
pub(crate) fn path_buffer() -> Result<KVVec<u8>, Failure> {
    let mut buf = KVVec::new();
    buf.extend_with(PATH_MAX, 0, GFP_KERNEL)
        .doing("allocating room for a path")?;
    Ok(buf)
}

/// Opens the file of a FILE record and adds it to the objects.
pub(crate) fn load_object(record: &Record, input: &mut Loader) -> Result<(), Failure> {
    let saved: Saved<'_> = record.body(input.limits)?;
    let (file, replaced) = reopen(&saved)?;
    input.add_file(saved.objref, file, replaced)
}

/// Checks, when the credentials are the restored ones, that those allow what the task has got of files that
/// are in the place of saved ones: the invoker's may allow more.
pub(crate) fn check_replaced(input: &mut Loader) -> Result<(), Failure> {
    let replaced = mem::replace(&mut input.replaced, KVVec::new());
    for file in &replaced {
        if let Err(errno) = file.is_permitted() {
            let mut buf = path_buffer()?;
            let place = file.path();
            let name = place.absolute(&mut buf).map_or(&b"?"[..], CStr::to_bytes);
            let what = "another file than was saved, which the restored task could not open:";
            return Err(Failure::on_file(errno, what, name));
        }
    }
    Ok(())
}

/// The file, and whether it is another inode than the saved one.
fn reopen(saved: &Saved<'_>) -> Result<(ARef<File>, bool), Failure> {
    let fail = |errno, what| Failure::on_file(errno, what, saved.path);
    if !has_known_flags(saved) {
        return Err(fail(EINVAL, "flags that no open file has, for"));
    }
    let wanted = wanted_kind(saved)?;
    let path = terminated(saved.path)?;
    let name = CStr::from_bytes_with_nul(&path).map_err(|_| fail(EINVAL, "zero byte in"))?;
    // Opening the wrong thing can block or have effects: what is opened is what was looked at.
    let found = Path::lookup(name).map_err(|errno| fail(errno, "looking up"))?;
    if found.kind() != wanted {
        return Err(fail(EBADF, "not the kind of file that was saved:"));
    }
    // A device is what its numbers say.
    let identity = of_image(found.inode_identity());
    let replaced = saved.kind != SavedKind::CharDevice && !saved.identity.is(&identity);
    if replaced && !saved.identity.may_be_replaced_by(saved.mode, &identity, found.mode()) {
        return Err(fail(EPERM, "another file than was saved, of another owner or with less permissions:"));
    }
    let file = found.open(saved.flags).map_err(|errno| fail(errno, "opening"))?;
    if wanted == FileKind::Regular && file.is_on_procfs() || file.path().is_inside_procfs() {
        return Err(fail(EBADF, "part of procfs, which cannot be carried:"));
    }
    if wanted == FileKind::Regular && has_lost_content(saved, &file) {
        return Err(fail(EIO, "shorter than when it was saved:"));
    }
    if saved.kind != SavedKind::CharDevice && saved.pos != 0 {
        file.seek_to(saved.pos)
            .map_err(|errno| fail(errno, "setting the offset of"))?;
    }
    Ok((file, replaced))
}

fn terminated(path: &[u8]) -> Result<KVVec<u8>, Failure> {
    let mut bytes =
        KVVec::with_capacity(path.len() + 1, GFP_KERNEL).doing("allocating room for a path")?;
    bytes
        .extend_from_slice(path, GFP_KERNEL)
        .doing("copying a path")?;
    bytes.push(0, GFP_KERNEL).doing("copying a path")?;
    Ok(bytes)
}

fn has_known_flags(saved: &Saved<'_>) -> bool {
    if saved.flags & O_PATH != 0 {
        return saved.flags == PLACE_FLAGS && saved.kind == SavedKind::Directory && saved.pos == 0;
    }
    saved.flags & !KEPT_FLAGS == 0
}

/// What has to be found at the path; refuses devices that are not carried.
fn wanted_kind(saved: &Saved<'_>) -> Result<FileKind, Failure> {
    match saved.kind {
        SavedKind::Regular => Ok(FileKind::Regular),
        SavedKind::Directory => Ok(FileKind::Directory),
        SavedKind::CharDevice => {
            let (major, minor) = saved.rdev;
            match obstacle::to_carrying_device(major, minor) {
                Some(why) => Err(Failure::refused("FILE object", saved.objref.into(), why)),
                None => Ok(FileKind::CharDevice { major, minor }),
            }
        }
    }
}

/// Whether a file lacks what the program counts on: all that was there, where it only reads;
/// what was before the offset, where it writes.
fn has_lost_content(saved: &Saved<'_>, file: &File) -> bool {
    let pos = u64::try_from(saved.pos).unwrap_or(0);
    let needed = if saved.flags & O_ACCMODE == O_RDONLY {
        saved.size
    } else {
        saved.size.min(pos)
    };
    u64::try_from(file.size()).unwrap_or(0) < needed
}

/// Replaces all descriptors of the current task by the saved ones.
pub(crate) fn load(input: &mut Loader) -> Result<(), Failure> {
    let first = input.take(Kind::Fds)?;
    fdtable::close_all().doing("closing the caller's descriptors")?;
    install(&first, input)?;
    while let Some(record) = input.take_if(Kind::Fds)? {
        install(&record, input)?;
    }
    Ok(())
}

fn install(record: &Record, input: &mut Loader) -> Result<(), Failure> {
    let fds: Fds<'_> = record.body(input.limits)?;
    for entry in fds.entries.iter() {
        let fd = u64::from(entry.fd);
        let file = input.file(entry.objref)?;
        if file.flags() & O_PATH != 0 {
            return Err(Failure::refused(
                "fd",
                fd,
                "working or root directory of a task",
            ));
        }
        make_room_for(entry.fd)?;
        fdtable::install_at(entry.fd, &file, entry.flags & FD_CLOEXEC != 0)
            .doing_on("installing fd", fd)?;
    }
    Ok(())
}

/// Raises the soft limit of open files to the hard one if `fd` needs it; RLIMITS, which comes
/// later, sets what the task had.
fn make_room_for(fd: u32) -> Result<(), Failure> {
    let limit = current!()
        .limit(rlimit::NOFILE)
        .doing("reading the limit of open files")?;
    if u64::from(fd) < limit.cur {
        return Ok(());
    }
    if u64::from(fd) >= limit.max {
        let what = "hard limit of open files, for fd";
        return Err(Failure::mismatch(EMFILE, what, limit.max, fd.into()));
    }
    let raised = Limit {
        cur: limit.max,
        max: limit.max,
    };
    rlimit::set(rlimit::NOFILE, raised).doing("raising the limit of open files")
}
