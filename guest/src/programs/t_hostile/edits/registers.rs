// SPDX-License-Identifier: GPL-2.0-only

//! Privileged registers: REGSET.

#[cfg(target_arch = "x86_64")]
use super::KERNEL_ADDRESS;
use super::{Edits, Outcome};
use crate::edit::{double, put_doubles, put_words, word, Image};
use checkpoint::image::Kind;
use nix::errno::Errno;
#[cfg(target_arch = "x86_64")]
use nix::sys::signal::Signal;

/// Registers that are no program's own, by note type, with the bytes that a kernel that has them would
/// take. Of x86's debug registers there is no note: no image can have any. The mask of pointer authentication
/// is the kernel's: it can be read, and not set.
#[cfg(target_arch = "x86_64")]
const NEVER_TAKEN: &[(&str, u32, usize)] = &[
    ("registers of no type", 0xdead, 8),
    ("segments of the thread's table", 0x200, 48),
    ("the right to use ports", 0x201, 8192),
    ("a shadow stack", 0x204, 8),
];
#[cfg(target_arch = "aarch64")]
const NEVER_TAKEN: &[(&str, u32, usize)] = &[
    ("registers of no type", 0xdead, 8),
    ("hardware breakpoints", 0x402, 24),
    ("hardware watchpoints", 0x403, 24),
    ("the number of a system call", 0x404, 4),
    ("the mask of pointer authentication", 0x406, 16),
];

/// Words of which every bit has a meaning, by note type, with one that has none. A kernel without tagged addresses
/// does not have the first at all.
#[cfg(target_arch = "aarch64")]
const NO_SUCH_BIT: &[(&str, u32, u64)] = &[
    ("tagged addresses of a kind that there is not", 0x409, 1 << 40),
    ("a key of pointer authentication that there is not", 0x40a, 1 << 4),
];

/// The registers of a note type.
fn registers(image: &Image, note: u32) -> Result<usize, String> {
    image.find(Kind::Regset, |payload| word(payload, 0) == Ok(note))
}

/// The image with registers of one more note type, behind all others.
fn with_registers(image: &Image, note: u32, registers: &[u8]) -> Result<Image, String> {
    let mut payload = vec![0; 8];
    put_words(&mut payload, &[(0, note)])?;
    payload.extend_from_slice(registers);
    image.inserted((Kind::Thread, 0), Kind::Regset, payload)
}

