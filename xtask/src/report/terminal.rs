// SPDX-License-Identifier: GPL-2.0-only

//! What the user sees: on a terminal one live line for each thing that is going
//! on and a line for each thing that is over; plain lines otherwise.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::event::{Event, Sink, Step};
use crate::report::evidence::telling_lines;
use crate::report::{Outcome, RunEvent, RunHead, RunReport, ScenarioReport};
use crate::scenario::verdict::Verdict;

/// How often a build step says where it is when there is no terminal.
const PLAIN_EVERY: Duration = Duration::from_secs(15);
/// Lines of a failure's reason shown when it happens.
const WHY_LINES: usize = 14;
/// Lines of a failure's reason in the summary.
const SUMMARY_LINES: usize = 4;

/// Shows events on stderr. Results of a run go there too; stdout is for commands that produce data.
pub struct Terminal {
    state: Mutex<State>,
}

struct State {
    live: Option<MultiProgress>,
    steps: BTreeMap<Step, (ProgressBar, std::time::Instant)>,
    workers: BTreeMap<usize, ProgressBar>,
    colour: bool,
    done: usize,
    total: Option<usize>,
    /// The run's folder.
    folder: PathBuf,
}

impl Terminal {
    /// One for this process's stderr.
    pub fn new() -> Terminal {
        let terminal = std::io::stderr().is_terminal();
        let state = State {
            live: terminal.then(MultiProgress::new),
            steps: BTreeMap::new(),
            workers: BTreeMap::new(),
            colour: terminal && std::env::var_os("NO_COLOR").is_none(),
            done: 0,
            total: None,
            folder: PathBuf::new(),
        };
        Terminal {
            state: Mutex::new(state),
        }
    }

