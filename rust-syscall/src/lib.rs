// SPDX-License-Identifier: GPL-2.0-only

//! Cargo's root of the checkpoint and restart core: the image codec and the
//! restart state machine.
//!
//! The kernel has a root of its own, `cr_main.rs`, over the same modules. No
//! I/O, no allocation and no unsafe code here; nothing panics on image bytes.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod image;
pub mod restart;
