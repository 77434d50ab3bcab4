// SPDX-License-Identifier: GPL-2.0-only

//! Paths, what is found at their ends, and the root and working directory of tasks.
//!
//! Lock order: a task's `alloc_lock`, then `fs_struct.lock`.
//!
//! C headers: [`include/linux/path.h`](srctree/include/linux/path.h),
//! [`include/linux/namei.h`](srctree/include/linux/namei.h) and
//! [`include/linux/fs_struct.h`](srctree/include/linux/fs_struct.h).

use super::fdtable::locked;
use crate::error::{code::*, from_err_ptr, to_result, Error, Result};
use crate::fs::{file, File};
use crate::sync::aref::ARef;
use crate::task::Task;
use crate::variant;
use core::ffi::CStr;
use core::mem::MaybeUninit;
use core::ptr;

/// Bytes that hold any path, with its end.
pub const PATH_MAX: usize = bindings::PATH_MAX as usize;

/// Open flags beyond the access modes.
#[allow(missing_docs)]
pub mod flags {
    pub const O_APPEND: u32 = bindings::O_APPEND;
    pub const O_DIRECT: u32 = bindings::O_DIRECT;
    pub const O_DIRECTORY: u32 = bindings::O_DIRECTORY;
    pub const O_DSYNC: u32 = bindings::O_DSYNC;
    pub const O_LARGEFILE: u32 = bindings::O_LARGEFILE;
    pub const O_NOATIME: u32 = bindings::O_NOATIME;
    pub const O_NOFOLLOW: u32 = bindings::O_NOFOLLOW;
    pub const O_NONBLOCK: u32 = bindings::O_NONBLOCK;
    pub const O_PATH: u32 = bindings::O_PATH;
    pub const O_SYNC: u32 = bindings::O_SYNC;
    /// Signals when input or output is possible.
    pub const FASYNC: u32 = bindings::FASYNC;
}

/// What an inode is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum FileKind {
    Regular,
    Directory,
    CharDevice {
        major: u32,
        minor: u32,
    },
    BlockDevice,
    Fifo,
    Socket,
    Symlink,
    /// No type at all: epoll, eventfd and the like.
    Anonymous,
}

/// A place in the file system: a dentry seen through a mount.
///
/// # Invariants
///
/// Holds a count of a valid dentry and of a valid mount.
pub struct Path(bindings::path);

impl Clone for Path {
    fn clone(&self) -> Self {
        // SAFETY: valid by the type invariant. INVARIANT: the new counts are the clone's.
        unsafe { bindings::path_get(&self.0) };
        Path(self.0)
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        // SAFETY: by the type invariant there are counts to give up.
        unsafe { bindings::path_put(&self.0) };
    }
}

impl Path {
    /// Looks up a name from the current task's root. Names that the kernel gives have no symbolic
    /// links: one on the way is `ELOOP`, and one at the end is what is found.
    pub fn lookup(name: &CStr) -> Result<Path> {
        let mut path = MaybeUninit::<bindings::path>::uninit();
        // SAFETY: the name is a C string, and the result is written on success.
        to_result(unsafe {
            bindings::kern_path(
                name.as_ptr().cast(),
                bindings::LOOKUP_NO_SYMLINKS,
                path.as_mut_ptr(),
            )
        })?;
        // SAFETY: written, with counts that are ours now. INVARIANT: likewise.
        Ok(Path(unsafe { path.assume_init() }))
    }

    /// Looks up an absolute name from this directory, taken as the root, without following a
    /// symbolic link at the end.
    pub fn lookup_inside(&self, name: &CStr) -> Result<Path> {
        let mut path = MaybeUninit::<bindings::path>::uninit();
        // SAFETY: dentry and mount are valid by the type invariant, the name is a C string, and
        // the result is written on success.
        to_result(unsafe {
            let (dentry, mnt) = (self.0.dentry, self.0.mnt);
            bindings::vfs_path_lookup(dentry, mnt, name.as_ptr().cast(), 0, path.as_mut_ptr())
        })?;
        // SAFETY: written, with counts that are ours now. INVARIANT: likewise.
        Ok(Path(unsafe { path.assume_init() }))
    }

