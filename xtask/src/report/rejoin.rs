// SPDX-License-Identifier: GPL-2.0-only

//! `lab report`: the reports of a run written again from its record, or those of several joined into one.

use crate::error::{Error, Result};
use crate::flags::Report;
use crate::report::terminal::Terminal;
use crate::report::{merge::merge, record, write_all, RunReport};
use crate::run::folder::LATEST;
use crate::session::Session;

/// Writes the reports; the exit code is that of the run.
pub fn run(session: &Session, flags: &Report) -> Result<i32> {
    let latest = [session.layout.runs().join(LATEST)];
    let paths = match flags.runs.as_slice() {
        [] => &latest,
        [_] => flags.runs.as_slice(),
        several if flags.merge => several,
        several => {
            return Err(Error::usage(
                "writing a report",
                format!("{} runs were named", several.len()),
            )
            .hint("--merge joins several into one report"))
        }
    };
    let report = match paths {
        [path] => record::read(path)?,
        _ => {
            let runs: Result<Vec<RunReport>> =
                paths.iter().map(|path| record::read(path)).collect();
            merge(runs?)?
        }
    };
    // Of a run that was killed there are none in its folder.
    let own = (paths.len() == 1).then_some(report.folder.as_path());
    write_all(&report, own, &flags.outputs, &session.layout.runs())?;
    Terminal::new().summary(&report, &|path| session.layout.show(path).to_string());
    Ok(report.exit_code())
}
