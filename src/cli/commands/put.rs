use std::path::{Path, PathBuf};

use futures_util::stream::{self, StreamExt};

use super::Tally;
use crate::cli::error::{CliError, Exit};
use crate::cli::output::Output;
use crate::cli::remote::{Place, Remote};
use crate::cli::session::Session;
use crate::cli::walk::{Found, Walk};
use crate::client::{Directory, Source, UpdateOptions, WriteOptions, etag};
use crate::protocol::api::{FileName, Kind, Mkdir, Stat};
use crate::protocol::problem::Code;

/// How many files of a tree are on their way at once.
const PARALLEL: usize = 4;

/// Store files
///
/// As with cp: where REMOTE is a directory or ends in a slash, each FILE is stored in it under its own name; else
/// the one FILE is stored as REMOTE. Missing directories are made.
///
/// A file that is there is never overwritten, unless --update says so: that stores a new version of it.
///
/// Pipes, devices and files without a size are read to their end first. A file that is changed while it is sent is refused.
/// docs/CLI.md has the whole table.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// What to store; - for standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Where to
    #[arg(required = true)]
    remote: Remote,
    /// Store directories with all that is in them; links are passed over
    #[arg(short, long)]
    recursive: bool,
    /// Store a new version of what is there, and what is not there as a new file
    #[arg(short, long)]
    update: bool,
    /// Update only where this version is there; implies --update
    #[arg(long, value_name = "N", conflicts_with = "recursive")]
    if_version: Option<u64>,
    /// The token of the lock on the file; implies --update
    #[arg(long, value_name = "TOKEN", conflicts_with = "recursive")]
    lock_token: Option<String>,
    /// The media type, for example text/plain
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
}

/// One file or empty directory to be stored.
enum Item {
    File { local: PathBuf, to: Place },
    Directory { to: Place },
}

pub(super) async fn run(args: Args, session: &Session) -> Result<(), CliError> {
    let directory = session.directory()?;
    let there = match directory.stat(&args.remote.name()).await.map_err(CliError::from) {
        Ok(stat) => Some(stat),
        Err(error) if error.is(Code::NotFound) => None,
        Err(error) => return Err(error.about(&args.remote)),
    };
    let is_directory = there.as_ref().is_some_and(|stat| stat.kind == Kind::Directory);
    let into = is_directory || args.remote.means_directory() || args.files.len() > 1;
    if into && !is_directory && there.is_some() {
        return Err(CliError::refused(format!("{} is a file, not a directory", args.remote)));
    }
    let at = match (&args.remote, &there) {
        (Remote::Place { place, .. }, _) => place.clone(),
        (Remote::Id(_), Some(stat)) => Place::of(stat)?,
        (Remote::Id(_), None) => return Err(CliError::refused(format!("{}: not found", args.remote))),
    };

    if let ([local], false) = (args.files.as_slice(), args.recursive) {
        return one(&args, session, &directory, local, &at, into).await;
    }
    many(&args, session, &directory, &at, into).await
}

/// Stores a single file, or standard input.
async fn one(
    args: &Args,
    session: &Session,
    directory: &Directory,
    local: &Path,
    at: &Place,
    into: bool,
) -> Result<(), CliError> {
    if local.is_dir() {
        return Err(is_directory(local));
    }
    let stdin = is_stdin(local);
    if stdin && into {
        return Err(CliError::usage("standard input has no name: name the file that it is to become"));
    }
    let to = if into { at.join([name_of(local)?])? } else { at.clone() };
    let stat = store(args, directory, local, &to).await?;
    session.out.answer(&stat, |stat| stored(&to, stat));
    Ok(())
}

async fn many(args: &Args, session: &Session, directory: &Directory, at: &Place, into: bool) -> Result<(), CliError> {
    if args.if_version.is_some() || args.lock_token.is_some() {
        return Err(CliError::usage("--if-version and --lock-token are for one file"));
    }
    let mut tally = Tally::default();
    let items = args.files.iter().flat_map(|local| items(args, local, at, into));
    let mut storing = stream::iter(items)
        .map(|item| async move {
            match item? {
                Item::File { local, to } => store(args, directory, &local, &to).await.map(|stat| (to, Some(stat))),
                Item::Directory { to } => make_directory(directory, &to).await.map(|stat| (to, stat)),
            }
        })
        .buffer_unordered(PARALLEL);
    while let Some(result) = storing.next().await {
        match result {
            Ok((to, Some(stat))) => session.out.answer(&stat, |stat| stored(&to, stat)),
            Ok((_, None)) => {}
            Err(error) if tally.goes_on_after(&error) => {}
            Err(_) => break,
        }
    }
    tally.result()
}

