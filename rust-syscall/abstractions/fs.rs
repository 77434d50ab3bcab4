// SPDX-License-Identifier: GPL-2.0

//! Files and file systems.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h).

pub mod fdtable;
pub mod file;
pub mod path;

pub use self::file::File;
