// SPDX-License-Identifier: GPL-2.0

//! Reference counting, where later kernels have it.

pub use crate::types::{ARef, AlwaysRefCounted};