    /// Shows the end of a run: what failed, where to look, the sum.
    pub fn summary(&self, report: &RunReport, shown: &dyn Fn(&Path) -> String) {
        let mut state = self.lock();
        state.clear();
        let outcomes = report.outcomes();
        for flaky in outcomes.iter().filter(|outcome| outcome.is_flaky()) {
            let failed: Vec<String> = flaky
                .earlier
                .iter()
                .map(|failed| format!("{} ({})", failed.verdict, shown(&report.folder_of(failed))))
                .collect();
            let (last, flaky) = (flaky.last, state.coloured("flaky", 33));
            let name = last.case.shown();
            state.line(&format!(
                "{flaky} {name}: passed at try {}, before: {}",
                last.attempt,
                failed.join(", ")
            ));
        }
        for case in &report.unfinished {
            let cut = state.coloured("cut", 31);
            state.line(&format!("{cut} {}", case.shown()));
        }
        // What matters most comes last: it is what is still on the screen.
        let is_bad = |outcome: &&Outcome<'_>| !outcome.last.verdict.is_good();
        for failed in outcomes.iter().filter(is_bad).map(|outcome| outcome.last) {
            let line = format!(
                "{} {}: look into {}",
                state.painted(failed.verdict),
                failed.case.shown(),
                shown(&report.folder_of(failed))
            );
            state.line(&line);
            for why in failed.why.lines().take(SUMMARY_LINES) {
                state.line(&format!("           {why}"));
            }
        }
        let skipped = |outcome: &Outcome<'_>| outcome.last.verdict == Verdict::Skip;
        if !outcomes.is_empty() && outcomes.iter().all(skipped) {
            state.line("nothing was run: every scenario was skipped");
        }
        if let Some(why) = &report.cut {
            state.line(&format!("the run was cut short: {why}"));
        }
        state.line(&sum(report, &outcomes));
        match report.id.contains(' ') {
            true => state.line(&format!("runs: {}", report.id)),
            false => state.line(&format!("run: {}", shown(&report.folder))),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Default for Terminal {
    fn default() -> Self {
        Self::new()
    }
}

impl Sink for Terminal {
    fn emit(&self, event: Event) {
        let mut state = self.lock();
        match event {
            Event::Waiting { holder } => state.line(&format!("waiting for another lab: {holder}")),
            Event::Note(text) => state.line(&text),
            Event::StepBegin { step, why } => state.step_begin(step, &why),
            Event::StepProgress {
                step,
                done,
                total,
                text,
            } => state.step_progress(step, done, total, &text),
            Event::StepEnd { step, elapsed } => {
                state.step_close(step);
                state.line(&format!(
                    "{:>10} {step} ({:.1} s)",
                    "done",
                    elapsed.as_secs_f64()
                ));
            }
            Event::StepFresh { step } => state.step_close(step),
            Event::Run(event) => state.run_event(event),
        }
    }
}

impl State {
    /// A line that stays.
    fn line(&self, text: &str) {
        let written = match &self.live {
            Some(live) => live.println(text),
            None => writeln!(std::io::stderr(), "{text}"),
        };
        // Nobody is left to tell that the terminal is gone.
        let _ = written;
    }

    fn clear(&mut self) {
        for bar in self.workers.values() {
            bar.finish_and_clear();
        }
        for (bar, _) in self.steps.values() {
            bar.finish_and_clear();
        }
        self.workers.clear();
        self.steps.clear();
    }

    fn step_begin(&mut self, step: Step, why: &str) {
        self.line(&format!("{:>10} {step}: {why}", "begin"));
        let bar = match &self.live {
            Some(live) => live.add(spinner()),
            None => ProgressBar::hidden(),
        };
        bar.set_prefix(step.to_string());
        self.steps.insert(step, (bar, std::time::Instant::now()));
    }

    fn step_progress(&mut self, step: Step, done: u64, total: Option<u64>, text: &str) {
        let Some((bar, last)) = self.steps.get_mut(&step) else {
            return;
        };
        let count = total.map_or(format!("{done}"), |total| format!("{done}/{total}"));
        match total {
            Some(total) => {
                bar.set_style(style(
                    "{spinner} {prefix}: {elapsed} [{bar:24}] {pos}/{len} {wide_msg}",
                ));
                bar.set_length(total);
                bar.set_position(done);
                bar.set_message(format!("{text:.60}"));
            }
            None => bar.set_message(format!("{count} {text:.60}")),
        }
        if self.live.is_none() && last.elapsed() > PLAIN_EVERY {
            *last = std::time::Instant::now();
            self.line(&format!("{:>10} {step}: {count} {text:.60}", "..."));
        }
    }

    fn step_close(&mut self, step: Step) {
        if let Some((bar, _)) = self.steps.remove(&step) {
            bar.finish_and_clear();
        }
    }

    fn run_event(&mut self, event: RunEvent) {
        match event {
            RunEvent::Begin(head) => self.begin(head),
            RunEvent::Boot { worker, arch } => {
                let bar = self.worker(worker);
                bar.set_prefix(arch.to_string());
                bar.set_message("boot");
            }
            RunEvent::Booted { .. } | RunEvent::End { .. } => {}
            RunEvent::ScenarioBegin { worker, case } => {
                let bar = self.worker(worker);
                bar.set_prefix(format!("{} {}", case.arch, case.scenario));
                bar.set_message("");
            }
            RunEvent::ScenarioStep {
                worker,
                number,
                count,
                title,
            } => {
                self.worker(worker)
                    .set_message(format!("{}/{count} {title:.70}", number + 1));
            }
            RunEvent::ScenarioEnd { worker, result } => {
                self.worker(worker).set_message("");
                self.done += usize::from(result.attempt == 1);
                self.result(&result);
            }
            RunEvent::Idle { worker } => {
                if let Some(bar) = self.workers.remove(&worker) {
                    bar.finish_and_clear();
                }
            }
        }
    }

    fn begin(&mut self, head: RunHead) {
        (self.done, self.total, self.folder) = (0, head.total, head.folder);
        for machine in head.machines {
            let text = format!(
                "{}: kernel {} ({}), cpu {}, {} ({})",
                machine.arch,
                machine.kernel,
                machine.kernel_release,
                machine.cpu,
                machine.accel.name(),
                machine.why
            );
            self.line(&text);
        }
        self.line(&format!("seed {}", head.seed));
    }

    fn worker(&mut self, worker: usize) -> ProgressBar {
        let live = &self.live;
        let new = || {
            live.as_ref()
                .map_or_else(ProgressBar::hidden, |live| live.add(spinner()))
        };
        self.workers.entry(worker).or_insert_with(new).clone()
    }

    fn result(&self, result: &ScenarioReport) {
        let attempt = match result.attempt {
            1 => String::new(),
            attempt => format!(", try {attempt}"),
        };
        let count = match self.total {
            Some(total) => {
                let width = total.to_string().len();
                format!("{:>width$}/{total}", self.done)
            }
            None => self.done.to_string(),
        };
        self.line(&format!(
            "{} [{count}] {} ({:.2} s{attempt})",
            self.painted(result.verdict),
            result.case.shown(),
            result.elapsed.as_secs_f64()
        ));
        if result.verdict == Verdict::Pass {
            return;
        }
        for line in result.why.lines().take(WHY_LINES) {
            self.line(&format!("           {line}"));
        }
        if !result.verdict.is_good() {
            let console = self.folder.join(result.console());
            let lines = telling_lines(&console);
            if !lines.is_empty() {
                self.line(&format!("           {}:", console.display()));
            }
            for line in lines {
                self.line(&format!("           | {line}"));
            }
        }
    }

    fn painted(&self, verdict: Verdict) -> String {
        let colour = match verdict {
            Verdict::Pass => 32,
            Verdict::Skip => 33,
            _ => 31,
        };
        self.coloured(verdict.word(), colour)
    }

    /// A word in the column of the verdicts, in an ANSI colour if the terminal has colours.
    fn coloured(&self, word: &str, colour: u8) -> String {
        match self.colour {
            true => format!("\x1b[1;{colour}m{word:>10}\x1b[0m"),
            false => format!("{word:>10}"),
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn spinner() -> ProgressBar {
    let bar =
        ProgressBar::new_spinner().with_style(style("{spinner} {prefix}: {elapsed} {wide_msg}"));
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

/// "41 scenarios in 12.3 s: 40 pass (1 flaky), 1 fail; boot x86_64 0.71 s, arm64 0.46 s".
fn sum(report: &RunReport, outcomes: &[Outcome<'_>]) -> String {
    let mut counts: BTreeMap<Verdict, usize> = BTreeMap::new();
    for outcome in outcomes {
        *counts.entry(outcome.last.verdict).or_default() += 1;
    }
    let flaky = outcomes.iter().filter(|outcome| outcome.is_flaky()).count();
    let count = |(verdict, count): (&Verdict, &usize)| match (verdict, flaky) {
        (Verdict::Pass, 1..) => format!("{count} {verdict} ({flaky} flaky)"),
        _ => format!("{count} {verdict}"),
    };
    let counts: Vec<String> = counts.iter().map(count).collect();
    let boots: Vec<String> = report
        .machines
        .iter()
        .filter_map(|machine| Some(format!("{} {:.2} s", machine.arch, machine.boot_s?)))
        .collect();
    let boots = if boots.is_empty() {
        String::new()
    } else {
        format!("; boot {}", boots.join(", "))
    };
    format!(
        "{} scenarios in {:.1} s: {}{boots}",
        outcomes.len(),
        report.elapsed.as_secs_f64(),
        counts.join(", ")
    )
}
