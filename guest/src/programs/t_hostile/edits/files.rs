// SPDX-License-Identifier: GPL-2.0-only

//! Files that the user may not open, enter or execute: FILE, FDS, FS and MM.

use super::{mm, Edits, Outcome};
use crate::edit::{put_words, word, Image};
use checkpoint::image::list::Entry;
use checkpoint::image::record::FdEntry;
use checkpoint::image::Kind;
use nix::errno::Errno;
use nix::mount::{mount, MsFlags};
use nix::sched::{unshare, CloneFlags};
use std::ffi::CString;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

/// Offsets in FILE.
mod file {
    pub const KIND: usize = 4;
    pub const FLAGS: usize = 8;
    pub const MODE: usize = 12;
    pub const RDEV: usize = 32;
    pub const UID: usize = 56;
    pub const GID: usize = 60;
    pub const PATH_LEN: usize = 64;
    pub const PATH: usize = 68;
    /// The part of [`MODE`] that says what kind of file it is.
    pub const TYPE: u32 = 0o170_000;
}

/// Kinds of FILE.
const REGULAR: u32 = 1;
const CHAR_DEVICE: u32 = 3;
const WRITE_ONLY: u32 = 1;

/// What root's files hold.
const CONTENT: [u8; 4096] = [b'x'; 4096];

/// Files of root's, to be asked for. Programs are copies of this one.
pub struct Files {
    /// Nobody else may read it.
    secret: String,
    /// Nobody else may write it.
    read_only: String,
    /// Nobody else may enter it.
    closed: String,
    setuid: String,
    setgid: String,
    /// With a capability of the file's.
    capable: String,
    /// Setgid without the right to execute it by the group, which means something else.
    locking: String,
    /// Setuid where that counts for nothing.
    setuid_on_nosuid: String,
    not_executable: String,
    /// Where nothing is to be executed.
    on_noexec: String,
}

/// Makes a file with a mode.
fn make(path: &str, mode: u32, content: &[u8]) -> Result<String, String> {
    let failed = |e: std::io::Error| format!("{path}: {e}");
    fs::write(path, content).map_err(failed)?;
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(failed)?;
    Ok(path.to_owned())
}

/// A folder of its own file system.
fn mounted(path: &str, flags: MsFlags) -> Result<(), String> {
    fs::create_dir(path).map_err(|e| format!("{path}: {e}"))?;
    mount(Some("tmpfs"), path, Some("tmpfs"), flags, Some("mode=0755"))
        .map_err(|e| format!("mounting on {path}: {e}"))
}

/// Gives a program the capability to act on any file, for whoever executes it.
fn make_capable(path: &str) -> Result<(), String> {
    const REVISION_2_EFFECTIVE: u32 = 0x0200_0001;
    const CHOWN: u32 = 1;
    let words = [REVISION_2_EFFECTIVE, CHOWN, 0, 0, 0];
    let value: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let name = CString::new(path).map_err(|e| format!("{path}: {e}"))?;
    // SAFETY: two C strings, and as many bytes as are told.
    let done = unsafe {
        libc::setxattr(
            name.as_ptr(),
            c"security.capability".as_ptr(),
            value.as_ptr().cast(),
            value.len(),
            0,
        )
    };
    Errno::result(done)
        .map(drop)
        .map_err(|e| format!("giving {path} a capability: {e}"))
}

