// SPDX-License-Identifier: GPL-2.0

//! Flags of a mapping, `VM_*`.

#![allow(missing_docs)]

pub const READ: u64 = bindings::VM_READ as u64;
pub const WRITE: u64 = bindings::VM_WRITE as u64;
pub const EXEC: u64 = bindings::VM_EXEC as u64;
pub const SHARED: u64 = bindings::VM_SHARED as u64;
pub const MAYREAD: u64 = bindings::VM_MAYREAD as u64;
pub const MAYWRITE: u64 = bindings::VM_MAYWRITE as u64;
pub const MAYEXEC: u64 = bindings::VM_MAYEXEC as u64;
pub const MAYSHARE: u64 = bindings::VM_MAYSHARE as u64;
pub const GROWSDOWN: u64 = bindings::VM_GROWSDOWN as u64;
pub const PFNMAP: u64 = bindings::VM_PFNMAP as u64;
pub const LOCKED: u64 = bindings::VM_LOCKED as u64;
pub const LOCKONFAULT: u64 = bindings::VM_LOCKONFAULT as u64;
pub const IO: u64 = bindings::VM_IO as u64;
pub const SEQ_READ: u64 = bindings::VM_SEQ_READ as u64;
pub const RAND_READ: u64 = bindings::VM_RAND_READ as u64;
pub const DONTCOPY: u64 = bindings::VM_DONTCOPY as u64;
pub const DONTEXPAND: u64 = bindings::VM_DONTEXPAND as u64;
pub const ACCOUNT: u64 = bindings::VM_ACCOUNT as u64;
pub const NORESERVE: u64 = bindings::VM_NORESERVE as u64;
pub const HUGETLB: u64 = bindings::VM_HUGETLB as u64;
pub const WIPEONFORK: u64 = bindings::VM_WIPEONFORK as u64;
pub const DONTDUMP: u64 = bindings::VM_DONTDUMP as u64;
pub const SOFTDIRTY: u64 = bindings::VM_SOFTDIRTY as u64;
pub const MIXEDMAP: u64 = bindings::VM_MIXEDMAP as u64;
pub const HUGEPAGE: u64 = bindings::VM_HUGEPAGE as u64;
pub const NOHUGEPAGE: u64 = bindings::VM_NOHUGEPAGE as u64;
pub const MERGEABLE: u64 = bindings::VM_MERGEABLE as u64;
pub const UFFD_MISSING: u64 = bindings::VM_UFFD_MISSING as u64;
pub const UFFD_WP: u64 = bindings::VM_UFFD_WP as u64;
