use crate::cli::error::CliError;
use crate::cli::session::Session;
use crate::cli::table::Table;
use crate::protocol::accounts::{EndSessions, Sessions};

/// List your sessions, or end some
#[derive(Debug, clap::Args)]
#[group(multiple = false)]
pub(in crate::cli) struct Args {
    /// End this one
    #[arg(long, value_name = "ID")]
    end: Option<String>,
    /// End all but the one that asks
    #[arg(long)]
    end_others: bool,
    /// End all, the one that asks too
    #[arg(long)]
    end_all: bool,
}

pub(super) async fn run(args: Args, session: &Session) -> Result<(), CliError> {
    let directory = session.directory()?;
    if args.end.is_none() && !args.end_others && !args.end_all {
        session.out.answer(&directory.sessions().await?, describe);
        return Ok(());
    }
    let end = EndSessions { session_id: args.end, others: args.end_others, all: args.end_all };
    directory.end_sessions(&end).await?;
    session.out.answer(&serde_json::json!({}), |_| String::new());
    Ok(())
}

fn describe(sessions: &Sessions) -> String {
    let mut table = Table::with_titles(&[], &["ID", "OPENED", "USED", "UNTIL", "FROM", "BY"]);
    for session in &sessions.sessions {
        let by = if session.current { format!("{} (this one)", session.agent) } else { session.agent.clone() };
        table.row(vec![
            session.session_id.clone(),
            session.created_at.clone(),
            session.seen_at.clone(),
            session.expires_at.clone(),
            session.from.clone(),
            by,
        ]);
    }
    table.render()
}
