// SPDX-License-Identifier: GPL-2.0-only

//! `lab plan`: what a run would build, boot and do, without doing it: for people, for programs, and as the
//! matrix by which a CI system spreads it over its runners.

use std::path::Path;

use serde::Serialize;

use crate::arch::Arch;
use crate::error::{Error, Result};
use crate::flags::{Partition, PlanFlags, PlanFormat, Run, Target};
use crate::kernel::{config, tree};
use crate::plan::Plan;
use crate::qemu::args::argv;
use crate::run::folder;
use crate::run::select::{choose, Chosen};
use crate::scenario::{self, Scenario};
use crate::session::Session;
use crate::stamp::Inputs;

/// A run of one kernel.
#[derive(Debug, Serialize)]
struct Preview {
    kernel: String,
    source: String,
    machine: String,
    cpus: u32,
    memory_mib: u32,
    arches: Vec<ArchPreview>,
}

/// Its part on one architecture.
#[derive(Debug, Serialize)]
struct ArchPreview {
    arch: Arch,
    /// What the kernel and all before it depend on, as the key of a cache.
    cache_key: String,
    qemu: Vec<String>,
    scenarios: Vec<String>,
}

/// One runner's share of a run: what it is called, what it keeps, and what it runs.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Share {
    name: String,
    arch: Arch,
    kernel: String,
    /// As the name of a file or an artifact.
    slug: String,
    cache_key: String,
    /// What an older cache that is worth having begins with.
    cache_prefix: String,
    /// Arguments of `cargo xtask lab run`.
    args: String,
}

/// The plan's text in the format that the flags ask for.
pub fn text(session: &Session, flags: &PlanFlags) -> Result<String> {
    let run = &flags.run;
    let scenarios = scenario::select(&session.layout, &run.scenarios, &run.files)?;
    let kernels = match flags.kernels.is_empty() {
        true => vec![run.target.kernel.clone()],
        false => flags.kernels.iter().cloned().map(Some).collect(),
    };
    let mut plans = Vec::new();
    for kernel in kernels {
        plans.push(session.plan(&Target {
            kernel,
            ..run.target.clone()
        })?);
    }
    match flags.format {
        PlanFormat::Text => plans
            .iter()
            .map(|plan| for_people(plan, &scenarios, run))
            .collect(),
        PlanFormat::Json => {
            let previews: Result<Vec<Preview>> = plans
                .iter()
                .map(|plan| preview(plan, &scenarios, run))
                .collect();
            json(&previews?)
        }
        PlanFormat::GithubMatrix => {
            let mut shares = Vec::new();
            for plan in &plans {
                shares.extend(divide(plan, &scenarios, flags)?);
            }
            // One line, as it goes into a step's output.
            let matrix = serde_json::json!({ "include": shares });
            Ok(format!("{matrix}\n"))
        }
    }
}

fn json<T: Serialize>(value: &T) -> Result<String> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|err| Error::lab("writing a plan as JSON", err.to_string()))?;
    Ok(text + "\n")
}

fn preview(plan: &Plan, scenarios: &[Scenario], run: &Run) -> Result<Preview> {
    let chosen = choose(scenarios, &plan.arches, run.partition)?;
    let mut arches = Vec::new();
    for arch in &plan.arches {
        let of = |(_, other): &&Chosen<'_>| other == arch;
        let scenarios = chosen.iter().filter(of);
        let scenarios: Vec<String> = scenarios.map(|(chosen, _)| chosen.name.clone()).collect();
        if scenarios.is_empty() {
            continue;
        }
        let (kernel, initramfs) = (Path::new("kernel"), Path::new("initramfs.cpio"));
        let spec = folder::spec(plan, *arch, kernel, initramfs);
        let mut qemu = vec![spec.qemu.display().to_string()];
        qemu.extend(argv(&spec));
        arches.push(ArchPreview {
            arch: *arch,
            cache_key: cache_key(plan, *arch)?,
            qemu,
            scenarios,
        });
    }
    Ok(Preview {
        kernel: plan.kernel.name.clone(),
        source: plan.kernel.source_name.clone(),
        machine: plan.machine_name.clone(),
        cpus: plan.machine.cpus,
        memory_mib: plan.machine.memory_mib,
        arches,
    })
}

