use serde::Serialize;

use crate::cli::error::CliError;
use crate::cli::session::Session;
use crate::protocol::api::FileName;

/// Print the name that you are logged in under
///
/// The cluster is asked: a session that has ended is no login.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {}

#[derive(Serialize)]
struct Caller {
    username: String,
    user_id: u64,
}

pub(super) async fn run(_: Args, session: &Session) -> Result<(), CliError> {
    // A path without an owner is one in the caller's own tree.
    let root = FileName { path: Some("/".to_owned()), ..FileName::default() };
    let stat = session.directory()?.stat(&root).await?;
    let caller = Caller { username: stat.owner, user_id: stat.owner_id };
    session.out.answer(&caller, |caller| format!("{}\n", caller.username));
    Ok(())
}
