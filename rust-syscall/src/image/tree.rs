// SPDX-License-Identifier: GPL-2.0-only

//! Rules about the list of tasks as a whole, which one record cannot show.
//!
//! The caller collects the entries of all TREE records and lends an index of
//! the same length, which is sorted by pid here.

use crate::image::error::Fault;
use crate::image::record::TreeEntry;

/// Which entry breaks a rule, and how.
pub type TreeFault = (usize, Fault);

/// Checks that pids differ and that every parent but the root's is an earlier
/// entry; leaves in `index` the entries' numbers, by ascending pid.
pub fn check(entries: &[TreeEntry], index: &mut [u32]) -> Result<(), TreeFault> {
    if index.len() != entries.len() {
        let expected = entries.len() as u64;
        let found = index.len() as u64;
        let field = "index of the tree";
        return Err((
            0,
            Fault::Value {
                field,
                expected,
                found,
            },
        ));
    }
    for (slot, number) in index.iter_mut().zip(0u32..) {
        *slot = number;
    }
    index.sort_unstable_by_key(|number| (pid_of(entries, *number), *number));
    check_distinct(entries, index)?;
    for (number, entry) in entries.iter().enumerate().skip(1) {
        let parent = find(entries, index, entry.ppid);
        if parent.unwrap_or(number) >= number {
            return Err((
                number,
                Fault::Orphan {
                    pid: entry.pid as u64,
                    found: entry.ppid as u64,
                },
            ));
        }
    }
    Ok(())
}

/// Number of the entry with `pid`; `index` is as [`check`] left it.
pub fn find(entries: &[TreeEntry], index: &[u32], pid: i32) -> Option<usize> {
    let at = index
        .binary_search_by_key(&Some(pid), |number| pid_of(entries, *number))
        .ok()?;
    index.get(at).map(|number| *number as usize)
}

fn pid_of(entries: &[TreeEntry], number: u32) -> Option<i32> {
    entries.get(number as usize).map(|entry| entry.pid)
}

fn check_distinct(entries: &[TreeEntry], index: &[u32]) -> Result<(), TreeFault> {
    for pair in index.windows(2) {
        if let [first, second] = pair {
            let pid = pid_of(entries, *first);
            if pid == pid_of(entries, *second) {
                return Err((
                    *second as usize,
                    Fault::Repeated {
                        field: "pid",
                        found: pid.unwrap_or(0) as u64,
                    },
                ));
            }
        }
    }
    Ok(())
}
