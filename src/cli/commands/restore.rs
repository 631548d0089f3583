mod rows;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde::Serialize;

use self::rows::{Counts, LeftOut, read_rows};
use super::backup::blocking;
use super::secret::{OperatorArgs, strangers_hint};
use crate::backup::{ADVICE, FileFault, Folder, Index, Named, NamedContent, Seen, contents, name_faults, verify_index};
use crate::cli::error::CliError;
use crate::cli::lost;
use crate::cli::output::Output;
use crate::cli::progress::Progress;
use crate::cli::session::Session;
use crate::client::{Directory, Source};
use crate::domain::{ContentId, Sha256, Table, query, restored};
use crate::protocol::problem::Code;
use crate::protocol::restore::{Came, Done, Row, Rows, State, Status};

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
    /// Those of the new cluster
    #[command(flatten)]
    operator: OperatorArgs,
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

/// Contents that are asked about at once.
const ASKED_AT_ONCE: usize = 200;

#[derive(Default, Serialize)]
struct Report {
    cluster_id: String,
    backup: String,
    applied_index: u64,
    /// An earlier run had ended it, and this one sent nothing.
    restored_before: bool,
    entries: u64,
    users: u64,
    grants: u64,
    /// Old versions of files.
    versions: u64,
    /// Entries in the trash.
    trash: u64,
    /// Directories with a retention of their own.
    retentions: u64,
    /// Of files and directories.
    properties: u64,
    /// Runs of bytes that files and versions consist of.
    contents: u64,
    /// Of the contents, those that were sent by this run.
    sent: u64,
    /// Of the contents; nothing where an earlier run left out some, and only it knew which.
    bytes: Option<u64>,
    /// How many files and old versions were left out, since the backup has not their bytes.
    left_out: u64,
    /// These, and why; the first `MAX_NAMED`.
    left_out_files: Vec<FileFault>,
}

pub(super) async fn run(args: Args, session: &Session) -> Result<(), CliError> {
    let progress = Progress::new(&session.out);
    let report = progress.beside(restore(&args, session, &progress)).await?;
    session.out.answer(&report, describe);
    Ok(())
}

async fn restore(args: &Args, session: &Session, progress: &Arc<Progress>) -> Result<Report, CliError> {
    let directory = args.operator.client(session)?;
    let folder = Folder::open(&args.dir)?;
    let path = match args.index {
        None => folder.latest()?,
        Some(wanted) => folder.of_entry(wanted).map_err(|error| CliError::usage(error.to_string()))?,
    };
    // Before the backup is read for hours.
    let status = directory.restore_status().await.map_err(strangers_hint)?;
    progress.begin(format!("reading {}", path.display()), 0);
    let index = Arc::new(blocking(move || Index::open(&path)).await?);
    admit(&status, &index)?;
    let backup = index.sha256.to_string();
    let mut report = Report {
        cluster_id: status.cluster_id.clone(),
        backup: backup.clone(),
        applied_index: index.head.applied_index,
        ..Report::default()
    };
    if status.state == State::Restored {
        return blocking(move || tell_before(report, &status, &index)).await;
    }

    let seen = progress.begin("checking the backup", index.extents);
    let reading = index.clone();
    let (folder, verified) = blocking(move || {
        let verified = verify_index(&folder, &reading, &mut Named::default(), &seen)?;
        Ok((folder, verified))
    })
    .await?;
    // They were in the cluster that was backed up. What can be had of it is not withheld.
    if let Some(first) = verified.violations.first() {
        let count = verified.violations.len();
        Output::note(format_args!("note: {count} broken invariants were backed up with it, the first is {first}"));
    }
    let mut damaged = verified.damaged;
    let (mut faults, mut left_out) = (verified.faults, verified.damaged_files);
    if status.state == State::Restoring && !damaged.is_empty() {
        // What an earlier run has sent is there, and counts, whatever became of the backup's bytes since.
        let all = damaged.len();
        damaged = missing(&directory, damaged).await?;
        if damaged.len() < all {
            let there = all - damaged.len();
            Output::note(format_args!("note: {there} damaged contents are not needed: an earlier run has sent them"));
            let (reading, named) =
                (index.clone(), damaged.iter().map(|id| (*id, "it is damaged".to_owned())).collect());
            (faults, left_out) = blocking(move || name_faults(&reading, &named)).await?;
        }
    }
    report.left_out = left_out;
    if report.left_out > 0 {
        let what = if args.without_damaged { "left out" } else { "damaged" };
        lost::note(what, &faults, report.left_out, "`ringmaster verify DIR --json` names them");
        if !args.without_damaged {
            let first = faults.first().map(ToString::to_string).unwrap_or_default();
            return Err(CliError::refused(format!(
                "{} files of the backup are damaged, the first: {first}",
                report.left_out
            ))
            .hint("nothing was sent")
            .hint(ADVICE));
        }
    }
    report.left_out_files = faults;
    let reading = index.clone();
    let (all, left) =
        blocking(move || Ok((count_contents(&reading)?, Arc::new(LeftOut::by(&reading, damaged)?)))).await?;

    // Bytes come first: a file that is there has them, however often this breaks off.
    let seen = progress.begin("sending", all - left.contents.len() as u64);
    send_contents(args, &directory, &folder, &index, &left, &seen, &mut report).await?;
    progress.begin("sending users, files and grants", 0);
    let counts = send_rows(&directory, &index, &left).await?;
    report.count(&counts);
    let Counts { entries, users, grants, versions, trash, retentions, properties } = counts;
    let contents = report.contents;
    let done = Done { backup, entries, users, grants, contents, versions, trash, retentions, properties };
    directory.restore_done(&done).await?;
    Ok(report)
}