impl Files {
    /// Makes them in the working directory, some on mounts that the caller and its children alone have.
    pub fn make() -> Result<Files, String> {
        let here = std::env::current_dir().map_err(|e| format!("the working directory: {e}"))?;
        let here = here
            .to_str()
            .ok_or("a working directory that is no UTF-8")?;
        unshare(CloneFlags::CLONE_NEWNS).map_err(|e| format!("a mount namespace: {e}"))?;
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, private, None::<&str>)
            .map_err(|e| format!("making all mounts private: {e}"))?;
        let (suid, nosuid, noexec) = (
            format!("{here}/suid"),
            format!("{here}/nosuid"),
            format!("{here}/noexec"),
        );
        mounted(&suid, MsFlags::empty())?;
        mounted(&nosuid, MsFlags::MS_NOSUID)?;
        mounted(&noexec, MsFlags::MS_NOEXEC)?;
        let program = fs::read("/proc/self/exe").map_err(|e| format!("/proc/self/exe: {e}"))?;
        let closed = format!("{here}/closed");
        fs::create_dir(&closed)
            .and_then(|()| fs::set_permissions(&closed, Permissions::from_mode(0o700)))
            .map_err(|e| format!("{closed}: {e}"))?;
        let capable = make(&format!("{suid}/capable"), 0o755, &program)?;
        make_capable(&capable)?;
        Ok(Files {
            secret: make(&format!("{here}/secret"), 0o600, &CONTENT)?,
            read_only: make(&format!("{here}/read-only"), 0o644, &CONTENT)?,
            closed,
            setuid: make(&format!("{suid}/setuid"), 0o4755, &program)?,
            setgid: make(&format!("{suid}/setgid"), 0o2755, &program)?,
            capable,
            locking: make(&format!("{suid}/locking"), 0o2705, &program)?,
            setuid_on_nosuid: make(&format!("{nosuid}/setuid"), 0o4755, &program)?,
            not_executable: make(&format!("{here}/not-executable"), 0o644, &program)?,
            on_noexec: make(&format!("{noexec}/program"), 0o755, &program)?,
        })
    }

    /// Fails unless those with content have it still.
    pub fn are_untouched(&self) -> Result<(), String> {
        for path in [&self.secret, &self.read_only] {
            let found = fs::read(path).map_err(|e| format!("{path}: {e}"))?;
            if found != CONTENT {
                return Err(format!("{path} has been written to"));
            }
        }
        Ok(())
    }
}

/// The FILE record `number` under another path, with these words changed.
fn at(image: &Image, number: usize, path: &str, words: &[(usize, u32)]) -> Result<Image, String> {
    image.edited(Kind::File, number, |payload| {
        payload.truncate(file::PATH);
        payload.extend_from_slice(path.as_bytes());
        put_words(payload, &[(file::PATH_LEN, path.len() as u32)])?;
        put_words(payload, words)
    })
}

/// The same, as somebody edits it who wants the file at the path to pass for the saved one.
fn forged(image: &Image, number: usize, path: &str, words: &[(usize, u32)]) -> Result<Image, String> {
    let found = fs::metadata(path).map_err(|e| format!("{path}: {e}"))?;
    let mode = word(image.payload(Kind::File, number)?, file::MODE)?;
    let owner = [(file::MODE, mode & file::TYPE), (file::UID, found.uid()), (file::GID, found.gid())];
    at(image, number, path, &[&owner[..], words].concat())
}

/// The FILE record with this objref: its number.
fn file_of(image: &Image, objref: u32) -> Result<usize, String> {
    image.find(Kind::File, |payload| word(payload, 0) == Ok(objref))
}

/// The FILE record of the open status file: its number.
pub(super) fn status_file(image: &Image, status: &str) -> Result<usize, String> {
    image.find(Kind::File, |payload| payload.ends_with(status.as_bytes()))
}

