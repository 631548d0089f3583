use std::path::{Path, PathBuf};

use serde::Serialize;

use super::backup::blocking;
use crate::backup::{ADVICE, Folder, Index, Named, Verified, verify_index};
use crate::cli::error::CliError;
use crate::cli::lost;
use crate::cli::progress::Progress;
use crate::cli::session::Session;
use crate::consensus::{Inspection, inspect};

/// Check a backup, or the data directory of a directory node that does not run
///
/// Of a backup every index and the bytes of every file are read and compared with their checksums. A file that is damaged
/// or missing is named by its owner and path; the first hundred of each backup, with --json the first 10,000.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The folder of a backup, or a node's data_dir
    dir: PathBuf,
}

#[derive(Serialize)]
struct Report {
    applied_index: Option<u64>,
    state_sha256: String,
    rows: u64,
    violations: Vec<String>,
}

#[derive(Serialize)]
struct Backups {
    latest: Option<PathBuf>,
    /// The newest first.
    backups: Vec<Verified>,
    /// What is wrong with the folder, and with indexes that cannot be used at all.
    unusable: Vec<String>,
}

pub(super) async fn run(args: Args, session: &Session) -> Result<(), CliError> {
    if Folder::is_one(&args.dir) {
        return backup(&args.dir, session).await;
    }
    let dir = args.dir.clone();
    let Inspection { applied_index, state_sha256, rows, violations } = blocking(move || inspect(&dir)).await?;
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

async fn backup(dir: &Path, session: &Session) -> Result<(), CliError> {
    let dir = dir.to_owned();
    let progress = Progress::new(&session.out);
    let telling = progress.clone();
    let work = blocking(move || {
        let folder = Folder::open(&dir)?;
        let mut report = Backups { latest: None, backups: Vec::new(), unusable: Vec::new() };
        match folder.latest() {
            Ok(latest) => report.latest = Some(latest),
            Err(error) => report.unusable.push(format!("{error:#}")),
        }
        let mut known = Named::default();
        // One that is damaged says nothing about the others.
        for path in folder.list()?.into_iter().rev() {
            telling.begin(format!("reading {}", path.display()), 0);
            let verified = Index::open(&path).and_then(|index| {
                let seen = telling.begin(format!("checking log entry {}", index.head.applied_index), index.extents);
                verify_index(&folder, &index, &mut known, &seen)
            });
            match verified {
                Ok(verified) => report.backups.push(verified),
                Err(error) => report.unusable.push(format!("{error:#}")),
            }
        }
        Ok(report)
    });
    let report = progress.beside(work).await?;
    session.out.answer(&report, describe);
    let first = report.backups.iter().find_map(|backup| backup.faults.first());
    let first = report.unusable.first().cloned().or_else(|| first.map(ToString::to_string));
    if let Some(first) = first {
        let damaged: u64 = report.backups.iter().map(|backup| backup.damaged_files).sum();
        let found = report.unusable.len() as u64 + damaged;
        return Err(CliError::refused(format!("{found} faults in the backup, the first: {first}")).hint(ADVICE));
    }
    let broken: usize = report.backups.iter().map(|backup| backup.violations.len()).sum();
    if broken == 0 {
        return Ok(());
    }
    Err(CliError::refused(format!("{broken} broken invariants in the cluster that was backed up"))
        .hint("the files can be read; report what is printed above"))
}

fn describe(report: &Backups) -> String {
    let mut text = String::new();
    for backup in &report.backups {
        let Verified { applied_index, sha256, rows, extents, bytes, violations, faults, damaged_files, .. } = backup;
        let verdict = match damaged_files {
            0 => "all as they were written".to_owned(),
            count => format!("{count} files or old versions damaged or missing"),
        };
        text.push_str(&format!(
            "log entry {applied_index}: {rows} rows, {extents} extents with {bytes} bytes, {verdict} ({sha256})\n"
        ));
        let faults = lost::lines(faults, *damaged_files, "--json names them");
        for line in faults.chain(violations.iter().cloned()) {
            text.push_str(&format!("  {line}\n"));
        }
    }
    for line in &report.unusable {
        text.push_str(&format!("{line}\n"));
    }
    text
}
