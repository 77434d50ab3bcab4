// SPDX-License-Identifier: GPL-2.0-only

//! What an image is edited to ask for, and how that is answered. Offsets are those of
//! `docs/image-format.md`.

use crate::edit::{double, put, put_doubles, put_words, word, Image};
use checkpoint::image::list::Entry;
use checkpoint::image::record::{FdEntry, VmaEntry};
use checkpoint::image::Kind;
use nix::errno::Errno;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

/// An image, and what becomes of it: an errno, or a restart.
pub struct Case {
    /// What is asked for.
    pub what: &'static str,
    /// `None`: it is restarted.
    pub expected: Option<Errno>,
    /// The image that asks for it.
    pub image: Image,
}

/// Edits of one image.
struct Edits<'a> {
    image: &'a Image,
    cases: Vec<Case>,
}

impl Edits<'_> {
    fn image(&mut self, what: &'static str, expected: impl Into<Option<Errno>>, image: Image) {
        self.cases.push(Case {
            what,
            expected: expected.into(),
            image,
        });
    }

    /// The first record of this kind with these words.
    fn words(&mut self, what: &'static str, expected: impl Into<Option<Errno>>, kind: Kind, words: &[(usize, u32)]) -> Result<(), String> {
        let edited = self.image.edited(kind, 0, |payload| put_words(payload, words))?;
        self.image(what, expected, edited);
        Ok(())
    }

    /// The same with double words.
    fn doubles(&mut self, what: &'static str, expected: Errno, kind: Kind, doubles: &[(usize, u64)]) -> Result<(), String> {
        let edited = self.image.edited(kind, 0, |payload| put_doubles(payload, doubles))?;
        self.image(what, expected, edited);
        Ok(())
    }
}

/// Offsets in CREDS; the ids are uid, euid, suid, fsuid, gid, egid, sgid, fsgid.
mod creds {
    pub const SECUREBITS: usize = 32;
    pub const NR_GROUPS: usize = 36;
    pub const CAPABILITIES: usize = 40;
}

fn credentials(edits: &mut Edits<'_>) -> Result<(), String> {
    const NAMES: [(&str, usize); 8] = [
        ("uid 0", 0),
        ("effective uid 0", 4),
        ("saved uid 0", 8),
        ("file system uid 0", 12),
        ("gid 0", 16),
        ("effective gid 0", 20),
        ("saved gid 0", 24),
        ("file system gid 0", 28),
    ];
    for (what, at) in NAMES {
        edits.words(what, Errno::EPERM, Kind::Creds, &[(at, 0)])?;
    }
    let everything: Vec<(usize, u32)> = NAMES.iter().map(|(_, at)| (*at, 0)).collect();
    edits.words("all ids 0", Errno::EPERM, Kind::Creds, &everything)?;
    edits.words("another user", Errno::EPERM, Kind::Creds, &[(0, 77), (4, 77), (8, 77), (12, 77)])?;
    edits.words("secure bits", Errno::EPERM, Kind::Creds, &[(creds::SECUREBITS, 1)])?;
    let groups = edits.image.payload(Kind::Creds, 0)?;
    let count = word(groups, creds::NR_GROUPS)?;
    let grouped = edits.image.edited(Kind::Creds, 0, |payload| {
        payload.extend_from_slice(&0u32.to_le_bytes());
        put_words(payload, &[(creds::NR_GROUPS, count + 1)])
    })?;
    edits.image("supplementary group 0", Errno::EPERM, grouped);
    let chown = 1u64;
    for (what, sets) in [
        ("a permitted capability", vec![1]),
        ("an effective capability", vec![1, 2]),
        ("an ambient capability", vec![0, 1, 2, 4]),
    ] {
        let doubles: Vec<(usize, u64)> = sets.iter().map(|set| (creds::CAPABILITIES + 8 * set, chown)).collect();
        edits.doubles(what, Errno::EPERM, Kind::Creds, &doubles)?;
    }
    edits.doubles("a smaller bounding set", Errno::EPERM, Kind::Creds, &[(creds::CAPABILITIES + 24, 1)])
}

/// Offsets in FILE.
mod file {
    pub const KIND: usize = 4;
    pub const FLAGS: usize = 8;
    pub const MODE: usize = 12;
    pub const RDEV: usize = 32;
    pub const PATH_LEN: usize = 40;
    pub const PATH: usize = 44;
}

