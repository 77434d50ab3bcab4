// SPDX-License-Identifier: GPL-2.0-only

//! All vector registers live nearly all of the time; rights by protection key that are not the usual
//! ones; and a flag that programs set to see whether they can.
//!
//! Arguments: STATUS [TURNS]

use crate::stage::expect;
use crate::{pattern, stage, sys};
use std::process::ExitCode;

/// Runs with the arguments of the process.
pub fn main() -> ExitCode {
    stage::run(|stage| {
        let turns = stage.number(0, 2_000_000)? as u32;
        // Nobody has this key: what a thread may do with it is a register all the same.
        let rights = sys::protection_keys(Some(9));
        flip_identification();
        let flipped = identification();
        stage.ready()?;
        stage::unblock_term()?;
        let mut seed = 1;
        while !stage::terminated() {
            pattern::hold_and_verify(seed, turns)?;
            seed += 1;
        }
        pattern::hold_and_verify(seed, turns)?;
        expect("the flag", flipped, identification())?;
        // A machine that had no keys may be followed by one that has.
        match rights {
            None => Ok(()),
            Some(_) => expect("rights by protection key", rights, sys::protection_keys(None)),
        }
    })
}

/// x86's flag ID: a machine on which programs can change it has CPUID.
const ID: u64 = 1 << 21;

#[cfg(target_arch = "x86_64")]
fn flip_identification() {
    // SAFETY: changes nothing else; what is below the stack pointer may be written to.
    unsafe { std::arch::asm!("pushfq", "xor qword ptr [rsp], {id}", "popfq", id = const ID) };
}

/// Whether it is set; always on architectures that have none.
#[cfg(target_arch = "x86_64")]
fn identification() -> bool {
    let flags: u64;
    // SAFETY: as above.
    unsafe { std::arch::asm!("pushfq", "pop {flags}", flags = out(reg) flags) };
    flags & ID != 0
}

#[cfg(not(target_arch = "x86_64"))]
fn flip_identification() {}

#[cfg(not(target_arch = "x86_64"))]
fn identification() -> bool {
    ID != 0
}
