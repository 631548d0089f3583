use std::time::Duration;

use crate::cli::error::CliError;
use crate::cli::remote::Remote;
use crate::cli::session::{Session, parse_duration};

/// Lock a file for writing, and print the lock's token
///
/// While the lock holds, only who has the token can update, move or remove the file:
/// `TOKEN=$(ringmaster lock FILE)`, `ringmaster put --lock-token $TOKEN …`, `ringmaster unlock $TOKEN`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[arg(value_name = "REMOTE")]
    file: Remote,
    /// How long it holds: 1s to 1h
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = parse_duration)]
    ttl: Duration,
}

pub(super) async fn run(args: Args, session: &Session) -> Result<(), CliError> {
    let directory = session.directory()?;
    let locked = directory.lock(&args.file.name(), Some(args.ttl)).await?;
    session.out.answer(&locked, |locked| format!("{}\n", locked.lock_token));
    Ok(())
}
