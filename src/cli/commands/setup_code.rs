use std::path::PathBuf;

use crate::cli::error::CliError;
use crate::cli::session::Session;
use crate::protocol::secret::ClusterSecret;
use crate::protocol::setup::SetupCode;

/// Print the setup code of a cluster, which its first account is made with
///
/// It follows from the cluster secret, and asks no node. Once there is an account it is worth nothing.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The file with the cluster secret
    #[arg(long, value_name = "FILE")]
    secret_file: PathBuf,
}

pub(super) fn run(args: &Args, session: &Session) -> Result<(), CliError> {
    let code = SetupCode::of(&ClusterSecret::read(&args.secret_file)?).to_string();
    session.out.answer(&serde_json::json!({ "setup_code": code }), |_| format!("{code}\n"));
    Ok(())
}
