// SPDX-License-Identifier: GPL-2.0-only

//! Credentials that are made for the current task, and what it may do about its own.
//!
//! C header: [`include/linux/cred.h`](srctree/include/linux/cred.h).

use super::attributes::{Capabilities, UNMAPPED};
use crate::error::{code::*, to_result, Result};
use core::ptr::{self, NonNull};

/// May act on files of any owner group, and take any group id.
pub const CAP_SETGID: u32 = bindings::CAP_SETGID;
/// May take any user id.
pub const CAP_SETUID: u32 = bindings::CAP_SETUID;
/// May change its bounding set and secure bits.
pub const CAP_SETPCAP: u32 = bindings::CAP_SETPCAP;

/// Whether the current task has a capability in its own user namespace.
pub fn ns_capable(capability: u32) -> bool {
    // SAFETY: the namespace is that of the current task's credentials, which it holds.
    unsafe { bindings::ns_capable((*current_cred()).user_ns, capability as i32) }
}

/// Whether the current task may set what others see of a program, by the rule of `prctl(2)` for
/// `PR_SET_MM`: `CAP_CHECKPOINT_RESTORE` or `CAP_SYS_ADMIN` in its own user namespace.
pub fn may_checkpoint_restore() -> bool {
    ns_capable(bindings::CAP_CHECKPOINT_RESTORE) || ns_capable(bindings::CAP_SYS_ADMIN)
}

/// As [`ns_capable`], for a change of user or group ids.
pub fn ns_capable_setid(capability: u32) -> bool {
    // SAFETY: as above.
    unsafe { bindings::ns_capable_setid((*current_cred()).user_ns, capability as i32) }
}

/// Whether the current task may change its supplementary groups.
pub fn may_set_groups() -> bool {
    // SAFETY: looks at the current task only.
    unsafe { bindings::may_setgroups() }
}

fn current_cred() -> *const bindings::cred {
    // SAFETY: the current task may read its own credentials without a lock.
    unsafe { (*bindings::get_current()).cred }
}

/// Credentials being made for the current task.
///
/// The setters check what the kernel needs to stay consistent and ask the security modules;
/// whether the task may have what is set is the caller's to decide.
///
/// # Invariants
///
/// Owns a `struct cred` from `prepare_creds` that nobody else sees yet.
pub struct NewCredential(NonNull<bindings::cred>);

impl Drop for NewCredential {
    fn drop(&mut self) {
        // SAFETY: owned by the type invariant, and not committed.
        unsafe { bindings::abort_creds(self.0.as_ptr()) };
    }
}

impl NewCredential {
    /// Starts with a copy of what the current task has.
    pub fn prepare() -> Result<Self> {
        // SAFETY: acts for the current task; the result is owned or null.
        let cred = unsafe { bindings::prepare_creds() };
        // INVARIANT: new and ours.
        Ok(Self(NonNull::new(cred).ok_or(ENOMEM)?))
    }

    fn get(&mut self) -> &mut bindings::cred {
        // SAFETY: owned by the type invariant.
        unsafe { self.0.as_mut() }
    }

    /// Sets the user ids: real, effective, saved, file system. Capabilities follow as they do
    /// in `setresuid(2)`.
    pub fn set_uids(&mut self, uids: [u32; 4]) -> Result {
        let ns = self.get().user_ns;
        // SAFETY: credentials hold a count of their user namespace.
        let ids = uids.map(|id| unsafe { bindings::make_kuid(ns, id) });
        if ids.iter().any(|id| id.val == UNMAPPED) {
            return Err(EINVAL);
        }
        let cred = self.get();
        let changes_user = cred.uid.val != ids[0].val;
        [cred.uid, cred.euid, cred.suid, cred.fsuid] = ids;
        if changes_user {
            // SAFETY: the id is valid; the result owns a count or is null.
            let user = NonNull::new(unsafe { bindings::alloc_uid(ids[0]) }).ok_or(EAGAIN)?;
            // SAFETY: the credentials owned a count of the old user, and take over the new one.
            unsafe { bindings::free_uid(core::mem::replace(&mut cred.user, user.as_ptr())) };
        }
        let how = bindings::LSM_SETID_RES as i32;
        // SAFETY: both credentials are valid, the new ones owned.
        to_result(unsafe { bindings::security_task_fix_setuid(cred, current_cred(), how) })
    }

    /// Sets the group ids: real, effective, saved, file system.
    pub fn set_gids(&mut self, gids: [u32; 4]) -> Result {
        let ns = self.get().user_ns;
        // SAFETY: credentials hold a count of their user namespace.
        let ids = gids.map(|id| unsafe { bindings::make_kgid(ns, id) });
        if ids.iter().any(|id| id.val == UNMAPPED) {
            return Err(EINVAL);
        }
        let cred = self.get();
        [cred.gid, cred.egid, cred.sgid, cred.fsgid] = ids;
        let how = bindings::LSM_SETID_RES as i32;
        // SAFETY: both credentials are valid, the new ones owned.
        to_result(unsafe { bindings::security_task_fix_setgid(cred, current_cred(), how) })
    }

