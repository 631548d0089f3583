use std::io::{BufRead, IsTerminal, stdin};
use std::str::FromStr;

use crate::cli::error::CliError;
use crate::cli::output::Output;
use crate::cli::session::Session;
use crate::cli::table::{Table, or_dash};
use crate::client::{Directory, Page};
use crate::domain::FilePath;
use crate::protocol::versions::{Emptied, RestoreTrashed, Trash};

/// List what was deleted, bring it back, or give it up
///
/// What is deleted stays here for as long as the cluster's policy says, and counts as yours. What was deleted first comes
/// first.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Put something back where it was, with its grants and all that was below it
    Restore {
        /// Its number, or the path that it had: of several with that path the one that was deleted last
        #[arg(value_name = "ID|PATH")]
        what: Trashed,
        /// Put it there instead
        #[arg(long, value_name = "PATH", value_parser = parse_path)]
        to: Option<FilePath>,
    },
    /// Give up all that is in the trash, or one entry of it: nothing brings that back
    Empty {
        /// Its number, or the path that it had: of several with that path the one that was deleted last
        #[arg(value_name = "ID|PATH")]
        what: Option<Trashed>,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
}

/// An entry of the trash: `17`, `id:17`, or the path that it had.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Trashed {
    Id(u64),
    Path(FilePath),
}

impl FromStr for Trashed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.strip_prefix("id:").unwrap_or(text);
        match number.parse() {
            Ok(id) => Ok(Self::Id(id)),
            Err(_) => parse_path(text).map(Self::Path),
        }
    }
}

fn parse_path(text: &str) -> Result<FilePath, String> {
    FilePath::parse(text).map_err(|error| error.to_string())
}

pub(super) async fn run(args: Args, session: &Session) -> Result<(), CliError> {
    let directory = session.directory()?;
    match args.action {
        None => list(&directory, session).await,
        Some(Action::Restore { what, to }) => {
            let file_id = what.find(&directory).await?;
            let restore = RestoreTrashed { file_id, to: to.map(|path| path.to_string()) };
            let stat = directory.restore_trashed(&restore).await?;
            session.out.answer(&stat, |stat| format!("{}\n", stat.path));
            Ok(())
        }
        Some(Action::Empty { what, yes }) => empty(&directory, session, what, yes).await,
    }
}

async fn list(directory: &Directory, session: &Session) -> Result<(), CliError> {
    let mut page = Page::default();
    loop {
        let is_first = page.cursor.is_none();
        let trash = directory.trash(&page).await?;
        session.out.answer(&trash, |trash| describe(trash, is_first));
        match trash.next_cursor {
            Some(cursor) if !session.out.is_closed() => page.cursor = Some(cursor),
            _ => return Ok(()),
        }
    }
}

fn describe(page: &Trash, is_first: bool) -> String {
    const RIGHT: &[bool] = &[true, true];
    if is_first && page.entries.is_empty() {
        return String::new();
    }
    let mut table = if is_first {
        Table::with_titles(RIGHT, &["ID", "SIZE", "DELETED", "BY", "KEPT UNTIL", "PATH"])
    } else {
        Table::new(RIGHT)
    };
    for entry in &page.entries {
        table.row(vec![
            entry.file_id.to_string(),
            or_dash(entry.size),
            entry.deleted_at.clone(),
            entry.deleted_by.clone(),
            entry.kept_until.clone(),
            entry.path.clone(),
        ]);
    }
    table.render()
}

impl Trashed {
    /// The number of what was meant.
    async fn find(&self, directory: &Directory) -> Result<u64, CliError> {
        let path = match self {
            Self::Id(id) => return Ok(*id),
            Self::Path(path) => path.to_string(),
        };
        let (mut found, mut page) = (None, Page { cursor: None, limit: Some(1000) });
        loop {
            let trash = directory.trash(&page).await?;
            // What was deleted last comes last.
            found = trash.entries.iter().rfind(|entry| entry.path == path).map(|entry| entry.file_id).or(found);
            page.cursor = trash.next_cursor;
            if page.cursor.is_none() {
                break;
            }
        }
        found.ok_or_else(|| {
            CliError::refused(format!("{path}: nothing in your trash had this path"))
                .hint("`ringmaster trash` lists what is in it; what was in a directory comes back with the directory")
        })
    }
}

async fn empty(directory: &Directory, session: &Session, what: Option<Trashed>, yes: bool) -> Result<(), CliError> {
    let file_id = match &what {
        Some(what) => Some(what.find(directory).await?),
        None => None,
    };
    if !yes {
        let what = file_id.map_or_else(|| "all that is in the trash".to_owned(), |id| format!("id:{id}"));
        confirm(format!("Give up {what}? Nothing brings it back. [y/N] ")).await?;
    }
    let mut removed = 0;
    loop {
        // Each is a change of its own, so that one that is sent again takes nothing that came later.
        let emptied = directory.empty_trash(file_id).await?;
        removed += emptied.removed;
        if !emptied.more {
            break;
        }
    }
    session.out.answer(&Emptied { removed, more: false }, |emptied| match emptied.removed {
        1 => "1 entry is gone for good\n".to_owned(),
        removed => format!("{removed} entries are gone for good\n"),
    });
    Ok(())
}

/// Asks at the terminal.
async fn confirm(question: String) -> Result<(), CliError> {
    if !stdin().is_terminal() {
        return Err(CliError::usage("there is no terminal to ask at").hint("use --yes where it is meant"));
    }
    Output::note(question.trim_end());
    let reading = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        stdin().lock().read_line(&mut line).map(|_| line)
    });
    let line = reading.await.map_err(|error| CliError::refused(error.to_string()))?;
    let line = line.map_err(|error| CliError::local("cannot read the answer", &error))?;
    match line.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(CliError::refused("nothing was done: it was not confirmed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_named_by_its_number_or_its_path() {
        assert_eq!("17".parse(), Ok(Trashed::Id(17)));
        assert_eq!("id:17".parse(), Ok(Trashed::Id(17)));
        let path = FilePath::parse("/17").expect("a path");
        assert_eq!("/17".parse(), Ok(Trashed::Path(path)));
        for wrong in ["", "a//b", "/../a"] {
            assert!(wrong.parse::<Trashed>().is_err(), "{wrong}");
        }
    }
}
