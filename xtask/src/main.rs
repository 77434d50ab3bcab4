// SPDX-License-Identifier: GPL-2.0-only

//! `cargo xtask`: parses, dispatches, prints the error once, ends with the exit code.

use std::io::Write;
use std::path::Path;

use clap::{CommandFactory, Parser};
use indicatif::HumanBytes;

use xtask::error::{AtPath, Kind, Result, EXIT_PASSED};
use xtask::event::Sink;
use xtask::flags::{Command, Flags, Kernel, Lab, Patchset, SourceFlags, Target, Test};
use xtask::plan::Plan;
use xtask::report::terminal::Terminal;
use xtask::session::Session;
use xtask::{
    bench, clean, doctor, exec, kernel, patchset, pipeline, report, repro, run, scenario, selftest,
    shell, suite,
};

fn main() {
    let flags = Flags::parse();
    let code = exec::watch_signals()
        .and_then(|()| dispatch(flags))
        .unwrap_or_else(|err| {
            eprintln!("error: {err}");
            err.kind().exit_code()
        });
    std::process::exit(code);
}

fn dispatch(flags: Flags) -> Result<i32> {
    if let Command::Completions { shell } = flags.command {
        let mut command = Flags::command();
        clap_complete::generate(shell, &mut command, "xtask", &mut std::io::stdout());
        return Ok(EXIT_PASSED);
    }
    let session = Session::open()?;
    match flags.command {
        Command::Lab(command) => lab(&session, *command),
        Command::Patchset(command) => patchset_command(&session, command, &Terminal::new()),
        Command::Kernel(command) => kernel_command(&session, command, &Terminal::new()),
        Command::Test(flags) => test(&session, flags),
        Command::Completions { .. } => Ok(EXIT_PASSED),
    }
}

fn lab(session: &Session, command: Lab) -> Result<i32> {
    match command {
        Lab::Run(flags) => return run::run(session, &flags),
        Lab::Shell(flags) => return shell::run(session, &flags),
        Lab::Bench(flags) => return bench::run(session, &flags),
        Lab::Repro(flags) => return repro::run(&flags),
        Lab::Report(flags) => return report::rejoin::run(session, &flags),
        Lab::Plan(flags) => show(&run::preview::text(session, &flags)?)?,
        Lab::List(flags) => {
            let mut scenarios = scenario::select(&session.layout, &flags.scenarios, &[])?;
            let arches = flags.arch.arches();
            scenarios
                .retain(|scenario| scenario.file.arch.iter().any(|arch| arches.contains(arch)));
            match flags.json {
                true => show(&format!("{:#}\n", scenario::list_json(&scenarios)))?,
                false => show(&scenario::list_text(&scenarios))?,
            }
        }
        Lab::Selftest(flags) => {
            let sink = Terminal::new();
            let plan = session.plan(&flags.target)?;
            let lock = session.make_ready(&plan, &sink)?;
            pipeline::prepare(&plan, &sink)?;
            drop(lock);
            selftest::run(session, &flags.target)?;
        }
        Lab::Lines(flags) => show(&run::lines::text(session, &flags, &Terminal::new())?)?,
        Lab::Schema => show(&scenario::schema::text())?,
        Lab::Doctor(flags) => {
            let diagnosis = doctor::diagnose(&session.plan(&flags.target)?, &session.host)?;
            show(&diagnosis.text())?;
            if !diagnosis.healthy() {
                return Ok(Kind::Host.exit_code());
            }
        }
        Lab::Setup(flags) => {
            drop(session.make_ready(&session.plan(&flags.target)?, &Terminal::new())?)
        }
        Lab::Clean(flags) => {
            for removed in clean::clean(&session.layout, &flags, &Terminal::new())? {
                let path = session.layout.show(&removed.path);
                println!("removed {path} ({})", HumanBytes(removed.bytes));
            }
        }
    }
    Ok(EXIT_PASSED)
}

/// Prints a long text. Whoever has seen enough of it (`| head`) is no error.
fn show(text: &str) -> Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(err) if err.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(err).at("writing", Path::new("stdout"))
        }
        _ => Ok(()),
    }
}

