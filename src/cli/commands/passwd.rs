use crate::cli::error::CliError;
use crate::cli::password::PasswordArgs;
use crate::cli::session::Session;
use crate::protocol::accounts::ChangePassword;

/// Change your password; all your other sessions end
///
/// The old one is asked for at the terminal, or taken from RINGMASTER_OLD_PASSWORD.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    password: PasswordArgs,
}

pub(super) async fn run(args: Args, session: &Session) -> Result<(), CliError> {
    let directory = session.directory()?;
    let old_password = PasswordArgs::old().await?;
    let new_password = args.password.password(true).await?;
    directory.change_password(&ChangePassword { old_password, new_password }).await?;
    session
        .out
        .answer(&serde_json::json!({}), |_| "the password is changed, and your other sessions have ended\n".to_owned());
    Ok(())
}
