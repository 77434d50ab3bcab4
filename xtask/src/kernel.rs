// SPDX-License-Identifier: GPL-2.0-only

//! A kernel from nothing: source fetched, tree patched, configured, built.

pub mod build;
pub mod config;
pub mod kconfig;
pub mod lines;
pub mod objects;
pub mod rust;
pub mod source;
pub mod toolchain;
pub mod tree;