    /// The name of this place seen from `root`, in `buf`, with its final zero.
    ///
    /// `None` if it cannot be reached from there: outside, in another mount namespace, or not
    /// mounted at all. `ENAMETOOLONG` if `buf` is too small.
    pub fn seen_from<'a>(&self, root: &Path, buf: &'a mut [u8]) -> Result<Option<&'a CStr>> {
        let len = i32::try_from(buf.len()).map_err(|_| EINVAL)?;
        // SAFETY: both paths are valid, and the buffer for its length.
        let name = unsafe { bindings::__d_path(&self.0, &root.0, buf.as_mut_ptr().cast(), len) };
        if name.is_null() {
            return Ok(None);
        }
        name_in(name.cast(), buf).map(Some)
    }

    /// The name of this place seen from the root of its mount namespace, in `buf`.
    ///
    /// `EINVAL` if it is not mounted in any.
    pub fn absolute<'a>(&self, buf: &'a mut [u8]) -> Result<&'a CStr> {
        let len = i32::try_from(buf.len()).map_err(|_| EINVAL)?;
        // SAFETY: the path is valid, and the buffer for its length.
        let name = unsafe { bindings::d_absolute_path(&self.0, buf.as_mut_ptr().cast(), len) };
        name_in(name.cast(), buf)
    }

    /// Whether two paths are the same place.
    pub fn is(&self, other: &Path) -> bool {
        ptr::eq(self.0.dentry, other.0.dentry) && ptr::eq(self.0.mnt, other.0.mnt)
    }

    /// A number that no other place and no other kernel object has while this one is held.
    pub fn key(&self) -> usize {
        // Halves swapped, a mount's address cannot turn one kernel address into another.
        (self.0.dentry as usize) ^ (self.0.mnt as usize).rotate_left(usize::BITS / 2)
    }

    /// Whether the name has been removed.
    pub fn is_unlinked(&self) -> bool {
        let dentry = self.0.dentry;
        // SAFETY: the dentry is valid by the type invariant; read as `d_unlinked` does.
        unsafe { (*dentry).d_hash.pprev.is_null() && !ptr::eq(dentry, (*dentry).d_parent) }
    }

    /// Whether it lies below the top of procfs, where names are those of processes.
    pub fn is_inside_procfs(&self) -> bool {
        let dentry = self.0.dentry;
        // SAFETY: the dentry is valid by the type invariant, and has a super block with a root.
        unsafe {
            let sb = (*dentry).d_sb;
            (*sb).s_magic as u64 == u64::from(bindings::PROC_SUPER_MAGIC)
                && !ptr::eq((*sb).s_root, dentry)
        }
    }

    /// Whether the last part of the name starts with `prefix`.
    pub fn is_named(&self, prefix: &[u8]) -> bool {
        let mut name = MaybeUninit::<bindings::name_snapshot>::uninit();
        // SAFETY: the dentry is valid; the snapshot, which a rename does not touch, is written by the
        // first call, holds a C string until the last one, and is not moved in between.
        unsafe {
            bindings::take_dentry_name_snapshot(name.as_mut_ptr(), self.0.dentry);
            let text = CStr::from_ptr((*name.as_ptr()).name.name.cast());
            let named = text.to_bytes().starts_with(prefix);
            bindings::release_dentry_name_snapshot(name.as_mut_ptr());
            named
        }
    }

    /// What is there.
    pub fn kind(&self) -> FileKind {
        // SAFETY: valid, and held by the path.
        unsafe { inode_kind(self.inode()) }
    }

    /// Its inode, for as long as the path is held.
    pub(crate) fn inode(&self) -> *mut bindings::inode {
        // SAFETY: the dentry is valid and, being the end of a path, has an inode.
        unsafe { (*self.0.dentry).d_inode }
    }

    /// Opens what is there for the current task, with the checks of `open(2)` (`may_open` in
    /// `fs/namei.c`). Nothing is created or emptied.
    pub fn open(&self, flags: u32) -> Result<ARef<File>> {
        if flags & bindings::O_PATH == 0 {
            self.may_open(flags)?;
        }
        // SAFETY: the path is valid, the credentials are the current task's own.
        let file = unsafe {
            let cred = (*bindings::get_current()).cred;
            bindings::dentry_open(&self.0, flags as i32, cred)
        };
        let file = from_err_ptr(file)?;
        // SAFETY: a file that is not an error pointer is new and ours.
        Ok(unsafe { File::from_owned(file) })
    }

    fn may_open(&self, flags: u32) -> Result {
        let access = match flags & file::flags::O_ACCMODE {
            file::flags::O_RDONLY => bindings::MAY_READ,
            file::flags::O_WRONLY => bindings::MAY_WRITE,
            _ => bindings::MAY_READ | bindings::MAY_WRITE,
        };
        let writes = access & bindings::MAY_WRITE != 0;
        match self.kind() {
            FileKind::Symlink => return Err(Error::from_errno(-(bindings::ELOOP as i32))),
            FileKind::Directory if writes => return Err(EISDIR),
            // SAFETY: the path is valid.
            FileKind::CharDevice { .. } | FileKind::BlockDevice
                if !unsafe { bindings::may_open_dev(&self.0) } =>
            {
                return Err(EACCES);
            }
            _ => {}
        }
        self.may_access(access | bindings::MAY_OPEN)?;
        // SAFETY: inode and mount are valid by the type invariant; flags are a plain number.
        let (append_only, owned) = unsafe {
            let inode = self.inode();
            let owned = bindings::inode_owner_or_capable((*self.0.mnt).mnt_idmap, inode);
            ((*inode).i_flags & bindings::S_APPEND != 0, owned)
        };
        if append_only && writes && flags & bindings::O_APPEND == 0 {
            return Err(EPERM);
        }
        if flags & bindings::O_NOATIME != 0 && !owned {
            return Err(EPERM);
        }
        Ok(())
    }

    /// Asks for access to the inode by the current task's credentials.
    fn may_access(&self, mask: u32) -> Result {
        // SAFETY: mount, dentry and inode are valid by the type invariant.
        to_result(unsafe {
            bindings::inode_permission((*self.0.mnt).mnt_idmap, self.inode(), mask as i32)
        })
    }

    /// Whether it leads to the same inode as `other`.
    pub fn is_inode_of(&self, other: &Path) -> bool {
        ptr::eq(self.inode(), other.inode())
    }

    /// Which inode is there, and whose.
    pub fn inode_identity(&self) -> InodeIdentity {
        // SAFETY: valid, and held by the path.
        unsafe { identity(self.inode()) }
    }

    /// Type and permissions, as `st_mode`.
    pub fn mode(&self) -> u32 {
        // SAFETY: valid, and held by the path.
        unsafe { u32::from((*self.inode()).i_mode) }
    }

    /// Checks that the current task may make this its root or working directory.
    pub fn may_enter(&self) -> Result {
        self.may_access(bindings::MAY_EXEC | bindings::MAY_CHDIR)
    }
}

