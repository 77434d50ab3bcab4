// SPDX-License-Identifier: GPL-2.0-only

//! Three generations, seven tasks, each with memory, counter, live vector
//! registers, TLS, a handler, a blocked pending signal, and one file with a
//! shared offset.
//!
//! Arguments: STATUS [KILOBYTES] [--new-pids]

use crate::pattern::{hold_and_verify, Memory, Pages};
use crate::signals;
use crate::stage::{self, expect, Stage};
use crate::tree::{self, Child};
use nix::unistd::{getpid, getppid};
use std::cell::Cell;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::process::ExitCode;

/// Name of the shared file, in the working directory.
const SHARED: &str = "t_tree.shared";
/// Bytes of a record in it: name, pid, parent's pid.
const RECORD: usize = 32;
/// Children of each task by name.
const SHAPE: [(&str, [&str; 2]); 3] = [
    ("root", ["a", "b"]),
    ("a", ["a1", "a2"]),
    ("b", ["b1", "b2"]),
];
const TASKS: usize = 7;
/// Turns of the vector loop between two looks at SIGTERM.
const TURNS: u32 = 50_000;

thread_local! {
    static SEED: Cell<u64> = const { Cell::new(0) };
}

fn seed_of(name: &str) -> u64 {
    name.bytes()
        .fold(7, |seed, byte| seed * 131 + u64::from(byte))
}

/// Appends this task's record by one write at the shared offset.
fn record(mut file: &File, name: &str) -> Result<(), String> {
    let line = format!("{name:<8}{:>11}{:>12}\n", getpid(), getppid());
    file.write_all(line.as_bytes())
        .map_err(|e| format!("{SHARED}: {e}"))
}

/// The life of one task, its children and what they verify included.
fn live(stage: &Stage, name: &str, shared: &File) -> Result<(), String> {
    let seed = seed_of(name);
    let same_pids = !stage.args.iter().any(|arg| arg == "--new-pids");
    let kilobytes = stage
        .args
        .iter()
        .find_map(|arg| arg.parse::<usize>().ok())
        .unwrap_or(64);
    let children = SHAPE
        .iter()
        .find(|(parent, _)| *parent == name)
        .map(|(_, names)| names);
    let children: Vec<Child> = children
        .into_iter()
        .flatten()
        .map(|child| {
            tree::spawn(child, || {
                stage.verdict_of(child, |stage| live(stage, child, shared))
            })
        })
        .collect::<Result<_, _>>()?;

    let memory = Memory::filled(kilobytes << 10, seed, Pages::All)?;
    SEED.set(seed);
    let signo = libc::SIGRTMIN() + 1;
    signals::record(signo, 0)?;
    signals::block(signo)?;
    signals::queue(signo, seed as i32)?;
    let (pid, parent) = (getpid(), getppid());
    record(shared, name)?;
    stage.ready()?;

    let mut counter = 0u64;
    let mut sum = 0u64;
    stage::unblock_term()?;
    while !stage::terminated() {
        hold_and_verify(seed + counter, TURNS)?;
        counter += 1;
        sum += counter;
    }

    tree::expect_children(&children, same_pids)?;
    tree::terminate_children()?;
    memory.verify()?;
    expect("counter", counter * (counter + 1) / 2, sum)?;
    expect("thread-local variable", seed, SEED.get())?;
    if same_pids {
        expect("pid", pid, getpid())?;
        expect("parent's pid", parent, getppid())?;
    }
    signals::expect_recorded(signo, 0)?;
    expect(
        "deliveries of the blocked signal",
        Vec::new(),
        signals::deliveries(),
    )?;
    expect("signal pending", true, signals::is_pending(signo))?;
    signals::unblock(signo)?;
    let got: Vec<_> = signals::deliveries()
        .iter()
        .map(|d| (d.signo, d.code, d.value))
        .collect();
    expect(
        "deliveries after unblocking",
        vec![(signo, libc::SI_QUEUE, seed as i32)],
        got,
    )?;
    record(shared, name)?;
    tree::reap(&children, same_pids)
}

/// Checks the shared file once all have written to it twice.
fn verify_shared(mut file: &File) -> Result<(), String> {
    let failure = |e| format!("{SHARED}: {e}");
    let offset = file.stream_position().map_err(failure)?;
    expect("shared offset", (2 * TASKS * RECORD) as u64, offset)?;
    let mut text = String::new();
    file.seek(SeekFrom::Start(0)).map_err(failure)?;
    file.take(offset)
        .read_to_string(&mut text)
        .map_err(failure)?;
    let records: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let last = |name: &str| records.iter().rev().find(|r| r.first() == Some(&name));
    for (parent, names) in SHAPE {
        for name in [parent].into_iter().chain(names) {
            let count = records.iter().filter(|r| r.first() == Some(&name)).count();
            if !(parent != "root" && name == parent) {
                expect(&format!("records of {name}"), 2, count)?;
            }
        }
        for name in names {
            let parent_pid = last(parent).and_then(|r| r.get(1));
            expect(
                &format!("parent of {name}"),
                parent_pid,
                last(name).and_then(|r| r.get(2)),
            )?;
        }
    }
    Ok(())
}

/// Runs with the arguments of the process.
pub fn main() -> ExitCode {
    stage::run_named("root", |stage| {
        let mut options = OpenOptions::new();
        let shared = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(SHARED);
        let shared = shared.map_err(|e| format!("{SHARED}: {e}"))?;
        live(stage, "root", &shared)?;
        verify_shared(&shared)
    })
}
