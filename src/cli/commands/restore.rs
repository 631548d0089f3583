use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde::Serialize;
use url::Url;

use super::backup::blocking;
use crate::backup::{ADVICE, Folder, Index, Named, NamedFile, files, verify_index};
use crate::cli::error::CliError;
use crate::cli::output::Output;
use crate::cli::session::Session;
use crate::client::{Directory, Source, restored_row};
use crate::config::{self, DirectoryConfig};
use crate::domain::backup::{Piece, piece};
use crate::domain::{Sha256, Table};
use crate::protocol::problem::Code;
use crate::protocol::restore::{Done, Row, Rows, State};
use crate::protocol::secret::ClusterSecret;

/// Make a new cluster from a backup
///
/// The cluster runs, with its file servers, and nobody has signed up yet. It gets the files, users, passwords, grants
/// and policy of the backup under its own cluster id; ids and fences go on above those that the old cluster can have
/// given. Logins and locks are not restored: log in again. The backup is read and checked as a whole before anything is
/// sent. Until all of it is there the cluster answers everybody else with 503; run the same command again after it broke
/// off.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The folder with the backup
    dir: PathBuf,
    /// The configuration of one of the new cluster's directory nodes: it names the nodes and the cluster secret
    #[arg(short, long, value_name = "FILE", required_unless_present = "secret_file")]
    config: Option<PathBuf>,
    /// The file with the cluster secret; the nodes are those of --url
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    secret_file: Option<PathBuf>,
    /// The log entry of the backup to take; the newest one where it is not given
    #[arg(long, value_name = "N")]
    index: Option<u64>,
    /// Leave out the files whose bytes are damaged or missing in the backup, rather than restore nothing
    #[arg(long)]
    without_damaged: bool,
    /// How many files are sent at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    parallel: u32,
}

/// Files that are asked about at once.
const ASKED_AT_ONCE: usize = 200;
/// Rows that are sent at once: `MAX_RESTORED`.
const ROWS_AT_ONCE: usize = crate::domain::command::MAX_RESTORED;
/// And their bytes, in base64: far below what a JSON body may have.
const BYTES_AT_ONCE: usize = 512 * 1024;

#[derive(Default, Serialize)]
struct Report {
    cluster_id: String,
    backup: String,
    applied_index: u64,
    entries: u64,
    users: u64,
    grants: u64,
    files: u64,
    /// Of the files, those that were sent by this run.
    sent: u64,
    bytes: u64,
}

pub(super) async fn run(args: Args, session: &Session) -> Result<(), CliError> {
    let directory = member(&args, session)?;
    let folder = Folder::open(&args.dir)?;
    let path = match args.index {
        None => folder.latest()?,
        Some(wanted) => folder.of_entry(wanted).map_err(|error| CliError::usage(error.to_string()))?,
    };
    let (folder, index, verified) = blocking(move || {
        let verified = verify_index(&folder, &path, &mut Named::default())?;
        // They were in the cluster that was backed up. What can be had of it is not withheld.
        if let Some(first) = verified.violations.first() {
            let count = verified.violations.len();
            Output::note(format_args!("note: {count} broken invariants were backed up with it, the first is {first}"));
        }
        Ok((folder, Index::open(&path)?, verified))
    })
    .await?;
    let damaged = Arc::new(verified.damaged);
    if let Some(first) = verified.faults.first() {
        let count = damaged.len();
        if !args.without_damaged {
            return Err(CliError::refused(format!("{count} files of the backup are damaged, the first: {first}"))
                .hint("nothing was sent")
                .hint(ADVICE));
        }
        for fault in &verified.faults {
            Output::note(format_args!("left out: {fault}"));
        }
    }
    let index = Arc::new(index);
    let backup = index.sha256;

    let status = directory.restore_status().await.map_err(secret_hint)?;
    if status.cluster_id == index.head.cluster_id {
        return Err(CliError::refused("this is the very cluster that the backup was taken of")
            .hint("restore into a new cluster"));
    }
    if index.head.schema_version > status.schema_version {
        return Err(CliError::refused("the backup is of a newer release than the new cluster")
            .hint(format!("run the new cluster with release {} or a newer one", index.head.release)));
    }
    let ours = status.backup.as_deref() == Some(&backup.to_string());
    let refused = match status.state {
        State::New => None,
        State::Restoring | State::Restored if ours => None,
        State::Restoring => Some("another backup is being restored into this cluster"),
        State::Restored => Some("this cluster was restored from another backup before"),
        State::InUse => Some("this cluster is in use: somebody has signed up"),
    };
    if let Some(refused) = refused {
        return Err(CliError::refused(refused)
            .hint("start a new cluster with empty data directories, and restore before the first signup"));
    }
    let mut report = Report {
        cluster_id: status.cluster_id,
        backup: backup.to_string(),
        applied_index: index.head.applied_index,
        ..Report::default()
    };
    if status.state != State::Restored {
        send_rows(&directory, &index, &damaged, &mut report).await?;
        send_files(&args, &directory, &folder, &index, &damaged, &mut report).await?;
        let (entries, users, grants) = (report.entries, report.users, report.grants);
        directory.restore_done(&Done { backup: backup.to_string(), entries, users, grants }).await?;
    }
    session.out.answer(&report, describe);
    Ok(())
}

