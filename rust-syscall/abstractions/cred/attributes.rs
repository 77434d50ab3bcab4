// SPDX-License-Identifier: GPL-2.0-only

//! What a task's credentials are: ids, groups, capabilities, secure bits.
//!
//! User and group ids are numbers as seen in the user namespace of the credentials; one without
//! a number there reads as [`UNMAPPED`].
//!
//! C header: [`include/linux/cred.h`](srctree/include/linux/cred.h).

use super::Credential;
use crate::alloc::{flags::GFP_KERNEL, KVVec};
use crate::error::Result;
use crate::sync::aref::ARef;
use crate::task::Task;
use core::ptr::{self, NonNull};

/// What an id without a number in the user namespace reads as.
pub const UNMAPPED: u32 = u32::MAX;

/// Bits of [`Credential::securebits`].
pub mod securebits {
    /// Capabilities outlive a change of user ids.
    pub const KEEP_CAPS: u32 = 1 << bindings::SECURE_KEEP_CAPS;
    /// [`KEEP_CAPS`] may not change.
    pub const KEEP_CAPS_LOCKED: u32 = 1 << bindings::SECURE_KEEP_CAPS_LOCKED;
    /// Ambient capabilities may not be raised.
    pub const NO_CAP_AMBIENT_RAISE: u32 = 1 << bindings::SECURE_NO_CAP_AMBIENT_RAISE;
    /// All bits that can be locked.
    pub const ALL: u32 = 1 << bindings::SECURE_NOROOT
        | 1 << bindings::SECURE_NO_SETUID_FIXUP
        | KEEP_CAPS
        | NO_CAP_AMBIENT_RAISE;
    /// The lock of each, one bit higher.
    pub const ALL_LOCKS: u32 = ALL << 1;
}

/// The capability sets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Capabilities {
    pub inheritable: u64,
    pub permitted: u64,
    pub effective: u64,
    pub bounding: u64,
    pub ambient: u64,
}

impl Task {
    /// The task's credentials, as others that act on it see them.
    pub fn credentials(&self) -> ARef<Credential> {
        // SAFETY: a valid task has credentials, and the function gives a count of them.
        unsafe {
            let cred = bindings::get_task_cred(self.0.get());
            ARef::from_raw(NonNull::new_unchecked(cred.cast_mut().cast()))
        }
    }
}

impl Task {
    /// Whether the task may trace `other` because it is privileged where that one is from: `CAP_SYS_PTRACE` in
    /// its user namespace, and in the first one if `other` keeps its memory to itself, as one does that has
    /// entered its user namespace. Security modules are asked about the capability alone.
    pub fn may_trace_as_privileged(&self, other: &Task) -> bool {
        /// Its owner may look into its memory (SUID_DUMP_USER).
        const BY_OWNER: u32 = 1;
        // SAFETY: the task is valid; the namespaces are.
        let may = |ns| unsafe {
            bindings::has_ns_capability(self.as_raw(), ns, bindings::CAP_SYS_PTRACE as i32)
        };
        let credentials = other.credentials();
        let is_open = || other.address_space().is_some_and(|mm| other.dumpable(&mm) == BY_OWNER);
        // SAFETY: credentials hold a count of their user namespace.
        may(unsafe { (*credentials.as_ptr()).user_ns })
            && (is_open() || may(ptr::addr_of_mut!(bindings::init_user_ns)))
    }
}

impl Credential {
    /// Real, effective, saved and file system user id.
    pub fn uids(&self) -> [u32; 4] {
        let cred = self.as_ptr();
        // SAFETY: valid by the type invariant, and unchanging.
        let ids = unsafe { [(*cred).uid, (*cred).euid, (*cred).suid, (*cred).fsuid] };
        // SAFETY: credentials hold a count of their user namespace.
        ids.map(|id| unsafe { bindings::from_kuid((*cred).user_ns, id) })
    }

    /// Real, effective, saved and file system group id.
    pub fn gids(&self) -> [u32; 4] {
        let cred = self.as_ptr();
        // SAFETY: valid by the type invariant, and unchanging.
        let ids = unsafe { [(*cred).gid, (*cred).egid, (*cred).sgid, (*cred).fsgid] };
        // SAFETY: credentials hold a count of their user namespace.
        ids.map(|id| unsafe { bindings::from_kgid((*cred).user_ns, id) })
    }

    /// Number of supplementary groups.
    pub fn group_count(&self) -> usize {
        // SAFETY: credentials hold a count of their groups, which do not change.
        let count = unsafe { (*(*self.as_ptr()).group_info).ngroups };
        usize::try_from(count).unwrap_or(0)
    }

    /// The supplementary groups, in the kernel's order.
    pub fn groups(&self) -> Result<KVVec<u32>> {
        let count = self.group_count();
        let mut groups = KVVec::with_capacity(count, GFP_KERNEL)?;
        for at in 0..count {
            // SAFETY: the array has `ngroups` entries; credentials hold counts of their groups
            // and of their user namespace.
            let id = unsafe {
                let info = (*self.as_ptr()).group_info;
                let first = ptr::addr_of!((*info).gid).cast::<bindings::kgid_t>();
                bindings::from_kgid((*self.as_ptr()).user_ns, *first.add(at))
            };
            groups.push(id, GFP_KERNEL)?;
        }
        Ok(groups)
    }

    /// The secure bits.
    pub fn securebits(&self) -> u32 {
        // SAFETY: valid by the type invariant, and unchanging.
        unsafe { (*self.as_ptr()).securebits }
    }

    /// The capability sets.
    pub fn capabilities(&self) -> Capabilities {
        let cred = self.as_ptr();
        // SAFETY: valid by the type invariant, and unchanging.
        unsafe {
            Capabilities {
                inheritable: (*cred).cap_inheritable.val,
                permitted: (*cred).cap_permitted.val,
                effective: (*cred).cap_effective.val,
                bounding: (*cred).cap_bset.val,
                ambient: (*cred).cap_ambient.val,
            }
        }
    }

    /// Whether ids and capabilities of both count in the same user namespace.
    pub fn shares_user_ns_with(&self, other: &Credential) -> bool {
        // SAFETY: both are valid by the type invariant, and unchanging.
        unsafe { ptr::eq((*self.as_ptr()).user_ns, (*other.as_ptr()).user_ns) }
    }
}