/// What is to be stored for one argument.
fn items(args: &Args, local: &Path, at: &Place, into: bool) -> Box<dyn Iterator<Item = Result<Item, CliError>> + Send> {
    let found = (|| {
        if is_stdin(local) {
            return Err(CliError::usage("standard input is stored alone: name the file that it is to become"));
        }
        let to = if into { at.join([name_of(local)?])? } else { at.clone() };
        if !local.is_dir() {
            let item = Item::File { local: local.to_owned(), to };
            return Ok(Box::new(std::iter::once(Ok(item))) as Box<dyn Iterator<Item = _> + Send>);
        }
        if !args.recursive {
            return Err(is_directory(local));
        }
        let walk = Walk::new(local)?;
        Ok(Box::new(walk.filter_map(move |found| item(found, &to).transpose())))
    })();
    found.unwrap_or_else(|error| Box::new(std::iter::once(Err(error))))
}

fn item(found: Result<Found, CliError>, to: &Place) -> Result<Option<Item>, CliError> {
    match found? {
        Found::File { path, names } => Ok(Some(Item::File { local: path, to: to.join(&names)? })),
        Found::EmptyDirectory { names } => Ok(Some(Item::Directory { to: to.join(&names)? })),
        Found::Other { path, kind } => {
            Output::note(format_args!("passed over {}: it is {kind}", path.display()));
            Ok(None)
        }
    }
}

async fn make_directory(directory: &Directory, to: &Place) -> Result<Option<Stat>, CliError> {
    let mkdir = Mkdir { path: to.path.to_string(), owner: to.owner.clone() };
    match directory.mkdir(&mkdir).await.map_err(CliError::from) {
        Err(error) if error.is(Code::AlreadyExists) => Ok(None),
        result => result.map(Some).map_err(|error| error.about(to)),
    }
}

/// Stores one file as the options say.
async fn store(args: &Args, directory: &Directory, local: &Path, to: &Place) -> Result<Stat, CliError> {
    let source = if is_stdin(local) {
        Source::stream("standard input", std::io::stdin()).await?
    } else {
        Source::file(local).await?
    };
    let name = to.name();
    let updates = args.update || args.if_version.is_some() || args.lock_token.is_some();
    let result = if updates {
        update_or_write(args, directory, &source, &name).await
    } else {
        write(args, directory, &source, &name).await
    };
    result.map_err(|error| {
        let exists = error.is(Code::AlreadyExists);
        let error = error.about(to);
        if exists && !updates { error.hint("use --update to store a new version of it") } else { error }
    })
}

async fn write(args: &Args, directory: &Directory, source: &Source, name: &FileName) -> Result<Stat, CliError> {
    let options = WriteOptions { content_type: args.content_type.clone(), progress: None };
    Ok(directory.write(name, source.clone(), options).await?)
}

/// Which of the two it is can change between the question and the change; then it is the other, once.
async fn update_or_write(
    args: &Args,
    directory: &Directory,
    source: &Source,
    name: &FileName,
) -> Result<Stat, CliError> {
    let there = match directory.stat(name).await.map_err(CliError::from) {
        Ok(stat) => Some(stat),
        Err(error) if error.is(Code::NotFound) && args.if_version.is_none() && args.lock_token.is_none() => None,
        Err(error) => return Err(error),
    };
    let Some(there) = there else {
        return match write(args, directory, source, name).await {
            Err(error) if error.is(Code::AlreadyExists) => update(args, directory, source, name, None).await,
            result => result,
        };
    };
    if there.kind == Kind::Directory {
        return Err(CliError::new(Exit::Refused, "it is a directory"));
    }
    match update(args, directory, source, name, Some(there.file_id)).await {
        Err(error) if error.is(Code::NotFound) && args.if_version.is_none() && args.lock_token.is_none() => {
            write(args, directory, source, name).await
        }
        result => result,
    }
}

async fn update(
    args: &Args,
    directory: &Directory,
    source: &Source,
    name: &FileName,
    file_id: Option<u64>,
) -> Result<Stat, CliError> {
    let options = UpdateOptions {
        content_type: args.content_type.clone(),
        lock_token: args.lock_token.clone(),
        if_match: file_id.zip(args.if_version).map(|(file_id, version)| etag(file_id, version)),
        progress: None,
    };
    Ok(directory.update(name, source.clone(), options).await?)
}

fn is_stdin(local: &Path) -> bool {
    local == Path::new("-")
}

/// The name that a file has in a directory.
fn name_of(local: &Path) -> Result<String, CliError> {
    let name = match local.file_name() {
        Some(name) => name.to_owned(),
        // `.` and `..` and the like have a name all the same.
        None => local
            .canonicalize()
            .map_err(|error| CliError::local(format_args!("cannot read {}", local.display()), &error))?
            .file_name()
            .map(ToOwned::to_owned)
            .ok_or_else(|| CliError::usage(format!("{} has no name of its own", local.display())))?,
    };
    name.into_string().map_err(|_| CliError::usage(format!("{} is not in UTF-8", local.display())))
}

fn is_directory(local: &Path) -> CliError {
    CliError::usage(format!("{} is a directory", local.display())).hint("use -r to store all that is in it")
}

fn stored(to: &Place, stat: &Stat) -> String {
    match (stat.version, stat.size) {
        (Some(version), Some(size)) => format!("{to}  version {version}  {size} bytes\n"),
        _ => format!("{to}/\n"),
    }
}
