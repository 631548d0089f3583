use std::path::PathBuf;

use serde::Serialize;

use crate::cli::error::CliError;
use crate::cli::session::Session;
use crate::consensus::{Inspection, inspect};

/// Check the data directory of a directory node that does not run
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The node's data_dir
    dir: PathBuf,
}

#[derive(Serialize)]
struct Report {
    applied_index: Option<u64>,
    state_sha256: String,
    rows: u64,
    violations: Vec<String>,
}

pub(super) async fn run(args: Args, session: &Session) -> Result<(), CliError> {
    let dir = args.dir.clone();
    let inspected = tokio::task::spawn_blocking(move || inspect(&dir)).await;
    let inspected = inspected.map_err(|error| CliError::refused(error.to_string()))?;
    let Inspection { applied_index, state_sha256, rows, violations } =
        inspected.map_err(|error| CliError::refused(format!("{error:#}")))?;
    let violations: Vec<String> =
        violations.into_iter().map(|broken| format!("{}: {}", broken.invariant, broken.detail)).collect();
    let report = Report { applied_index, state_sha256, rows, violations };
    session.out.answer(&report, |report| {
        let applied = report.applied_index.map_or_else(|| "nothing".to_owned(), |index| index.to_string());
        let mut text = format!("applied: {applied}\nrows:    {}\nstate:   {}\n", report.rows, report.state_sha256);
        for broken in &report.violations {
            text.push_str(broken);
            text.push('\n');
        }
        text
    });
    if report.violations.is_empty() {
        return Ok(());
    }
    let found = report.violations.len();
    Err(CliError::refused(format!("{found} broken invariants in {}", args.dir.display()))
        .hint("take this node out (`ringmaster cluster remove`) and add it anew with an empty data directory, and report what is printed above"))
}
