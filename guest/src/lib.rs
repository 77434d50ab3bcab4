// SPDX-License-Identifier: GPL-2.0-only

//! What runs in the guest, and the words that it shares with the host.
//!
//! The host links `protocol`, `bench` and the names in `programs`; everything else needs
//! Linux and is behind the feature `programs`. The programs in `programs/` parse
//! their arguments and call into the rest.

pub mod bench;
pub mod programs;
pub mod protocol;

#[cfg(feature = "programs")]
pub mod cli;
#[cfg(feature = "programs")]
pub mod container;
#[cfg(feature = "programs")]
pub mod counts;
#[cfg(feature = "programs")]
pub mod edit;
#[cfg(feature = "programs")]
pub mod freezer;
#[cfg(feature = "programs")]
pub mod init;
#[cfg(feature = "programs")]
pub mod knobs;
#[cfg(feature = "programs")]
pub mod ktap;
#[cfg(feature = "programs")]
pub mod lived;
#[cfg(feature = "programs")]
pub mod mktree;
#[cfg(feature = "programs")]
pub mod pattern;
#[cfg(feature = "programs")]
pub mod procfs;
#[cfg(feature = "programs")]
pub mod puppet;
#[cfg(feature = "programs")]
pub mod restarts;
#[cfg(feature = "programs")]
pub mod shared;
#[cfg(feature = "programs")]
pub mod signals;
#[cfg(feature = "programs")]
pub mod stage;
#[cfg(feature = "programs")]
pub mod sys;
#[cfg(feature = "programs")]
pub mod tree;
#[cfg(feature = "programs")]
pub mod user;
#[cfg(feature = "programs")]
pub mod wait;
