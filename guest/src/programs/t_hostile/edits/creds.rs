// SPDX-License-Identifier: GPL-2.0-only

//! Credentials that the user has not: the CREDS record.

use super::Edits;
use crate::edit::{double, put_words, word};
use checkpoint::image::Kind;
use nix::errno::Errno;

// Offsets in CREDS; the ids are uid, euid, suid, fsuid, gid, egid, sgid, fsgid.
const SECUREBITS: usize = 32;
const NR_GROUPS: usize = 36;
const CAPABILITIES: usize = 40;

/// Adds the cases about ids, groups, secure bits and capabilities.
pub(super) fn edit(edits: &mut Edits<'_>) -> Result<(), String> {
    const NAMES: [(&str, usize); 8] = [
        ("uid 0", 0),
        ("effective uid 0", 4),
        ("saved uid 0", 8),
        ("file system uid 0", 12),
        ("gid 0", 16),
        ("effective gid 0", 20),
        ("saved gid 0", 24),
        ("file system gid 0", 28),
    ];
    for (what, at) in NAMES {
        edits.words(what, Errno::EPERM, Kind::Creds, &[(at, 0)])?;
    }
    let everything: Vec<(usize, u32)> = NAMES.iter().map(|(_, at)| (*at, 0)).collect();
    edits.words("all ids 0", Errno::EPERM, Kind::Creds, &everything)?;
    edits.words("another user", Errno::EPERM, Kind::Creds, &[(0, 77), (4, 77), (8, 77), (12, 77)])?;
    edits.words("secure bits", Errno::EPERM, Kind::Creds, &[(SECUREBITS, 1)])?;
    let groups = edits.image.payload(Kind::Creds, 0)?;
    let count = word(groups, NR_GROUPS)?;
    let grouped = edits.image.edited(Kind::Creds, 0, |payload| {
        payload.extend_from_slice(&0u32.to_le_bytes());
        put_words(payload, &[(NR_GROUPS, count + 1)])
    })?;
    edits.image("supplementary group 0", Errno::EPERM, grouped);
    let [inheritable, permitted, effective, bounding, ambient] = [0, 1, 2, 3, 4].map(|set| CAPABILITIES + 8 * set);
    const CHOWN: u64 = 1;
    for (what, sets) in [
        ("a permitted capability", &[permitted][..]),
        ("an effective capability", &[effective]),
        ("a permitted and effective capability", &[permitted, effective]),
        ("an inheritable capability", &[inheritable]),
        ("an inheritable and ambient capability", &[inheritable, ambient]),
        ("an ambient capability", &[ambient]),
    ] {
        let doubles: Vec<(usize, u64)> = sets.iter().map(|at| (*at, CHOWN)).collect();
        edits.doubles(what, Errno::EPERM, Kind::Creds, &doubles)?;
    }
    let has = double(edits.image.payload(Kind::Creds, 0)?, bounding)?;
    edits.doubles("a smaller bounding set", Errno::EPERM, Kind::Creds, &[(bounding, has & !CHOWN)])?;
    edits.doubles("a larger bounding set", Errno::EPERM, Kind::Creds, &[(bounding, has | 1 << 63)])
}