fn member(args: &Args, session: &Session) -> Result<Directory, CliError> {
    let (secret_file, urls) = match (&args.config, &args.secret_file) {
        (Some(path), _) => {
            let config = DirectoryConfig::load(path, config::environment(), &[]).map_err(|error| {
                CliError::usage(format!("{} is not right:\n  {}", path.display(), error.lines().join("\n  ")))
            })?;
            let urls = config.cluster.members.iter().map(|member| member.url.as_str().parse::<Url>());
            let urls = urls.collect::<Result<Vec<_>, _>>().map_err(|error| CliError::usage(error.to_string()))?;
            (config.cluster.secret_file.clone(), Some(urls))
        }
        (None, Some(path)) => (path.clone(), None),
        (None, None) => return Err(CliError::usage("give --config or --secret-file")),
    };
    session.member(urls, ClusterSecret::read(&secret_file)?.bearer())
}

fn secret_hint(error: crate::client::ClientError) -> CliError {
    let error = CliError::from(error);
    if error.is(Code::Unauthenticated) {
        return error.without_hints().hint("give the secret of the new cluster, with --config or --secret-file");
    }
    error
}

/// Everything but the files: counters, policy, users, directories, grants.
async fn send_rows(
    directory: &Directory,
    index: &Arc<Index>,
    damaged: &Arc<BTreeSet<u64>>,
    report: &mut Report,
) -> Result<(), CliError> {
    let (sender, mut batches) = tokio::sync::mpsc::channel::<anyhow::Result<Vec<Row>>>(2);
    let (reading, damaged) = (index.clone(), damaged.clone());
    let counting = tokio::task::spawn_blocking(move || {
        let counted = read_rows(&reading, &damaged, &mut |batch| Ok(sender.blocking_send(Ok(batch))?));
        counted.map_err(|error| drop(sender.blocking_send(Err(error))))
    });
    while let Some(batch) = batches.recv().await {
        directory.restore_rows(&Rows { backup: index.sha256.to_string(), rows: batch? }).await?;
    }
    let counted = counting.await.map_err(|error| CliError::refused(error.to_string()))?;
    (report.entries, report.users, report.grants) =
        counted.map_err(|()| CliError::refused("the index could not be read to its end"))?;
    Ok(())
}

/// Gives the rows to `send` in bounded batches, and counts entries, users and grants. What belongs to files that are
/// left out is left out, too.
fn read_rows(
    index: &Index,
    damaged: &BTreeSet<u64>,
    send: &mut dyn FnMut(Vec<Row>) -> anyhow::Result<()>,
) -> anyhow::Result<(u64, u64, u64)> {
    let (mut entries, mut users, mut grants) = (0, 0, 0);
    let (mut batch, mut size) = (Vec::new(), 0);
    for table in [Table::Meta, Table::Policy, Table::Users, Table::Entries, Table::Grants] {
        index.each(table, |key, value| {
            match piece(table, key, value)? {
                Piece::File(file) => {
                    entries += u64::from(!damaged.contains(&file.file_id.0));
                    return Ok(());
                }
                Piece::Grant(_, file, _) if damaged.contains(&file.0) => return Ok(()),
                Piece::Left => return Ok(()),
                Piece::Directory(_) => entries += 1,
                Piece::User(_) => users += 1,
                Piece::Grant(..) => grants += 1,
                _ => {}
            }
            let row = restored_row(table.name(), key, value);
            size += row.key.len() + row.value.len();
            batch.push(row);
            if batch.len() == ROWS_AT_ONCE || size >= BYTES_AT_ONCE {
                size = 0;
                send(std::mem::take(&mut batch))?;
            }
            Ok(())
        })?;
    }
    if !batch.is_empty() {
        send(batch)?;
    }
    Ok((entries, users, grants))
}

async fn send_files(
    args: &Args,
    directory: &Directory,
    folder: &Folder,
    index: &Arc<Index>,
    damaged: &BTreeSet<u64>,
    report: &mut Report,
) -> Result<(), CliError> {
    let (backup, parallel) = (index.sha256, args.parallel as usize);
    let mut named = files(index.clone(), ASKED_AT_ONCE);
    loop {
        let mut batch = Vec::new();
        while batch.len() < ASKED_AT_ONCE
            && let Some(file) = named.recv().await
        {
            let file = file?;
            if !damaged.contains(&file.file_id.0) {
                batch.push(file);
            }
        }
        if batch.is_empty() {
            return Ok(());
        }
        report.files += batch.len() as u64;
        report.bytes += batch.iter().map(|file| file.content.size).sum::<u64>();
        let missing = directory.restore_missing(batch.iter().map(|file| file.file_id.0).collect()).await?;
        let wanted = batch.into_iter().filter(|file| missing.contains(&file.file_id.0));
        let mut sending = stream::iter(wanted)
            .map(|file| send_file(directory, folder, &backup, file))
            .buffer_unordered(parallel)
            .boxed();
        while sending.try_next().await?.is_some() {
            report.sent += 1;
        }
    }
}

async fn send_file(directory: &Directory, folder: &Folder, backup: &Sha256, file: NamedFile) -> Result<(), CliError> {
    let path = folder.blob_path(file.content.blob_id);
    let shown = path.display().to_string();
    let sent = directory.restore_file(backup, &file.row, Source::file(path).await?).await;
    sent.map_err(|error| {
        let error = CliError::from(error).about(&shown);
        // It was right a moment ago.
        if error.is(Code::ChecksumMismatch) { error.hint(ADVICE) } else { error }
    })
}

fn describe(report: &Report) -> String {
    format!(
        "cluster:   {}\nlog entry: {} of the old cluster\nfiles:     {} with {} bytes, {} sent now\nentries:   {}\nusers:     {}\ngrants:    {}\n",
        report.cluster_id,
        report.applied_index,
        report.files,
        report.bytes,
        report.sent,
        report.entries,
        report.users,
        report.grants
    )
}