fn for_people(plan: &Plan, scenarios: &[Scenario], run: &Run) -> Result<String> {
    let preview = preview(plan, scenarios, run)?;
    let mut text = format!(
        "kernel {} from {}; machine {}: {} processors, {} MiB\n",
        preview.kernel, preview.source, preview.machine, preview.cpus, preview.memory_mib
    );
    for of in &preview.arches {
        let (arch, count, qemu) = (of.arch, of.scenarios.len(), of.qemu.join(" "));
        text.push_str(&format!("{arch}: {count} scenarios, {qemu}\n"));
    }
    let chosen = |scenario: &&Scenario| {
        let mut arches = preview.arches.iter();
        arches.any(|of| of.scenarios.contains(&scenario.name))
    };
    let chosen: Vec<Scenario> = scenarios.iter().filter(chosen).cloned().collect();
    text.push_str(&scenario::list_text(&chosen));
    Ok(text)
}

/// The shares of the run of one kernel: each architecture's scenarios in so many parts as there are shards.
fn divide(plan: &Plan, scenarios: &[Scenario], flags: &PlanFlags) -> Result<Vec<Share>> {
    let mut shares = Vec::new();
    choose(scenarios, &plan.arches, flags.run.partition)?;
    for arch in &plan.arches {
        // No runner is wanted where there is nothing to run.
        let Ok(all) = choose(scenarios, &[*arch], flags.run.partition) else {
            continue;
        };
        let all = all.len();
        let key = cache_key(plan, *arch)?;
        // A part without scenarios is nobody's share.
        for index in 1..=flags.shards.min(all as u32) {
            let partition = match flags.shards {
                1 => flags.run.partition,
                count => Some(Partition { index, count }),
            };
            shares.push(share(plan, *arch, partition, &key, &flags.run));
        }
    }
    Ok(shares)
}

fn share(plan: &Plan, arch: Arch, partition: Option<Partition>, key: &str, run: &Run) -> Share {
    let kernel = &plan.kernel.name;
    let part = partition.map(|part| (part.index, part.count));
    let mut args: Vec<String> = run.scenarios.iter().map(|glob| quoted(glob)).collect();
    let files = run.files.iter().map(|file| file.display().to_string());
    args.extend(files.flat_map(|file| ["--scenario".to_string(), quoted(&file)]));
    args.push(format!("--arch {arch} --kernel {kernel}"));
    args.push(format!("--machine {}", plan.machine_name));
    args.extend(part.map(|(index, count)| format!("--partition {index}/{count}")));
    args.extend(run.repeat.map(|count| format!("--repeat {count}")));
    args.extend((run.retries > 0).then(|| format!("--retries {}", run.retries)));
    args.extend(run.until_fail.then(|| "--until-fail".to_string()));
    args.extend(run.seed.map(|seed| format!("--seed {seed}")));
    let of_name = part.map(|(index, count)| format!(" {index}/{count}"));
    let of_slug = part.map(|(index, count)| format!("-{index}-of-{count}"));
    Share {
        name: format!("{arch} {kernel}{}", of_name.unwrap_or_default()),
        slug: format!("{arch}-{kernel}{}", of_slug.unwrap_or_default()),
        arch,
        kernel: kernel.clone(),
        cache_key: key.to_string(),
        cache_prefix: cache_prefix(plan, arch),
        args: args.join(" "),
    }
}

/// A word as a shell takes it literally.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn cache_prefix(plan: &Plan, arch: Arch) -> String {
    format!("lab-{arch}-{}-", plan.kernel.name)
}

