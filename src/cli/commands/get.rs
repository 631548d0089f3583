use std::path::{Path, PathBuf};
use std::pin::Pin;

use futures_util::stream::{self, Stream, StreamExt, TryStreamExt};
use serde::Serialize;

use super::Tally;
use crate::cli::destination::{Destination, Named, in_the_way};
use crate::cli::error::CliError;
use crate::cli::remote::{Place, Remote};
use crate::cli::session::Session;
use crate::client::{ClientError, Directory, ReadOptions};
use crate::local::{self, Kind as LocalKind};
use crate::protocol::api::{FileName, Kind, Stat};

/// How many files of a tree are on their way at once.
const PARALLEL: usize = 4;

/// Fetch a file
///
/// It is written beside LOCAL under a temporary name, compared with its checksum, and renamed, so that LOCAL is
/// whole or not there. Where LOCAL is a directory, the file gets its own name in it.
///
/// With -f a file keeps its owner and mode, a link stays and what it leads to is replaced, and a device or a pipe is
/// written into. docs/CLI.md has the whole table.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    remote: Remote,
    /// Where to; the working directory where it is left out
    #[arg(default_value = ".")]
    local: PathBuf,
    /// Fetch a directory with all that is in it
    #[arg(short, long)]
    recursive: bool,
    /// Overwrite what is there
    #[arg(short, long)]
    force: bool,
    /// An older version of the file, as `ringmaster history` lists them
    #[arg(long, value_name = "N", conflicts_with = "recursive")]
    version: Option<u64>,
}

/// What was fetched, for --json.
#[derive(Serialize)]
struct Fetched {
    local: PathBuf,
    bytes: u64,
    /// `FILE_ID-VERSION` in quotes.
    etag: Option<String>,
    sha256: Option<String>,
}

/// A file of a tree, and where it goes.
struct Item {
    file: FileName,
    shown: Place,
    local: PathBuf,
}

type Children = Pin<Box<dyn Stream<Item = Result<Stat, ClientError>> + Send>>;

pub(super) async fn run(args: Args, session: &Session) -> Result<(), CliError> {
    let directory = session.directory()?;
    let about = |error: ClientError| CliError::from(error).about(&args.remote);
    if args.local == Path::new("-") {
        return Err(CliError::usage("a download has a name")
            .hint("for standard output: ringmaster cat REMOTE; for a file of that name: ./-"));
    }
    if !args.recursive && !args.local.is_dir() {
        // The one question that need not be asked: what the name of the file is.
        return one(&args, session, &directory, &args.local).await;
    }
    let stat = directory.stat(&args.remote.name()).await.map_err(about)?;
    let place = Place::of(&stat)?;
    let local = match place.last() {
        Some(name) if args.local.is_dir() => args.local.join(name),
        _ => args.local.clone(),
    };
    if stat.kind == Kind::File {
        return one(&args, session, &directory, &local).await;
    }
    if !args.recursive {
        return Err(
            CliError::usage(format!("{} is a directory", args.remote)).hint("use -r to fetch all that is in it")
        );
    }
    tree(&args, session, &directory, &place, local).await
}

async fn one(args: &Args, session: &Session, directory: &Directory, local: &Path) -> Result<(), CliError> {
    let fetched = fetch(directory, &args.remote.name(), local, Named::ByUser, args.force, args.version).await;
    let fetched = fetched.map_err(|error| error.about(&args.remote))?;
    // The one name is known to whoever gave it.
    session.out.answer(&fetched, |_| String::new());
    Ok(())
}

async fn tree(
    args: &Args,
    session: &Session,
    directory: &Directory,
    root: &Place,
    local: PathBuf,
) -> Result<(), CliError> {
    let root_folder = local.clone();
    blocking(move || local::make_folders(&root_folder, 0o777).map_err(|error| cannot_make(&root_folder, &error)))
        .await?;
    let mut tally = Tally::default();
    let mut fetching = files(directory, root, local)
        .map(|item| async move {
            let Item { file, shown, local } = item?;
            let fetched = fetch(directory, &file, &local, Named::ByCluster, args.force, None).await;
            fetched.map_err(|error| error.about(&shown))
        })
        .buffer_unordered(PARALLEL)
        .boxed();
    while let Some(result) = fetching.next().await {
        match result {
            Ok(fetched) => session.out.answer(&fetched, |fetched| format!("{}\n", fetched.local.display())),
            Err(error) if tally.goes_on_after(&error) => {}
            Err(_) => break,
        }
    }
    tally.result()
}

/// All files below `root`; directories are made on the way. It holds one page a level, however many files there are.
fn files<'a>(
    directory: &'a Directory,
    root: &Place,
    local: PathBuf,
) -> impl Stream<Item = Result<Item, CliError>> + Send + use<'a> {
    let open: Vec<(Children, PathBuf)> = vec![(children(directory, root), local)];
    stream::unfold(open, move |mut open| async move {
        loop {
            let (listing, folder) = open.last_mut()?;
            let stat = match listing.try_next().await {
                Ok(Some(stat)) => stat,
                Ok(None) => {
                    open.pop();
                    continue;
                }
                Err(error) => {
                    // The rest of this directory is not to be had.
                    open.pop();
                    return Some((Err(error.into()), open));
                }
            };
            let place = match Place::of(&stat) {
                Ok(place) => place,
                Err(error) => return Some((Err(error), open)),
            };
            let Some(name) = place.last() else { continue };
            let local = folder.join(name);
            if stat.kind == Kind::File {
                let file = FileName { file_id: Some(stat.file_id), ..FileName::default() };
                return Some((Ok(Item { file, shown: place, local }), open));
            }
            let making = local.clone();
            if let Err(error) = blocking(move || make_directory(&making)).await {
                return Some((Err(error.about(&place)), open));
            }
            let below = children(directory, &place);
            open.push((below, local));
        }
    })
}

fn children(directory: &Directory, place: &Place) -> Children {
    directory.list_entries(place.name()).boxed()
}

/// Makes a directory of a tree, unless there is one. A link to a directory is none: it leads out of the tree.
fn make_directory(local: &Path) -> Result<(), CliError> {
    match local.symlink_metadata().map(|found| LocalKind::of(found.file_type())) {
        Ok(LocalKind::Directory) => Ok(()),
        Ok(kind) => Err(in_the_way(local, kind)),
        Err(_) => {
            let made = std::fs::create_dir(local).and_then(|()| local::sync_folder(local::folder_of(local)));
            made.map_err(|error| cannot_make(local, &error))
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CliError> + Send + 'static,
) -> Result<T, CliError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(CliError::refused(error.to_string())))
}

fn cannot_make(local: &Path, error: &std::io::Error) -> CliError {
    CliError::local(format_args!("cannot make {}", local.display()), error)
}

async fn fetch(
    directory: &Directory,
    file: &FileName,
    local: &Path,
    named: Named,
    replace: bool,
    version: Option<u64>,
) -> Result<Fetched, CliError> {
    let (destination, mut output) = Destination::open(local, replace, named).await?;
    let came = directory.read(file, &ReadOptions { version, ..ReadOptions::default() }, &mut output).await?;
    destination.finish(output).await?;
    let sha256 = came.head.sha256.map(|digest| digest.to_string());
    Ok(Fetched { local: local.to_owned(), bytes: came.bytes, etag: came.head.etag, sha256 })
}
