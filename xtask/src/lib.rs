// SPDX-License-Identifier: GPL-2.0-only

//! The restart lab's host side: builds kernels and guests, boots them in QEMU,
//! runs scenarios. One way, plain data: see `docs/architecture.md`.

pub mod apt;
pub mod arch;
pub mod bench;
pub mod clean;
pub mod config;
pub mod doctor;
pub mod error;
pub mod event;
pub mod exec;
pub mod flags;
pub mod host;
pub mod initramfs;
pub mod kernel;
pub mod layout;
pub mod patchset;
pub mod pipeline;
pub mod plan;
pub mod qemu;
pub mod report;
pub mod repro;
pub mod run;
pub mod scenario;
pub mod selftest;
pub mod session;
pub mod setup;
pub mod shell;
pub mod stage;
pub mod stamp;
pub mod suite;
