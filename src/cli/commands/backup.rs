use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde::Serialize;

use crate::backup::{Fetched, FileFault, Folder, Index, NamedExtent, Swept, extents, file_sha256, name_faults};
use crate::cli::error::{CliError, Exit};
use crate::cli::lost;
use crate::cli::output::Output;
use crate::cli::progress::Progress;
use crate::cli::session::{LEAVE_TIMEOUT, Session, parse_duration};
use crate::client::Directory;
use crate::clock::SharedClock;
use crate::protocol::admin::Hold;
use crate::protocol::problem::Code;

/// Back up the whole cluster into a folder, while it runs
///
/// Takes the index of all files, users and grants as of one moment, and the bytes of every file as of that moment.
/// Bytes that the folder has already are not fetched again, so the second backup into it is as large as what has
/// changed. A backup that breaks off leaves the ones before it as they were; the same command goes on with it. Only an
/// admin can do it. Whoever can read the folder can read everybody's files.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The folder; one for each cluster
    dir: PathBuf,
    /// Read the bytes that the folder has already, too, and fetch again what is damaged
    #[arg(long)]
    check: bool,
    /// Afterwards remove all backups but the newest N and the newest N that lack no file, and the bytes that none of
    /// these needs
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    prune: Option<u32>,
    /// Let the backup count even where the bytes of some files cannot be had now; it names them, and so does `verify`
    #[arg(long)]
    allow_missing: bool,
    /// How many files are fetched at once
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=64))]
    parallel: u32,
    /// For how long the cluster keeps deleted bytes should this command die: 1s to 1h
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = parse_hold)]
    hold: Duration,
}

/// What a cluster takes; renewed every third of it.
const HOLDS: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);

fn parse_hold(text: &str) -> Result<Duration, String> {
    let hold = parse_duration(text)?;
    let bounded = HOLDS.contains(&hold).then_some(hold);
    bounded.ok_or_else(|| "give 1s to 1h: it is renewed for as long as the backup runs".to_owned())
}

#[derive(Default, Serialize)]
struct Report {
    applied_index: u64,
    sha256: String,
    /// Runs of bytes that files consist of: what several files or versions share counts once.
    extents: u64,
    bytes: u64,
    fetched: u64,
    fetched_bytes: u64,
    /// How many files' and old versions' bytes could not be had.
    missing_files: u64,
    /// These files, and why; the first `MAX_NAMED`.
    missing: Vec<FileFault>,
    swept: Option<Swept>,
}

pub(super) async fn run(args: Args, session: &Session) -> Result<(), CliError> {
    let progress = Progress::new(&session.out);
    progress.beside(hold_and_back_up(args, session, &progress)).await
}

async fn hold_and_back_up(args: Args, session: &Session, progress: &Progress) -> Result<(), CliError> {
    let directory = session.directory()?;
    let folder = Arc::new(Folder::create(&args.dir)?);
    let hold_id = format!("{:032x}", SharedClock::system().random_u128());
    let hold = Hold { hold_id, ttl_ms: u64::try_from(args.hold.as_millis()).unwrap_or(u64::MAX), renew: false };
    session.on_interrupt(release(directory.clone(), hold.clone(), LEAVE_TIMEOUT));
    directory.hold(&hold).await?;
    let report = tokio::select! {
        report = back_up(&args, &directory, &folder, progress) => report,
        error = keep(&directory, &hold, args.hold) => Err(error),
    };
    // It need not be told for longer than it lasts.
    release(directory, hold, args.hold).await;
    let mut report = report?;
    if let Some(keep) = args.prune {
        progress.begin("removing old backups", 0);
        report.swept = Some(blocking(move || folder.sweep(keep as usize)).await?);
    }
    session.out.answer(&report, describe);
    Ok(())
}

/// Lets the cluster delete again what is deleted.
async fn release(directory: Directory, hold: Hold, within: Duration) {
    let failed = match tokio::time::timeout(within, directory.release(&hold.hold_id)).await {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it did not answer in time".to_owned(),
    };
    let left = Duration::from_millis(hold.ttl_ms);
    Output::note(format_args!("note: the cluster keeps deleted bytes for {left:?} more ({failed})"));
}

