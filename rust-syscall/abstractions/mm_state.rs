// SPDX-License-Identifier: GPL-2.0

//! What a process has asked for about its address space as a whole: questions that are answered
//! with yes or no.
//!
//! C headers: [`include/linux/mm_types.h`](srctree/include/linux/mm_types.h) and
//! [`include/linux/sched/coredump.h`](srctree/include/linux/sched/coredump.h).

use crate::mm::MmWithUser;
use crate::variant;
use core::ptr;

/// Reads a field of the address space.
macro_rules! field {
    ($mm:expr, $($field:tt)+) => {
        // SAFETY: the mm is valid, and the field is a word that may be read at any time.
        unsafe { ptr::addr_of!((*$mm.as_raw()).__bindgen_anon_1.$($field)+).read() }
    };
}

impl MmWithUser {
    /// `MMF_*` bits.
    pub fn flags(&self) -> u64 {
        // SAFETY: the mm is valid; its flags are a word that may be read at any time.
        unsafe { variant::mm_flags(self.as_raw()).read_volatile() as u64 }
    }

    fn has_flag(&self, bit: u32) -> bool {
        self.flags() & (1 << bit) != 0
    }

    /// Whether new mappings get properties that the process asked for once (`mlockall`).
    pub fn has_default_vma_flags(&self) -> bool {
        variant::default_vma_flags(self) != 0
    }

    /// Whether transparent huge pages are off (PR_SET_THP_DISABLE).
    pub fn has_thp_disabled(&self) -> bool {
        self.flags() & variant::THP_DISABLED != 0
    }

    /// Whether writable memory never becomes executable (PR_SET_MDWE).
    pub fn denies_write_exec(&self) -> bool {
        self.has_flag(bindings::MMF_HAS_MDWE)
    }

    /// Whether all memory may be merged with equal pages (PR_SET_MEMORY_MERGE).
    pub fn merges_all(&self) -> bool {
        self.has_flag(bindings::MMF_VM_MERGE_ANY)
    }

    /// Whether the process has registered for `membarrier`.
    pub fn has_membarrier(&self) -> bool {
        #[cfg(CONFIG_MEMBARRIER)]
        return field!(self, membarrier_state.counter) != 0;
        #[cfg(not(CONFIG_MEMBARRIER))]
        false
    }

    /// Whether the process has asynchronous I/O contexts (`io_setup`).
    pub fn has_aio(&self) -> bool {
        #[cfg(CONFIG_AIO)]
        return !field!(self, ioctx_table).is_null();
        #[cfg(not(CONFIG_AIO))]
        false
    }

    /// Whether the process has set segment descriptors of its own (`modify_ldt`).
    pub fn has_ldt(&self) -> bool {
        #[cfg(CONFIG_MODIFY_LDT_SYSCALL)]
        return !field!(self, context.ldt).is_null();
        #[cfg(not(CONFIG_MODIFY_LDT_SYSCALL))]
        false
    }

    /// Whether the process has protection keys but the one that all memory starts with.
    pub fn has_protection_keys(&self) -> bool {
        #[cfg(CONFIG_ARCH_HAS_PKEYS)]
        return field!(self, context.pkey_allocation_map) & !1 != 0;
        #[cfg(not(CONFIG_ARCH_HAS_PKEYS))]
        false
    }

    /// Whether the CPU ignores the upper bits of addresses at the process's wish.
    pub fn has_address_masking(&self) -> bool {
        #[cfg(CONFIG_ADDRESS_MASKING)]
        return field!(self, context.lam_cr3_mask) != 0;
        #[cfg(not(CONFIG_ADDRESS_MASKING))]
        false
    }
}