/// The string that a path function put at the end of `buf`, or the error it returned instead.
fn name_in(name: *mut core::ffi::c_char, buf: &[u8]) -> Result<&CStr> {
    let name = from_err_ptr(name)?;
    let at = (name as usize)
        .checked_sub(buf.as_ptr() as usize)
        .ok_or(EINVAL)?;
    CStr::from_bytes_with_nul(buf.get(at..).ok_or(EINVAL)?).map_err(|_| EINVAL)
}

/// # Safety
///
/// `inode` must be valid.
unsafe fn inode_kind(inode: *const bindings::inode) -> FileKind {
    // SAFETY: by the function's contract; neither changes while the inode is in use.
    let (mode, rdev) = unsafe { (u32::from((*inode).i_mode), (*inode).i_rdev) };
    match mode & bindings::S_IFMT {
        bindings::S_IFREG => FileKind::Regular,
        bindings::S_IFDIR => FileKind::Directory,
        bindings::S_IFCHR => FileKind::CharDevice {
            major: rdev >> bindings::MINORBITS,
            minor: rdev & ((1 << bindings::MINORBITS) - 1),
        },
        bindings::S_IFBLK => FileKind::BlockDevice,
        bindings::S_IFIFO => FileKind::Fifo,
        bindings::S_IFSOCK => FileKind::Socket,
        bindings::S_IFLNK => FileKind::Symlink,
        _ => FileKind::Anonymous,
    }
}