fn set_path(payload: &mut Vec<u8>, path: &str) -> Result<(), String> {
    payload.truncate(file::PATH);
    payload.extend_from_slice(path.as_bytes());
    put_words(payload, &[(file::PATH_LEN, path.len() as u32)])
}

/// Files of root's, to be asked for.
struct Files {
    secret: String,
    read_only: String,
    raised: String,
    not_executable: String,
}

impl Files {
    fn make() -> Result<Files, String> {
        let here = std::env::current_dir().map_err(|e| format!("the working directory: {e}"))?;
        let make = |name: &str, mode: u32, content: &[u8]| -> Result<String, String> {
            let path = here.join(name);
            let failed = |e: std::io::Error| format!("{}: {e}", path.display());
            fs::write(&path, content).map_err(failed)?;
            fs::set_permissions(&path, Permissions::from_mode(mode)).map_err(failed)?;
            path.into_os_string().into_string().map_err(|_| "a path that is no UTF-8".to_owned())
        };
        let program = fs::read("/proc/self/exe").map_err(|e| format!("/proc/self/exe: {e}"))?;
        let line = vec![b'x'; 4096];
        Ok(Files {
            secret: make("secret", 0o600, &line)?,
            read_only: make("read-only", 0o644, &line)?,
            raised: make("raised", 0o4755, &program)?,
            not_executable: make("not-executable", 0o644, &program)?,
        })
    }
}

fn files(edits: &mut Edits<'_>, made: &Files, status: &str) -> Result<(), String> {
    let image = edits.image;
    let status = image.find(Kind::File, |payload| payload.ends_with(status.as_bytes()))?;
    let exe = word(image.payload(Kind::Mm, 0)?, mm::EXE)?;
    let exe = image.find(Kind::File, |payload| word(payload, 0) == Ok(exe))?;
    let at = |number: usize, path: &str, words: &[(usize, u32)]| {
        image.edited(Kind::File, number, |payload| {
            set_path(payload, path)?;
            put_words(payload, words)
        })
    };
    const WRITE_ONLY: u32 = 1;
    let console = [(file::KIND, 3), (file::MODE, 0o020_666), (file::RDEV, 5), (file::RDEV + 4, 1)];
    for (what, errno, edited) in [
        ("a file that is another's", Errno::EACCES, at(status, &made.secret, &[])?),
        ("a file for writing that may be read", Errno::EACCES, at(status, &made.read_only, &[(file::FLAGS, WRITE_ONLY)])?),
        ("a folder as a file", Errno::EBADF, at(status, "/proc", &[])?),
        ("a part of procfs", Errno::EBADF, at(status, "/proc/self/status", &[(file::FLAGS, 0)])?),
        ("init's memory", Errno::EACCES, at(status, "/proc/1/mem", &[])?),
        ("the console", Errno::EOPNOTSUPP, at(status, "/dev/console", &console)?),
        ("flags of no open file", Errno::EINVAL, at(status, &made.read_only, &[(file::FLAGS, 1 << 30)])?),
        ("a file to be emptied", Errno::EINVAL, at(status, &made.read_only, &[(file::FLAGS, 0o1000)])?),
        ("a setuid program", Errno::EPERM, at(exe, &made.raised, &[])?),
        ("a program that may not be executed", Errno::EACCES, at(exe, &made.not_executable, &[])?),
    ] {
        edits.image(what, errno, edited);
    }
    let cwd = word(image.payload(Kind::Fs, 0)?, 8)?;
    // The descriptor, then its objref.
    let last = image.payload(Kind::Fds, 0)?.len() - FdEntry::SIZE;
    edits.words("a descriptor beyond the hard limit", Errno::EMFILE, Kind::Fds, &[(last, i32::MAX as u32)])?;
    edits.words("the working directory as a descriptor", Errno::EOPNOTSUPP, Kind::Fds, &[(last + 4, cwd)])?;
    edits.words("another root directory", Errno::EPERM, Kind::Fs, &[(4, cwd)])?;
    edits.words("a root directory that is a file", Errno::EINVAL, Kind::Fs, &[(4, word(image.payload(Kind::File, status)?, 0)?)])
}

/// Offsets in MM.
mod mm {
    pub const BRK: usize = 40;
    pub const ARG_END: usize = 64;
    pub const EXE: usize = 88;
    pub const NR_VMAS: usize = 92;
}

