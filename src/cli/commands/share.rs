use crate::cli::error::CliError;
use crate::cli::remote::Remote;
use crate::cli::session::Session;
use crate::protocol::api::{Share, SharePermission};

/// Let another user read a file or a directory, or change it
///
/// They find it as YOU:/PATH, and in `ringmaster ls -a`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[arg(value_name = "REMOTE")]
    file: Remote,
    username: String,
    /// Let them change it, too; in a directory also make, move and remove what is below it
    #[arg(short, long)]
    write: bool,
}

pub(super) async fn run(args: Args, session: &Session) -> Result<(), CliError> {
    let directory = session.directory()?;
    let permission = if args.write { SharePermission::Write } else { SharePermission::Read };
    let share = Share { file: args.file.name(), username: args.username, permission };
    let granted = directory.share(&share).await?;
    session.out.answer(&granted, |granted| {
        let may = if granted.permission == SharePermission::Write { "read and write" } else { "read" };
        format!("{} may {may} {}\n", granted.username, args.file)
    });
    Ok(())
}
