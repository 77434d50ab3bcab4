// SPDX-License-Identifier: GPL-2.0-only

//! The events of a run written down as they happen, one JSON object a line: `events.jsonl` in the run's
//! folder. What the reports are made of, also when the run does not come to its end.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

use crate::error::{AtPath, Error, Result};
use crate::event::{Event, Sink};
use crate::report::fold::{fold, Stamped};
use crate::report::{RunEvent, RunReport};

/// Name of the record in the run's folder.
pub const EVENTS: &str = "events.jsonl";

/// Writes the events of a run down, and passes every event on.
pub struct Recorder<'a> {
    next: &'a dyn Sink,
    began: Instant,
    state: Mutex<State>,
}

struct State {
    file: File,
    events: Vec<Stamped>,
    /// The first event that could not be written.
    lost: Option<std::io::Error>,
}

impl<'a> Recorder<'a> {
    /// Begins a record in a run's folder; `next` gets the events as well.
    pub fn create(folder: &Path, next: &'a dyn Sink) -> Result<Recorder<'a>> {
        let path = folder.join(EVENTS);
        let state = State {
            file: File::create(&path).at("creating", &path)?,
            events: Vec::new(),
            lost: None,
        };
        Ok(Recorder {
            next,
            began: Instant::now(),
            state: Mutex::new(state),
        })
    }

    /// The run so far, and what was lost of its record.
    pub fn finish(self) -> Result<RunReport> {
        let state = self.state.into_inner();
        let state = state.unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(lost) = state.lost {
            self.next.emit(Event::Note(format!(
                "{EVENTS} is not complete: {lost}; the reports are"
            )));
        }
        fold(&state.events).ok_or_else(|| Error::lab("recording the run", "it has not begun"))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Sink for Recorder<'_> {
    fn emit(&self, event: Event) {
        if let Event::Run(event) = &event {
            self.lock().take(self.began, event);
        }
        self.next.emit(event);
    }
}

impl State {
    fn take(&mut self, began: Instant, event: &RunEvent) {
        let stamped = Stamped {
            at: began.elapsed(),
            event: event.clone(),
        };
        let written = serde_json::to_vec(&stamped)
            .map_err(std::io::Error::other)
            .and_then(|mut line| {
                line.push(b'\n');
                self.file.write_all(&line)
            });
        if let Err(err) = written {
            self.lost.get_or_insert(err);
        }
        self.events.push(stamped);
    }
}

/// The report of a run, from its folder or its record. A last line that was cut is left out.
pub fn read(path: &Path) -> Result<RunReport> {
    let folder = path.is_dir();
    let file = match folder {
        true => path.join(EVENTS),
        false => path.to_path_buf(),
    };
    let doing = || format!("reading the run {}", path.display());
    let opened = File::open(&file).at("opening", &file).map_err(|err| {
        err.with_kind(crate::error::Kind::Usage)
            .hint("a run is a folder in target/lab/runs, or the events.jsonl in one")
    })?;
    let mut lines = BufReader::new(opened).split(b'\n').enumerate().peekable();
    let mut events: Vec<Stamped> = Vec::new();
    while let Some((number, line)) = lines.next() {
        let line = line.at("reading", &file)?;
        match serde_json::from_slice(&line) {
            Ok(event) => events.push(event),
            Err(_) if lines.peek().is_none() => {}
            Err(err) => {
                let found = format!("line {} is not an event: {err}", number + 1);
                return Err(Error::usage(doing(), found));
            }
        }
    }
    let mut report = fold(&events)
        .ok_or_else(|| Error::usage(doing(), "it has no \"begin\": the run had not begun"))?;
    // It may have been brought here from another machine.
    let place = match folder {
        true => Some(path),
        false => path.parent(),
    };
    if let Some(place) = place {
        report.folder = std::fs::canonicalize(place).at("looking for", place)?;
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::Arch;
    use crate::event::Silent;
    use crate::report::tests::{head, result};
    use crate::scenario::verdict::Verdict;

    #[test]
    fn what_was_recorded_is_read_back_also_when_it_was_cut() {
        let dir = tempfile::tempdir().unwrap();
        let recorder = Recorder::create(dir.path(), &Silent).unwrap();
        recorder.emit(Event::Run(RunEvent::Begin(head("7", &[Arch::X86_64]))));
        recorder.emit(Event::Note("not part of the run".into()));
        let ended = result("self", Arch::X86_64, Verdict::Fail);
        let end = RunEvent::ScenarioEnd {
            worker: 0,
            result: ended.clone(),
        };
        recorder.emit(Event::Run(end));
        recorder.emit(Event::Run(RunEvent::End { cut: None }));
        let report = recorder.finish().unwrap();
        let again = read(dir.path()).unwrap();
        assert_eq!((&again.results, &again.cut), (&report.results, &None));
        assert_eq!(again.folder, dir.path().canonicalize().unwrap());

        let path = dir.path().join(EVENTS);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, &text[..text.len() - 9]).unwrap();
        let cut = read(&path).unwrap();
        assert_eq!(cut.results, [ended]);
        assert!(cut.cut.is_some());
        std::fs::write(&path, text.replacen("scenario-end", "scenario-and", 1)).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("line 2 is not an event"), "{error}");
    }
}