fn patchset_command(session: &Session, command: Patchset, sink: &dyn Sink) -> Result<i32> {
    let target = |flags: SourceFlags| Target {
        kernel: flags.kernel,
        ..Target::default()
    };
    match command {
        Patchset::Check(flags) => {
            let plan = session.plan(&Target {
                arch: flags.arch,
                ..target(flags.source)
            })?;
            let _lock = match flags.build {
                true => session.make_ready(&plan, sink)?,
                false => session.layout.lock(sink)?,
            };
            println!("{}", patchset::check::check(&plan, flags.build, sink)?);
        }
        Patchset::Apply(flags) => {
            let _lock = session.layout.lock(sink)?;
            let plan = session.plan(&target(flags.source))?;
            match &flags.to {
                None => {
                    let tree = pipeline::patched_tree(&plan, sink)?;
                    println!("{}", session.layout.show(&tree.path));
                }
                Some(dir) => {
                    let head = patchset::apply_to(&plan, dir, flags.upto.as_deref(), sink)?;
                    println!("{}: {head}", dir.display());
                }
            }
        }
        Patchset::Export(flags) => {
            let _lock = session.layout.lock(sink)?;
            let plan = session.plan(&target(flags.source))?;
            let cover = flags.cover.as_deref();
            for mail in patchset::export_to(&plan, &flags.out, flags.version, cover, sink)? {
                println!("{}", mail.display());
            }
        }
        Patchset::New(flags) => {
            patchset::new::begin(&flags.tree, &flags.subject)?;
            let dir = flags.tree.display();
            println!("{dir}: begun; git -C {dir} commit --amend --all puts in its change");
        }
        Patchset::Rebase(flags) => {
            let _lock = session.layout.lock(sink)?;
            let named = |name: Option<String>| session.plan(&target(SourceFlags { kernel: name }));
            let onto = named(Some(flags.onto.clone()))?;
            let has_series = onto.series()?.join("series").is_file();
            let from = flags.from.or(has_series.then_some(flags.onto));
            for name in patchset::rebase_to(&named(from)?, &onto, &flags.to, sink)? {
                println!("{name}: changes nothing there any more");
            }
            let dir = flags.to.display();
            println!(
                "{dir}: the series is in; cargo xtask patchset refresh --from {dir} takes it over"
            );
        }
        Patchset::Refresh(flags) => {
            let _lock = session.layout.lock(sink)?;
            if flags.abort {
                let rest = patchset::refresh::abort(&flags.from)?;
                println!(
                    "the refresh that was cut is given up; what it has written stays, all that it would have is in {}",
                    rest.display()
                );
                return Ok(EXIT_PASSED);
            }
            if !flags.dry_run && patchset::refresh::finish(&session.layout, &flags.from)? {
                println!("a refresh that was cut is finished");
            }
            let changes = patchset::refresh::compare(&session.layout, &flags.from)?;
            if !flags.dry_run {
                patchset::refresh::write(&session.layout, &flags.from, &changes)?;
            }
            println!("{changes}");
        }
    }
    Ok(EXIT_PASSED)
}

fn kernel_command(session: &Session, command: Kernel, sink: &dyn Sink) -> Result<i32> {
    match command {
        Kernel::Source(target) => {
            let _lock = session.layout.lock(sink)?;
            let tree = pipeline::patched_tree(&session.plan(&target)?, sink)?;
            println!("{}", session.layout.show(&tree.path));
        }
        Kernel::Config(target) => {
            let plan = session.plan(&target)?;
            let _lock = session.make_ready(&plan, sink)?;
            for configured in kernel::config::configure_all(&plan, sink)? {
                println!("{}", session.layout.show(&configured.obj.join(".config")));
            }
        }
        Kernel::Build(flags) => {
            let plan = session.plan(&flags.target)?;
            let _lock = session.make_ready(&plan, sink)?;
            for build in pipeline::kernels(&plan, flags.check_reproducible, sink)? {
                let image = session.layout.show(&build.image);
                match flags.check_reproducible {
                    true => println!("{image}: the same twice, sha256 {}", build.image_sha256),
                    false => println!("{image}"),
                }
            }
        }
    }
    Ok(EXIT_PASSED)
}

fn test(session: &Session, flags: Test) -> Result<i32> {
    let plan = Plan {
        tests: true,
        ..session.plan(&flags.target)?
    };
    let sink = Terminal::new();
    drop(session.make_ready(&plan, &sink)?);
    for check in suite::CHECKS {
        println!("== {}", check.name);
        check.run(&plan)?;
    }
    println!("== kernel series");
    let lock = session.layout.lock(&sink)?;
    println!("{}", patchset::check::check(&plan, false, &sink)?);
    drop(lock);
    let mut code = EXIT_PASSED;
    if !flags.host_only {
        println!("== scenarios");
        code = run::run(session, &run_of(flags.target.clone()))?;
        println!("== the lab itself");
        selftest::run(session, &flags.target)?;
    }
    println!("== shared code under miri");
    if let Some(why) = suite::miri(&plan)? {
        println!("miri was not run: {why}");
    }
    Ok(code)
}

/// A run of every scenario.
fn run_of(target: Target) -> xtask::flags::Run {
    xtask::flags::Run {
        target,
        ..Default::default()
    }
}
