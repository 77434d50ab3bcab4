// SPDX-License-Identifier: GPL-2.0-only

//! Descriptor tables: reading another task's, replacing the current task's.
//!
//! Lock order: `file_lock` and `flc_lock` are each taken alone; nothing sleeps or allocates under
//! them.
//!
//! C headers: [`include/linux/fdtable.h`](srctree/include/linux/fdtable.h) and
//! [`include/linux/filelock.h`](srctree/include/linux/filelock.h).

use crate::error::{to_result, Error, Result};
use crate::fs::File;
use crate::sync::aref::ARef;
use crate::task::Task;
use core::ptr::{self, NonNull};

/// Runs `f` with a C spinlock held.
///
/// # Safety
///
/// `lock` must be valid and initialised for the call, and not held by the caller; `f` must not
/// sleep.
pub(crate) unsafe fn locked<R>(lock: *mut bindings::spinlock_t, f: impl FnOnce() -> R) -> R {
    // SAFETY: by the function's contract.
    unsafe { bindings::spin_lock(lock) };
    let result = f();
    // SAFETY: locked above.
    unsafe { bindings::spin_unlock(lock) };
    result
}

/// A task's table of open files.
///
/// # Invariants
///
/// Holds a count of a valid `struct files_struct`.
pub struct FdTable(NonNull<bindings::files_struct>);

impl Drop for FdTable {
    fn drop(&mut self) {
        // SAFETY: by the type invariant there is a count to give up.
        unsafe { bindings::put_files_struct(self.0.as_ptr()) };
    }
}

/// An open descriptor.
pub struct Descriptor {
    /// Its number.
    pub fd: u32,
    /// What it refers to.
    pub file: ARef<File>,
    /// Whether `execve` closes it.
    pub close_on_exec: bool,
}

impl Task {
    /// The task's table of open files; `None` if it has exited.
    pub fn fd_table(&self) -> Option<FdTable> {
        // SAFETY: the task is valid; the result owns a count or is null.
        let files = unsafe { bindings::get_files_struct(self.0.get()) };
        // INVARIANT: the helper took a count.
        NonNull::new(files).map(FdTable)
    }
}

impl FdTable {
    /// Whether more than one task uses the table (`CLONE_FILES`).
    pub fn is_shared(&self) -> bool {
        // SAFETY: valid by the type invariant; the count is read as `atomic_read` does.
        let count = unsafe { ptr::addr_of!((*self.0.as_ptr()).count.counter).read_volatile() };
        // One is the task's, one is ours.
        count > 2
    }

    /// The first open descriptor whose number is `from` or higher.
    pub fn next(&self, from: u32) -> Option<Descriptor> {
        let files = self.0.as_ptr();
        let find = move || {
            // SAFETY: valid by the type invariant; under `file_lock` the table stays in place.
            let table = unsafe { &*(*files).fdt };
            (from..table.max_fds).find_map(|fd| {
                // SAFETY: `fd` is below `max_fds`, the length of the array.
                let file = NonNull::new(unsafe { *table.fd.add(fd as usize) })?;
                // SAFETY: the table holds a count of the file while `file_lock` is held.
                let file = unsafe { File::from_raw_file(file.as_ptr()) };
                // SAFETY: the bitmap has a bit for each number below `max_fds`.
                let close_on_exec = unsafe { test_bit(table.close_on_exec, fd) };
                Some(Descriptor {
                    fd,
                    file: file.into(),
                    close_on_exec,
                })
            })
        };
        // SAFETY: the lock lives in the table, and `find` does not sleep.
        unsafe { locked(ptr::addr_of_mut!((*files).file_lock), find) }
    }

    /// Whether a POSIX lock on `file`'s inode belongs to the owner of this table.
    pub fn owns_lock_on(&self, file: &File) -> bool {
        file.any_lock_of(self.0.as_ptr().cast())
    }
}

/// Reads bit `nr` of a bitmap.
///
/// # Safety
///
/// The bitmap must have more than `nr` bits.
unsafe fn test_bit(bitmap: *const usize, nr: u32) -> bool {
    // SAFETY: by the function's contract; the C side keeps arrays of `unsigned long`.
    let word = unsafe { *bitmap.add((nr / usize::BITS) as usize) };
    word & (1 << (nr % usize::BITS)) != 0
}

