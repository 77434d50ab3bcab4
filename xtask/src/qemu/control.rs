// SPDX-License-Identifier: GPL-2.0-only

//! The host's end of a virtio-serial port: a unix socket of QEMU's, read and
//! written in slices of time so that the caller can look around in between.
//! Owns the framing of control messages; what they say is `guest::protocol`.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{poll, PollFd, PollFlags, Timespec};

use guest::protocol::{Reply, Request};

/// Longest control message that is taken.
const LONGEST_LINE: usize = 16 << 20;

/// Connects to the socket `name` in `folder`. The folder is reached through a descriptor, since its path may
/// be longer than a socket address can be.
pub fn connect(folder: &Path, name: &str) -> io::Result<UnixStream> {
    let dir = File::open(folder)?;
    let short = PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd())).join(name);
    UnixStream::connect(short)
}

/// A connected port.
pub struct Port {
    stream: UnixStream,
}

impl Port {
    /// Connects to the socket `name` in `folder`.
    pub fn connect(folder: &Path, name: &str) -> io::Result<Port> {
        let stream = connect(folder, name)?;
        stream.set_nonblocking(true)?;
        Ok(Port { stream })
    }

    /// Reads what is there, waiting at most `slice` for it; `None` if nothing came.
    pub fn read(&mut self, buffer: &mut [u8], slice: Duration) -> io::Result<Option<usize>> {
        if !self.wait(PollFlags::IN, slice)? {
            return Ok(None);
        }
        match self.stream.read(buffer) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => Ok(Some(count)),
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(err) => Err(err),
        }
    }

    /// Writes as much as fits, waiting at most `slice` for room; `None` if nothing was written.
    pub fn write(&mut self, bytes: &[u8], slice: Duration) -> io::Result<Option<usize>> {
        if !self.wait(PollFlags::OUT, slice)? {
            return Ok(None);
        }
        match self.stream.write(bytes) {
            Ok(count) => Ok(Some(count)),
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(err) => Err(err),
        }
    }

    fn wait(&self, flags: PollFlags, slice: Duration) -> io::Result<bool> {
        let mut fds = [PollFd::from_borrowed_fd(self.stream.as_fd(), flags)];
        let slice = Timespec {
            tv_sec: slice.as_secs() as i64,
            tv_nsec: i64::from(slice.subsec_nanos()),
        };
        match poll(&mut fds, Some(&slice)) {
            Ok(ready) => Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(err) => Err(err.into()),
        }
    }
}

/// Cuts the bytes of the control port into lines and lines into replies.
#[derive(Debug, Default)]
pub struct Replies {
    pending: Vec<u8>,
}

impl Replies {
    /// Takes bytes from the port.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// The next whole line, and what it says; the error is the reason why it says nothing.
    pub fn next_reply(&mut self) -> Option<(String, Result<Reply, String>)> {
        let end = match self.pending.iter().position(|byte| *byte == b'\n') {
            Some(end) => end,
            None if self.pending.len() > LONGEST_LINE => self.pending.len() - 1,
            None => return None,
        };
        let line: Vec<u8> = self.pending.drain(..=end).collect();
        let line = String::from_utf8_lossy(&line).trim().to_string();
        let reply = serde_json::from_str(&line).map_err(|err| err.to_string());
        Some((line, reply))
    }
}

/// A request as it goes over the port.
pub fn encode(request: &Request) -> Result<String, String> {
    let mut line = serde_json::to_string(request).map_err(|err| err.to_string())?;
    line.push('\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use guest::protocol::{Answer, Op};

    #[test]
    fn replies_are_cut_out_of_pieces() {
        let mut replies = Replies::default();
        replies.feed(br#"{"id":1,"answer":"do"#);
        assert!(replies.next_reply().is_none());
        replies.feed(b"ne\"}\n{\"id\":2,\"answer\":\"started\",\"pid\":7}\nrubbish\n");
        assert_eq!(
            replies.next_reply().unwrap().1,
            Ok(Reply {
                id: 1,
                answer: Answer::Done
            })
        );
        assert_eq!(
            replies.next_reply().unwrap().1,
            Ok(Reply {
                id: 2,
                answer: Answer::Started { pid: 7 }
            })
        );
        assert!(replies.next_reply().unwrap().1.is_err());
        assert!(replies.next_reply().is_none());
    }

    #[test]
    fn a_request_is_one_line() {
        let request = Request {
            id: 3,
            op: Op::Write {
                path: "a".into(),
                text: "x\ny".into(),
            },
        };
        let line = encode(&request).unwrap();
        assert_eq!(
            line,
            "{\"id\":3,\"op\":\"write\",\"path\":\"a\",\"text\":\"x\\ny\"}\n"
        );
    }
}
