use crate::cli::error::CliError;
use crate::cli::remote::Remote;
use crate::cli::session::Session;
use crate::protocol::api::Unshare;

/// Take back what `share` gave
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[arg(value_name = "REMOTE")]
    file: Remote,
    username: String,
}

pub(super) async fn run(args: Args, session: &Session) -> Result<(), CliError> {
    let directory = session.directory()?;
    Ok(directory.unshare(&Unshare { file: args.file.name(), username: args.username }).await?)
}
