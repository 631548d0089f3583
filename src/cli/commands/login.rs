use crate::cli::credentials::{Credential, CredentialsFile};
use crate::cli::error::CliError;
use crate::cli::output::Output;
use crate::cli::password::PasswordArgs;
use crate::cli::session::{LEAVE_TIMEOUT, Session, token_of_environment};
use crate::protocol::problem::Code;

/// Open a session, and keep it for the commands to come
///
/// The token is saved in ringmaster/credentials.json below $XDG_CONFIG_HOME or ~/.config, readable by you alone.
/// RINGMASTER_TOKEN takes its place where it is set.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    username: String,
    #[command(flatten)]
    password: PasswordArgs,
    /// A one-time code of an admin: the password is the one that you have from now on
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
    /// Print the token, for RINGMASTER_TOKEN or an Authorization header
    #[arg(long)]
    print_token: bool,
}

pub(super) async fn run(args: Args, session: &Session) -> Result<(), CliError> {
    let directory = session.anonymous()?;
    let file = CredentialsFile::of_user()?;
    file.must_be_usable()?;
    let ca_file = session.ca_file()?;
    let password = args.password.password(args.code.is_some()).await?;
    let opened = match &args.code {
        Some(code) => directory.login_by_code(&args.username, code, password).await,
        None => directory.login(&args.username, &password).await,
    };
    let login = match opened.map_err(CliError::from) {
        // The hint of that code is to log in.
        Err(error) if error.is(Code::Unauthenticated) => return Err(error.without_hints()),
        result => result?,
    };
    let credential = Credential {
        username: args.username.clone(),
        token: login.token.clone(),
        expires_at: login.expires_at.clone(),
        ca_file,
    };
    if let Err(error) = file.save(session.urls(), credential) {
        // A session that nobody has the token of.
        if let Ok(unused) = directory.with_token(Some(login.token)) {
            drop(tokio::time::timeout(LEAVE_TIMEOUT, unused.logout()).await);
        }
        return Err(error);
    }
    if args.print_token {
        session.out.answer(&login, |login| format!("{}\n", login.token));
    } else {
        let shown = serde_json::json!({ "user_id": login.user_id, "expires_at": login.expires_at });
        session.out.answer(&shown, |_| format!("logged in as {} until {}\n", args.username, login.expires_at));
    }
    if token_of_environment().is_some() {
        Output::note("note: commands use RINGMASTER_TOKEN; unset it to use this login");
    }
    Ok(())
}
