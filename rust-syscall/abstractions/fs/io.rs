// SPDX-License-Identifier: GPL-2.0

//! Open files: what they are, their reading and writing from kernel memory.
//!
//! C headers: [`include/linux/fs.h`](srctree/include/linux/fs.h) and
//! [`include/linux/file.h`](srctree/include/linux/file.h).

use crate::error::{code::*, from_err_ptr, Error, Result};
use crate::fs::File;
use crate::mm::pages::Pages;
use crate::sync::aref::ARef;
use crate::variant;
use core::ffi::CStr;
use core::ptr::{self, NonNull};

impl File {
    /// Takes the file behind a descriptor of the current task.
    ///
    /// Fails with `EBADF` if there is none, or if it is an `O_PATH` one.
    pub fn of_descriptor(fd: u32) -> Result<ARef<File>> {
        // SAFETY: `fget` may be called with any number.
        let file = unsafe { bindings::fget(fd) };
        let file = NonNull::new(file.cast::<File>()).ok_or(EBADF)?;
        // SAFETY: `fget` gave a count of its own, which the `ARef` takes over.
        Ok(unsafe { ARef::from_raw(file) })
    }

    /// Makes a counted reference out of a C pointer that owns a count.
    ///
    /// # Safety
    ///
    /// `file` must be a valid `struct file` and the caller gives up one count.
    pub unsafe fn from_owned(file: *mut bindings::file) -> ARef<File> {
        // SAFETY: by the function's contract the pointer is valid, so not null, and owned.
        unsafe { ARef::from_raw(NonNull::new_unchecked(file.cast())) }
    }

    /// The inode, which lives as long as the open file.
    pub(crate) fn inode(&self) -> *mut bindings::inode {
        // SAFETY: the file is valid, and this field never changes.
        unsafe { (*self.as_ptr()).f_inode }
    }

    /// Whether the file was opened for reading.
    pub fn readable(&self) -> bool {
        self.has_mode(1 << 0)
    }

    /// Whether the file was opened for writing.
    pub fn writable(&self) -> bool {
        self.has_mode(1 << 1)
    }

    /// Whether the kernel itself can read from this kind of file, as `kernel_read` asks.
    pub fn is_read_by_kernel(&self) -> bool {
        // SAFETY: the file is valid; its operations are constants and never null.
        unsafe {
            let ops = (*self.as_ptr()).f_op;
            (*ops).read_iter.is_some() && (*ops).read.is_none()
        }
    }

    /// Whether the kernel itself can write to this kind of file, as `kernel_write` asks.
    pub fn is_written_by_kernel(&self) -> bool {
        // SAFETY: as above.
        unsafe {
            let ops = (*self.as_ptr()).f_op;
            (*ops).write_iter.is_some() && (*ops).write.is_none()
        }
    }

    // FMODE_READ is 1 and FMODE_WRITE is 2; both are casts that bindgen cannot evaluate.
    fn has_mode(&self, bit: u32) -> bool {
        // SAFETY: the file is valid, and these bits of `f_mode` never change after opening.
        unsafe { (*self.as_ptr()).f_mode & bit != 0 }
    }

    /// The file position.
    pub fn pos(&self) -> i64 {
        // SAFETY: the file is valid; a 64-bit field is read in one piece.
        unsafe { ptr::addr_of!((*self.as_ptr()).f_pos).read_volatile() }
    }

    /// Sets the file position as `lseek(2)` does, with the file system's own checks.
    pub fn seek_to(&self, pos: i64) -> Result {
        // SAFETY: the file is valid and held.
        let at = unsafe { bindings::vfs_llseek(self.as_ptr(), pos, bindings::SEEK_SET as i32) };
        if at < 0 {
            return Err(Error::from_errno(at as i32));
        }
        Ok(())
    }

    /// Finds the next stretch that has data, as `(start, end)` in bytes.
    ///
    /// Moves the file position. `None` at the end of the data.
    pub fn next_data(&self, from: i64) -> Result<Option<(i64, i64)>> {
        // SAFETY: the file is valid and held, for this call and the one below.
        let start = unsafe { bindings::vfs_llseek(self.as_ptr(), from, bindings::SEEK_DATA as i32) };
        if start == i64::from(ENXIO.to_errno()) {
            return Ok(None);
        }
        if start < 0 {
            return Err(Error::from_errno(start as i32));
        }
        // SAFETY: as above.
        let end = unsafe { bindings::vfs_llseek(self.as_ptr(), start, bindings::SEEK_HOLE as i32) };
        if end < 0 {
            return Err(Error::from_errno(end as i32));
        }
        Ok(Some((start, end)))
    }

    /// Reads into kernel memory at `pos`, which moves on; 0 means the end of the file.
    pub fn read(&self, buf: &mut [u8], pos: &mut i64) -> Result<usize> {
        // SAFETY: the buffer is valid for its length and `pos` for the call.
        let n = unsafe {
            bindings::kernel_read(self.as_ptr(), buf.as_mut_ptr().cast(), buf.len(), pos)
        };
        count(n)
    }

