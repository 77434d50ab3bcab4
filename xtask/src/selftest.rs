// SPDX-License-Identifier: GPL-2.0-only

//! `lab selftest`: the lab tested against what happens to it from outside: QEMU or the lab itself killed, the
//! user's interrupt at any moment, from the first stage on, a full disk. Each time the verdict, the exit code and what is left behind
//! are judged. What guests do to it is in the scenarios `check-*`.

mod processes;
mod running;
mod stages;

use std::cell::Cell;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::arch::Arch;
use crate::error::{AtPath, Error, Kind, Result, EXIT_FAILED, EXIT_PASSED};
use crate::exec::{self, tool};
use crate::flags::{LinesFlags, Target};
use crate::report::record;
use crate::report::terminal::Terminal;
use crate::report::timeline::{Restart, Restarts};
use crate::run::folder::{point_latest, LATEST};
use crate::run::lines;
use crate::scenario::verdict::Verdict;
use crate::session::Session;
use processes::{children, send};
use running::{Moment, Running, UP};

/// A scenario that goes on until somebody ends it.
const ENDLESS: &str = "description = \"goes on until somebody ends it\"\n\
    [[step]]\nspawn = { name = \"spin\", argv = [\"t_spin\", \"status\"] }\n\
    [[step]]\nsleep-ms = 20000\n";
/// A disk that a kernel does not fit on.
const SMALL_DISK: &str = "size=6m";

/// Does all tests on each architecture; an error if one fails.
pub fn run(session: &Session, target: &Target) -> Result<()> {
    // Whoever looks for the newest run means none of these.
    let runs = session.layout.runs();
    let latest = std::fs::read_link(runs.join(LATEST)).ok();
    let result = run_all(session, target);
    match latest {
        Some(id) => result.and(point_latest(&runs, &id)),
        None => result,
    }
}

fn run_all(session: &Session, target: &Target) -> Result<()> {
    let mut failed = Vec::new();
    let mut judge = |arch: Arch, (name, result): Test| {
        if exec::interrupted() {
            return Err(Error::interrupted("testing the lab"));
        }
        match result {
            Ok(Outcome::Passed(took)) => {
                println!("      pass {arch:<6} {name} ({:.1} s)", took.as_secs_f64());
            }
            Ok(Outcome::Skipped(why)) => println!("      skip {arch:<6} {name}: {why}"),
            Err(err) => {
                println!("      fail {arch:<6} {name}: {err}");
                failed.push(format!("{arch} {name}"));
            }
        }
        Ok(())
    };
    let arches = target.arch.arches();
    for arch in &arches {
        let bench = Bench::new(session, target, *arch)?;
        for test in bench.tests() {
            judge(*arch, test)?;
        }
    }
    // The tree is that of all architectures.
    if let Some(arch) = arches.first() {
        let result = stages_are_interrupted(session, target, *arch);
        judge(*arch, ("stages are interrupted".to_string(), result))?;
    }
    match failed.is_empty() {
        true => Ok(()),
        false => Err(Error::new(
            Kind::Lab,
            "testing the lab",
            format!("failed: {}", failed.join(", ")),
        )),
    }
}

enum Outcome {
    Passed(Duration),
    Skipped(&'static str),
}

/// What the tests of an architecture have in common.
struct Bench<'a> {
    session: &'a Session,
    target: &'a Target,
    arch: Arch,
    /// Holds the scenario and the runs' output.
    scratch: tempfile::TempDir,
}

type Test = (String, Result<Outcome>);
/// A test that needs no more than what they all have.
type Check<'a> = fn(&Bench<'a>) -> Result<()>;

