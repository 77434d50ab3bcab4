// SPDX-License-Identifier: GPL-2.0-only

//! The page in a real browser: what it shows, that it is drawn, that its filter works. Without Chromium there
//! is nothing to look with; `cargo xtask test` gets one, and says so, and then the test has to find it.

use std::path::Path;

use super::text;
use crate::arch::Arch;
use crate::exec::{tool, which};
use crate::report::history::History;
use crate::report::tests::{report, result};
use crate::scenario::verdict::Verdict;
use crate::suite::ALL_TOOLS;

/// What Chromium says of a page after its scripts have run.
fn browse(page: &Path, args: &[&str]) -> Vec<u8> {
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
            "--window-size=1000,900",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(args.iter().copied())
        .arg(format!("file://{}", page.display()))
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
    std::fs::create_dir_all(log.parent().unwrap()).unwrap();
    std::fs::write(&log, "Internal error: Oops: 1 [#1] SMP\n").unwrap();
    let earlier = History::of(&[run.clone(), run.clone()]);
    let html = text(&run, &earlier, dir.path()).unwrap();
    let page = dir.path().join("report.html");
    std::fs::write(&page, &html).unwrap();

    let dom = String::from_utf8(browse(&page, &["--dump-dom"])).unwrap();
    assert!(
        dom.contains("data-rows=\"3\""),
        "its script has not run: {dom}"
    );
    for words in [
        "1 of 3 scenarios failed",
        "Unable to handle &lt;kernel&gt; paging request",
        "Internal error: Oops: 1",
        "<polyline points=",
    ] {
        assert!(dom.contains(words), "expected {words:?} in {dom}");
    }

    // As if somebody had typed into the filter.
    let typing = "<script>filter.value = 'futex oops'; filter.dispatchEvent(new Event('input'));</script></body>";
    let typed = dir.path().join("typed.html");
    std::fs::write(&typed, html.replace("</body>", typing)).unwrap();
    let dom = String::from_utf8(browse(&typed, &["--dump-dom"])).unwrap();
    assert_eq!(dom.matches("<tr hidden=\"\">").count(), 2, "{dom}");

    let shot = dir.path().join("shot.png");
    browse(&page, &[&format!("--screenshot={}", shot.display())]);
    let (red, green) = colours(&shot);
    assert!(
        red > 50 && green > 50,
        "red {red}, green {green} pixels of verdicts"
    );
}

/// Pixels of a picture that are the red of a failure, and the green of a pass.
fn colours(picture: &Path) -> (usize, usize) {
    let file = std::io::BufReader::new(std::fs::File::open(picture).unwrap());
    let mut reader = png::Decoder::new(file).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    assert_eq!((info.width, info.height), (1000, 900));
    let size = info.color_type.samples();
    let is = |pixel: &[u8], wanted: [u8; 3]| {
        pixel
            .iter()
            .zip(wanted)
            .all(|(found, wanted)| found.abs_diff(wanted) < 24)
    };
    let count = |wanted: [u8; 3]| {
        pixels
            .chunks(size)
            .filter(|pixel| is(&pixel[..3], wanted))
            .count()
    };
    (count([0xc0, 0x23, 0x2c]), count([0x1a, 0x7f, 0x37]))
}
