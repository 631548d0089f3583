use crate::cli::error::CliError;
use crate::cli::remote::{Place, Remote};
use crate::cli::session::Session;
use crate::protocol::api::{Kind, Move};
use crate::protocol::problem::Code;

/// Rename or move a file or a directory
///
/// Where TO is a directory, FROM is moved into it under its own name. Nothing is ever overwritten.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    from: Remote,
    to: Remote,
    /// Also what others have locked, in your own tree
    #[arg(long)]
    break_locks: bool,
    /// The token of the lock on FROM
    #[arg(long, value_name = "TOKEN")]
    lock_token: Option<String>,
}

pub(super) async fn run(args: Args, session: &Session) -> Result<(), CliError> {
    let directory = session.directory()?;
    let stat_of = async |remote: &Remote| {
        directory.stat(&remote.name()).await.map_err(|error| CliError::from(error).about(remote))
    };
    let from = match &args.from {
        Remote::Place { place, .. } => place.clone(),
        by_id @ Remote::Id(_) => Place::of(&stat_of(by_id).await?)?,
    };
    let mut to = match stat_of(&args.to).await {
        Ok(stat) if stat.kind == Kind::Directory => into(&Place::of(&stat)?, &from)?,
        Ok(stat) => Place::of(&stat)?,
        Err(error) if error.is(Code::NotFound) => match &args.to {
            Remote::Place { place, slash: true } => into(place, &from)?,
            Remote::Place { place, slash: false } => place.clone(),
            Remote::Id(_) => return Err(error),
        },
        Err(error) => return Err(error),
    };
    if to.owner.is_none() && from.owner.is_some() {
        // `ringmaster mv ann:/a /b` would otherwise look like a move within ann's tree.
        return Err(across_trees());
    }
    if from.owner.is_none() && to.owner.is_some() {
        // A place that a node named has its owner with it, the one that the user wrote may not.
        let own = stat_of(&args.from).await?.owner;
        if to.owner.as_ref() != Some(&own) {
            return Err(across_trees());
        }
        to.owner = None;
    }
    if from.owner != to.owner {
        return Err(across_trees());
    }
    let rename = Move {
        from: from.path.to_string(),
        to: to.path.to_string(),
        owner: from.owner,
        lock_token: args.lock_token,
        break_locks: args.break_locks,
    };
    let stat = directory.rename(&rename).await.map_err(|error| CliError::from(error).about(&args.from))?;
    session.out.answer(&stat, |_| String::new());
    Ok(())
}

fn into(directory: &Place, from: &Place) -> Result<Place, CliError> {
    let name = from.last().ok_or_else(|| CliError::usage("the root cannot be moved"))?;
    directory.join([name])
}

fn across_trees() -> CliError {
    CliError::usage("a file stays in its owner's tree when it is moved")
        .hint("get it and put it into the other tree; for a move in somebody's tree write OWNER:/ before both paths")
}