    /// Writes kernel memory at `pos`, which moves on.
    pub fn write(&self, buf: &[u8], pos: &mut i64) -> Result<usize> {
        // SAFETY: the buffer is valid for its length and `pos` for the call.
        let n =
            unsafe { bindings::kernel_write(self.as_ptr(), buf.as_ptr().cast(), buf.len(), pos) };
        count(n)
    }

    /// Reads straight into pages, from byte `skip` of them on.
    pub fn read_pages(&self, pages: &mut Pages, skip: usize, pos: &mut i64) -> Result<usize> {
        pages.with_iter(bindings::ITER_DEST, skip, |iter| {
            // SAFETY: the iterator describes pages that `pages` holds for the call.
            count(unsafe { bindings::vfs_iter_read(self.as_ptr(), iter, pos, 0) })
        })
    }

    /// Writes pages straight from where they are, from byte `skip` of them on.
    pub fn write_pages(&self, pages: &mut Pages, skip: usize, pos: &mut i64) -> Result<usize> {
        pages.with_iter(bindings::ITER_SOURCE, skip, |iter| {
            // SAFETY: the iterator describes pages that `pages` holds for the call. The call takes
            // part in freezing the file system by itself.
            count(unsafe { bindings::vfs_iter_write(self.as_ptr(), iter, pos, 0) })
        })
    }

    /// The size of the file behind, in bytes.
    pub fn size(&self) -> i64 {
        // SAFETY: an open file has an inode for as long as it lives.
        unsafe { (*self.inode()).i_size }
    }

    /// The address of the inode, which tells objects apart while they are held.
    pub fn inode_address(&self) -> usize {
        self.inode() as usize
    }

    /// How many shared mappings, of those that can become writable, its content has.
    pub fn shared_mappings(&self) -> i64 {
        // SAFETY: an open file has an inode for as long as it lives, and that has a mapping; a plain
        // atomic read. Negative while new ones are forbidden.
        unsafe {
            let mapping = (*self.inode()).i_mapping;
            ptr::addr_of!((*mapping).i_mmap_writable.counter).read_volatile().into()
        }
    }

    /// Whether the inode belongs to the kernel alone, as that of shared anonymous memory does.
    pub fn is_kernel_private(&self) -> bool {
        // SAFETY: an open file has an inode for as long as it lives.
        unsafe { (*self.inode()).i_flags & bindings::S_PRIVATE != 0 }
    }

    /// Makes a new object of shared anonymous memory of `size` bytes, as
    /// `mmap(MAP_SHARED | MAP_ANONYMOUS)` does; they count as memory that the system has promised.
    pub fn new_shared_memory(name: &CStr, size: u64) -> Result<ARef<File>> {
        let size = i64::try_from(size).map_err(|_| EFBIG)?;
        // SAFETY: the name is a C string that lives as long as the call needs it: it is copied.
        let file = unsafe { variant::shmem_kernel_file_setup(name.as_ptr(), size) };
        let file = from_err_ptr(file)?;
        // SAFETY: a file that is not an error pointer is new and ours.
        Ok(unsafe { File::from_owned(file) })
    }

    /// Whether the current task may execute what the file is: a regular file, not on a `noexec`
    /// mount, with permission.
    pub fn may_execute(&self) -> bool {
        const O_PATH: u32 = bindings::O_PATH;
        let inode = self.inode();
        // SAFETY: an open file keeps its path and inode.
        unsafe {
            let path = variant::file_path(self.as_ptr());
            self.flags() & O_PATH == 0
                && u32::from((*inode).i_mode) & bindings::S_IFMT == bindings::S_IFREG
                && !bindings::path_noexec(path)
                && bindings::inode_permission(
                    (*(*path).mnt).mnt_idmap,
                    inode,
                    bindings::MAY_EXEC as i32,
                ) == 0
        }
    }

    /// Whether executing the file may give privileges that the one who does it lacks: it is setuid
    /// or setgid (whoever its owner or group is), or carries capabilities, and lies where those count.
    pub fn raises_privileges(&self) -> bool {
        const SETGID: u32 = bindings::S_ISGID | bindings::S_IXGRP;
        // SAFETY: an open file keeps its path, with its mount, and its inode; the calls only read.
        unsafe {
            let path = variant::file_path(self.as_ptr());
            let mode = u32::from((*self.inode()).i_mode);
            let marked = mode & bindings::S_ISUID != 0
                || mode & SETGID == SETGID
                || bindings::cap_inode_need_killpriv((*path).dentry) != 0;
            marked && bindings::mnt_may_suid((*path).mnt)
        }
    }
}

fn count(n: isize) -> Result<usize> {
    usize::try_from(n).map_err(|_| Error::from_errno(n as i32))
}