/// One more private anonymous mapping, in its place among the others.
fn with_mapping(image: &Image, start: u64, end: u64, flags: u64) -> Result<Image, String> {
    const PRIVATE_ANONYMOUS: u64 = 1;
    let count = word(image.payload(Kind::Mm, 0)?, mm::NR_VMAS)?;
    let mut entry = Vec::new();
    for value in [start, end, 0, flags, PRIVATE_ANONYMOUS] {
        entry.extend_from_slice(&value.to_le_bytes());
    }
    image
        .edited(Kind::Mm, 0, |payload| {
            put_words(payload, &[(mm::NR_VMAS, count + 1)])
        })?
        .edited(Kind::Vma, 0, |payload| {
            let others = payload.chunks_exact(VmaEntry::SIZE);
            let before = others.take_while(|other| double(other, 0).is_ok_and(|other| other < start));
            let at = before.count() * VmaEntry::SIZE;
            payload.splice(at..at, entry);
            Ok(())
        })
}

fn memory(edits: &mut Edits<'_>) -> Result<(), String> {
    const READ_WRITE: u64 = 3;
    const LOCKED: u64 = 1 << 5;
    const FREE: u64 = 0x10_0000_0000;
    const KERNEL: u64 = 0xffff_8000_0000_0000;
    for (what, errno, start, end, flags) in [
        ("a mapping at 0", Some(Errno::EPERM), 0, 0x1000, READ_WRITE),
        ("a mapping in the kernel's half", Some(Errno::EINVAL), KERNEL, KERNEL + 0x1000, READ_WRITE),
        ("a mapping that ends in the kernel's half", Some(Errno::EINVAL), FREE, KERNEL, READ_WRITE),
        ("a mapping of half a page", Some(Errno::EINVAL), FREE, FREE + 0x800, READ_WRITE),
        ("64 MB of locked memory", Some(Errno::EAGAIN), FREE, FREE + (64 << 20), READ_WRITE | LOCKED),
        ("a terabyte of memory", Some(Errno::ENOMEM), FREE, FREE + (1 << 40), READ_WRITE),
        ("a mapping that anyone may have", None, FREE, FREE + 0x1000, READ_WRITE),
    ] {
        let edited = with_mapping(edits.image, start, end, flags)?;
        edits.image(what, errno, edited);
    }
    edits.words("4 billion mappings", Errno::ENOMEM, Kind::Mm, &[(mm::NR_VMAS, u32::MAX)])?;
    edits.words("an executable that is no object", Errno::EINVAL, Kind::Mm, &[(mm::EXE, 0xffff)])?;
    edits.doubles("a heap in the kernel's half", Errno::EINVAL, Kind::Mm, &[(mm::BRK, KERNEL)])?;
    edits.doubles("arguments in the kernel's half", Errno::EINVAL, Kind::Mm, &[(mm::ARG_END, KERNEL)])
}

const KERNEL_ADDRESS: u64 = 0xffff_ffff_8100_0000;

/// The registers of a note type.
fn registers(image: &Image, note: u32) -> Result<usize, String> {
    image.find(Kind::Regset, |payload| word(payload, 0) == Ok(note))
}

fn regsets(edits: &mut Edits<'_>) -> Result<(), String> {
    const PRSTATUS: u32 = 1;
    const PRFPREG: u32 = 2;
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
            ("the kernel's stack segment", Errno::EINVAL, with(20, 0x18)?),
            ("the right to do I/O (IOPL 3)", Errno::EPERM, with(18, flags | 0x3000)?),
            ("virtual 8086 mode", Errno::EPERM, with(18, flags | 0x2_0000)?),
            ("an instruction pointer in the kernel", Errno::EINVAL, with(16, KERNEL_ADDRESS)?),
            ("a stack in the kernel", Errno::EINVAL, with(19, KERNEL_ADDRESS)?),
            ("TLS in the kernel", Errno::EPERM, with(21, KERNEL_ADDRESS)?),
            ("a GS base in the kernel", Errno::EPERM, with(22, KERNEL_ADDRESS)?),
            ("vector state of the supervisor", Errno::EINVAL, vector(512, 1 << 8 | 3)?),
            ("compacted vector state", Errno::EINVAL, vector(520, 1 << 63)?),
            ("reserved bits of MXCSR", Errno::EINVAL, vector(24, u64::MAX)?),
        ]);
    }
    #[cfg(target_arch = "aarch64")]
    {
        let state = double(image.payload(Kind::Regset, general)?, 8 + 8 * 33)?;
        privileged.extend([
            ("exception level 1", Errno::EINVAL, with(33, state | 5)?),
            ("interrupts masked", Errno::EINVAL, with(33, state | 0x3c0)?),
            ("32-bit state", Errno::EINVAL, with(33, state | 0x10)?),
        ]);
    }
    // x86 saves them with the other vector registers only.
    let floating = registers(image, PRFPREG).or_else(|_| image.find(Kind::Regset, |payload| word(payload, 0) != Ok(PRSTATUS)))?;
    for (what, note) in [
        ("registers of no type", 0xdead),
        ("I/O permissions", 0x201),
        ("a shadow stack", 0x204),
        ("hardware breakpoints", 0x402),
        ("hardware watchpoints", 0x403),
        ("the number of a system call", 0x404),
    ] {
        let edited = image.edited(Kind::Regset, floating, |payload| put_words(payload, &[(0, note)]))?;
        privileged.push((what, Errno::EINVAL, edited));
    }
    for (what, errno, edited) in privileged {
        edits.image(what, errno, edited);
    }
    Ok(())
}