impl Report {
    fn count(&mut self, counts: &Counts) {
        (self.entries, self.users, self.grants) = (counts.entries, counts.users, counts.grants);
        (self.versions, self.trash) = (counts.versions, counts.trash);
        (self.retentions, self.properties) = (counts.retentions, counts.properties);
    }
}

/// Whether the cluster can take this backup, or has taken it.
fn admit(status: &Status, index: &Index) -> Result<(), CliError> {
    if status.cluster_id == index.head.cluster_id {
        return Err(CliError::refused("this is the very cluster that the backup was taken of")
            .hint("restore into a new cluster"));
    }
    if index.head.schema_version > status.schema_version {
        return Err(CliError::refused("the backup is of a newer release than the new cluster")
            .hint(format!("run the new cluster with release {} or a newer one", index.head.release)));
    }
    let ours = status.backup.as_deref() == Some(&index.sha256.to_string());
    match status.state {
        State::InUse => Err(elsewhere("this cluster is in use: somebody has signed up")),
        State::Restoring if !ours => Err(elsewhere("another backup is being restored into this cluster")),
        State::Restored if !ours => Err(elsewhere("this cluster was restored from another backup before")),
        _ => Ok(()),
    }
}

fn elsewhere(refused: &str) -> CliError {
    CliError::refused(refused)
        .hint("start a new cluster with empty data directories, and restore before the first signup")
}

/// What came in the runs before, where all did.
fn tell_before(mut report: Report, status: &Status, index: &Index) -> anyhow::Result<Report> {
    report.restored_before = true;
    let mut bytes = 0_u64;
    let mut counts = read_rows(index, &LeftOut::default(), &mut |_| Ok(()))?;
    index.each_extent(|_, extent| {
        bytes += extent.size;
        Ok(())
    })?;
    let all = count_contents(index)?;
    report.contents = all;
    let of_backup = counts.entries + counts.versions;
    if let Some(came) = status.came {
        let Came { entries, users, grants, contents, versions, trash, retentions, properties } = came;
        counts = Counts { entries, users, grants, versions, trash, retentions, properties };
        report.contents = contents;
    }
    report.count(&counts);
    report.left_out = of_backup.saturating_sub(counts.entries + counts.versions);
    report.bytes = (report.contents == all).then_some(bytes);
    Ok(report)
}

/// Those of the contents that the cluster has not yet.
async fn missing(directory: &Directory, contents: BTreeSet<ContentId>) -> Result<BTreeSet<ContentId>, CliError> {
    let contents: Vec<String> = contents.iter().map(ContentId::to_string).collect();
    let mut missing = BTreeSet::new();
    for asked in contents.chunks(ASKED_AT_ONCE) {
        let found = directory.restore_missing(asked.to_vec()).await?;
        missing.extend(found.iter().filter_map(|id| ContentId::parse(id)));
    }
    Ok(missing)
}

