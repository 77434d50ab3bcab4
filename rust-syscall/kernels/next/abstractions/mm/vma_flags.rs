// SPDX-License-Identifier: GPL-2.0

//! Flags of a mapping, `VM_*`.

#![allow(missing_docs)]

pub const READ: u64 = 1 << bindings::VMA_READ_BIT;
pub const WRITE: u64 = 1 << bindings::VMA_WRITE_BIT;
pub const EXEC: u64 = 1 << bindings::VMA_EXEC_BIT;
pub const SHARED: u64 = 1 << bindings::VMA_SHARED_BIT;
pub const MAYREAD: u64 = 1 << bindings::VMA_MAYREAD_BIT;
pub const MAYWRITE: u64 = 1 << bindings::VMA_MAYWRITE_BIT;
pub const MAYEXEC: u64 = 1 << bindings::VMA_MAYEXEC_BIT;
pub const MAYSHARE: u64 = 1 << bindings::VMA_MAYSHARE_BIT;
pub const GROWSDOWN: u64 = 1 << bindings::VMA_GROWSDOWN_BIT;
pub const PFNMAP: u64 = 1 << bindings::VMA_PFNMAP_BIT;
pub const LOCKED: u64 = 1 << bindings::VMA_LOCKED_BIT;
pub const LOCKONFAULT: u64 = 1 << bindings::VMA_LOCKONFAULT_BIT;
pub const IO: u64 = 1 << bindings::VMA_IO_BIT;
pub const SEQ_READ: u64 = 1 << bindings::VMA_SEQ_READ_BIT;
pub const RAND_READ: u64 = 1 << bindings::VMA_RAND_READ_BIT;
pub const DONTCOPY: u64 = 1 << bindings::VMA_DONTCOPY_BIT;
pub const DONTEXPAND: u64 = 1 << bindings::VMA_DONTEXPAND_BIT;
pub const ACCOUNT: u64 = 1 << bindings::VMA_ACCOUNT_BIT;
pub const NORESERVE: u64 = 1 << bindings::VMA_NORESERVE_BIT;
pub const HUGETLB: u64 = 1 << bindings::VMA_HUGETLB_BIT;
pub const WIPEONFORK: u64 = 1 << bindings::VMA_WIPEONFORK_BIT;
pub const DONTDUMP: u64 = 1 << bindings::VMA_DONTDUMP_BIT;
pub const SOFTDIRTY: u64 = 1 << bindings::VMA_SOFTDIRTY_BIT;
pub const MIXEDMAP: u64 = 1 << bindings::VMA_MIXEDMAP_BIT;
pub const HUGEPAGE: u64 = 1 << bindings::VMA_HUGEPAGE_BIT;
pub const NOHUGEPAGE: u64 = 1 << bindings::VMA_NOHUGEPAGE_BIT;
pub const MERGEABLE: u64 = 1 << bindings::VMA_MERGEABLE_BIT;
pub const UFFD_MISSING: u64 = 1 << bindings::VMA_UFFD_MISSING_BIT;
pub const UFFD_WP: u64 = 1 << bindings::VMA_UFFD_WP_BIT;
