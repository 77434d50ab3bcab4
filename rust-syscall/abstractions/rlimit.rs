// SPDX-License-Identifier: GPL-2.0-only

//! Resource limits of tasks.
//!
//! C header: [`include/linux/resource.h`](srctree/include/linux/resource.h).

use crate::error::{to_result, Result};
use crate::task::Task;
use core::ptr;

/// Number of resources that have a limit.
pub const COUNT: usize = bindings::RLIM_NLIMITS as usize;
/// One more than the highest descriptor.
pub const NOFILE: u32 = bindings::RLIMIT_NOFILE;
/// Number of the limit on data and heap, in bytes.
pub const DATA: u32 = bindings::RLIMIT_DATA;

/// A soft and a hard limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limit {
    /// The one that is enforced.
    pub cur: u64,
    /// The one up to which the task itself may raise `cur`.
    pub max: u64,
}

impl Task {
    /// Reads a limit; `EINVAL` if there is no such resource.
    pub fn limit(&self, resource: u32) -> Result<Limit> {
        let mut old = bindings::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        // SAFETY: the task is held, so its `signal` stays; a null new limit changes nothing.
        to_result(unsafe {
            bindings::do_prlimit(self.0.get(), resource, ptr::null_mut(), &mut old)
        })?;
        Ok(Limit {
            cur: old.rlim_cur as u64,
            max: old.rlim_max as u64,
        })
    }
}

/// Sets a limit of the current task, with the checks of `setrlimit(2)`.
pub fn set(resource: u32, limit: Limit) -> Result {
    let mut new = bindings::rlimit {
        rlim_cur: limit.cur as usize,
        rlim_max: limit.max as usize,
    };
    // SAFETY: acts on the current task; `new` lives for the call.
    to_result(unsafe {
        bindings::do_prlimit(bindings::get_current(), resource, &mut new, ptr::null_mut())
    })
}
