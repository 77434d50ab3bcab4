// SPDX-License-Identifier: GPL-2.0-only

//! x86_64: vector and general registers that stay live over many instructions.

use super::Sequence;
use std::arch::asm;

/// `e_machine` of this arch's programs.
pub const ELF_MACHINE: u32 = 62;

/// 128-bit halves held by [`hold_vectors`]: xmm0..xmm15, then the upper halves
/// of ymm0..ymm15 where the CPU has AVX.
pub const VECTORS: usize = 32;

/// Loads `values` into every vector register, spins `turns` times with all of
/// them live, adding lane by lane the last register of a half to its first in
/// each turn, and stores them back. Without AVX the upper halves are left alone.
pub fn hold_vectors(values: &mut [[u32; 4]; VECTORS], turns: u32) {
    let (low, high) = values.split_at_mut(VECTORS / 2);
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the CPU has AVX2, and both halves are 16 vectors of 16 bytes.
        unsafe { hold_avx2(low.as_mut_ptr(), high.as_mut_ptr(), turns) }
    } else {
        // SAFETY: SSE2 is part of x86_64, and low is 16 vectors of 16 bytes.
        unsafe { hold_sse2(low.as_mut_ptr(), turns) };
        for _ in 0..turns {
            let last = high[VECTORS / 2 - 1];
            for (lane, add) in high[0].iter_mut().zip(last) {
                *lane = lane.wrapping_add(add);
            }
        }
    }
}

/// # Safety
/// `at` points to 16 writable vectors of 16 bytes.
unsafe fn hold_sse2(at: *mut [u32; 4], turns: u32) {
    // SAFETY: the caller vouches for `at`; every register written is declared.
    unsafe {
        asm!(
            "movdqu xmm0, [{p}]", "movdqu xmm1, [{p}+16]", "movdqu xmm2, [{p}+32]",
            "movdqu xmm3, [{p}+48]", "movdqu xmm4, [{p}+64]", "movdqu xmm5, [{p}+80]",
            "movdqu xmm6, [{p}+96]", "movdqu xmm7, [{p}+112]", "movdqu xmm8, [{p}+128]",
            "movdqu xmm9, [{p}+144]", "movdqu xmm10, [{p}+160]", "movdqu xmm11, [{p}+176]",
            "movdqu xmm12, [{p}+192]", "movdqu xmm13, [{p}+208]", "movdqu xmm14, [{p}+224]",
            "movdqu xmm15, [{p}+240]",
            "2:", "test {n:e}, {n:e}", "jz 3f", "paddd xmm0, xmm15", "dec {n:e}", "jmp 2b", "3:",
            "movdqu [{p}], xmm0", "movdqu [{p}+16], xmm1", "movdqu [{p}+32], xmm2",
            "movdqu [{p}+48], xmm3", "movdqu [{p}+64], xmm4", "movdqu [{p}+80], xmm5",
            "movdqu [{p}+96], xmm6", "movdqu [{p}+112], xmm7", "movdqu [{p}+128], xmm8",
            "movdqu [{p}+144], xmm9", "movdqu [{p}+160], xmm10", "movdqu [{p}+176], xmm11",
            "movdqu [{p}+192], xmm12", "movdqu [{p}+208], xmm13", "movdqu [{p}+224], xmm14",
            "movdqu [{p}+240], xmm15",
            p = in(reg) at, n = inout(reg) turns => _,
            out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _,
            out("xmm5") _, out("xmm6") _, out("xmm7") _, out("xmm8") _, out("xmm9") _,
            out("xmm10") _, out("xmm11") _, out("xmm12") _, out("xmm13") _, out("xmm14") _,
            out("xmm15") _,
            options(nostack),
        );
    }
}

