// SPDX-License-Identifier: GPL-2.0-only

//! A guest that has stopped answering, looked at before it is ended: the registers of all its processors by
//! QEMU's monitor, then, if its kernel still takes interrupts, backtraces and the task list by sysrq on its
//! serial line; its memory, if that is wanted. Whatever fails here says so in the result: it is not what is
//! being judged.

use std::io::{BufRead, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use qapi::qmp::{
    chardev_send_break, dump_guest_memory, human_monitor_command, query_dump, DumpStatus,
};
use qapi::{Qmp, Stream};

use crate::exec;
use crate::layout::write_whole;
use crate::qemu::args::{CONSOLE_ID, CONSOLE_SOCKET, MONITOR_SOCKET};
use crate::qemu::control::connect;
use crate::qemu::symbols::Symbols;

/// What QEMU's monitor tells, in the guest's folder.
pub const REGISTERS: &str = "registers.txt";
/// The guest's memory as an ELF core file, in the guest's folder.
pub const MEMORY: &str = "memory.elf";
/// What QEMU may take to write that.
const DUMPING: Duration = Duration::from_secs(120);
/// What QEMU may take to answer.
const ANSWER: Duration = Duration::from_secs(3);
/// Keys of sysrq that have the kernel print backtraces of all processors, blocked tasks, all tasks.
const KEYS: &[u8] = b"lwt";
/// What the kernel's log has on the first line that is of an examination.
pub const FIRST_KEY: &str = "sysrq: Show backtrace of all active CPUs";
/// How long the kernel may be silent after a key before it counts as done.
const QUIET: Duration = Duration::from_millis(400);
/// What it may take to print for one key.
const PRINTING: Duration = Duration::from_secs(4);

/// Examines the guest whose QEMU runs in `folder`; lines for who reads the verdict. The registers go into a
/// file there, what the kernel prints into its log, with `dump` its memory into a file as well.
pub fn examine(folder: &Path, vmlinux: &Path, dump: bool) -> Vec<String> {
    let mut lines = Vec::new();
    let mut monitor = match Monitor::open(folder) {
        Ok(monitor) => monitor,
        Err(why) => return vec![format!("QEMU's monitor does not answer either: {why}")],
    };
    match monitor.ask("info registers -a") {
        Ok(text) => {
            let file = folder.join(REGISTERS);
            let written = write_whole(&file, text.as_bytes());
            let symbols = Symbols::read(vmlinux);
            lines.extend(places(&text).iter().enumerate().map(|(cpu, at)| {
                let name = symbols.name(*at).unwrap_or_default();
                format!("processor {cpu} at {at:#x} {name}")
                    .trim_end()
                    .to_string()
            }));
            lines.push(match written {
                Ok(()) => format!("their registers are in {}", file.display()),
                Err(err) => format!("keeping their registers: {err}"),
            });
        }
        Err(why) => lines.push(format!("QEMU tells no registers: {why}")),
    }
    if dump {
        // Before the keys, which overwrite what the kernel has in its log.
        let file = folder.join(MEMORY);
        lines.push(match monitor.dump_memory() {
            Ok(()) => format!("its memory is in {}", file.display()),
            Err(why) => {
                // Half of it is of no use, and may be what fills the disk.
                let _ = std::fs::remove_file(&file);
                format!("its memory could not be kept: {why}")
            }
        });
    }
    lines.push(match monitor.press_keys(folder) {
        Ok(None) => "its kernel does not answer to sysrq: it takes no interrupts".to_string(),
        Ok(Some(bytes)) => format!(
            "its kernel answers to sysrq: {bytes} bytes of backtraces and tasks are in the log"
        ),
        Err(why) => format!("sysrq: {why}"),
    });
    lines
}

/// QEMU's monitor.
struct Monitor {
    qmp: Qmp<Stream<std::io::BufReader<UnixStream>, UnixStream>>,
}

impl Monitor {
    fn open(folder: &Path) -> Result<Monitor, String> {
        let said = |err: &dyn std::fmt::Display| err.to_string();
        let socket = connect(folder, MONITOR_SOCKET).map_err(|err| said(&err))?;
        socket
            .set_read_timeout(Some(ANSWER))
            .map_err(|err| said(&err))?;
        socket
            .set_write_timeout(Some(ANSWER))
            .map_err(|err| said(&err))?;
        let writer = socket.try_clone().map_err(|err| said(&err))?;
        let mut reader = std::io::BufReader::new(socket);
        // QMP's reader takes a greeting for granted.
        if reader.fill_buf().map_err(|err| said(&err))?.is_empty() {
            return Err("QEMU has ended".to_string());
        }
        let mut qmp = Qmp::new(Stream::new(reader, writer));
        qmp.handshake().map_err(|err| said(&err))?;
        Ok(Monitor { qmp })
    }

    fn ask(&mut self, command: &str) -> Result<String, String> {
        let command = human_monitor_command {
            cpu_index: None,
            command_line: command.to_string(),
        };
        self.qmp.execute(&command).map_err(|err| err.to_string())
    }

    /// Has QEMU, which runs in the guest's folder, write the guest's memory there; waits for that.
    fn dump_memory(&mut self) -> Result<(), String> {
        let dump = dump_guest_memory {
            paging: false,
            protocol: format!("file:{MEMORY}"),
            detach: Some(true),
            begin: None,
            length: None,
            format: None,
        };
        self.qmp.execute(&dump).map_err(|err| err.to_string())?;
        let deadline = Instant::now() + DUMPING;
        while Instant::now() < deadline && !exec::interrupted() {
            let state = self.qmp.execute(&query_dump {});
            match state.map_err(|err| err.to_string())?.status {
                DumpStatus::completed => return Ok(()),
                DumpStatus::failed => return Err("QEMU could not write it".to_string()),
                DumpStatus::active | DumpStatus::none => std::thread::sleep(QUIET),
            }
        }
        Err("QEMU has not come to its end".to_string())
    }

    /// Presses each key and waits until the kernel has printed; the bytes that it printed in all, if it says
    /// that it is for the keys.
    fn press_keys(&mut self, folder: &Path) -> Result<Option<usize>, String> {
        let said = |err: std::io::Error| err.to_string();
        let mut line = connect(folder, CONSOLE_SOCKET).map_err(said)?;
        line.set_read_timeout(Some(QUIET)).map_err(said)?;
        let mut printed = Vec::new();
        for key in KEYS {
            let id = CONSOLE_ID.to_string();
            let pressed = self.qmp.execute(&chardev_send_break { id });
            pressed.map_err(|err| err.to_string())?;
            line.write_all(&[*key]).map_err(said)?;
            drain(&mut line, &mut printed);
        }
        let text = String::from_utf8_lossy(&printed);
        Ok(text.contains("sysrq: ").then_some(printed.len()))
    }
}

/// Reads until nothing has come for a while: QEMU waits for whoever is connected to take what the guest
/// prints. The bytes are in the log as well.
fn drain(line: &mut UnixStream, printed: &mut Vec<u8>) {
    let mut buffer = vec![0; 64 << 10];
    let deadline = Instant::now() + PRINTING;
    while Instant::now() < deadline {
        match line.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(count) => printed.extend_from_slice(&buffer[..count]),
        }
    }
}

/// Where each processor is, out of QEMU's `info registers -a`: `RIP=` of x86, `PC=` of arm.
fn places(text: &str) -> Vec<u64> {
    let place = |word: &str| {
        let digits = word
            .strip_prefix("RIP=")
            .or_else(|| word.strip_prefix("PC="))?;
        u64::from_str_radix(digits, 16).ok()
    };
    text.split_whitespace().filter_map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_found_for_both_architectures() {
        let x86 = "CPU#0\nRAX=0000000000000000 RBX=0\nRIP=ffffffff81234567 RFL=00000246\n\nCPU#1\nRIP=0000000000401000 RFL=0\n";
        assert_eq!(places(x86), [0xffff_ffff_8123_4567, 0x40_1000]);
        let arm = "\nCPU#0\n PC=ffff800080012340 X00=0000000000000000\nX01=PC\n";
        assert_eq!(places(arm), [0xffff_8000_8001_2340]);
    }
}
