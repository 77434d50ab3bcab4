// SPDX-License-Identifier: GPL-2.0

//! Holds the layouts that bindgen has generated against the compiler's, for the structures whose
//! fields Rust reads: bindgen loses the alignment of an empty structure, and every field behind
//! such a one is then somewhere else.

use core::mem::{offset_of, size_of};

const _: () = assert!(size_of::<bindings::task_struct>() == bindings::SIZE_TASK);
const _: () =
    assert!(offset_of!(bindings::task_struct, children) == bindings::OFFSET_TASK_CHILDREN);
const _: () = assert!(offset_of!(bindings::task_struct, sighand) == bindings::OFFSET_TASK_SIGHAND);
// The last member: bindgen and C agree about all before it.
const _: () = assert!(offset_of!(bindings::task_struct, thread) == bindings::TASK_THREAD_OFFSET);
const _: () = assert!(size_of::<bindings::mm_struct>() == bindings::SIZE_MM);
const _: () = assert!(size_of::<bindings::signal_struct>() == bindings::SIZE_SIGNAL);
const _: () = assert!(size_of::<bindings::vm_area_struct>() == bindings::SIZE_VMA);
const _: () = assert!(size_of::<bindings::file>() == bindings::SIZE_FILE);
