// SPDX-License-Identifier: GPL-2.0-only

//! What joins the pure core to the kernel: one module a resource, with its
//! `save` and `load` side by side, over the abstractions of the `kernel` crate.

pub(crate) mod arch;
pub(crate) mod checkpoint;
pub(crate) mod contexts;
pub(crate) mod creds;
pub(crate) mod debug;
pub(crate) mod failure;
pub(crate) mod files;
pub(crate) mod fs;
pub(crate) mod limits;
pub(crate) mod loader;
pub(crate) mod memory;
pub(crate) mod monitor;
pub(crate) mod pages;
pub(crate) mod regs;
pub(crate) mod restart;
pub(crate) mod saver;
pub(crate) mod signals;
pub(crate) mod task;
pub(crate) mod thread;
pub(crate) mod vdso;
pub(crate) mod wait;