/// Which inode something is, and whose.
#[derive(Clone, Copy, Debug)]
pub struct InodeIdentity {
    /// Device of its file system, as the kernel numbers it.
    pub dev: u32,
    /// Tells inodes apart that had one number after another.
    pub generation: u32,
    /// Its number.
    pub ino: u64,
    /// Its owner in the current task's user namespace, or
    /// [`UNMAPPED`](crate::cred::attributes::UNMAPPED).
    pub uid: u32,
    /// Its group, likewise.
    pub gid: u32,
}

/// # Safety
///
/// `inode` must be valid.
unsafe fn identity(inode: *const bindings::inode) -> InodeIdentity {
    // SAFETY: by the function's contract; an inode has a super block for as long as it lives. Owners
    // are single words. The namespace is that of the current task's credentials, which it holds.
    unsafe {
        let ns = (*(*bindings::get_current()).cred).user_ns;
        InodeIdentity {
            dev: (*(*inode).i_sb).s_dev as u32,
            generation: (*inode).i_generation,
            ino: (*inode).i_ino as u64,
            uid: bindings::from_kuid(ns, (*inode).i_uid),
            gid: bindings::from_kgid(ns, (*inode).i_gid),
        }
    }
}

impl File {
    /// Whether the current task's credentials give it what it can do with the open file.
    pub fn is_permitted(&self) -> Result {
        let place = self.path();
        let mut mask = 0;
        if self.readable() {
            mask |= bindings::MAY_READ;
        }
        if self.writable() {
            mask |= bindings::MAY_WRITE;
        }
        match mask {
            // A place to be in.
            0 => place.may_enter(),
            mask => place.may_access(mask),
        }
    }

    /// Where it was opened, as the program sees it.
    pub fn path(&self) -> Path {
        // SAFETY: the path of an open file is set before anybody sees it, never changes, and the
        // file holds counts of both parts. INVARIANT: the new counts are the result's.
        unsafe {
            let path = *bindings::file_user_path(self.as_ptr());
            bindings::path_get(&path);
            Path(path)
        }
    }

    /// What it is.
    pub fn kind(&self) -> FileKind {
        // SAFETY: an open file has an inode for as long as it lives.
        unsafe { inode_kind(self.inode()) }
    }

    /// Type and permissions, as `st_mode`.
    pub fn mode(&self) -> u32 {
        // SAFETY: an open file has an inode for as long as it lives.
        unsafe { u32::from((*self.inode()).i_mode) }
    }

    /// Which inode it is, and whose.
    pub fn inode_identity(&self) -> InodeIdentity {
        // SAFETY: an open file has an inode for as long as it lives.
        unsafe { identity(self.inode()) }
    }

    /// The inode's number.
    pub fn inode_number(&self) -> u64 {
        // SAFETY: an open file has an inode for as long as it lives.
        unsafe { (*self.inode()).i_ino as u64 }
    }

    /// Whether it is part of procfs.
    pub fn is_on_procfs(&self) -> bool {
        // SAFETY: an open file has an inode, and an inode a super block.
        let magic = unsafe { (*(*self.inode()).i_sb).s_magic };
        magic as u64 == u64::from(bindings::PROC_SUPER_MAGIC)
    }

