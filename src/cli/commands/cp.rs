use std::pin::Pin;

use futures_util::stream::{self, Stream, StreamExt};

use super::Tally;
use crate::cli::error::CliError;
use crate::cli::remote::{Place, Remote};
use crate::cli::session::Session;
use crate::client::{ClientError, Directory};
use crate::protocol::api::{FileName, Kind, Mkdir, PermissionName, Stat};
use crate::protocol::problem::Code;
use crate::protocol::properties::SetProperties;
use crate::protocol::versions::Copy;

/// How many files of a tree are copied at once.
const PARALLEL: usize = 4;

/// Copy a file or a directory inside the cluster
///
/// No byte is moved, whatever the size: both files name the same content, and each goes its own way from then on. Properties
/// are copied with them. Where TO is a directory, FROM is copied into it under its own name. Nothing is ever overwritten.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    from: Remote,
    to: Remote,
    /// Copy a directory with all that is in it, file by file
    #[arg(short, long)]
    recursive: bool,
}

/// A file of a tree, and where its copy goes.
struct Item {
    file_id: u64,
    shown: Place,
    to: Place,
}

type Children = Pin<Box<dyn Stream<Item = Result<Stat, ClientError>> + Send>>;

/// A directory that is being walked, and where what is in it goes.
struct Level {
    children: Children,
    shown: Place,
    to: Place,
}

pub(super) async fn run(args: Args, session: &Session) -> Result<(), CliError> {
    let directory = session.directory()?;
    let stat_of = async |remote: &Remote| {
        directory.stat(&remote.name()).await.map_err(|error| CliError::from(error).about(remote))
    };
    let source = stat_of(&args.from).await?;
    let from = Place::of(&source)?;
    let to = match stat_of(&args.to).await {
        Ok(stat) if stat.kind == Kind::Directory => into(&Place::of(&stat)?, &from)?,
        Ok(stat) => Place::of(&stat)?,
        Err(error) if error.is(Code::NotFound) => match &args.to {
            Remote::Place { place, slash: true } => into(place, &from)?,
            Remote::Place { place, slash: false } => place.clone(),
            Remote::Id(_) => return Err(error),
        },
        Err(error) => return Err(error),
    };
    if source.kind == Kind::File {
        let stat = copy(&directory, source.file_id, &to).await.map_err(|error| error.about(&to))?;
        session.out.answer(&stat, |_| String::new());
        return Ok(());
    }
    if !args.recursive {
        return Err(CliError::usage(format!("{} is a directory", args.from)).hint("use -r to copy all that is in it"));
    }
    let same_tree = match &to.owner {
        None => source.permission == PermissionName::Owner,
        Some(owner) => *owner == source.owner,
    };
    if same_tree && to.path.components().starts_with(from.path.components()) {
        return Err(CliError::usage(format!("{} cannot be copied below itself: choose another place", args.from)));
    }
    tree(session, &directory, source.file_id, from, to).await
}

fn into(directory: &Place, from: &Place) -> Result<Place, CliError> {
    let name = from.last().ok_or_else(|| CliError::usage("the root has no name of its own: name a new directory"))?;
    directory.join([name])
}

async fn tree(session: &Session, directory: &Directory, file_id: u64, from: Place, to: Place) -> Result<(), CliError> {
    make_directory(directory, file_id, &to).await?;
    let mut tally = Tally::default();
    let mut copying = files(directory, from, to)
        .map(|item| async move {
            let Item { file_id, shown, to } = item?;
            let stat = copy(directory, file_id, &to).await.map_err(|error| error.about(&shown))?;
            Ok::<_, CliError>((to, stat))
        })
        .buffer_unordered(PARALLEL)
        .boxed();
    while let Some(result) = copying.next().await {
        match result {
            Ok((to, stat)) => session.out.answer(&stat, |_| format!("{to}\n")),
            Err(error) if tally.goes_on_after(&error) => {}
            Err(_) => break,
        }
    }
    tally.result()
}

/// All files below `from`; directories are made on the way. What cannot be listed or made is passed over, with the error in
/// its place. It holds one page a level, however many files there are.
fn files<'a>(
    directory: &'a Directory,
    from: Place,
    to: Place,
) -> impl Stream<Item = Result<Item, CliError>> + Send + use<'a> {
    let open = vec![Level::new(directory, from, to)];
    stream::unfold(open, move |mut open| async move {
        loop {
            let level = open.last_mut()?;
            let found = match level.children.next().await {
                None => {
                    open.pop();
                    continue;
                }
                Some(Err(error)) => {
                    let error = CliError::from(error).about(&level.shown);
                    open.pop();
                    return Some((Err(error), open));
                }
                Some(Ok(stat)) => level.child(&stat).map(|(shown, to)| (stat, shown, to)),
            };
            let (stat, shown, to) = match found {
                Ok(found) => found,
                Err(error) => return Some((Err(error), open)),
            };
            if stat.kind == Kind::File {
                return Some((Ok(Item { file_id: stat.file_id, shown, to }), open));
            }
            if let Err(error) = make_directory(directory, stat.file_id, &to).await {
                return Some((Err(error), open));
            }
            open.push(Level::new(directory, shown, to));
        }
    })
}

impl Level {
    fn new(directory: &Directory, shown: Place, to: Place) -> Self {
        Self { children: directory.list_entries(shown.name()).boxed(), shown, to }
    }

    /// Where an entry of this directory is, and where its copy goes.
    fn child(&self, stat: &Stat) -> Result<(Place, Place), CliError> {
        let shown = Place::of(stat)?;
        let to = self.to.join(shown.last())?;
        Ok((shown, to))
    }
}

/// One that is there already will do, as it is. A new one gets the properties of the directory that it is a copy of.
async fn make_directory(directory: &Directory, of: u64, to: &Place) -> Result<(), CliError> {
    let mkdir = Mkdir { path: to.path.to_string(), owner: to.owner.clone() };
    let made = match directory.mkdir(&mkdir).await.map_err(CliError::from) {
        Err(error) if error.is(Code::AlreadyExists) => return Ok(()),
        result => result.map_err(|error| error.about(to))?,
    };
    let by_id = |id| FileName { file_id: Some(id), ..FileName::default() };
    let about = |error| CliError::from(error).about(to);
    let set = directory.properties(&by_id(of)).await.map_err(about)?.properties;
    if set.is_empty() {
        return Ok(());
    }
    let change = SetProperties { file: by_id(made.file_id), set, ..SetProperties::default() };
    directory.set_properties(&change, None).await.map_err(about)
}

async fn copy(directory: &Directory, file_id: u64, to: &Place) -> Result<Stat, CliError> {
    let file = FileName { file_id: Some(file_id), ..FileName::default() };
    let copy = Copy { file, to: to.path.to_string(), to_owner: to.owner.clone() };
    Ok(directory.copy(&copy).await?)
}
