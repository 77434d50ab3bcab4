// SPDX-License-Identifier: GPL-2.0-only

//! `lab.toml`: what is refused, and in which words.

use std::path::Path;

use xtask::arch::Arch;
use xtask::config::LabConfig;
use xtask::error::Kind;
use xtask::event::Silent;
use xtask::flags::Target;
use xtask::host::Host;
use xtask::kernel::config::read_fragments;
use xtask::kernel::source::fetch;
use xtask::layout::Layout;
use xtask::plan::Plan;

const SOUND: &str = include_str!("../../lab.toml");

fn refusal(text: &str) -> String {
    let error = LabConfig::parse("lab.toml", text).expect_err("it should have been refused");
    assert_eq!(error.kind(), Kind::Usage);
    error.to_string()
}

#[test]
fn the_projects_own_file_is_sound() {
    let config = LabConfig::parse("lab.toml", SOUND).unwrap();
    assert!(config.kernel.contains_key("debug"));
    assert!(config.kernel(None).is_ok() && config.machine(None).is_ok());
}

#[test]
fn an_unknown_kernel_is_named_with_the_known_ones() {
    let config = LabConfig::parse("lab.toml", SOUND).unwrap();
    let error = config.kernel(Some("debgu")).unwrap_err();
    insta::assert_snapshot!(
        error.to_string(),
        @r#"choosing a kernel: kernel "debgu" is not defined; defined: 6.12, 6.12-plain, 6.12-pristine, debug, next, next-plain (did you mean "debug"?)"#
    );
}

#[test]
fn an_unknown_key_is_shown_in_its_line() {
    let error = refusal(&SOUND.replace("memory-mib", "memroy-mib"));
    assert!(error.contains("| memroy-mib = "), "{error}");
    assert!(
        error.contains("unknown field `memroy-mib`, expected one of `cpus`, `memory-mib`, `cpu`"),
        "{error}"
    );
}

#[test]
fn all_problems_come_at_once() {
    let text = SOUND
        .replace("default-kernel = \"6.12\"", "default-kernel = \"6.13\"")
        .replace("cpus = 2", "cpus = 200")
        .replace("objects-gib = 10", "objects-gib = 0")
        .replace("slowdown = 8.0", "slowdown = 0.5")
        .replace("{ debian = \"linux-source-6.12\" }", "{ file = \"x.tar\" }");
    insta::assert_snapshot!(refusal(&text), @r#"
    checking lab.toml: lab.toml: default-kernel: kernel "6.13" is not defined; defined: 6.12, 6.12-plain, 6.12-pristine, debug, next, next-plain (did you mean "6.12"?)
    lab.toml: cache: objects-gib 0 is not in 1..100000
    lab.toml: source "6.12": origin 1: a tarball needs its sha256
    lab.toml: kernel "debug": slowdown 0.5 is not in 1.0..100.0
    lab.toml: machine "default": cpus 200 is not in 1..8
    "#);
}

#[test]
fn a_kernel_that_cannot_be_is_refused() {
    let newer =
        "[kernel.newer]\nsource = 'newer'\nconfig = ['base', 'arm46:x']\noverlay = '../x'\n\
                 [kernel.bare]\nsource = 'next'\nconfig = ['base']\n";
    insta::assert_snapshot!(refusal(&format!("{SOUND}\n{newer}")), @r#"
    checking lab.toml: lab.toml: kernel "newer": source "newer" is not defined; defined: 6.12, 6.12-pristine, next
    lab.toml: kernel "bare": the project's own series goes with an overlay: name it, or say series = false
    lab.toml: kernel "newer": overlay "../x": only letters, digits, '.', '_' and '-' are possible
    lab.toml: kernel "newer": config "arm46:x": no architecture arm46
    "#);
}

#[test]
fn an_origin_that_cannot_be_is_refused() {
    let sha256 = format!("sha256 = '{}'", "0".repeat(64));
    let origins = [
        format!("{{ pool = '/pool/x.tar.xz', {sha256} }}"),
        format!("{{ pool = 'pool/../x.tar.xz', {sha256} }}"),
        format!("{{ url = 'ftp://x/linux.tar.xz', {sha256} }}"),
        format!("{{ url = 'https://x/linux.tar.xz?y', {sha256} }}"),
        "{ url = 'https://x/linux.tar.xz' }".to_string(),
        "{ file = 'linux.tar.xz', sha256 = 'abc' }".to_string(),
        format!("{{ git = 'linux', {sha256} }}"),
        "{ debian = 'linux-source', git = 'linux' }".to_string(),
    ];
    let text = format!("{SOUND}\n[source.x]\norigin = [{}]\n", origins.join(", "));
    insta::assert_snapshot!(refusal(&text), @r#"
    checking lab.toml: lab.toml: source "x": origin 1: pool "/pool/x.tar.xz" does not begin with pool/, as paths below the archive's root do
    lab.toml: source "x": origin 2: pool "pool/../x.tar.xz": the file name ".." begins with '.'
    lab.toml: source "x": origin 3: url "ftp://x/linux.tar.xz": it does not begin with https:// or http://
    lab.toml: source "x": origin 4: url "https://x/linux.tar.xz?y": the file name "linux.tar.xz?y" has '?' in it
    lab.toml: source "x": origin 5: a tarball needs its sha256
    lab.toml: source "x": origin 6: sha256 is not 64 hexadecimal digits
    lab.toml: source "x": origin 7: sha256 goes with a tarball; apt and git verify what they get themselves
    lab.toml: source "x": origin 8: needs one of debian, pool, url, file, git and path
    "#);
}

/// A plan by this text, in a folder that has nothing of what it names.
fn plan_in(root: &Path, text: &str) -> Plan {
    let config = LabConfig::parse("lab.toml", text).unwrap();
    let host = Host {
        arch: Some(Arch::X86_64),
        cpus: 2,
        free_mib: None,
        distribution: "Debian GNU/Linux 12 (bookworm)".into(),
        apt: true,
        rustc_override: None,
        cargo: "/usr/bin/cargo".into(),
        kvm: false,
    };
    Plan::new(&Layout::new(root), &config, &Target::default(), &host).unwrap()
}

#[test]
fn a_fragment_that_is_not_there_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let text = SOUND.replace("\"{arch}\", \"arm64:arm64-6.12\"", "\"nothere\"");
    let plan = plan_in(dir.path(), &text);
    let fragments = dir.path().join("images/kernel");
    std::fs::create_dir_all(&fragments).unwrap();
    std::fs::write(fragments.join("base.config"), "CONFIG_TTY=y\n").unwrap();
    let error = read_fragments(&plan, Arch::X86_64).unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    insta::assert_snapshot!(
        error.to_string(),
        @r#"configuring kernel "6.12" for x86_64: its fragment images/kernel/nothere.config does not exist"#
    );
}

#[test]
fn a_tarball_that_is_not_there_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let missing = format!(
        "{{ file = \"linux.tar.xz\", sha256 = \"{}\" }}",
        "0".repeat(64)
    );
    let text = SOUND.replace("{ debian = \"linux-source-6.12\" }", &missing);
    let error = fetch(&plan_in(dir.path(), &text), &Silent).unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    let said = error
        .to_string()
        .replace(&dir.path().display().to_string(), "ROOT");
    insta::assert_snapshot!(
        said,
        @r#"fetching kernel source "6.12": ROOT/linux.tar.xz does not exist; lab.toml names it"#
    );
}
