// SPDX-License-Identifier: GPL-2.0-only

//! Credentials: the CREDS record.
//!
//! They are verified, never raised. Whatever differs from what the restarting task has must be
//! something that it could set itself: ids by the rules of `setresuid(2)` and `setresgid(2)`,
//! groups by `setgroups(2)`, capabilities by `capset(2)`, bounding and ambient set and secure
//! bits by `prctl(2)`.

use super::failure::{Context, Failure};
use super::files::pid_of;
use super::loader::{Loader, Record};
use super::saver::Saver;
use crate::image::header::Kind;
use crate::image::record::task::MAX_GROUPS;
use crate::image::record::Creds;
use kernel::alloc::{flags::GFP_KERNEL, KVVec};
use kernel::cred::attributes::{securebits, Capabilities, UNMAPPED};
use kernel::cred::new::{self, NewCredential};
use kernel::cred::Credential;
use kernel::current;
use kernel::error::code::*;
use kernel::task::Task;

/// Whether `owner`, who has brought an image, may say what becomes of `other`: it has all of its ids and
/// capabilities, or the capability of a debugger where `other` is from. Other than for a debugger it does not
/// matter whether `other` can be dumped.
pub(crate) fn may_replace(owner: &Task, other: &Task) -> bool {
    let (own, its) = (owner.credentials(), other.credentials());
    let is_one_of = |own: [u32; 4]| move |id: &u32| *id != UNMAPPED && own.contains(id);
    let has_all = own.shares_user_ns_with(&its)
        && its.uids().iter().all(is_one_of(own.uids()))
        && its.gids().iter().all(is_one_of(own.gids()))
        && its.capabilities().permitted & !own.capabilities().permitted == 0;
    has_all || owner.may_trace_as_privileged(other)
}

/// Writes the task's credentials, as its user namespace sees them.
pub(crate) fn save(task: &Task, out: &mut Saver) -> Result<(), Failure> {
    let creds = task.credentials();
    let pid = pid_of(task, out);
    let refused = |why| Err(Failure::refused("task", pid, why));
    if creds.group_count() > MAX_GROUPS as usize {
        return refused("more than 8192 supplementary groups");
    }
    let groups = creds.groups().doing("reading supplementary groups")?;
    let (uids, gids) = (creds.uids(), creds.gids());
    let mut ids = uids.iter().chain(&gids).chain(groups.iter());
    if ids.any(|id| *id == UNMAPPED) {
        return refused("user or group without a number in its user namespace");
    }
    let caps = creds.capabilities();
    let saved = Creds {
        uids,
        gids,
        securebits: creds.securebits(),
        caps: [
            caps.inheritable,
            caps.permitted,
            caps.effective,
            caps.bounding,
            caps.ambient,
        ],
        ..Creds::default()
    };
    out.record(Kind::Creds, |payload| {
        saved.encode_with(payload, groups.iter().copied())
    })
}

/// Takes the credentials of a CREDS record, if the current task may have them.
///
/// Comes after all that is opened and raised for the task, which is the invoker's doing, and
/// before its dumpable state and parent death signal, which a change of ids resets.
pub(crate) fn load(record: &Record, input: &Loader) -> Result<(), Failure> {
    let saved: Creds<'_> = record.body(input.limits)?;
    let mut groups = KVVec::new();
    for group in saved.groups.iter() {
        groups
            .push(group, GFP_KERNEL)
            .doing("reading supplementary groups")?;
    }
    let [inheritable, permitted, effective, bounding, ambient] = saved.caps;
    let caps = Capabilities {
        inheritable,
        permitted,
        effective,
        bounding,
        ambient,
    };
    let present = current!().credentials();
    let present_groups = present.groups().doing("reading supplementary groups")?;
    let same_groups = groups[..] == present_groups[..];
    if same_groups
        && saved.uids == present.uids()
        && saved.gids == present.gids()
        && saved.securebits == present.securebits()
        && caps == present.capabilities()
    {
        return Ok(());
    }
    let mut new = NewCredential::prepare().doing("preparing credentials")?;
    if !same_groups {
        take_groups(&mut new, &groups, &present_groups)?;
    }
    take_ids(&mut new, &saved, &present)?;
    take_capabilities(&mut new, &caps, saved.securebits, &present)?;
    new.commit().doing("changing credentials")
}

