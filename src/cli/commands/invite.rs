use std::time::Duration;

use crate::cli::error::CliError;
use crate::cli::session::{Session, parse_duration};
use crate::cli::table::Table;
use crate::protocol::accounts::Invites;

#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum Command {
    /// Make one, and print it: nobody sees it again
    Make {
        /// For how long it holds, one minute to 30 days
        #[arg(long, value_name = "DURATION", default_value = "7days", value_parser = parse_duration)]
        ttl: Duration,
    },
    /// List those that stand
    Ls,
    /// End one that nobody has used
    Revoke {
        /// As `ls` shows it
        id: String,
    },
}

pub(super) async fn run(command: Command, session: &Session) -> Result<(), CliError> {
    let directory = session.directory()?;
    match command {
        Command::Make { ttl } => {
            let made = directory.make_invite(Some(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX))).await?;
            session.out.answer(&made, |made| format!("{}\n", made.invite));
        }
        Command::Ls => session.out.answer(&directory.invites().await?, describe),
        Command::Revoke { id } => {
            directory.revoke_invite(&id).await?;
            session.out.answer(&serde_json::json!({}), |_| String::new());
        }
    }
    Ok(())
}

fn describe(invites: &Invites) -> String {
    let mut table = Table::with_titles(&[], &["ID", "BY", "UNTIL"]);
    for invite in &invites.invites {
        table.row(vec![invite.invite_id.clone(), invite.made_by.clone(), invite.expires_at.clone()]);
    }
    table.render()
}
