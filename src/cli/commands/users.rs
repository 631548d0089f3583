use crate::cli::error::CliError;
use crate::cli::session::Session;
use crate::cli::table::{Table, human_size};
use crate::client::{Directory, Page};
use crate::protocol::accounts::{RemoveUser, SetUser, UserCode};
use crate::protocol::versions::{UserInfo, Users};

/// List the accounts, with how much each has and may have, or change them
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make an account; its user sets a password by the code that this prints (`ringmaster login NAME --code CODE`)
    Add { username: String },
    /// No session of the user holds from now on, and none is opened; files and shares stay
    Disable { username: String },
    /// Take that back
    Enable { username: String },
    /// Void the password, and print a code by which the user sets another one
    Reset { username: String },
    /// Make the account an admin's
    Promote { username: String },
    /// Take that back
    Demote { username: String },
    /// Remove the account; its files go to an heir, or into your trash
    Remove {
        username: String,
        /// Who gets the files, in a directory of that user's name
        #[arg(long, value_name = "USERNAME")]
        heir: Option<String>,
    },
}

pub(super) async fn run(args: Args, session: &Session) -> Result<(), CliError> {
    let directory = session.directory()?;
    let set = |username: String, disabled: Option<bool>, admin: Option<bool>| SetUser { username, disabled, admin };
    let set = match args.command {
        None => return list(&directory, session).await,
        Some(Command::Add { username }) => {
            session.out.answer(&directory.add_user(&username).await?, shown_code);
            return Ok(());
        }
        Some(Command::Reset { username }) => {
            session.out.answer(&directory.reset_user(&username).await?, shown_code);
            return Ok(());
        }
        Some(Command::Remove { username, heir }) => {
            directory.remove_user(&RemoveUser { username, heir }).await?;
            let told =
                "nobody acts as that user any more; `ringmaster users` shows it until everything is handed over\n";
            session.out.answer(&serde_json::json!({}), |_| told.to_owned());
            return Ok(());
        }
        Some(Command::Disable { username }) => set(username, Some(true), None),
        Some(Command::Enable { username }) => set(username, Some(false), None),
        Some(Command::Promote { username }) => set(username, None, Some(true)),
        Some(Command::Demote { username }) => set(username, None, Some(false)),
    };
    let user = directory.set_user(&set).await?;
    session.out.answer(&user, |user| format!("{}{}\n", user.username, standing(user)));
    Ok(())
}

fn shown_code(code: &UserCode) -> String {
    format!("{}\n", code.code)
}

/// What is to be said of an account.
fn standing(user: &UserInfo) -> String {
    let mut said = Vec::new();
    if user.admin {
        said.push("admin".to_owned());
    }
    match &user.heir {
        Some(heir) => said.push(format!("is being removed, heir {heir}")),
        None if user.disabled => said.push("disabled".to_owned()),
        None => {}
    }
    if said.is_empty() { String::new() } else { format!(" {}", said.join(", ")) }
}

async fn list(directory: &Directory, session: &Session) -> Result<(), CliError> {
    let mut page = Page::default();
    loop {
        let is_first = page.cursor.is_none();
        let users = directory.users(&page).await?;
        session.out.answer(&users, |users| describe(users, is_first));
        match users.next_cursor {
            Some(cursor) if !session.out.is_closed() => page.cursor = Some(cursor),
            _ => return Ok(()),
        }
    }
}

fn describe(page: &Users, is_first: bool) -> String {
    const RIGHT: &[bool] = &[true, false, true, true, true, true];
    let mut table = if is_first {
        Table::with_titles(RIGHT, &["ID", "NAME", "BYTES", "OF", "FILES", "OF", "SINCE"])
    } else {
        Table::new(RIGHT)
    };
    let bound = |most: u64, shown: fn(u64) -> String| if most == 0 { "any".to_owned() } else { shown(most) };
    for user in &page.users {
        let usage = &user.usage;
        table.row(vec![
            user.user_id.to_string(),
            user.username.clone(),
            human_size(usage.bytes),
            bound(usage.max_bytes, human_size),
            usage.files.to_string(),
            bound(usage.max_files, |most| most.to_string()),
            user.created_at.clone(),
            standing(user).trim_start().to_owned(),
        ]);
    }
    table.render()
}
