// SPDX-License-Identifier: GPL-2.0-only

//! In the place of `/init`: says to the host, and as results, what is none of their words.

use crate::init::{mounts, port};
use crate::protocol::{CONTROL_PORT, RESULTS_PORT};
use std::process::ExitCode;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);

/// Never ends, as process 1 must not.
pub fn main() -> ExitCode {
    if let Err(why) = babble() {
        println!("t_babble: {why}");
    }
    loop {
        std::thread::sleep(Duration::from_secs(60));
    }
}

fn babble() -> Result<(), String> {
    mounts::mount_all()?;
    let say = |name: &str, words: &[u8]| {
        let mut port = port::open(name, PATIENCE)?;
        while !port.has_host() {
            std::thread::sleep(Duration::from_millis(5));
        }
        port.write_all(words, PATIENCE)
            .map_err(|e| format!("{name}: {e}"))?;
        // Whoever closes a port takes back what has not been read.
        std::mem::forget(port);
        Ok::<(), String>(())
    };
    say(RESULTS_PORT, b"ok 1 - \xff\xfe\nnot ok\n\n1..\n")?;
    say(CONTROL_PORT, b"\x00\xff{\"id\": 0, \"answer\": \"hell\n")
}
