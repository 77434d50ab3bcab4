// SPDX-License-Identifier: GPL-2.0-only

//! The kernel series: read, applied, checked.

pub mod check;
pub mod series;
