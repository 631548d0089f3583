use crate::cli::error::CliError;
use crate::cli::session::Session;
use crate::cli::table::Table;
use crate::protocol::accounts::{Audit, AuditQuery};

/// List who did what to what, from where: the oldest first
///
/// Accounts, rights, locks of others, deletions and operators' calls. Each row has the hash of the one before; the leader
/// logs the newest each hour.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Begin with the row of this number
    #[arg(long, value_name = "NUMBER")]
    from: Option<u64>,
}

pub(super) async fn run(args: Args, session: &Session) -> Result<(), CliError> {
    let directory = session.directory()?;
    let mut query = AuditQuery { from: args.from, limit: Some(1000) };
    loop {
        let page = directory.audit(&query).await?;
        session.out.answer(&page, describe);
        match page.next {
            Some(next) if !session.out.is_closed() => query.from = Some(next),
            _ => return Ok(()),
        }
    }
}

fn describe(page: &Audit) -> String {
    let mut table = Table::new(&[true]);
    for entry in &page.entries {
        table.row(vec![
            entry.number.to_string(),
            entry.at.clone(),
            entry.by.clone().unwrap_or_else(|| "(operator)".to_owned()),
            entry.from.clone(),
            entry.what.clone(),
            entry.on.clone(),
            entry.detail.clone(),
        ]);
    }
    table.render()
}
