use crate::cli::credentials::CredentialsFile;
use crate::cli::error::CliError;
use crate::cli::output::Output;
use crate::cli::session::{Session, token_of_environment};
use crate::protocol::problem::Code;

/// End the session
///
/// That of RINGMASTER_TOKEN where it is set, else the one that `login` saved.
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
    if token_of_environment().is_some() {
        Output::note(
            "note: this ended the session of RINGMASTER_TOKEN; unset it, and log out again to end a saved login",
        );
    }
    Ok(())
}
