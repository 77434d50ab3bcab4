// SPDX-License-Identifier: GPL-2.0

//! Files and file systems, as later kernels have them.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h).

pub mod fdtable;
pub mod file;
pub mod io;
pub mod path;

pub use self::file::File;
