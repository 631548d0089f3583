use crate::cli::error::CliError;
use crate::cli::remote::Remote;
use crate::cli::session::Session;

/// End a lock
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// What `lock` printed
    #[arg(required_unless_present = "break_lock")]
    token: Option<String>,
    /// End somebody else's lock on a file of yours; an admin may end any
    #[arg(long = "break", value_name = "REMOTE", conflicts_with = "token")]
    break_lock: Option<Remote>,
}

pub(super) async fn run(args: Args, session: &Session) -> Result<(), CliError> {
    let directory = session.directory()?;
    if let Some(file) = &args.break_lock {
        return directory.break_lock(&file.name()).await.map_err(|error| CliError::from(error).about(file));
    }
    Ok(directory.unlock(args.token.as_deref().unwrap_or_default()).await?)
}
