use super::secret::{OperatorArgs, strangers_hint};
use crate::cli::error::CliError;
use crate::cli::password::PasswordArgs;
use crate::cli::session::Session;
use crate::protocol::accounts::AdminReset;

/// Give an account a new password and make it an admin's, by the cluster secret
///
/// For a cluster whose admin is lost: who has the secret owns the cluster anyway.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// An account that is there
    username: String,
    #[command(flatten)]
    operator: OperatorArgs,
    #[command(flatten)]
    password: PasswordArgs,
}

pub(super) async fn run(args: Args, session: &Session) -> Result<(), CliError> {
    let directory = args.operator.client(session)?;
    let password = args.password.password(true).await?;
    let account =
        directory.reset_admin(&AdminReset { username: args.username, password }).await.map_err(strangers_hint)?;
    let told = |account: &crate::protocol::api::Account| {
        format!("{} is an admin, under the new password; log in with: ringmaster login {0}\n", account.username)
    };
    session.out.answer(&account, told);
    Ok(())
}
