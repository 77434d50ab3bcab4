// SPDX-License-Identifier: GPL-2.0-only

//! A run as JSON.

use crate::error::{Error, Result};
use crate::report::RunReport;

/// The report's text.
pub fn text(report: &RunReport) -> Result<String> {
    let mut text = serde_json::to_string_pretty(report)
        .map_err(|err| Error::lab("writing a JSON report", err.to_string()))?;
    text.push('\n');
    Ok(text)
}
