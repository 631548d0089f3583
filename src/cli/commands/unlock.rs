use crate::cli::error::CliError;
use crate::cli::session::Session;

/// End a lock
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// What `lock` printed
    token: String,
}

pub(super) async fn run(args: Args, session: &Session) -> Result<(), CliError> {
    Ok(session.directory()?.unlock(&args.token).await?)
}
