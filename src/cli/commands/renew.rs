use std::time::Duration;

use crate::cli::error::CliError;
use crate::cli::session::{Session, parse_duration};

/// Have a lock hold for longer
///
/// From now on, under the same token. A lock that has ended cannot be renewed: lock the file again.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// What `lock` printed
    token: String,
    /// How long it holds from now on: 1s to 1h
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = parse_duration)]
    ttl: Duration,
}

pub(super) async fn run(args: Args, session: &Session) -> Result<(), CliError> {
    let locked = session.directory()?.renew(&args.token, Some(args.ttl)).await?;
    session.out.answer(&locked, |locked| format!("holds until {}\n", locked.expires_at));
    Ok(())
}
