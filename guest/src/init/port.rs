// SPDX-License-Identifier: GPL-2.0-only

//! A virtio-serial port: found by its name, never blocking longer than a
//! deadline.

use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

/// An open port; its reads and writes return at once.
#[derive(Debug)]
pub struct Port {
    file: File,
    name: String,
}

/// Opens the port called `name`, waiting until the kernel has found it.
pub fn open(name: &str, patience: Duration) -> Result<Port, String> {
    let start = Instant::now();
    loop {
        if let Some(device) = find(name) {
            let path = format!("/dev/{device}");
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .custom_flags(libc::O_NONBLOCK)
                .open(&path)
                .map_err(|e| format!("port {name}: opening {path}: {e}"))?;
            return Ok(Port {
                file,
                name: name.to_owned(),
            });
        }
        if start.elapsed() >= patience {
            return Err(format!("port {name}: none of that name in /sys/class/virtio-ports after {patience:?} (virtserialport,name={name})"));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whether the call is merely to be made again.
fn again(err: &io::Error) -> bool {
    matches!(
        err.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

fn find(name: &str) -> Option<String> {
    let mut ports = fs::read_dir("/sys/class/virtio-ports").ok()?.flatten();
    let entry = ports.find(|entry| {
        fs::read_to_string(entry.path().join("name")).is_ok_and(|found| found.trim() == name)
    })?;
    entry.file_name().into_string().ok()
}

impl Port {
    /// Waits until the port can be read, or written where `write` is given.
    fn wait(&self, events: PollFlags, until: Instant) -> io::Result<()> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let timeout = PollTimeout::from(left.as_millis().min(1000) as u16 + 1);
            let mut fds = [PollFd::new(self.file.as_fd(), events)];
            match poll(&mut fds, timeout) {
                Ok(_) | Err(nix::errno::Errno::EINTR) => (),
                Err(err) => return Err(err.into()),
            }
            let found = fds[0].revents().unwrap_or(PollFlags::empty());
            if found.intersects(events) {
                return Ok(());
            }
            if left.is_zero() {
                let why = format!("port {}: the host was not there in time", self.name);
                return Err(io::Error::new(io::ErrorKind::TimedOut, why));
            }
            if found.contains(PollFlags::POLLHUP) {
                // Poll does not sleep on a port without a host.
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }

    /// Reads what there is: `Ok(0)` is nothing, or no host.
    pub fn read_now(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.file.read(buffer) {
            Err(err) if again(&err) => Ok(0),
            other => other,
        }
    }

    /// Reads something; no progress within `patience` is an error.
    pub fn read_some(&mut self, buffer: &mut [u8], patience: Duration) -> io::Result<usize> {
        let until = Instant::now() + patience;
        loop {
            self.wait(PollFlags::POLLIN, until)?;
            match self.read_now(buffer)? {
                0 => std::thread::sleep(Duration::from_millis(1)),
                len => return Ok(len),
            }
        }
    }

    /// Writes all of it; no progress within `patience` is an error.
    pub fn write_all(&mut self, mut bytes: &[u8], patience: Duration) -> io::Result<()> {
        while !bytes.is_empty() {
            self.wait(PollFlags::POLLOUT, Instant::now() + patience)?;
            match self.file.write(bytes) {
                Ok(len) => bytes = &bytes[len..],
                Err(err) if again(&err) => (),
                Err(err) => return Err(err),
            }
        }
        Ok(())
    }

    /// Whether the host has the other end open.
    pub fn has_host(&self) -> bool {
        let mut fds = [PollFd::new(self.file.as_fd(), PollFlags::POLLIN)];
        let found = poll(&mut fds, PollTimeout::ZERO)
            .ok()
            .and_then(|_| fds[0].revents());
        !found
            .unwrap_or(PollFlags::POLLHUP)
            .contains(PollFlags::POLLHUP)
    }

    /// For poll.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
