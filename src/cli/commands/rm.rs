use super::Tally;
use crate::cli::error::CliError;
use crate::cli::remote::Remote;
use crate::cli::session::Session;
use crate::protocol::api::Delete;

/// Remove files and directories
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[arg(required = true, value_name = "REMOTE")]
    files: Vec<Remote>,
    /// Remove directories with all that is in them
    #[arg(short, long)]
    recursive: bool,
    /// Past the trash: nothing brings them back
    #[arg(long)]
    permanently: bool,
    /// Also what others have locked, in your own tree
    #[arg(long)]
    break_locks: bool,
    /// The token of the lock on the file
    #[arg(long, value_name = "TOKEN")]
    lock_token: Option<String>,
}

pub(super) async fn run(args: Args, session: &Session) -> Result<(), CliError> {
    let directory = session.directory()?;
    let mut tally = Tally::default();
    for file in &args.files {
        let delete = Delete {
            file: file.name(),
            recursive: args.recursive,
            permanently: args.permanently,
            break_locks: args.break_locks,
            lock_token: args.lock_token.clone(),
        };
        let Err(error) = directory.delete(&delete).await else {
            if session.out.json {
                // A node has no more to say about it.
                session.out.line(serde_json::json!({ "removed": file.to_string() }));
            }
            continue;
        };
        let error = CliError::from(error).about(file);
        if args.files.len() == 1 {
            return Err(error);
        }
        if !tally.goes_on_after(&error) {
            break;
        }
    }
    tally.result()
}