/// Adds the cases about registers.
pub(super) fn edit(edits: &mut Edits<'_>) -> Result<(), String> {
    const PRSTATUS: u32 = 1;
    let image = edits.image;
    let general = registers(image, PRSTATUS)?;
    let with = |index: usize, value: u64| image.edited(Kind::Regset, general, |payload| put_doubles(payload, &[(8 + 8 * index, value)]));
    let mut privileged: Vec<(&'static str, Errno, Image)> = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        const XSTATE: u32 = 0x202;
        let flags = double(image.payload(Kind::Regset, general)?, 8 + 8 * 18)?;
        let vectors = registers(image, XSTATE)?;
        let vector = |at: usize, value: u64| image.edited(Kind::Regset, vectors, |payload| put_doubles(payload, &[(8 + at, value)]));
        privileged.extend([
            ("the kernel's code segment", Errno::EINVAL, with(17, 0x10)?),
            ("the code segment of 32-bit programs", Errno::EINVAL, with(17, 0x23)?),
            ("a data segment", Errno::EINVAL, with(23, 0x2b)?),
            ("an extra segment", Errno::EINVAL, with(24, 0x2b)?),
            ("a segment of the local table", Errno::EINVAL, with(25, 7)?),
            ("a segment of the thread's table", Errno::EINVAL, with(26, 0x63)?),
            ("the kernel's stack segment", Errno::EINVAL, with(20, 0x18)?),
            ("the right to do I/O (IOPL 3)", Errno::EPERM, with(18, flags | 0x3000)?),
            ("virtual 8086 mode", Errno::EPERM, with(18, flags | 1 << 17)?),
            ("interrupts of virtual 8086 mode (VIF)", Errno::EPERM, with(18, flags | 1 << 19)?),
            ("a pending interrupt of virtual 8086 mode (VIP)", Errno::EPERM, with(18, flags | 1 << 20)?),
            ("a flag that there is not", Errno::EPERM, with(18, flags | 1 << 15)?),
            ("an instruction pointer in the kernel", Errno::EINVAL, with(16, KERNEL_ADDRESS)?),
            ("a stack in the kernel", Errno::EINVAL, with(19, KERNEL_ADDRESS)?),
            ("TLS in the kernel", Errno::EPERM, with(21, KERNEL_ADDRESS)?),
            ("a GS base in the kernel", Errno::EPERM, with(22, KERNEL_ADDRESS)?),
            ("vector state of the supervisor", Errno::EINVAL, vector(512, 1 << 8 | 3)?),
            ("compacted vector state", Errno::EINVAL, vector(520, 1 << 63)?),
            ("reserved bits of MXCSR", Errno::EINVAL, vector(24, u64::MAX)?),
        ]);
        // What any program may set, and what is set whatever the image says.
        for (what, flags) in [
            ("interrupts off (IF), which no program has", flags & !(1 << 9)),
            ("a nested task (NT)", flags | 1 << 14),
            ("the next breakpoint passed over (RF)", flags | 1 << 16),
            ("alignment checks (AC)", flags | 1 << 18),
        ] {
            edits.image(what, Outcome::Works, with(18, flags)?);
        }
        // Nobody debugs it.
        edits.image("a trap at each instruction (TF)", Outcome::Dies(Signal::SIGTRAP), with(18, flags | 1 << 8)?);
    }
    #[cfg(target_arch = "aarch64")]
    {
        let state = double(image.payload(Kind::Regset, general)?, 8 + 8 * 33)?;
        privileged.extend([
            ("exception level 1", Errno::EINVAL, with(33, state | 5)?),
            ("interrupts masked", Errno::EINVAL, with(33, state | 0x3c0)?),
            ("32-bit state", Errno::EINVAL, with(33, state | 0x10)?),
        ]);
        // What the kernel clears, whatever the image says.
        for (what, state) in [
            ("a single step (SS), which only a debugger has", state | 1 << 21),
            ("bits of the state that there are not", state | 1 << 40 | 1 << 13),
        ] {
            edits.image(what, Outcome::Works, with(33, state)?);
        }
        for (what, note, word) in NO_SUCH_BIT {
            privileged.push((what, Errno::EINVAL, with_registers(image, *note, &word.to_le_bytes())?));
        }
    }
    for (what, note, len) in NEVER_TAKEN {
        privileged.push((what, Errno::EINVAL, with_registers(image, *note, &vec![0; *len])?));
    }
    for (what, errno, edited) in privileged {
        edits.image(what, errno, edited);
    }
    lengths(edits, PRSTATUS)
}

/// Every kind of registers longer than it is, not whole, and of one byte: what `ptrace` sees to in its place.
fn lengths(edits: &mut Edits<'_>, general: u32) -> Result<(), String> {
    // SVE has most, by far.
    const MORE: usize = 0xc000;
    // Behind the note type and what is reserved.
    const BYTES: usize = 8;
    let image = edits.image;
    let mut number = 0;
    while let Ok(payload) = image.payload(Kind::Regset, number) {
        let (note, len) = (word(payload, 0)?, payload.len());
        for (how, len) in [("longer", len + MORE), ("not whole", len - 1), ("of one byte", BYTES + 1)] {
            let edited = image.edited(Kind::Regset, number, |payload| {
                payload.resize(len, 0);
                Ok(())
            })?;
            let says = match note == general {
                true => "setting the general registers",
                false => "setting the registers of note type",
            };
            edits.told(format!("registers of note type {note:#x}, {how}"), Errno::EINVAL, says, edited);
        }
        number += 1;
    }
    Ok(())
}