fn take_groups(new: &mut NewCredential, saved: &[u32], present: &[u32]) -> Result<(), Failure> {
    if !new::may_set_groups() {
        // Same number, other groups: name the first that differs.
        let (what, expected, found) = match saved.iter().zip(present).find(|(a, b)| a != b) {
            Some((a, b)) => ("supplementary group", *b as u64, *a as u64),
            None => (
                "number of supplementary groups",
                present.len() as u64,
                saved.len() as u64,
            ),
        };
        return Err(Failure::mismatch(EPERM, what, expected, found));
    }
    new.set_groups(saved).doing("setting supplementary groups")
}

/// Group ids, then user ids, which take capabilities away.
fn take_ids(
    new: &mut NewCredential,
    saved: &Creds<'_>,
    present: &Credential,
) -> Result<(), Failure> {
    const GROUP: [&str; 4] = ["gid", "effective gid", "saved gid", "file system gid"];
    const USER: [&str; 4] = ["uid", "effective uid", "saved uid", "file system uid"];
    let (gids, uids) = (present.gids(), present.uids());
    if saved.gids != gids {
        may_take_ids(saved.gids, gids, GROUP, new::CAP_SETGID)?;
        new.set_gids(saved.gids).doing("setting group ids")?;
    }
    if saved.uids != uids {
        may_take_ids(saved.uids, uids, USER, new::CAP_SETUID)?;
        new.set_uids(saved.uids).doing("setting user ids")?;
    }
    Ok(())
}

/// Real, effective and saved id may be any of the three that there are, the file system's also
/// what it is; all else takes the capability.
fn may_take_ids(
    saved: [u32; 4],
    present: [u32; 4],
    names: [&'static str; 4],
    capability: u32,
) -> Result<(), Failure> {
    let [real, effective, kept, _] = present;
    for ((id, own), name) in saved.into_iter().zip(present).zip(names) {
        // An unmapped id reads as UNMAPPED, which is nobody's own.
        let had = [real, effective, kept, own].contains(&id) && id != UNMAPPED;
        if !had && !new::ns_capable_setid(capability) {
            return Err(Failure::mismatch(EPERM, name, own.into(), id.into()));
        }
    }
    Ok(())
}

fn take_capabilities(
    new: &mut NewCredential,
    saved: &Capabilities,
    saved_bits: u32,
    present: &Credential,
) -> Result<(), Failure> {
    let bits = present.securebits();
    if !may_take_securebits(bits, saved_bits) {
        let (expected, found) = (bits.into(), saved_bits.into());
        return Err(Failure::mismatch(EPERM, "secure bits", expected, found));
    }
    let have = present.capabilities();
    // A change of user ids takes capabilities away unless KEEP_CAPS is set, which a task may do
    // on its own where the bit is not locked.
    let permitted = if bits & securebits::KEEP_CAPS_LOCKED != 0 {
        new.permitted()
    } else {
        have.permitted
    };
    within("permitted capabilities", saved.permitted, permitted)?;
    within("effective capabilities", saved.effective, saved.permitted)?;
    within("bounding set", saved.bounding, have.bounding)?;
    if saved.bounding != have.bounding && !new::ns_capable(new::CAP_SETPCAP) {
        let (expected, found) = (have.bounding, saved.bounding);
        return Err(Failure::mismatch(EPERM, "bounding set", expected, found));
    }
    let locked = (bits | saved_bits) & securebits::NO_CAP_AMBIENT_RAISE != 0;
    let reach = if locked { have.ambient } else { u64::MAX };
    let reach = reach & saved.permitted & saved.inheritable;
    within("ambient capabilities", saved.ambient, reach)?;
    new.set_capabilities(saved)
        .doing("setting capabilities, as capset does")?;
    new.set_bounding_and_ambient(saved.bounding, saved.ambient)
        .doing("setting bounding and ambient capabilities")?;
    new.set_securebits(saved_bits);
    Ok(())
}

fn within(what: &'static str, found: u64, limit: u64) -> Result<(), Failure> {
    if found & !limit != 0 {
        return Err(Failure::mismatch(EPERM, what, limit, found));
    }
    Ok(())
}

/// The rules of `PR_SET_SECUREBITS`, and of `PR_SET_KEEPCAPS` for that bit alone.
fn may_take_securebits(present: u32, saved: u32) -> bool {
    let changed = present ^ saved;
    let locks = present & securebits::ALL_LOCKS;
    if changed == 0 {
        return true;
    }
    if (locks >> 1) & changed != 0 || locks & !saved != 0 {
        return false;
    }
    if saved & !(securebits::ALL | securebits::ALL_LOCKS) != 0 {
        return false;
    }
    changed == securebits::KEEP_CAPS || new::ns_capable(new::CAP_SETPCAP)
}