fn others(edits: &mut Edits<'_>) -> Result<(), String> {
    // Offsets in TASK.
    let (exit_signal, death_signal, flags, nice, oom, dumpable) = (4, 8, 16, 20, 24, 28);
    let negative = |value: i32| value as u32;
    let own = word(edits.image.payload(Kind::Task, 0)?, 0)?;
    for (what, errno, at, value) in [
        ("the pid of another", Errno::EINVAL, 0, own + 1),
        ("an exit signal that kills", Errno::EPERM, exit_signal, 9),
        ("a parent's death signal that there is not", Errno::EINVAL, death_signal, 65),
        ("flags of a task that there are not", Errno::EINVAL, flags, 1 << 31),
        ("a higher priority", Errno::EACCES, nice, negative(-20)),
        ("a nice value that there is not", Errno::EINVAL, nice, 20),
        ("safety from the OOM killer", Errno::EACCES, oom, negative(-1000)),
        ("memory for root's eyes only", Errno::EPERM, dumpable, 2),
    ] {
        edits.words(what, errno, Kind::Task, &[(at, value)])?;
    }
    edits.words("a lower priority", None, Kind::Task, &[(nice, 5)])?;
    edits.words("a stricter umask", None, Kind::Fs, &[(0, 0o077)])?;

    let nofile = 7 * 16;
    let limits = edits.image.payload(Kind::Rlimits, 0)?;
    let hard = double(limits, nofile + 8)?;
    edits.doubles("a higher hard limit", Errno::EPERM, Kind::Rlimits, &[(nofile + 8, hard + 1)])?;
    edits.doubles("a limit above the hard limit", Errno::EINVAL, Kind::Rlimits, &[(nofile, hard + 1)])?;

    let action = |signal: usize| (signal - 1) * 32;
    edits.doubles("a handler in the kernel", Errno::EINVAL, Kind::SignalActions, &[(action(10), KERNEL_ADDRESS)])?;
    edits.doubles("SIGKILL ignored", Errno::EINVAL, Kind::SignalActions, &[(action(9), 1)])?;
    edits.doubles("SIGKILL blocked", Errno::EINVAL, Kind::SignalState, &[(0, 1 << 8)])?;

    let (rseq, kind, arguments) = (32, 52, 56);
    edits.doubles("restartable sequences in the kernel", Errno::EFAULT, Kind::Thread, &[(rseq, KERNEL_ADDRESS), (rseq + 8, 32)])?;
    let sleep = edits.image.edited(Kind::Thread, 0, |payload| {
        put_words(payload, &[(kind, 1)])?;
        put_doubles(payload, &[(arguments, 1), (arguments + 8, 1), (arguments + 16, KERNEL_ADDRESS), (arguments + 24, 1)])
    })?;
    edits.image("a sleep that tells the kernel the time left", Errno::EINVAL, sleep);
    let unknown = edits.image.edited(Kind::Thread, 0, |payload| put(payload, kind, &9u32.to_le_bytes()))?;
    edits.image("a system call that is not carried", Errno::EINVAL, unknown);
    Ok(())
}

/// All cases of an image, which is that of a task of a user who is not root and has `status` open.
pub fn all(image: &Image, status: &str) -> Result<Vec<Case>, String> {
    let mut edits = Edits {
        image,
        cases: Vec::new(),
    };
    edits.image("the image as it was", None, image.clone());
    credentials(&mut edits)?;
    files(&mut edits, &Files::make()?, status)?;
    memory(&mut edits)?;
    regsets(&mut edits)?;
    others(&mut edits)?;
    edits.image("the image as it was, once more", None, image.clone());
    Ok(edits.cases)
}
