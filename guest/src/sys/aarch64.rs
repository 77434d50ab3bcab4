// SPDX-License-Identifier: GPL-2.0-only

//! arm64: vector and general registers that stay live over many instructions.

use super::Sequence;
use std::arch::asm;

/// `e_machine` of this arch's programs.
pub const ELF_MACHINE: u32 = 183;

/// 128-bit registers held by [`hold_vectors`]: v0..v31.
pub const VECTORS: usize = 32;

/// Loads `values` into every vector register, spins `turns` times with all of
/// them live, adding lane by lane the last register of a half to its first in
/// each turn, and stores them back.
pub fn hold_vectors(values: &mut [[u32; 4]; VECTORS], turns: u32) {
    // SAFETY: the pointers stay within `values`; every register written is declared.
    unsafe {
        asm!(
            "ld1 {{v0.16b-v3.16b}}, [{p}], #64", "ld1 {{v4.16b-v7.16b}}, [{p}], #64",
            "ld1 {{v8.16b-v11.16b}}, [{p}], #64", "ld1 {{v12.16b-v15.16b}}, [{p}], #64",
            "ld1 {{v16.16b-v19.16b}}, [{p}], #64", "ld1 {{v20.16b-v23.16b}}, [{p}], #64",
            "ld1 {{v24.16b-v27.16b}}, [{p}], #64", "ld1 {{v28.16b-v31.16b}}, [{p}], #64",
            "2:", "cbz {n:w}, 3f", "add v0.4s, v0.4s, v15.4s", "add v16.4s, v16.4s, v31.4s",
            "sub {n:w}, {n:w}, #1", "b 2b", "3:",
            "st1 {{v0.16b-v3.16b}}, [{q}], #64", "st1 {{v4.16b-v7.16b}}, [{q}], #64",
            "st1 {{v8.16b-v11.16b}}, [{q}], #64", "st1 {{v12.16b-v15.16b}}, [{q}], #64",
            "st1 {{v16.16b-v19.16b}}, [{q}], #64", "st1 {{v20.16b-v23.16b}}, [{q}], #64",
            "st1 {{v24.16b-v27.16b}}, [{q}], #64", "st1 {{v28.16b-v31.16b}}, [{q}], #64",
            p = inout(reg) values.as_mut_ptr() => _, q = inout(reg) values.as_mut_ptr() => _,
            n = inout(reg) turns => _,
            out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v5") _,
            out("v6") _, out("v7") _, out("v8") _, out("v9") _, out("v10") _, out("v11") _,
            out("v12") _, out("v13") _, out("v14") _, out("v15") _, out("v16") _, out("v17") _,
            out("v18") _, out("v19") _, out("v20") _, out("v21") _, out("v22") _, out("v23") _,
            out("v24") _, out("v25") _, out("v26") _, out("v27") _, out("v28") _, out("v29") _,
            out("v30") _, out("v31") _,
            options(nostack),
        );
    }
}

/// Counts in registers alone until `stop` is not 0. In every turn eight
/// registers go up by 1; what they hold at the end, each from its own start.
pub fn spin(starts: [u64; 8], stop: &std::sync::atomic::AtomicU32) -> [u64; 8] {
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = starts;
    // SAFETY: the loop reads `stop`, borrowed for the call, and writes declared registers only.
    unsafe {
        asm!(
            "2:", "add {a}, {a}, #1", "add {b}, {b}, #1", "add {c}, {c}, #1", "add {d}, {d}, #1",
            "add {e}, {e}, #1", "add {f}, {f}, #1", "add {g}, {g}, #1", "add {h}, {h}, #1",
            "ldr {t:w}, [{stop}]", "cbz {t:w}, 2b",
            a = inout(reg) a, b = inout(reg) b, c = inout(reg) c, d = inout(reg) d,
            e = inout(reg) e, f = inout(reg) f, g = inout(reg) g, h = inout(reg) h,
            stop = in(reg) stop.as_ptr(), t = out(reg) _, options(nostack),
        );
    }
    [a, b, c, d, e, f, g, h]
}

/// Stays in a restartable sequence until `stop` is not 0, which the kernel has to abort whenever the
/// thread may go on with another processor. `area` is what the thread has registered.
pub fn stay_in_sequence(area: *mut u8, stop: &std::sync::atomic::AtomicU32) -> Sequence {
    let (mut aborts, mut strayed) = (0, 0);
    // SAFETY: the area is the thread's own: it is written at `rseq_cs` (offset 8) and read at `cpu_id`
    // (offset 4). The descriptor lives as long as the program. The abort handler, behind its signature,
    // only counts and begins again.
    unsafe {
        asm!(
            ".pushsection .data.rel.rseq, \"aw\"", ".balign 32",
            "9:", ".long 0, 0", ".quad 3f, 4f - 3f, 6f", ".popsection",
            "2:", "adrp {t}, 9b", "add {t}, {t}, :lo12:9b", "str {t}, [{area}, #8]",
            "3:", "ldr {cpu:w}, [{area}, #4]",
            "5:", "ldr {t:w}, [{stop}]", "cbnz {t:w}, 4f", "ldr {t:w}, [{area}, #4]",
            "cmp {cpu:w}, {t:w}", "b.eq 5b", "add {strayed}, {strayed}, #1",
            "4:", "b 8f",
            ".inst 0xd428bc00",
            "6:", "add {aborts}, {aborts}, #1", "b 2b",
            "8:",
            area = in(reg) area, stop = in(reg) stop.as_ptr(), t = out(reg) _, cpu = out(reg) _,
            aborts = inout(reg) aborts, strayed = inout(reg) strayed, options(nostack),
        );
    }
    Sequence { aborts, strayed }
}

/// What stands in front of abort handlers, as the C library registers it.
pub const RSEQ_SIGNATURE: u32 = 0xd428_bc00;

/// What the C library counts thread-local addresses from.
pub fn thread_pointer() -> usize {
    let pointer;
    // SAFETY: reads a register.
    unsafe {
        asm!("mrs {}, tpidr_el0", out(reg) pointer, options(nomem, nostack, preserves_flags))
    };
    pointer
}

/// Rights by protection key; the lab's kernels have none here.
pub fn protection_keys(_change: Option<u32>) -> Option<u32> {
    None
}