/// Sends all rows but those of contents.
async fn send_rows(directory: &Directory, index: &Arc<Index>, left: &Arc<LeftOut>) -> Result<Counts, CliError> {
    let (sender, mut batches) = tokio::sync::mpsc::channel::<anyhow::Result<Vec<Row>>>(2);
    let (reading, left) = (index.clone(), left.clone());
    let taken_at = query::cluster_time(&**index).map_err(anyhow::Error::from)?.0;
    let counting = tokio::task::spawn_blocking(move || {
        let counted = read_rows(&reading, &left, &mut |batch| Ok(sender.blocking_send(Ok(batch))?));
        counted.map_err(|error| drop(sender.blocking_send(Err(error))))
    });
    while let Some(batch) = batches.recv().await {
        directory.restore_rows(&Rows { backup: index.sha256.to_string(), rows: batch?, taken_at }).await?;
    }
    let counted = counting.await.map_err(|error| CliError::refused(error.to_string()))?;
    counted.map_err(|()| CliError::refused("the index could not be read to its end"))
}

async fn send_contents(
    args: &Args,
    directory: &Directory,
    folder: &Folder,
    index: &Arc<Index>,
    left: &LeftOut,
    seen: &Seen,
    report: &mut Report,
) -> Result<(), CliError> {
    let (backup, parallel) = (index.sha256, args.parallel as usize);
    let mut named = contents(index.clone(), ASKED_AT_ONCE);
    let mut bytes = 0;
    loop {
        let mut batch = Vec::new();
        while batch.len() < ASKED_AT_ONCE
            && let Some(named) = named.recv().await
        {
            let named = named?;
            if !left.contents.contains(&named.content_id) {
                batch.push(named);
            }
        }
        if batch.is_empty() {
            report.bytes = Some(bytes);
            return Ok(());
        }
        report.contents += batch.len() as u64;
        bytes += batch.iter().map(|named| named.size).sum::<u64>();
        let missing = missing(directory, batch.iter().map(|named| named.content_id).collect()).await?;
        let (wanted, there): (Vec<_>, Vec<_>) =
            batch.into_iter().partition(|named| missing.contains(&named.content_id));
        let done = |size: u64| {
            seen.files.fetch_add(1, Ordering::Relaxed);
            seen.bytes.fetch_add(size, Ordering::Relaxed);
        };
        there.iter().for_each(|named| done(named.size));
        let mut sending = stream::iter(wanted)
            .map(|named| send_content(directory, folder, &backup, named))
            .buffer_unordered(parallel)
            .boxed();
        while let Some(size) = sending.try_next().await? {
            report.sent += 1;
            done(size);
        }
    }
}

/// Its size.
async fn send_content(
    directory: &Directory,
    folder: &Folder,
    backup: &Sha256,
    named: NamedContent,
) -> Result<u64, CliError> {
    let paths: Vec<PathBuf> = named.blobs.iter().map(|blob| folder.blob_path(*blob)).collect();
    let shown = paths.first().map(|path| path.display().to_string()).unwrap_or_default();
    let source = Source::files(&shown, named.size, named.sha256, paths);
    let sent = directory.restore_content(backup, named.content_id, &named.row, source).await;
    sent.map_err(|error| {
        let error = CliError::from(error).about(&shown);
        // It was right a moment ago.
        if error.is(Code::ChecksumMismatch) { error.hint(ADVICE) } else { error }
    })?;
    Ok(named.size)
}

/// How many contents a backup has.
fn count_contents(index: &Index) -> anyhow::Result<u64> {
    let mut count = 0;
    index.each(Table::Contents, |_, value| {
        count += u64::from(restored::is_backed_up(index, value)?);
        Ok(())
    })?;
    Ok(count)
}

fn describe(report: &Report) -> String {
    let mut text = String::new();
    if report.restored_before {
        text.push_str("this cluster was restored from this backup already; nothing was sent\n");
    }
    text.push_str(&format!("cluster:   {}\n", report.cluster_id));
    text.push_str(&format!("log entry: {} of the old cluster\n", report.applied_index));
    let bytes = report.bytes.map_or_else(String::new, |bytes| format!(" with {bytes} bytes"));
    text.push_str(&format!("contents:  {}{bytes}, {} sent now\n", report.contents, report.sent));
    if report.left_out > 0 {
        let named = if report.restored_before { "" } else { ", as named above" };
        text.push_str(&format!("left out:  {} damaged files{named}\n", report.left_out));
    }
    text.push_str(&format!(
        "entries:   {}\nusers:     {}\ngrants:    {}\nversions:  {} old ones\ntrash:     {} entries\nretention: of {} directories\n\
         properties: {}\n",
        report.entries, report.users, report.grants, report.versions, report.trash, report.retentions, report.properties
    ));
    text
}
