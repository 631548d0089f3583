use std::path::PathBuf;

use crate::cli::error::CliError;
use crate::cli::password::PasswordArgs;
use crate::cli::session::Session;
use crate::protocol::accounts::Signup;
use crate::protocol::secret::ClusterSecret;
use crate::protocol::setup::SetupCode;

/// Make an account
///
/// The first one of a cluster is its admin's. It takes the setup code, which each directory node shows in its log until
/// then, or the cluster secret that the code follows from.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    username: String,
    #[command(flatten)]
    password: PasswordArgs,
    /// The setup code, for the first account
    #[arg(long, value_name = "CODE", conflicts_with_all = ["secret_file", "invite"])]
    setup_code: Option<String>,
    /// The file with the cluster secret, in place of the setup code
    #[arg(long, value_name = "FILE", conflicts_with = "invite")]
    secret_file: Option<PathBuf>,
    /// An invitation of an admin
    #[arg(long, value_name = "INVITATION")]
    invite: Option<String>,
}

pub(super) async fn run(args: Args, session: &Session) -> Result<(), CliError> {
    let directory = session.anonymous()?;
    let setup_code = match &args.secret_file {
        Some(file) => Some(SetupCode::of(&ClusterSecret::read(file)?).to_string()),
        None => args.setup_code,
    };
    let password = args.password.password(true).await?;
    let signup = Signup { username: args.username, password, setup_code, invite: args.invite };
    let account = directory.signup(&signup).await?;
    session.out.answer(&account, |account| format!("signed up {} (user {})\n", account.username, account.user_id));
    Ok(())
}
