use crate::cli::error::CliError;
use crate::cli::session::Session;
use crate::cli::table::Table;

/// List your locks
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {}

pub(super) async fn run(_: Args, session: &Session) -> Result<(), CliError> {
    let locks = session.directory()?.locks().await?;
    session.out.answer(&locks, |held| {
        let mut table = Table::with_titles(&[true, true], &["FILE", "FENCE", "UNTIL", "PATH"]);
        for lock in &held.locks {
            table.row(vec![
                lock.file_id.to_string(),
                lock.fence.to_string(),
                lock.expires_at.clone(),
                lock.path.clone(),
            ]);
        }
        table.render()
    });
    Ok(())
}
