// SPDX-License-Identifier: GPL-2.0-only

//! The page in a real browser: what it shows, that it is drawn, that its filter works. Without Chromium there
//! is nothing to look with; `cargo xtask test` gets one, and says so, and then the test has to find it.

use std::path::Path;

use super::text;
use crate::arch::Arch;
use crate::exec::{tool, which};
use crate::report::history::History;
use crate::report::tests::{report, result};
use crate::report::timeline::tests::words;
use crate::report::timeline::Restarts;
use crate::scenario::verdict::Verdict;
use crate::suite::ALL_TOOLS;

/// What Chromium says of a page, or of a part of it ("#name"), after its scripts have run.
fn browse(page: &Path, part: &str, args: &[&str]) -> Vec<u8> {
    let profile = tempfile::tempdir().unwrap();
    tool("looking at the page", "chromium")
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            "--window-size=1000,2000",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(args.iter().copied())
        .arg(format!("file://{}{part}", page.display()))
        .read_bytes()
        .unwrap()
}

#[test]
fn a_browser_shows_what_failed_and_filters() {
    if which("chromium").is_none() {
        assert!(
            std::env::var_os(ALL_TOOLS).is_none(),
            "chromium was set up and is not there"
        );
        eprintln!("skipped: no chromium here");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut bad = result("futex", Arch::Arm64, Verdict::Oops);
    bad.why = "Unable to handle <kernel> paging request".into();
    let mut run = report(
        "1",
        vec![
            bad,
            result("self", Arch::X86_64, Verdict::Pass),
            result("tree", Arch::X86_64, Verdict::Pass),
        ],
    );
    run.folder = dir.path().to_path_buf();
    let log = dir.path().join("arm64/futex/console.log");
    for folder in run.results.iter().map(|result| run.folder_of(result)) {
        std::fs::create_dir_all(folder).unwrap();
    }
    std::fs::write(&log, "Internal error: Oops: 1 [#1] SMP\n").unwrap();
    let tree = run.folder_of(&run.results[2]);
    Restarts::of(&words(0), 0).write(&tree).unwrap();
    let earlier = History::of(&[run.clone(), run.clone()]);
    let html = text(&run, &earlier, dir.path()).unwrap();
    let page = dir.path().join("report.html");
    std::fs::write(&page, &html).unwrap();

    let dom = String::from_utf8(browse(&page, "", &["--dump-dom"])).unwrap();
    assert!(
        dom.contains("data-rows=\"3\""),
        "its script has not run: {dom}"
    );
    for words in [
        "1 of 3 scenarios failed",
        "Unable to handle &lt;kernel&gt; paging request",
        "Internal error: Oops: 1",
        "<polyline points=",
        "2 tasks in 12.0 ms, 5.0 ms of it restoring",
    ] {
        assert!(dom.contains(words), "expected {words:?} in {dom}");
    }

    // As if somebody had typed into the filter.
    let typing = "<script>filter.value = 'futex oops'; filter.dispatchEvent(new Event('input'));</script></body>";
    let typed = dir.path().join("typed.html");
    std::fs::write(&typed, html.replace("</body>", typing)).unwrap();
    let dom = String::from_utf8(browse(&typed, "", &["--dump-dom"])).unwrap();
    assert_eq!(dom.matches("<tr hidden=\"\">").count(), 2, "{dom}");

    let shot = dir.path().join("shot.png");
    let shoot = |part: &str| {
        browse(&page, part, &[&format!("--screenshot={}", shot.display())]);
        [RED, GREEN, BLUE].map(|colour| pixels(&shot, colour))
    };
    let [red, green, closed] = shoot("");
    assert!(
        red > 50 && green > 50,
        "red {red}, green {green} pixels of verdicts"
    );
    // Who follows the link from the table sees the tasks at work.
    let [_, _, open] = shoot("#restarts-0");
    assert!(
        open > closed + 1000,
        "pixels of tasks that restore themselves: {closed}, then {open}"
    );
}

/// A failure, a pass, a task at work, as the page's style has them.
const RED: [u8; 3] = [0xc0, 0x23, 0x2c];
const GREEN: [u8; 3] = [0x1a, 0x7f, 0x37];
const BLUE: [u8; 3] = [0x1f, 0x6f, 0xeb];

/// How many pixels of a picture have a colour, or nearly.
fn pixels(picture: &Path, wanted: [u8; 3]) -> usize {
    let file = std::io::BufReader::new(std::fs::File::open(picture).unwrap());
    let mut reader = png::Decoder::new(file).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    assert_eq!((info.width, info.height), (1000, 2000));
    let is_near = |pixel: &&[u8]| {
        let channels = pixel.iter().zip(wanted);
        channels
            .into_iter()
            .all(|(found, wanted)| found.abs_diff(wanted) < 24)
    };
    let size = info.color_type.samples();
    pixels.chunks(size).filter(is_near).count()
}
