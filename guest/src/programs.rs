// SPDX-License-Identifier: GPL-2.0-only

//! The guest programs: one executable with a name for each of them.
//!
//! [`BINARY`] runs the program that it is called by; in the initramfs each name
//! is a link to it. The list below is the only one: the host packs [`NAMES`].

#[cfg(feature = "programs")]
use std::process::ExitCode;

/// The executable's own name.
pub const BINARY: &str = "guest";

macro_rules! programs {
    ($($name:ident)*) => {
        $(
            #[cfg(feature = "programs")]
            pub mod $name;
        )*

        /// The names of the programs, sorted.
        pub const NAMES: &[&str] = &[$(stringify!($name)),*];

        /// What each name runs.
        #[cfg(feature = "programs")]
        const PROGRAMS: &[(&str, fn() -> ExitCode)] = &[$((stringify!($name), $name::main)),*];
    };
}

programs! {
    bench_restart
    checkpoint
    init
    mktree
    reap
    t_alone
    t_apart
    t_at_once
    t_attributes
    t_babble
    t_by_hand
    t_calls
    t_chroot
    t_creds
    t_daemon
    t_exit
    t_exit_signal
    t_files
    t_flood
    t_futex
    t_grows
    t_hostile
    t_interrupted
    t_log
    t_mass
    t_memory
    t_protocol
    t_read
    t_refuse
    t_replaced
    t_rseq
    t_self
    t_shm
    t_signals
    t_simd
    t_sleep
    t_spin
    t_stay
    t_tree
    t_waits
    t_wide
}

/// Exit status of a name that is no program's.
#[cfg(feature = "programs")]
const UNKNOWN: u8 = 2;

/// The program that goes by the last part of this path.
#[cfg(feature = "programs")]
fn named(path: &str) -> Option<fn() -> ExitCode> {
    let name = path.rsplit('/').next().unwrap_or_default();
    let (_, main) = PROGRAMS.iter().find(|(known, _)| *known == name)?;
    Some(*main)
}

/// Runs the program that this process was called by.
#[cfg(feature = "programs")]
pub fn run() -> ExitCode {
    let path = std::env::args_os().next().unwrap_or_default();
    let path = path.to_string_lossy();
    match named(&path) {
        Some(main) => main(),
        None => {
            eprintln!(
                "{BINARY}: called as \"{path}\"; expected a link named {}",
                NAMES.join(", ")
            );
            ExitCode::from(UNKNOWN)
        }
    }
}

#[cfg(all(test, feature = "programs"))]
mod tests {
    use super::*;

    #[test]
    fn programs_go_by_the_last_part_of_the_path() {
        for path in ["mktree", "/usr/bin/mktree", "./mktree"] {
            assert!(named(path).is_some(), "{path}");
        }
        for path in ["", "guest", "mktree/", "/usr/bin/mktree2"] {
            assert!(named(path).is_none(), "{path}");
        }
    }

    #[test]
    fn names_are_sorted_and_none_is_that_of_the_executable() {
        assert!(NAMES.is_sorted());
        assert!(!NAMES.contains(&BINARY));
    }
}
