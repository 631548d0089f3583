use clap::ArgAction;

use super::stat::permission;
use crate::cli::error::CliError;
use crate::cli::remote::Remote;
use crate::cli::session::Session;
use crate::cli::table::{Table, human_size};
use crate::client::{Directory, Page};
use crate::protocol::api::{Kind, Listing, PermissionName, Stat};

/// List a directory, or all that you can reach
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(in crate::cli) struct Args {
    /// A directory, or a file
    #[arg(value_name = "REMOTE", default_value = "/")]
    at: Remote,
    /// All files that you can reach, your own and those shared with you; REMOTE is then what their paths start with
    #[arg(short, long)]
    all: bool,
    /// With permission, owner, version, size and time
    #[arg(short, long)]
    long: bool,
    /// Sizes as 1.5K, 12M
    #[arg(short, long)]
    human_readable: bool,
    /// Print help
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
}

/// Pages are printed as they come: a listing may be longer than memory. Columns line up within a page.
pub(super) async fn run(args: Args, session: &Session) -> Result<(), CliError> {
    let directory = session.directory()?;
    let prefix = prefix(&args)?;
    let mut page = Page::default();
    loop {
        let listing = if args.all {
            directory.all(prefix.as_deref(), &page).await?
        } else {
            list(&directory, &args.at, &page).await?
        };
        session.out.answer(&listing, |listing| describe(&args, listing));
        match listing.next_cursor {
            Some(cursor) if !session.out.is_closed() => page.cursor = Some(cursor),
            _ => return Ok(()),
        }
    }
}

/// Nothing for the root, below which everything is.
fn prefix(args: &Args) -> Result<Option<String>, CliError> {
    match &args.at {
        Remote::Place { place, slash } if place.owner.is_none() => {
            let slash = if *slash { "/" } else { "" };
            Ok((!place.path.is_root()).then(|| format!("{}{slash}", place.path)))
        }
        other if args.all => Err(CliError::usage(format!("{other}: with --all, name the start of a path"))),
        _ => Ok(None),
    }
}

async fn list(directory: &Directory, at: &Remote, page: &Page) -> Result<Listing, CliError> {
    match directory.list(&at.name(), page).await.map_err(|error| CliError::from(error).about(at)) {
        // A file is listed as itself, as people know it from `ls`.
        Err(error) if page.cursor.is_none() => match directory.stat(&at.name()).await {
            Ok(stat) if stat.kind == Kind::File => Ok(Listing { files: vec![stat], next_cursor: None }),
            _ => Err(error),
        },
        result => result,
    }
}

fn describe(args: &Args, listing: &Listing) -> String {
    if !args.long {
        return listing.files.iter().map(|stat| format!("{}\n", shown_name(args, stat))).collect();
    }
    let mut table = Table::new(&[false, false, true, true]);
    for stat in &listing.files {
        let size = match stat.size {
            Some(size) if args.human_readable => human_size(size),
            Some(size) => size.to_string(),
            None => "-".to_owned(),
        };
        let version = stat.version.map_or_else(|| "-".to_owned(), |version| format!("v{version}"));
        let locked = if stat.lock.is_some() { "locked" } else { "" };
        table.row(vec![
            permission(stat.permission).to_owned(),
            stat.owner.clone(),
            version,
            size,
            stat.modified_at.clone(),
            locked.to_owned(),
            shown_name(args, stat),
        ]);
    }
    table.render()
}

/// The last name in a directory's listing; among all files, what the other commands take.
fn shown_name(args: &Args, stat: &Stat) -> String {
    let slash = if stat.kind == Kind::Directory { "/" } else { "" };
    if !args.all {
        let name = stat.path.rsplit('/').next().unwrap_or_default();
        return format!("{name}{slash}");
    }
    match stat.permission {
        PermissionName::Owner => format!("{}{slash}", stat.path),
        PermissionName::Read | PermissionName::Write => format!("{}:{}{slash}", stat.owner, stat.path),
    }
}