/// Of all that a kernel is made of and that is known before anything is fetched: where its source comes from,
/// tools, series, overlay, configuration.
fn cache_key(plan: &Plan, arch: Arch) -> Result<String> {
    let mut inputs = Inputs::new();
    inputs.text("source", format!("{:?}", plan.kernel.source));
    inputs.text("tools", format!("{:?}", plan.toolchain));
    if let Some(series) = &plan.kernel.series {
        inputs.folder("series", series)?;
    }
    for file in tree::overlay_of(plan)? {
        inputs.file(file.to.clone(), &file.from)?;
    }
    config::describe_fragments(&config::read_fragments(plan, arch)?, &mut inputs);
    Ok(cache_prefix(plan, arch) + &inputs.digest()[..16])
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    use crate::flags::{Command, Lab};

    /// What `lab plan` says of this project.
    fn plan(args: &[&str]) -> String {
        let line = ["xtask", "lab", "plan"].iter().chain(args);
        let flags = crate::flags::Flags::parse_from(line);
        let Command::Lab(command) = flags.command else {
            panic!("not of the lab");
        };
        let Lab::Plan(flags) = *command else {
            panic!("not a plan");
        };
        text(&Session::open().unwrap(), &flags).unwrap()
    }

    #[test]
    fn the_shares_of_a_matrix_are_the_whole_run() {
        let text = plan(&[
            "protocol-*",
            "--kernels",
            "6.12,next",
            "--shards",
            "3",
            "--format",
            "github-matrix",
        ]);
        assert_eq!(text.lines().count(), 1, "it is a step's output");
        let matrix: serde_json::Value = serde_json::from_str(&text).unwrap();
        let shares = matrix["include"].as_array().unwrap();
        assert_eq!(
            shares.len(),
            12,
            "two kernels, two architectures, three shards"
        );
        assert_eq!(
            shares[1]["args"],
            "'protocol-*' --arch x86_64 --kernel 6.12 --machine default --partition 2/3"
        );
        assert_eq!(
            (shares[1]["name"].as_str(), shares[1]["slug"].as_str()),
            (Some("x86_64 6.12 2/3"), Some("x86_64-6.12-2-of-3"))
        );
        let key = |at: usize| shares[at]["cache-key"].as_str().unwrap().to_string();
        assert!(key(0) == key(2) && key(0) != key(3) && key(0) != key(6));
        assert!(key(6).starts_with("lab-x86_64-next-"), "{}", key(6));
        // What a share runs, by the arguments that it is given.
        let mut of_shares = Vec::new();
        for share in shares.iter().filter(|share| share["kernel"] == "6.12") {
            let args = share["args"].as_str().unwrap().replace('\'', "");
            let mut args: Vec<&str> = args.split(' ').collect();
            args.extend(["--format", "json"]);
            let preview: serde_json::Value = serde_json::from_str(&plan(&args)).unwrap();
            for of in preview[0]["arches"].as_array().unwrap() {
                for name in of["scenarios"].as_array().unwrap() {
                    of_shares.push(format!("{} {name}", of["arch"]));
                }
            }
        }
        let whole: serde_json::Value =
            serde_json::from_str(&plan(&["protocol-*", "--format", "json"])).unwrap();
        let mut of_whole = Vec::new();
        for of in whole[0]["arches"].as_array().unwrap() {
            for name in of["scenarios"].as_array().unwrap() {
                of_whole.push(format!("{} {name}", of["arch"]));
            }
        }
        of_shares.sort();
        of_whole.sort();
        assert!(!of_whole.is_empty());
        assert_eq!(of_shares, of_whole);
    }

    #[test]
    fn more_shards_than_scenarios_are_no_more_shares() {
        let text = plan(&[
            "boot",
            "--arch",
            "arm64",
            "--shards",
            "5",
            "--format",
            "github-matrix",
        ]);
        let matrix: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(matrix["include"].as_array().unwrap().len(), 1);
    }
}
