use std::path::{Path, PathBuf};
use std::pin::Pin;

use futures_util::stream::{self, Stream, StreamExt, TryStreamExt};

use super::Tally;
use crate::cli::error::CliError;
use crate::cli::landing::Landing;
use crate::cli::remote::{Place, Remote};
use crate::cli::session::Session;
use crate::client::{ClientError, Directory, ReadOptions};
use crate::protocol::api::{FileName, Kind, Stat};

/// How many files of a tree are on their way at once.
const PARALLEL: usize = 4;

/// Fetch a file
///
/// It is written beside LOCAL under a temporary name, compared with its checksum, and renamed, so that LOCAL is
/// whole or not there. Where LOCAL is a directory, the file gets its own name in it.
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
    if !args.recursive && !args.local.is_dir() {
        // The one question that need not be asked: what the name of the file is.
        return fetch(&directory, &args.remote.name(), &args.local, args.force, args.version)
            .await
            .map_err(|error| error.about(&args.remote));
    }
    let stat = directory.stat(&args.remote.name()).await.map_err(about)?;
    let place = Place::of(&stat)?;
    let local = match place.last() {
        Some(name) if args.local.is_dir() => args.local.join(name),
        _ => args.local.clone(),
    };
    if stat.kind == Kind::File {
        return fetch(&directory, &args.remote.name(), &local, args.force, args.version)
            .await
            .map_err(|error| error.about(&args.remote));
    }
    if !args.recursive {
        return Err(
            CliError::usage(format!("{} is a directory", args.remote)).hint("use -r to fetch all that is in it")
        );
    }
    tree(&args, session, &directory, &place, local).await
}

async fn tree(
    args: &Args,
    session: &Session,
    directory: &Directory,
    root: &Place,
    local: PathBuf,
) -> Result<(), CliError> {
    make_directory(&local)?;
    let mut tally = Tally::default();
    let mut fetching = files(directory, root, local)
        .map(|item| async move {
            let Item { file, shown, local } = item?;
            fetch(directory, &file, &local, args.force, None).await.map_err(|error| error.about(&shown))?;
            Ok::<_, CliError>(local)
        })
        .buffer_unordered(PARALLEL)
        .boxed();
    while let Some(result) = fetching.next().await {
        match result {
            Ok(local) if !session.out.json => session.out.line(local.display()),
            Ok(_) => {}
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
    stream::try_unfold(open, move |mut open| async move {
        loop {
            let Some((listing, folder)) = open.last_mut() else { return Ok(None) };
            let Some(stat) = listing.try_next().await? else {
                open.pop();
                continue;
            };
            let place = Place::of(&stat)?;
            let Some(name) = place.last() else { continue };
            let local = folder.join(name);
            if stat.kind == Kind::File {
                let file = FileName { file_id: Some(stat.file_id), ..FileName::default() };
                return Ok(Some((Item { file, shown: place, local }, open)));
            }
            make_directory(&local)?;
            let below = children(directory, &place);
            open.push((below, local));
        }
    })
}

fn children(directory: &Directory, place: &Place) -> Children {
    directory.list_entries(place.name()).boxed()
}

fn make_directory(local: &Path) -> Result<(), CliError> {
    std::fs::create_dir_all(local)
        .map_err(|error| CliError::local(format_args!("cannot make {}", local.display()), &error))
}

async fn fetch(
    directory: &Directory,
    file: &FileName,
    local: &Path,
    replace: bool,
    version: Option<u64>,
) -> Result<(), CliError> {
    let (landing, mut output) = Landing::new(local, replace)?;
    directory.read(file, &ReadOptions { version, ..ReadOptions::default() }, &mut output).await?;
    drop(output);
    landing.land()
}
