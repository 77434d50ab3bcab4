// SPDX-License-Identifier: GPL-2.0-only

//! `lab selftest`: the lab tested against what happens to it from outside: QEMU or the lab itself killed, the
//! user's interrupt at any moment, a full disk. Each time the verdict, the exit code and what is left behind
//! are judged. What guests do to it is in the scenarios `check-*`.

mod processes;

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::arch::Arch;
use crate::error::{AtPath, Error, Kind, Result, EXIT_FAILED, EXIT_PASSED};
use crate::exec::{self, tool, Child};
use crate::flags::{LinesFlags, Target};
use crate::layout::remove_dir;
use crate::report::record::{self, EVENTS};
use crate::report::terminal::Terminal;
use crate::report::timeline::{Restart, Restarts};
use crate::run::folder::{point_latest, LATEST};
use crate::run::lines;
use crate::scenario::verdict::Verdict;
use crate::session::Session;
use processes::{children, inside, send};

/// A scenario that goes on until somebody ends it.
const ENDLESS: &str = "description = \"goes on until somebody ends it\"\n\
    [[step]]\nspawn = { name = \"spin\", argv = [\"t_spin\", \"status\"] }\n\
    [[step]]\nsleep-ms = 20000\n";
/// What a run may take until its guest does the first step, on a slow machine.
const UP: Duration = Duration::from_secs(60);
/// What a run may take to end once it has a reason to.
const DOWN: Duration = Duration::from_secs(15);
/// A disk that a kernel does not fit on.
const SMALL_DISK: &str = "size=6m";

/// How far a run is when something happens to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// It has just been started.
    Start,
    /// QEMU runs, `/init` has not answered.
    Boot,
    /// The scenario's first step has been done.
    Step,
}

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
    for arch in target.arch.arches() {
        let bench = Bench::new(session, target, arch)?;
        for (name, result) in bench.tests() {
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
        }
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

/// A `lab run` that is under way.
struct Running {
    child: Child,
    log: PathBuf,
    runs: PathBuf,
    /// Whether its folder is evidence.
    failed: Cell<bool>,
}

type Test<'a> = (String, Result<Outcome>);

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
    fn tests(&self) -> impl Iterator<Item = Test<'_>> {
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
        std::iter::once_with(|| {
            (
                "qemu is killed".to_string(),
                timed(|| self.qemu_is_killed()),
            )
        })
        .chain(interrupts)
        .chain(std::iter::once_with(|| {
            (
                "the lab is killed".to_string(),
                timed(|| self.lab_is_killed()),
            )
        }))
        .chain(std::iter::once_with(|| {
            ("the disk is full".to_string(), self.disk_is_full())
        }))
        .chain(std::iter::once_with(|| {
            (
                "restarts are recorded".to_string(),
                timed(|| self.restarts_are_recorded()),
            )
        }))
        .chain(std::iter::once_with(|| {
            (
                "kernel logs get lines".to_string(),
                timed(|| self.logs_get_lines()),
            )
        }))
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
        let can_mount = tool("asking whether a disk can be mounted", "unshare")
            .args(["--mount", "true"])
            .output()
            .is_ok_and(|output| output.status.success());
        if !can_mount {
            return Ok(Outcome::Skipped("this user can mount no small disk"));
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

fn timed(test: impl FnOnce() -> Result<()>) -> Result<Outcome> {
    let began = Instant::now();
    test().map(|()| Outcome::Passed(began.elapsed()))
}

impl Drop for Running {
    fn drop(&mut self) {
        let folder = self.made().filter(|_| !self.failed.get());
        if let Some(folder) = folder {
            // What is left of a run that did what was wanted is of no use to anybody.
            let _ = remove_dir(&folder);
        }
    }
}

impl Running {
    /// Its folder, which is called after its process, if it has made one.
    fn made(&self) -> Option<PathBuf> {
        let end = format!("-{}", self.child.pid());
        let entries = std::fs::read_dir(&self.runs).ok()?;
        let mut names = entries.flatten().map(|entry| entry.file_name());
        let found = names.find(|name| name.to_string_lossy().ends_with(&end))?;
        Some(self.runs.join(found))
    }

    /// Its folder, which it must have made.
    fn folder(&self) -> Result<PathBuf> {
        self.made()
            .ok_or_else(|| self.error("it has no folder".to_string()))
    }

    /// Waits until it has come so far.
    fn wait_for(&mut self, moment: Moment) -> Result<()> {
        let deadline = Instant::now() + UP;
        while !self.has_come_to(moment) {
            if let Some(status) = self.child.poll()? {
                let how = exec::describe(status);
                return Err(self.error(format!("it {how} before {moment:?}")));
            }
            if Instant::now() > deadline || exec::interrupted() {
                return Err(self.error(format!("it has not come to {moment:?}")));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    fn has_come_to(&self, moment: Moment) -> bool {
        match moment {
            Moment::Start => true,
            Moment::Boot => !children(self.child.pid()).is_empty(),
            Moment::Step => {
                let events = self.made().map(|folder| folder.join(EVENTS));
                let text = events.and_then(|path| std::fs::read_to_string(path).ok());
                text.is_some_and(|text| text.contains("\"number\":1"))
            }
        }
    }

    /// Waits for its end, to which it has a reason, with this exit code, and for that of all it has started.
    fn expect_exit(&mut self, code: i32) -> Result<()> {
        self.expect_exit_within(DOWN, code)
    }

    fn expect_exit_within(&mut self, time: Duration, code: i32) -> Result<()> {
        let ended = self.child.wait_timeout(time)?;
        let Some(status) = ended else {
            return Err(self.error(format!("it has not ended within {time:?}")));
        };
        let as_expected = status.code() == Some(code);
        self.expect(as_expected, || {
            format!(
                "expected exit code {code}, but it {}",
                exec::describe(status)
            )
        })?;
        self.expect_end()
    }

    /// Waits until it and all it has started are gone.
    fn expect_end(&mut self) -> Result<()> {
        let deadline = Instant::now() + DOWN;
        let mut left = Vec::new();
        while Instant::now() < deadline {
            let gone = self.child.poll()?.is_some();
            // A run that did not come so far has no folder, and nobody in it.
            left = self
                .made()
                .map(|folder| inside(&folder))
                .unwrap_or_default();
            if gone && left.is_empty() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(self.error(format!("left behind: {}", left.join(", "))))
    }

    fn expect(&self, holds: bool, why: impl FnOnce() -> String) -> Result<()> {
        match holds {
            true => Ok(()),
            false => Err(self.error(why())),
        }
    }

    fn said(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    fn error(&self, found: String) -> Error {
        self.failed.set(true);
        Error::lab("testing the lab", found).log(&self.log, exec::tail(&self.log, 10))
    }
}
