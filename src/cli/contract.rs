//! `ak-stages contract`: what a client that was made for a release of authentik would miss here.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use serde_json::Value;

use super::stdout::print;
use crate::contract::comparison::Report;
use crate::resources::document::document;

/// The exit status where the file can't be read, or is no OpenAPI document.
const UNREADABLE: u8 = 2;

/// Compare the OpenAPI document in `file`, YAML or JSON, with our own. The exit status is 1 if a client would miss
/// something of the resources that are served.
///
/// # Errors
/// Standard output can't be written to.
pub fn run(file: &Path, as_json: bool) -> anyhow::Result<ExitCode> {
    let report = match read(file) {
        Ok(report) => report,
        Err(error) => {
            writeln!(std::io::stderr(), "ak-stages: {}: {error:#}", file.display())?;
            return Ok(ExitCode::from(UNREADABLE));
        }
    };
    let text = if as_json { serde_json::to_string_pretty(&report)? + "\n" } else { report.to_string() };
    print(&text)?;
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read(file: &Path) -> anyhow::Result<Report> {
    let theirs: Value = yaml_serde::from_str(&fs::read_to_string(file)?)?; // JSON is YAML, too
    Report::of(&document(), &theirs).map_err(anyhow::Error::msg)
}