/// # Safety
/// The CPU has AVX2; `low` and `high` point to 16 writable vectors of 16 bytes each.
#[target_feature(enable = "avx2")]
unsafe fn hold_avx2(low: *mut [u32; 4], high: *mut [u32; 4], turns: u32) {
    macro_rules! load {
        ($($r:literal $o:literal),*) => { concat!($(
            "vmovdqu xmm", $r, ", [{low}+", $o, "]\n",
            "vinserti128 ymm", $r, ", ymm", $r, ", [{high}+", $o, "], 1\n",
        )*) };
    }
    macro_rules! save {
        ($($r:literal $o:literal),*) => { concat!($(
            "vmovdqu [{low}+", $o, "], xmm", $r, "\n",
            "vextracti128 [{high}+", $o, "], ymm", $r, ", 1\n",
        )*) };
    }
    // SAFETY: the caller vouches for the pointers and the CPU; every register written is declared.
    unsafe {
        asm!(
            load!(0 0, 1 16, 2 32, 3 48, 4 64, 5 80, 6 96, 7 112),
            load!(8 128, 9 144, 10 160, 11 176, 12 192, 13 208, 14 224, 15 240),
            "2:", "test {n:e}, {n:e}", "jz 3f", "vpaddd ymm0, ymm0, ymm15", "dec {n:e}", "jmp 2b", "3:",
            save!(0 0, 1 16, 2 32, 3 48, 4 64, 5 80, 6 96, 7 112),
            save!(8 128, 9 144, 10 160, 11 176, 12 192, 13 208, 14 224, 15 240),
            "vzeroupper",
            low = in(reg) low, high = in(reg) high, n = inout(reg) turns => _,
            out("ymm0") _, out("ymm1") _, out("ymm2") _, out("ymm3") _, out("ymm4") _,
            out("ymm5") _, out("ymm6") _, out("ymm7") _, out("ymm8") _, out("ymm9") _,
            out("ymm10") _, out("ymm11") _, out("ymm12") _, out("ymm13") _, out("ymm14") _,
            out("ymm15") _,
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
            "2:", "inc {a}", "inc {b}", "inc {c}", "inc {d}", "inc {e}", "inc {f}", "inc {g}",
            "inc {h}", "cmp dword ptr [{stop}], 0", "je 2b",
            a = inout(reg) a, b = inout(reg) b, c = inout(reg) c, d = inout(reg) d,
            e = inout(reg) e, f = inout(reg) f, g = inout(reg) g, h = inout(reg) h,
            stop = in(reg) stop.as_ptr(), options(nostack),
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
            "2:", "lea {t}, [rip + 9b]", "mov [{area} + 8], {t}",
            "3:", "mov {cpu:e}, dword ptr [{area} + 4]",
            "5:", "cmp dword ptr [{stop}], 0", "jne 4f", "cmp {cpu:e}, dword ptr [{area} + 4]",
            "je 5b", "inc {strayed}",
            "4:", "jmp 8f",
            ".byte 0x0f, 0xb9, 0x3d", ".long 0x53053053",
            "6:", "inc {aborts}", "jmp 2b",
            "8:",
            area = in(reg) area, stop = in(reg) stop.as_ptr(), t = out(reg) _, cpu = out(reg) _,
            aborts = inout(reg) aborts, strayed = inout(reg) strayed, options(nostack),
        );
    }
    Sequence { aborts, strayed }
}

/// What stands in front of abort handlers, as the C library registers it.
pub const RSEQ_SIGNATURE: u32 = 0x5305_3053;

/// What the C library counts thread-local addresses from.
pub fn thread_pointer() -> usize {
    let pointer;
    // SAFETY: the first word there is its own address, by the ABI.
    unsafe { asm!("mov {}, fs:0", out(reg) pointer, options(nostack, readonly, preserves_flags)) };
    pointer
}

/// The rights that the thread has by protection key; with `change`, access by this key is turned round first.
/// `None` where the machine or the kernel has no keys.
pub fn protection_keys(change: Option<u32>) -> Option<u32> {
    // OSPKE: leaf 7, ECX bit 4.
    if std::arch::x86_64::__cpuid_count(7, 0).ecx & 1 << 4 == 0 {
        return None;
    }
    let mut rights: u32;
    // SAFETY: both instructions are there; memory of the program has key 0, which stays as it is.
    unsafe {
        asm!("rdpkru", in("ecx") 0, out("eax") rights, out("edx") _, options(nomem, nostack));
        if let Some(key) = change {
            rights ^= 1 << (2 * key);
            asm!("wrpkru", in("ecx") 0, in("eax") rights, in("edx") 0, options(nostack));
        }
    }
    Some(rights)
}