    /// Sets the supplementary groups.
    pub fn set_groups(&mut self, groups: &[u32]) -> Result {
        let count = i32::try_from(groups.len()).map_err(|_| EINVAL)?;
        // SAFETY: any count may be asked for; the result owns a count or is null.
        let info = NonNull::new(unsafe { bindings::groups_alloc(count) }).ok_or(ENOMEM)?;
        let info = info.as_ptr();
        let filled = fill_groups(info, groups, self.get().user_ns);
        if filled.is_ok() {
            // SAFETY: all entries are set; the credentials take a count of their own.
            unsafe {
                bindings::groups_sort(info);
                bindings::set_groups(self.get(), info);
            }
        }
        // SAFETY: gives up the count of `groups_alloc`.
        unsafe { bindings::put_group_info(info) };
        filled?;
        // SAFETY: both credentials are valid, the new ones owned.
        to_result(unsafe { bindings::security_task_fix_setgroups(self.get(), current_cred()) })
    }

    /// The permitted set as it is now.
    pub fn permitted(&mut self) -> u64 {
        self.get().cap_permitted.val
    }

    /// Sets effective, inheritable and permitted with the checks of `capset(2)` against what the
    /// current task has; the ambient set loses what they no longer have.
    pub fn set_capabilities(&mut self, caps: &Capabilities) -> Result {
        let set = |val| bindings::kernel_cap_t { val };
        let (e, i, p) = (
            set(caps.effective),
            set(caps.inheritable),
            set(caps.permitted),
        );
        // SAFETY: both credentials are valid, the new ones owned; the sets live for the call.
        to_result(unsafe { bindings::security_capset(self.get(), current_cred(), &e, &i, &p) })
    }

    /// Sets the bounding and the ambient set; `EINVAL` if the ambient set is not within both the
    /// permitted and the inheritable one.
    pub fn set_bounding_and_ambient(&mut self, bounding: u64, ambient: u64) -> Result {
        let cred = self.get();
        if ambient & !(cred.cap_permitted.val & cred.cap_inheritable.val) != 0 {
            return Err(EINVAL);
        }
        cred.cap_bset.val = bounding;
        cred.cap_ambient.val = ambient;
        Ok(())
    }

    /// Sets the secure bits.
    pub fn set_securebits(&mut self, bits: u32) {
        self.get().securebits = bits;
    }

    /// Makes them the current task's. A process limit that the new user exceeds is acted upon
    /// by the next `execve`, as after `setuid(2)`.
    pub fn commit(mut self) -> Result {
        let cred: *mut bindings::cred = self.get();
        // SAFETY: owned by the type invariant.
        to_result(unsafe { bindings::set_cred_ucounts(cred) })?;
        // SAFETY: valid; looks at and flags the current task only.
        unsafe { flag_process_limit(cred) };
        core::mem::forget(self);
        // SAFETY: the count that `self` owned goes to the kernel; current credentials are not
        // overridden inside a system call.
        to_result(unsafe { bindings::commit_creds(cred) })
    }
}

/// Sets the ids of a new group list.
fn fill_groups(
    info: *mut bindings::group_info,
    groups: &[u32],
    ns: *mut bindings::user_namespace,
) -> Result {
    // SAFETY: the list is valid and not shared yet.
    let first = unsafe { ptr::addr_of_mut!((*info).gid).cast::<bindings::kgid_t>() };
    for (at, group) in groups.iter().enumerate() {
        // SAFETY: the namespace is held by the credentials being made.
        let id = unsafe { bindings::make_kgid(ns, *group) };
        if id.val == UNMAPPED {
            return Err(EINVAL);
        }
        // SAFETY: the list was allocated for as many entries as `groups` has.
        unsafe { first.add(at).write(id) };
    }
    Ok(())
}

/// Flags the current task if the user of its new credentials has too many processes, as
/// `flag_nproc_exceeded` does.
///
/// # Safety
///
/// `new` must be valid.
unsafe fn flag_process_limit(new: *const bindings::cred) {
    // SAFETY: the current task's credentials, limits and flags are its own to read and write.
    unsafe {
        if (*new).ucounts == (*current_cred()).ucounts {
            return;
        }
        let task = bindings::get_current();
        let limits = ptr::addr_of!((*(*task).signal).rlim).cast::<bindings::rlimit>();
        let most = ptr::addr_of!((*limits.add(bindings::RLIMIT_NPROC as usize)).rlim_cur);
        let over = bindings::is_rlimit_overlimit(
            (*new).ucounts,
            bindings::rlimit_type_UCOUNT_RLIMIT_NPROC,
            most.read_volatile(),
        );
        if over && !ptr::eq((*new).user, ptr::addr_of!(bindings::root_user)) {
            (*task).flags |= bindings::PF_NPROC_EXCEEDED;
        } else {
            (*task).flags &= !bindings::PF_NPROC_EXCEEDED;
        }
    }
}