    /// Whether somebody is signalled about it (`F_SETOWN`, `F_SETSIG`, `F_NOTIFY`).
    pub fn has_owner(&self) -> bool {
        // SAFETY: the file is valid; an owner lives as long as the file once it is set.
        unsafe {
            let owner = ptr::addr_of!((*self.as_ptr()).f_owner).read_volatile();
            !owner.is_null() && (!(*owner).pid.is_null() || (*owner).signum != 0)
        }
    }
}

/// What a task's `fs_struct` holds.
pub struct FsState {
    /// Permission bits that new files do not get.
    pub umask: u32,
    /// Its root directory.
    pub root: Path,
    /// Its working directory.
    pub cwd: Path,
    /// Whether more than one task uses it (`CLONE_FS`).
    pub shared: bool,
}

impl Task {
    /// The task's root, working directory and umask; `None` if it has exited.
    pub fn fs_state(&self) -> Option<FsState> {
        let task = self.0.get();
        let read = move || {
            // SAFETY: the task is valid; `fs` stays while `alloc_lock` is held.
            let fs = unsafe { (*task).fs };
            if fs.is_null() {
                return None;
            }
            // SAFETY: valid as above, and stable while its own lock is held.
            Some(unsafe { variant::with_fs_lock(fs, || read_fs(fs)) })
        };
        // SAFETY: the lock lives in the task, and `read` does not sleep.
        unsafe { locked(ptr::addr_of_mut!((*task).alloc_lock), read) }
    }
}

/// # Safety
///
/// `fs` must be valid and its lock held.
unsafe fn read_fs(fs: *const bindings::fs_struct) -> FsState {
    // SAFETY: by the function's contract; the paths are counted before the lock is released.
    // INVARIANT: those counts are the result's.
    unsafe {
        bindings::path_get(ptr::addr_of!((*fs).root));
        bindings::path_get(ptr::addr_of!((*fs).pwd));
        FsState {
            umask: (*fs).umask as u32,
            root: Path((*fs).root),
            cwd: Path((*fs).pwd),
            shared: (*fs).users > 1,
        }
    }
}

/// Gives the current task root, working directory and umask of its own.
pub fn unshare_fs() -> Result {
    // SAFETY: acts on the current task only.
    to_result(unsafe { bindings::unshare_fs_struct() })
}

/// Sets the current task's umask.
pub fn set_umask(umask: u32) {
    // SAFETY: the current task has an `fs_struct` until it exits; written as `umask(2)` does.
    unsafe {
        let fs = (*bindings::get_current()).fs;
        ptr::addr_of_mut!((*fs).umask).write_volatile((umask & 0o777) as i32);
    }
}

/// Changes the current task's working directory, with the checks of `fchdir(2)`.
pub fn set_cwd(path: &Path) -> Result {
    if path.kind() != FileKind::Directory {
        return Err(ENOTDIR);
    }
    path.may_enter()?;
    // SAFETY: the path is valid; the current task has an `fs_struct` until it exits.
    unsafe { bindings::set_fs_pwd((*bindings::get_current()).fs, &path.0) };
    Ok(())
}

/// Changes the current task's root directory, with the checks of `chroot(2)`.
pub fn set_root(path: &Path) -> Result {
    if path.kind() != FileKind::Directory {
        return Err(ENOTDIR);
    }
    path.may_enter()?;
    if !crate::cred::new::ns_capable(bindings::CAP_SYS_CHROOT) {
        return Err(EPERM);
    }
    // SAFETY: the path is valid.
    to_result(unsafe { bindings::security_path_chroot(&path.0) })?;
    // SAFETY: the path is valid; the current task has an `fs_struct` until it exits.
    unsafe { bindings::set_fs_root((*bindings::get_current()).fs, &path.0) };
    Ok(())
}