impl File {
    /// Whether the open file itself holds an flock, an open-file-description lock or a lease.
    pub fn holds_lock(&self) -> bool {
        self.any_lock_of(self.as_ptr().cast())
    }

    #[cfg(CONFIG_FILE_LOCKING)]
    fn any_lock_of(&self, owner: bindings::fl_owner_t) -> bool {
        // SAFETY: an open file has an inode; its lock context is set once and lives as long.
        let context = unsafe { bindings::locks_inode_context(self.inode()) };
        if context.is_null() {
            return false;
        }
        let find = move || {
            // SAFETY: the context is valid, and under `flc_lock` its three lists of locks are
            // stable.
            unsafe {
                any_in(ptr::addr_of!((*context).flc_posix), owner)
                    || any_in(ptr::addr_of!((*context).flc_flock), owner)
                    || any_in(ptr::addr_of!((*context).flc_lease), owner)
            }
        };
        // SAFETY: the lock is that of the context, and `find` does not sleep.
        unsafe { locked(ptr::addr_of_mut!((*context).flc_lock), find) }
    }

    #[cfg(not(CONFIG_FILE_LOCKING))]
    fn any_lock_of(&self, _owner: bindings::fl_owner_t) -> bool {
        false
    }
}

/// Whether one of the locks in a list belongs to `owner`.
///
/// # Safety
///
/// `head` must be the head of a list linked through `file_lock_core.flc_list` that does not
/// change during the call.
#[cfg(CONFIG_FILE_LOCKING)]
unsafe fn any_in(head: *const bindings::list_head, owner: bindings::fl_owner_t) -> bool {
    // SAFETY: by the function's contract.
    let mut node: *const bindings::list_head = unsafe { (*head).next };
    while !ptr::eq(node, head) {
        // SAFETY: every node but the head is the `flc_list` of a lock.
        let found = unsafe {
            let lock = crate::container_of!(node, bindings::file_lock_core, flc_list);
            (*lock).flc_owner
        };
        if found == owner {
            return true;
        }
        // SAFETY: the node is part of the list.
        node = unsafe { (*node).next };
    }
    false
}

/// Closes every descriptor of the current task, after making its table its own.
pub fn close_all() -> Result {
    // SAFETY: acts on the current task only.
    to_result(unsafe { bindings::unshare_files() })?;
    let Some(table) = crate::current!().fd_table() else {
        return Ok(());
    };
    let mut from = 0;
    while let Some(Descriptor { fd, .. }) = table.next(from) {
        // What the file says to its being closed is of no interest to a program that never knew it.
        // SAFETY: acts on the current task only, and takes any number.
        unsafe { bindings::close_fd(fd) };
        from = fd + 1;
    }
    Ok(())
}

/// Gives `file` any descriptor of the current task that is free; what `get_unused_fd_flags` says
/// if there is none.
pub fn install_anywhere(file: ARef<File>) -> Result {
    // SAFETY: acts on the current task only.
    let fd = unsafe { bindings::get_unused_fd_flags(0) };
    let fd = u32::try_from(fd).map_err(|_| Error::from_errno(fd))?;
    let file = ARef::into_raw(file).as_ptr().cast::<bindings::file>();
    // SAFETY: the number was reserved above, and the count that `into_raw` gave up is the table's
    // from now on.
    unsafe { bindings::fd_install(fd, file) };
    Ok(())
}

/// Makes descriptor `fd` of the current task refer to `file`, as `dup3` does.
///
/// Fails with `EBADF` if the number is not below the soft `RLIMIT_NOFILE`.
pub fn install_at(fd: u32, file: &File, close_on_exec: bool) -> Result {
    let flags = if close_on_exec {
        bindings::O_CLOEXEC
    } else {
        0
    };
    // SAFETY: the file is valid; the table takes a count of its own.
    to_result(unsafe { bindings::replace_fd(fd, file.as_ptr(), flags) })
}
