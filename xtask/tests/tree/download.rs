// SPDX-License-Identifier: GPL-2.0-only

//! Sources that are got over the network, from a server on loopback.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Mutex;
use std::thread;

use xtask::error::{Error, Kind, Result};
use xtask::event::{Event, Silent, Sink};
use xtask::kernel::source::download::from_archives;
use xtask::kernel::source::search::Refusal;
use xtask::kernel::source::{self, Fetched};
use xtask::plan::Plan;
use xtask::stamp::hash_bytes;

use crate::project::{plan_of, there};

const WHOLE: &[u8] = &[b'k'; 100_000];

/// What the server knows: how much of each file it sends before it hangs up.
const SENT: &[(&str, usize)] = &[
    ("/whole.tar.xz", WHOLE.len()),
    ("/cut.tar.xz", 1000),
    ("/short.tar.xz", 1000),
    ("/archive/pool/x.tar.xz", WHOLE.len()),
    ("/short/pool/x.tar.xz", 1000),
    ("/cut/pool/x.tar.xz", 1000),
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

/// The plan of a kernel whose source can be had from these places, in a folder.
fn plan(root: &Path, urls: &[String]) -> Plan {
    let sha256 = hash_bytes(WHOLE);
    let origin = |url: &String| format!("{{ url = \"{url}\", sha256 = \"{sha256}\" }}");
    plan_of(root, &urls.iter().map(origin).collect::<Vec<_>>())
}

fn fetch(root: &Path, urls: &[String], sink: &dyn Sink) -> Result<Fetched> {
    source::fetch(&plan(root, urls), sink)
}

/// What `act` gives, and what it says meanwhile.
fn heard<T>(act: impl FnOnce(&dyn Sink) -> T) -> (T, Vec<String>) {
    let notes = Mutex::new(Vec::new());
    let result = act(&|event: Event| {
        if let Event::Note(note) = event {
            notes.lock().unwrap().push(note);
        }
    });
    (result, notes.into_inner().unwrap())
}

#[test]
fn what_is_cut_or_another_one_is_not_believed() {
    if !there(&["apt-get"]) {
        return;
    }
    let (dir, server) = (tempfile::tempdir().unwrap(), serve());
    let url = |name: &str| format!("{server}/{name}.tar.xz");
    let refused = |name: &str| fetch(dir.path(), &[url(name)], &Silent).unwrap_err();

    let error = refused("none");
    assert_eq!(error.kind(), Kind::Host);
    for part in [&format!("downloading {}", url("none")), "404"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    // Whoever answers can be reached.
    assert!(!error.to_string().contains("network"), "{error}");
    let error = refused("short").to_string();
    let (is, said) = (hash_bytes(&WHOLE[..1000]), hash_bytes(WHOLE));
    let expected = format!(
        "checking what {} gave: sha256 is {is}, lab.toml says {said}",
        url("short")
    );
    assert!(error.starts_with(&expected), "{error}");

    // Another file than the one that is meant ends the search, whatever comes behind.
    let both = [url("short"), url("whole")];
    let error = fetch(dir.path(), &both, &Silent).unwrap_err().to_string();
    assert!(error.starts_with(&expected), "{error}");
    // What is not there, or does not come through, has the next origin asked, and what that gave is kept.
    let all = [url("none"), url("cut"), url("whole")];
    let (fetched, notes) = heard(|sink| fetch(dir.path(), &all, sink));
    let fetched = fetched.unwrap();
    assert_eq!(fetched.origin, "whole.tar.xz");
    assert_eq!(std::fs::read(&fetched.tarball).unwrap(), WHOLE);
    let passed = |name: &str| format!("passed over: downloading {}: ", url(name));
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(notes[0].starts_with(&passed("none")), "{notes:?}");
    assert!(notes[1].starts_with(&passed("cut")), "{notes:?}");
    let hint = "hint: is the network up?";
    assert!(notes[1].contains(hint), "{notes:?}");
}

#[test]
fn mirrors_of_an_archive_are_asked_in_turn() {
    if !there(&["apt-get"]) {
        return;
    }
    let (dir, server) = (tempfile::tempdir().unwrap(), serve());
    let plan = plan(dir.path(), &["http://x/y".to_string()]);
    let sha256 = hash_bytes(WHOLE);
    let ask = |names: &[&str]| {
        let archives: Vec<String> = names
            .iter()
            .map(|name| format!("{server}/{name}/"))
            .collect();
        heard(|sink| from_archives(&plan, &archives, "pool/x.tar.xz", &sha256, sink))
    };
    let refused = |names: &[&str]| -> Error {
        match ask(names).0 {
            Err(Refusal::Absent(err)) => err,
            other => panic!("{names:?}: {other:?}"),
        }
    };
    let versions = "hint: the archive keeps a release's sources until its next update";

    let (found, notes) = ask(&["none", "archive", "short"]);
    assert_eq!(std::fs::read(found.unwrap().tarball).unwrap(), WHOLE);
    let passed = format!("passed over: downloading {server}/none/pool/x.tar.xz: ");
    assert!(
        notes.len() == 1 && notes[0].starts_with(&passed),
        "{notes:?}"
    );
    // Of one mirror the error is its own; another version is no help against a broken connection.
    let error = refused(&["none"]).to_string();
    let doing = format!("downloading {server}/none/pool/x.tar.xz: ");
    assert!(
        error.starts_with(&doing) && error.contains(versions),
        "{error}"
    );
    let error = refused(&["cut"]).to_string();
    assert!(error.contains("hint: is the network up?"), "{error}");
    assert!(!error.contains(versions), "{error}");
    let error = refused(&["none", "nothing"]).to_string();
    assert!(
        error.starts_with("downloading pool/x.tar.xz: downloading "),
        "{error}"
    );
    assert!(
        error.contains("/nothing/pool/x.tar.xz") && error.contains(versions),
        "{error}"
    );
    assert!(!refused(&[]).found().is_empty());
    match ask(&["short", "archive"]) {
        (Err(Refusal::Final(err)), notes) if notes.is_empty() => {
            assert!(err.found().starts_with("sha256 is "), "{err}");
        }
        other => panic!("{other:?}"),
    }
}
