use crate::cli::error::CliError;
use crate::cli::password::PasswordArgs;
use crate::cli::session::Session;

/// Make an account
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    username: String,
    #[command(flatten)]
    password: PasswordArgs,
}

pub(super) async fn run(args: Args, session: &Session) -> Result<(), CliError> {
    let directory = session.anonymous()?;
    let password = args.password.password(true).await?;
    let account = directory.signup(&args.username, &password).await?;
    session.out.answer(&account, |account| format!("signed up {} (user {})\n", account.username, account.user_id));
    Ok(())
}
