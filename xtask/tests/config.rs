// SPDX-License-Identifier: GPL-2.0-only

//! `lab.toml`: what is refused, and in which words.

use xtask::config::LabConfig;
use xtask::error::Kind;

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
        @r#"choosing a kernel: kernel "debgu" is not defined; defined: 6.12, 6.12-plain, debug, next, next-plain (did you mean "debug"?)"#
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
    checking lab.toml: lab.toml: default-kernel: kernel "6.13" is not defined; defined: 6.12, 6.12-plain, debug, next, next-plain (did you mean "6.12"?)
    lab.toml: cache: objects-gib 0 is not in 1..100000
    lab.toml: source "6.12": origin 1: a file needs its sha256
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
    checking lab.toml: lab.toml: kernel "newer": source "newer" is not defined; defined: 6.12, next
    lab.toml: kernel "bare": the project's own series goes with an overlay: name it, or say series = false
    lab.toml: kernel "newer": overlay "../x": only letters, digits, '.', '_' and '-' are possible
    lab.toml: kernel "newer": config "arm46:x": no architecture arm46
    "#);
}
