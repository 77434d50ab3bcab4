// SPDX-License-Identifier: GPL-2.0-only

//! Strategies for valid payloads of every kind.
//!
//! Written with plain puts after docs/image-format.md, not with the encoders
//! under test: a swapped field there shows here.

use crate::sample::payload_of;
use checkpoint::image::{Kind, Payload, MAGIC};
use proptest::collection::vec;
use proptest::prelude::*;

type Made = (Kind, Vec<u8>, u64);

pub fn any_record() -> impl Strategy<Value = Made> {
    prop_oneof![whole(), tasks(), files(), memory(), signals(), registers(),]
}

fn put(encode: impl FnOnce(&mut Payload<'_>)) -> Vec<u8> {
    payload_of(|payload| {
        encode(payload);
        Ok(())
    })
}

fn put32(payload: &mut Payload<'_>, values: &[u32]) {
    for value in values {
        payload.put_u32(*value).unwrap();
    }
}

fn put64(payload: &mut Payload<'_>, values: &[u64]) {
    payload.put_u64s(values).unwrap();
}

pub fn head(arch: u32, page_size: u32, nr_tasks: u32, features: &[u64]) -> Vec<u8> {
    put(|p| {
        put64(p, &[MAGIC]);
        put32(p, &[2, arch, page_size, nr_tasks]);
        put64(p, &[0, 0x55]);
        put32(p, &[features.len() as u32, 0]);
        put64(p, features);
        p.put_bytes(b"6.12.117").unwrap();
    })
}

fn whole() -> impl Strategy<Value = Made> {
    let arch = prop_oneof![Just(62u32), Just(183u32)];
    let heads = (arch, 12u32..17, 1u32..32_769, vec(any::<u64>(), 0..33)).prop_map(
        |(arch, shift, nr, features)| (Kind::Head, head(arch, 1 << shift, nr, &features), 0),
    );
    let entry = (1..=i32::MAX, 0..=i32::MAX, 0..=i32::MAX, 0..=i32::MAX);
    let trees = vec(entry, 1..60).prop_map(|entries| {
        let payload = put(|p| {
            for (pid, ppid, pgid, sid) in entries {
                for value in [pid, pid, ppid, pgid, sid, 0] {
                    p.put_i32(value).unwrap();
                }
            }
        });
        (Kind::Tree, payload, 0)
    });
    let ends = any::<[u64; 2]>().prop_map(|v| (Kind::End, put(|p| put64(p, &v)), 0));
    prop_oneof![heads, trees, ends]
}

fn tasks() -> impl Strategy<Value = Made> {
    let start = (
        (1..=i32::MAX, 0..=64i32, 0..=64i32, any::<u32>()),
        (
            prop::sample::select(vec![0u32, 1, 2, 3, 8, 11]),
            -20..20i32,
            -1000..=1000i32,
            0..3u32,
        ),
        any::<[u64; 2]>(),
        any::<[u8; 15]>(),
    )
        .prop_map(
            |((pid, exit, death, persona), (flags, nice, oom, dump), slack, comm)| {
                let payload = put(|p| {
                    for value in [pid, exit, death] {
                        p.put_i32(value).unwrap();
                    }
                    put32(p, &[persona, flags]);
                    p.put_i32(nice).unwrap();
                    p.put_i32(oom).unwrap();
                    put32(p, &[dump]);
                    put64(p, &slack);
                    p.put_raw(&comm).unwrap();
                    p.put_raw(&[0]).unwrap();
                });
                (Kind::Task, payload, 0)
            },
        );
    let creds = (
        any::<[u32; 9]>(),
        any::<[u64; 5]>(),
        vec(any::<u32>(), 0..40),
    )
        .prop_map(|(ids, caps, groups)| {
            let payload = put(|p| {
                put32(p, &ids);
                put32(p, &[groups.len() as u32]);
                put64(p, &caps);
                put32(p, &groups);
            });
            (Kind::Creds, payload, 0)
        });
    let limits = vec(any::<(u64, u64)>(), 16).prop_map(|limits| {
        let payload = put(|p| {
            for (a, b) in limits {
                put64(p, &[a.min(b), a.max(b)]);
            }
        });
        (Kind::Rlimits, payload, 0)
    });
    let end =
        (1..=i32::MAX).prop_map(|pid| (Kind::TaskEnd, put(|p| put32(p, &[pid as u32, 0])), 0));
    prop_oneof![start, creds, limits, end]
}

fn files() -> impl Strategy<Value = Made> {
    let file = (
        1..=u32::MAX,
        0..3usize,
        any::<u32>(),
        (0..=i64::MAX, any::<u64>()),
        (any::<[u32; 2]>(), any::<[u32; 6]>()),
        vec(1..=255u8, 0..100),
    )
        .prop_map(
            |(objref, kind, flags, (pos, size), (rdev, identity), name)| {
                let (number, mode) = [(1, 0o100_644), (2, 0o40_755), (3, 0o20_666)][kind];
                let payload = put(|p| {
                    put32(p, &[objref, number, flags & !0o1700, mode]);
                    put64(p, &[pos as u64, size]);
                    put32(p, &if number == 3 { rdev } else { [0, 0] });
                    put32(p, &identity);
                    put32(p, &[name.len() as u32 + 1]);
                    p.put_raw(b"/").unwrap();
                    p.put_raw(&name).unwrap();
                });
                (Kind::File, payload, 0)
            },
        );
    let fs = (0..0o1000u32, 1..=u32::MAX, 1..=u32::MAX)
        .prop_map(|(umask, root, cwd)| (Kind::Fs, put(|p| put32(p, &[umask, root, cwd, 0])), 0));
    let fds = vec((0..9u32, 1..=u32::MAX, 0..2u32), 0..50).prop_map(|steps| {
        let payload = put(|p| {
            let mut fd = 0;
            for (step, objref, flags) in steps {
                fd += step;
                put32(p, &[fd, objref, flags, 0]);
                fd += 1;
            }
        });
        (Kind::Fds, payload, 0)
    });
    prop_oneof![file, fs, fds]
}

fn memory() -> impl Strategy<Value = Made> {
    let mm = (
        vec(0u64..1 << 56, 11),
        any::<[u32; 2]>(),
        0u64..1 << 44,
        vec(any::<u64>(), 0..50),
    )
        .prop_map(|(mut marks, [exe, nr_vmas], vdso, auxv)| {
            for (low, high) in [(0, 1), (2, 3), (4, 5), (7, 8), (9, 10)] {
                if marks[low] > marks[high] {
                    marks.swap(low, high);
                }
            }
            let payload = put(|p| {
                put64(p, &marks);
                put32(p, &[exe, nr_vmas]);
                put64(p, &[vdso << 12, 0]);
                put32(p, &[auxv.len() as u32, 0]);
                put64(p, &auxv);
            });
            (Kind::Mm, payload, 0)
        });
    let entry = (
        0..50u64,
        1..500u64,
        0u64..1 << 40,
        0..1u64 << 14,
        1..6u32,
        1..=u32::MAX,
    );
    let vmas = vec(entry, 1..60).prop_map(|entries| {
        let payload = put(|p| {
            let mut at = 0;
            for (gap, pages, pgoff, flags, kind, objref) in entries {
                let start = at + gap * 4096;
                at = start + pages * 4096;
                let flags = if kind == 3 { flags | 8 } else { flags & !8 };
                put64(p, &[start, at, pgoff, flags]);
                put32(p, &[kind, if matches!(kind, 2 | 3) { objref } else { 0 }]);
            }
        });
        (Kind::Vma, payload, 0)
    });
    let pages = (any::<u32>(), vec((0..50u64, 1..60u64), 1..60)).prop_map(|(target, ranges)| {
        let bulk = ranges.iter().map(|range| range.1 * 4096).sum();
        let payload = put(|p| {
            put32(p, &[target, ranges.len() as u32]);
            let mut at = 0;
            for (gap, pages) in ranges {
                put64(p, &[at + gap * 4096, pages]);
                at += (gap + pages) * 4096;
            }
        });
        (Kind::Pages, payload, bulk)
    });
    let shmem = (1..=u32::MAX, 1..=i64::MAX as u64).prop_map(|(objref, size)| {
        let payload = put(|p| {
            put32(p, &[objref, 0]);
            put64(p, &[size]);
        });
        (Kind::Shmem, payload, 0)
    });
    prop_oneof![mm, vmas, pages, shmem]
}

fn signals() -> impl Strategy<Value = Made> {
    const FREE: u64 = !(1 << 8 | 1 << 18);
    let actions = vec(any::<[u64; 4]>(), 64).prop_map(|actions| {
        let payload = put(|p| {
            for (number, [handler, flags, restorer, mask]) in actions.into_iter().enumerate() {
                let fixed = number == 8 || number == 18;
                let handler = if fixed { 0 } else { handler };
                put64(p, &[handler, flags, restorer, mask & FREE]);
            }
        });
        (Kind::SignalActions, payload, 0)
    });
    let state = (any::<[u64; 4]>(), any::<bool>(), 0..4u32, any::<bool>()).prop_map(
        |([blocked, saved, sp, size], has, flags, autodisarm)| {
            let payload = put(|p| {
                let saved = if has { saved & FREE } else { 0 };
                put64(p, &[blocked & FREE, saved]);
                put32(p, &[u32::from(has), 0]);
                put64(p, &[sp, size]);
                put32(p, &[flags | u32::from(autodisarm) << 31, 0]);
            });
            (Kind::SignalState, payload, 0)
        },
    );
    let pending = (0..2u32, 1..65u32, any::<[u32; 11]>()).prop_map(|(shared, signo, rest)| {
        let payload = put(|p| {
            put32(p, &[shared, signo, signo]);
            put32(p, &rest);
        });
        (Kind::Pending, payload, 0)
    });
    prop_oneof![actions, state, pending]
}

fn registers() -> impl Strategy<Value = Made> {
    let regset = (1..=u32::MAX, vec(any::<u8>(), 1..3000)).prop_map(|(note, data)| {
        let payload = put(|p| {
            put32(p, &[note, 0]);
            p.put_raw(&data).unwrap();
        });
        (Kind::Regset, payload, 0)
    });
    let thread = (
        any::<[u64; 6]>(),
        any::<u32>(),
        0..4u32,
        any::<[u64; 6]>(),
        any::<[u64; 4]>(),
    )
        .prop_map(|(words, sig, kind, args, arch)| {
            let payload = put(|p| {
                put64(p, &words);
                put32(p, &[sig, kind]);
                put64(p, &if kind == 0 { [0; 6] } else { args });
                put64(p, &arch);
            });
            (Kind::Thread, payload, 0)
        });
    prop_oneof![regset, thread]
}
