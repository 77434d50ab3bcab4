// SPDX-License-Identifier: GPL-2.0-only

//! Files to and from a running guest, over the files port.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use guest::protocol::{Answer, Op};

use crate::error::{AtPath, Error};
use crate::qemu::guest::{Guest, Halt, SLICE};

/// Bytes that are handled at once.
const CHUNK: usize = 1 << 20;

impl Guest {
    /// Fetches a file of the guest into `to`; `Err` inside: why the guest could not send it.
    /// `limit` is how long nothing may come.
    pub fn fetch(
        &mut self,
        path: &str,
        to: &Path,
        limit: Duration,
    ) -> Result<Result<u64, String>, Halt> {
        let len = match self.ask(
            Op::Fetch {
                path: path.to_string(),
            },
            limit,
        )? {
            Answer::Bulk { len } => len,
            Answer::Failed { why, .. } => return Ok(Err(why)),
            other => return Err(self.babble(&format!("{other:?} to a fetch"))),
        };
        let mut file = File::create(to).at("creating", to)?;
        let mut buffer = vec![0; CHUNK];
        let mut left = len;
        let mut deadline = Instant::now() + limit;
        while left > 0 {
            let room = buffer
                .len()
                .min(usize::try_from(left).unwrap_or(usize::MAX));
            match self.files.read(&mut buffer[..room], SLICE) {
                Ok(Some(count)) => {
                    file.write_all(&buffer[..count]).at("writing", to)?;
                    left -= count as u64;
                    deadline = Instant::now() + limit;
                }
                Ok(None) => self.look("the content of a file", deadline, limit.into())?,
                Err(err) => return Err(self.lost(&err)),
            }
        }
        Ok(Ok(len))
    }

    /// Stores a file of the host in the guest; `Err` inside: why the guest did not take it.
    pub fn store(
        &mut self,
        from: &Path,
        path: &str,
        mode: u32,
        limit: Duration,
    ) -> Result<Result<(), String>, Halt> {
        let mut file = File::open(from).at("opening", from)?;
        let len = file.metadata().at("looking at", from)?.len();
        let id = self.send(
            Op::Store {
                path: path.to_string(),
                len,
                mode,
            },
            limit,
        )?;
        let mut buffer = vec![0; CHUNK];
        let mut left = len;
        while left > 0 {
            let room = buffer
                .len()
                .min(usize::try_from(left).unwrap_or(usize::MAX));
            let count = file.read(&mut buffer[..room]).at("reading", from)?;
            if count == 0 {
                return Err(Error::lab(
                    format!("sending {}", from.display()),
                    "the file became shorter",
                )
                .into());
            }
            self.send_raw(&buffer[..count], limit)?;
            left -= count as u64;
        }
        match self.await_reply(id, "storing a file", Instant::now() + limit, limit.into())? {
            Answer::Done => Ok(Ok(())),
            Answer::Failed { why, .. } => Ok(Err(why)),
            other => Err(self.babble(&format!("{other:?} to a store"))),
        }
    }

    fn send_raw(&mut self, bytes: &[u8], limit: Duration) -> Result<(), Halt> {
        let mut sent = 0;
        let mut deadline = Instant::now() + limit;
        while sent < bytes.len() {
            match self.files.write(&bytes[sent..], SLICE) {
                Ok(Some(count)) => {
                    sent += count;
                    deadline = Instant::now() + limit;
                }
                Ok(None) => self.look("room for the content of a file", deadline, limit.into())?,
                Err(err) => return Err(self.lost(&err)),
            }
        }
        Ok(())
    }
}
