// SPDX-License-Identifier: GPL-2.0-only

//! What the guest's root file system is made of, and its packing as newc cpio.

pub mod debian;
pub mod guest_programs;
pub mod libraries;
pub mod manifest;
pub mod pack;
