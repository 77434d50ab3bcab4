// SPDX-License-Identifier: GPL-2.0-only

//! Parent and child read one file in turns, by one shared offset: together
//! they get every record once.
//!
//! Arguments: STATUS [RECORDS]

use crate::shared::Words;
use crate::stage::{self, expect, Stage};
use crate::tree;
use std::fs::{self, File};
use std::io::{Read, Seek};
use std::process::ExitCode;
use std::sync::atomic::Ordering;

const FILE: &str = "t_read.records";

/// Reads records until SIGTERM or the end, slowly; counts each in `seen`.
fn read_on(mut file: &File, seen: &Words, records: usize) -> Result<(), String> {
    let mut last = None;
    while !stage::terminated() {
        let mut record = [0; 4];
        match file.read(&mut record).map_err(|e| format!("{FILE}: {e}"))? {
            0 => {
                stage::wait_for_term()?;
                break;
            }
            len => expect("bytes of a record", record.len(), len)?,
        }
        let number = u32::from_le_bytes(record) as usize;
        if number >= records || last >= Some(number) {
            return Err(format!("record {number} after {last:?} of {records}"));
        }
        last = Some(number);
        seen.word(number).fetch_add(1, Ordering::SeqCst);
        for _ in 0..2_000 {
            std::hint::spin_loop();
        }
    }
    Ok(())
}

fn run(stage: &Stage) -> Result<(), String> {
    let records = stage.number(0, 2_000_000)? as usize;
    let content: Vec<u8> = (0..records as u32).flat_map(u32::to_le_bytes).collect();
    fs::write(FILE, content).map_err(|e| format!("{FILE}: {e}"))?;
    let mut file = File::open(FILE).map_err(|e| format!("{FILE}: {e}"))?;
    let seen = Words::map(records)?;
    stage::unblock_term()?;
    let child = tree::spawn("reader", || {
        stage.verdict_of("reader", |stage| {
            stage.ready()?;
            read_on(&file, &seen, records)
        })
    })?;
    stage.ready()?;
    read_on(&file, &seen, records)?;
    let children = [child];
    tree::terminate_children()?;
    tree::reap(&children, false)?;
    let offset = file.stream_position().map_err(|e| format!("{FILE}: {e}"))?;
    let read = (offset / 4) as usize;
    for number in 0..records {
        let expected = u32::from(number < read);
        expect(
            &format!("readers of record {number}"),
            expected,
            seen.word(number).load(Ordering::SeqCst),
        )?;
    }
    Ok(())
}

/// Runs with the arguments of the process.
pub fn main() -> ExitCode {
    stage::run_named("root", run)
}
