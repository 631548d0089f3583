use crate::cli::error::CliError;
use crate::cli::remote::Remote;
use crate::cli::session::Session;

/// Give up what somebody shared with you
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[arg(value_name = "REMOTE")]
    file: Remote,
}

pub(super) async fn run(args: Args, session: &Session) -> Result<(), CliError> {
    Ok(session.directory()?.leave_share(&args.file.name()).await?)
}