impl<'a> Bench<'a> {
    fn new(session: &'a Session, target: &'a Target, arch: Arch) -> Result<Bench<'a>> {
        let scratch = tempfile::tempdir().at("making", Path::new("a folder for the tests"))?;
        let file = scratch.path().join("endless.toml");
        std::fs::write(&file, ENDLESS).at("writing", &file)?;
        Ok(Bench {
            session,
            target,
            arch,
            scratch,
        })
    }

    /// Each test is done when it is asked for.
    fn tests(&self) -> impl Iterator<Item = Test> + use<'_, 'a> {
        let interrupts = [
            ("SIGTERM at the start", Moment::Start, Signal::TERM),
            ("SIGINT in the boot", Moment::Boot, Signal::INT),
            ("SIGHUP in the boot", Moment::Boot, Signal::HUP),
            ("SIGINT in a step", Moment::Step, Signal::INT),
            ("SIGTERM in a step", Moment::Step, Signal::TERM),
        ];
        let interrupts = interrupts.into_iter().map(|(name, moment, signal)| {
            let result = timed(|| self.interrupted(moment, signal));
            (name.to_string(), result)
        });
        let killed = [("qemu is killed", Self::qemu_is_killed as Check)];
        let others = [
            ("the lab is killed", Self::lab_is_killed as Check),
            ("restarts are recorded", Self::restarts_are_recorded),
            ("cases leave each other nothing", Self::cases_leave_nothing),
            ("two run at once", Self::two_run_at_once),
            ("kernel logs get lines", Self::logs_get_lines),
        ];
        let timed = |(name, check): (&str, Check<'a>)| (name.to_string(), timed(|| check(self)));
        let disk = || ("the disk is full".to_string(), self.disk_is_full());
        killed
            .into_iter()
            .map(timed)
            .chain(interrupts)
            .chain(others.into_iter().map(timed))
            .chain(std::iter::once_with(disk))
    }

    /// Starts a run of the endless scenario, or of `scenario`, behind the words of `before`.
    fn start(&self, name: &str, before: &[String], scenario: &[String]) -> Result<Running> {
        // Its file may have been replaced since: cargo builds it again for tests.
        let own = format!("/proc/{}/exe", std::process::id());
        let mut words = before.to_vec();
        words.push(own);
        words.extend(["lab", "run", "--no-setup", "--arch", self.arch.name()].map(String::from));
        for (flag, value) in [
            ("--kernel", &self.target.kernel),
            ("--machine", &self.target.machine),
        ] {
            words.extend(
                value
                    .iter()
                    .flat_map(|value| [flag.to_string(), value.clone()]),
            );
        }
        words.extend(scenario.iter().cloned());
        let log = self.scratch.path().join(format!("{name}.log"));
        let child = tool("testing the lab", words.remove(0))
            .args(words)
            .dir(self.session.layout.root())
            .start(&log)?;
        Ok(Running {
            child,
            log,
            runs: self.session.layout.runs(),
            failed: Cell::new(false),
        })
    }

    fn endless(&self) -> Vec<String> {
        let file = self.scratch.path().join("endless.toml");
        vec!["--scenario".into(), file.display().to_string()]
    }

    fn qemu_is_killed(&self) -> Result<()> {
        let mut run = self.start("qemu", &[], &self.endless())?;
        run.wait_for(Moment::Step)?;
        for qemu in children(run.child.pid()) {
            send(qemu, Signal::KILL);
        }
        run.expect_exit(EXIT_FAILED)?;
        let report = record::read(&run.folder()?)?;
        let verdicts: Vec<Verdict> = report.results.iter().map(|result| result.verdict).collect();
        run.expect(verdicts == [Verdict::QemuDied], || {
            format!("verdicts {verdicts:?}, not qemu-died")
        })
    }

    fn interrupted(&self, moment: Moment, signal: Signal) -> Result<()> {
        let mut run = self.start("interrupt", &[], &self.endless())?;
        run.wait_for(moment)?;
        send(run.child.pid(), signal);
        if moment == Moment::Start {
            // It may not have come to where it takes signals itself.
            return run.expect_end();
        }
        run.expect_exit(Kind::Interrupted.exit_code())?;
        // What it has seen until then is kept.
        if moment == Moment::Step {
            let report = record::read(&run.folder()?)?;
            let told = report
                .cut
                .as_ref()
                .is_some_and(|why| why.contains("interrupted"));
            run.expect(told, || {
                format!("its record says {:?} of its end", report.cut)
            })?;
        }
        Ok(())
    }

    fn lab_is_killed(&self) -> Result<()> {
        let mut run = self.start("killed", &[], &self.endless())?;
        run.wait_for(Moment::Step)?;
        send(run.child.pid(), Signal::KILL);
        run.expect_end()?;
        let report = record::read(&run.folder()?)?;
        run.expect(report.cut.is_some() && report.unfinished.len() == 1, || {
            format!("of a killed run the record says {:?}", report.cut)
        })
    }

    /// What a kernel keeps of its restarts arrives: of a scenario with two that want a task, and a good one.
    fn restarts_are_recorded(&self) -> Result<()> {
        let mut run = self.start("restarts", &[], &["missing-task".to_string()])?;
        run.expect_exit_within(UP, EXIT_PASSED)?;
        let report = record::read(&run.folder()?)?;
        let of_case = |result| Restarts::read(&report.folder_of(result)).restarts;
        let restarts: Vec<Restart> = report.results.iter().flat_map(of_case).collect();
        let ends: Vec<(Option<u16>, bool)> = restarts
            .iter()
            .map(|restart| (restart.errno(), restart.is_open()))
            .collect();
        let all = restarts.last().map_or(0, |last| last.restoring().len());
        run.expect(
            ends == [(Some(3), false), (Some(3), false), (None, false)] && all == 7,
            || format!("restarts that end {ends:?}, {all} tasks in the last: not two with ESRCH and one of seven tasks"),
        )
    }

    /// Cases that leave all that a case can leave, one after the other on one guest.
    fn cases_leave_nothing(&self) -> Result<()> {
        let words = ["alone-*", "--jobs", "1"].map(String::from);
        let mut run = self.start("alone", &[], &words)?;
        run.expect_exit_within(UP, EXIT_PASSED)?;
        let folder = run.folder()?;
        let cases = record::read(&folder)?.results.len();
        let second = folder.join(self.arch.name()).join("guest-2");
        run.expect(cases > 1 && !second.exists(), || {
            format!("{cases} cases did not share one guest")
        })
    }

    /// A run beside one that is in the middle of a scenario.
    fn two_run_at_once(&self) -> Result<()> {
        let mut first = self.start("first", &[], &self.endless())?;
        first.wait_for(Moment::Step)?;
        let mut second = self.start("second", &[], &["boot".to_string()])?;
        second.expect_exit_within(UP, EXIT_PASSED)?;
        send(first.child.pid(), Signal::INT);
        first.expect_exit(Kind::Interrupted.exit_code())
    }

    /// What a kernel says in a panic is told by file and line.
    fn logs_get_lines(&self) -> Result<()> {
        let mut run = self.start("lines", &[], &["check-panic".to_string()])?;
        run.expect_exit_within(UP, EXIT_PASSED)?;
        let folder = run.folder()?.join(self.arch.name()).join("check-panic");
        let text = lines::text(self.session, &LinesFlags { folder }, &Terminal::new())?;
        run.expect(text.contains("at drivers/tty/sysrq.c:"), || {
            format!("no line of the handler that panics in {text}")
        })
    }

    fn disk_is_full(&self) -> Result<Outcome> {
        let began = Instant::now();
        if !can_mount() {
            return Ok(Outcome::Skipped(CANNOT_MOUNT));
        }
        let runs = self.session.layout.runs();
        let mount = format!("mount -t tmpfs -o {SMALL_DISK} none \"$0\" && exec \"$@\"");
        let before = ["unshare", "--mount", "sh", "-c", &mount].map(String::from);
        let mut before = before.to_vec();
        before.push(runs.display().to_string());
        let mut run = self.start("disk", &before, &["boot".to_string()])?;
        run.expect_exit(Kind::Lab.exit_code())?;
        let said = run.said();
        run.expect(said.contains("No space left on device"), || {
            "it does not say that the disk is full".to_string()
        })?;
        Ok(Outcome::Passed(began.elapsed()))
    }
}

const CANNOT_MOUNT: &str = "this user can mount no small disk";

fn can_mount() -> bool {
    let asked = tool("asking whether a disk can be mounted", "unshare").args(["--mount", "true"]);
    asked.output().is_ok_and(|output| output.status.success())
}

fn stages_are_interrupted(session: &Session, target: &Target, arch: Arch) -> Result<Outcome> {
    let plan = session.plan(target)?;
    if plan
        .kernel
        .source
        .origin
        .iter()
        .any(|origin| origin.path.is_some())
    {
        return Ok(Outcome::Skipped(
            "this kernel is built where its source lies",
        ));
    }
    if !can_mount() {
        return Ok(Outcome::Skipped(CANNOT_MOUNT));
    }
    timed(|| stages::survive_interrupts(session, &plan, target, arch))
}

fn timed(test: impl FnOnce() -> Result<()>) -> Result<Outcome> {
    let began = Instant::now();
    test().map(|()| Outcome::Passed(began.elapsed()))
}
