// SPDX-License-Identifier: GPL-2.0-only

//! Sources that are got over the network, from a server on loopback.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread;

use xtask::config::LabConfig;
use xtask::error::{Kind, Result};
use xtask::event::Silent;
use xtask::flags::Target;
use xtask::kernel::source::{self, Fetched};
use xtask::layout::Layout;
use xtask::plan::Plan;
use xtask::stamp::hash_bytes;

use crate::project::{host, there};

const WHOLE: &[u8] = &[b'k'; 100_000];

/// What the server knows: how much of each file it sends before it hangs up.
const SENT: &[(&str, usize)] = &[
    ("/whole.tar.xz", WHOLE.len()),
    ("/cut.tar.xz", 1000),
    ("/short.tar.xz", 1000),
];

/// Answers as long as the test runs; returns its address.
fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            // A client that has gone away is its own affair.
            let _ = answer(stream.unwrap());
        }
    });
    address
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let wanted = request.split(' ').nth(1).unwrap_or("");
    let Some((name, sent)) = SENT.iter().find(|(name, _)| *name == wanted) else {
        return stream.write_all(
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        );
    };
    // One is cut on its way, the other lies there like that.
    let length = if name.starts_with("/short") {
        *sent
    } else {
        WHOLE.len()
    };
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    )?;
    stream.write_all(&WHOLE[..*sent])
}

/// Fetches a source that can be had from these places, in a folder.
fn fetch(root: &Path, urls: &[String]) -> Result<Fetched> {
    let sha256 = hash_bytes(WHOLE);
    let origins: Vec<String> = urls
        .iter()
        .map(|url| format!("{{ url = \"{url}\", sha256 = \"{sha256}\" }}"))
        .collect();
    let text = format!(
        "default-kernel = \"k\"\ndefault-machine = \"m\"\n[toolchain]\nllvm = \"19\"\nbindgen = \"0.72.1\"\n\
         [source.s]\norigin = [{}]\n[kernel.k]\nsource = \"s\"\nseries = false\nconfig = [\"base\"]\n\
         [machine.m]\ncpus = 1\nmemory-mib = 512\ncpu = {{ x86_64 = \"max\", arm64 = \"max\" }}\n",
        origins.join(", ")
    );
    let config = LabConfig::parse("lab.toml", &text).unwrap();
    let plan = Plan::new(&Layout::new(root), &config, &Target::default(), &host()).unwrap();
    source::fetch(&plan, &Silent)
}

#[test]
fn what_is_cut_or_another_one_is_not_believed() {
    if !there(&["apt-get"]) {
        return;
    }
    let (dir, server) = (tempfile::tempdir().unwrap(), serve());
    let url = |name: &str| format!("{server}/{name}.tar.xz");
    let refused = |name: &str| fetch(dir.path(), &[url(name)]).unwrap_err();

    let error = refused("none");
    assert_eq!(error.kind(), Kind::Host);
    for part in [&format!("downloading {}", url("none")), "404"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    let error = refused("cut").to_string();
    let doing = format!("downloading {}", url("cut"));
    assert!(error.starts_with(&doing), "{error}");
    let error = refused("short").to_string();
    let (is, said) = (hash_bytes(&WHOLE[..1000]), hash_bytes(WHOLE));
    let expected = format!(
        "checking what {} gave: sha256 is {is}, lab.toml says {said}",
        url("short")
    );
    assert!(error.starts_with(&expected), "{error}");

    // The next origin is asked, and what it gave is kept.
    let fetched = fetch(dir.path(), &[url("short"), url("none"), url("whole")]).unwrap();
    assert_eq!(fetched.origin, "whole.tar.xz");
    assert_eq!(std::fs::read(&fetched.tarball).unwrap(), WHOLE);
}
