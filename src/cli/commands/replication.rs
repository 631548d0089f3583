use crate::cli::error::CliError;
use crate::cli::session::Session;
use crate::cli::table::{Table, human_size, or_dash};
use crate::protocol::api::Replication;

#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum Command {
    /// Show what is being copied and what waits for it
    Status,
}

pub(super) async fn run(command: Command, session: &Session) -> Result<(), CliError> {
    match command {
        Command::Status => {
            let replication = session.directory()?.replication().await?;
            session.out.answer(&replication, describe);
        }
    }
    Ok(())
}

fn describe(replication: &Replication) -> String {
    let mut table = Table::new(&[]);
    let mut line = |name: &str, value: String| table.row(vec![format!("{name}:"), value]);
    line("files waiting", replication.pending.to_string());
    line("being copied", replication.in_flight.to_string());
    line("rate", format!("{} per second", human_size(replication.bytes_per_second)));
    line("time left", or_dash(replication.seconds_left.map(|seconds| format!("{seconds} s"))));
    line("oldest waits for", or_dash(replication.oldest_age_ms.map(|ms| format!("{} s", ms / 1000))));
    line("last run", or_dash(replication.last_run_at.as_ref()));
    table.render()
}
