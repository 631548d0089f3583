use crate::cli::credentials::CredentialsFile;
use crate::cli::error::CliError;
use crate::cli::session::Session;
use crate::protocol::problem::Code;

/// End the session
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {}

pub(super) async fn run(_: Args, session: &Session) -> Result<(), CliError> {
    let directory = session.directory()?;
    match directory.logout().await.map_err(CliError::from) {
        // It had run out, or was ended elsewhere: what is left is to forget it here.
        Err(error) if error.is(Code::Unauthenticated) => {}
        result => result?,
    }
    if let (Some(token), Ok(file)) = (session.token()?, CredentialsFile::of_user()) {
        file.forget(&token)?;
    }
    Ok(())
}