fn opened(edits: &mut Edits<'_>, made: &Files, status: usize) -> Result<(), String> {
    let image = edits.image;
    let another = at(image, status, &made.read_only, &[(file::FLAGS, 0)])?;
    edits.image("a file of another owner than was saved", Errno::EPERM, another);
    let at = |path: &str, words: &[(usize, u32)]| forged(image, status, path, words);
    let console = [
        (file::KIND, CHAR_DEVICE),
        (file::MODE, 0o020_666),
        (file::RDEV, 5),
        (file::RDEV + 4, 1),
    ];
    let write_only = [(file::FLAGS, WRITE_ONLY)];
    for (what, errno, edited) in [
        ("a file that is another's", Errno::EACCES, at(&made.secret, &[])?),
        ("a file for writing that may be read", Errno::EACCES, at(&made.read_only, &write_only)?),
        ("a folder as a file", Errno::EBADF, at("/proc", &[])?),
        ("a part of procfs", Errno::EBADF, at("/proc/1/status", &[(file::FLAGS, 0)])?),
        ("a name with a link", Errno::ELOOP, at("/proc/self/status", &[(file::FLAGS, 0)])?),
        ("init's memory", Errno::EACCES, at("/proc/1/mem", &[])?),
        ("the console", Errno::EOPNOTSUPP, at("/dev/console", &console)?),
        ("flags of no open file", Errno::EINVAL, at(&made.read_only, &[(file::FLAGS, 1 << 30)])?),
        ("a file to be emptied", Errno::EINVAL, at(&made.read_only, &[(file::FLAGS, 0o1000)])?),
    ] {
        edits.image(what, errno, edited);
    }
    Ok(())
}

fn executed(edits: &mut Edits<'_>, made: &Files) -> Result<(), String> {
    let image = edits.image;
    let exe = file_of(image, word(image.payload(Kind::Mm, 0)?, mm::EXE)?)?;
    for (what, errno, path) in [
        ("a setuid program", Errno::EPERM, &made.setuid),
        ("a setgid program", Errno::EPERM, &made.setgid),
        ("a program with capabilities", Errno::EPERM, &made.capable),
        ("a program that may not be executed", Errno::EACCES, &made.not_executable),
        ("a program where nothing is executed", Errno::EACCES, &made.on_noexec),
    ] {
        edits.image(what, errno, forged(image, exe, path, &[])?);
    }
    for (what, path) in [
        ("a setgid program that is none", &made.locking),
        ("a setuid program that raises nothing", &made.setuid_on_nosuid),
    ] {
        let shown = Outcome::Shows("maps", path.clone());
        edits.image(what, shown, forged(image, exe, path, &[])?);
    }
    Ok(())
}

fn directories(edits: &mut Edits<'_>, made: &Files) -> Result<(), String> {
    let image = edits.image;
    // Offsets in FS.
    let (root_at, cwd_at) = (4, 8);
    let fs = image.payload(Kind::Fs, 0)?;
    let (root, cwd) = (word(fs, root_at)?, word(fs, cwd_at)?);
    let regular = [(file::KIND, REGULAR), (file::FLAGS, 0), (file::MODE, 0o100_644)];
    let to_file = |of: u32| forged(image, file_of(image, of)?, &made.read_only, &regular);
    let moved = |of: u32, path: &str| forged(image, file_of(image, of)?, path, &[]);
    for (what, errno, edited) in [
        ("a root directory that is a file", Errno::ENOTDIR, to_file(root)?),
        ("a working directory that is a file", Errno::ENOTDIR, to_file(cwd)?),
        ("another root directory", Errno::EPERM, moved(root, "/tmp")?),
        ("a root directory that may not be entered", Errno::EACCES, moved(root, &made.closed)?),
        ("a working directory that may not be entered", Errno::EACCES, moved(cwd, &made.closed)?),
    ] {
        edits.image(what, errno, edited);
    }
    edits.words("the working directory as root directory", Errno::EPERM, Kind::Fs, &[(root_at, cwd)])?;
    // The descriptor, then its objref.
    let last = image.payload(Kind::Fds, 0)?.len() - FdEntry::SIZE;
    edits.words("a descriptor beyond the hard limit", Errno::EMFILE, Kind::Fds, &[(last, i32::MAX as u32)])?;
    edits.words("the working directory as a descriptor", Errno::EOPNOTSUPP, Kind::Fds, &[(last + 4, cwd)])
}

/// Adds the cases about files.
pub(super) fn edit(edits: &mut Edits<'_>, made: &Files, status: &str) -> Result<(), String> {
    opened(edits, made, status_file(edits.image, status)?)?;
    executed(edits, made)?;
    directories(edits, made)
}