async fn back_up(
    args: &Args,
    directory: &Directory,
    folder: &Arc<Folder>,
    progress: &Progress,
) -> Result<Report, CliError> {
    let temporary = folder.temporary_index();
    progress.begin("fetching the index", 0);
    directory.backup_index(&temporary).await?;
    let (opening, claimed) = (temporary.clone(), folder.clone());
    let index = blocking(move || {
        let index = Index::open(&opening)?;
        claimed.claim(&index.head)?;
        Ok(index)
    });
    let index = Arc::new(index.await?);
    let (applied_index, wanted) = (index.head.applied_index, index.extents);
    let seen = progress.begin("backing up", wanted);
    let mut report = Report { applied_index, sha256: index.sha256.to_string(), ..Report::default() };

    let parallel = args.parallel as usize;
    let named = stream::unfold(extents(index.clone(), parallel), |mut named| async {
        named.recv().await.map(|extent| (extent, named))
    });
    // Once one file's servers were waited for in vain, the others' are not.
    let patient = &AtomicBool::new(true);
    let mut lost = BTreeMap::new();
    let mut fetching = named
        .map(|file| async move {
            let file = file?;
            let came = fetch(directory, folder, &file, args.check, patient).await?;
            Ok::<_, CliError>((file, came))
        })
        .buffer_unordered(parallel)
        .boxed();
    while let Some((file, came)) = fetching.try_next().await? {
        let size = file.extent.size;
        report.extents += 1;
        report.bytes += size;
        seen.files.fetch_add(1, Ordering::Relaxed);
        seen.bytes.fetch_add(size, Ordering::Relaxed);
        match came {
            Came::Already => {}
            Came::Fetched => {
                report.fetched += 1;
                report.fetched_bytes += size;
            }
            Came::Missing(why) => {
                lost.insert(file.content_id, why);
            }
        }
    }
    drop(fetching);
    let naming = index.clone();
    (report.missing, report.missing_files) = blocking(move || name_faults(&naming, &lost)).await?;
    if report.extents != wanted {
        let walked = report.extents;
        return Err(CliError::refused(format!("the index names {wanted} extents, and {walked} were looked at")).hint(
            "this is a defect: please report it; nothing was changed in the folder but for bytes that were added",
        ));
    }
    let missing = report.missing_files;
    if missing > 0 {
        lost::note("missing", &report.missing, missing, "`--allow-missing --json` names them");
        if !args.allow_missing {
            return Err(CliError::unavailable(format!(
                "the bytes of {missing} files or old versions cannot be had now; those of the others are in the folder, but \
                 this backup does not count"
            ))
            .hint("back up again when their file servers are back, or when these files are mended, or removed for good (`rm --permanently`)")
            .hint("or let it count without them: --allow-missing"));
        }
    }
    let folder = folder.clone();
    blocking(move || folder.land_index(&temporary, applied_index)).await?;
    Ok(report)
}

/// What became of one file's bytes.
enum Came {
    Already,
    Fetched,
    /// No copy of them can be read, in words.
    Missing(String),
}

async fn fetch(
    directory: &Directory,
    folder: &Arc<Folder>,
    file: &NamedExtent,
    check: bool,
    patient: &AtomicBool,
) -> Result<Came, CliError> {
    let extent = &file.extent;
    let (blob, size) = (extent.blob_id, extent.size);
    let wanted = (size, extent.sha256);
    if folder.look(blob, size)? == Fetched::Already {
        let path = folder.blob_path(blob);
        if !check {
            return Ok(Came::Already);
        }
        let shown = path.display().to_string();
        let found = blocking(move || Ok(file_sha256(&path)?)).await?;
        if found == wanted {
            return Ok(Came::Already);
        }
        Output::note(format_args!("note: {shown} is damaged and is fetched again"));
    }
    let temporary = folder.temporary_blob(blob);
    // One file that is lost must not keep all the others out of the backup.
    let lost = match directory.backup_blob(blob, size, &temporary, patient.load(Ordering::Relaxed)).await {
        Ok(came) if came == wanted => None,
        Ok(came) => Some(format!(
            "the bytes that the cluster sent are not the file's: its {size} bytes have the SHA-256 {}, and {} bytes with \
             {} came. Have the file servers checked with: ringmaster ring scrub",
            wanted.1, came.0, came.1
        )),
        Err(error) if error.code() == Some(Code::NoReplicaAvailable) => {
            patient.store(false, Ordering::Relaxed);
            Some(error.to_string())
        }
        Err(error) if error.code() == Some(Code::DataCorrupt) => Some(error.to_string()),
        Err(error) => {
            return Err(CliError::from(error)
                .about(format_args!("content {}", file.content_id))
                .hint("run the same backup again: it goes on where it stopped"));
        }
    };
    if let Some(why) = lost {
        // The next backup would remove it, too.
        let _ = tokio::fs::remove_file(&temporary).await;
        return Ok(Came::Missing(why));
    }
    let folder = folder.clone();
    blocking(move || folder.land_blob(&temporary, blob)).await?;
    Ok(Came::Fetched)
}

/// Renews the hold for as long as it is polled; ends when it has lapsed.
async fn keep(directory: &Directory, hold: &Hold, ttl: Duration) -> CliError {
    let renewal = Hold { renew: true, ..hold.clone() };
    loop {
        tokio::time::sleep(ttl / 3).await;
        match directory.hold(&renewal).await.map_err(CliError::from) {
            Ok(()) => {}
            Err(error) if error.exit >= Exit::Unavailable => Output::note(format_args!("note: {error}")),
            Err(error) => return error,
        }
    }
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> Result<T, CliError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(error) => Err(CliError::refused(error.to_string())),
    }
}

fn describe(report: &Report) -> String {
    let mut text = format!(
        "log entry: {}\nindex:     {}\nextents:   {} with {} bytes\nfetched:   {} with {} bytes\n",
        report.applied_index, report.sha256, report.extents, report.bytes, report.fetched, report.fetched_bytes
    );
    if report.missing_files > 0 {
        text.push_str(&format!(
            "missing:   {} files, as named above: back up again, or restore with --without-damaged\n",
            report.missing_files
        ));
    }
    if let Some(swept) = report.swept {
        text.push_str(&format!(
            "removed:   {} backups, {} files with {} bytes\nkept:      {} backups, of which {} lack files\n",
            swept.indexes, swept.blobs, swept.bytes, swept.kept, swept.kept_incomplete
        ));
    }
    text
}
