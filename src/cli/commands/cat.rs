use std::io::ErrorKind as Io;
use std::os::fd::AsFd;

use crate::cli::error::CliError;
use crate::cli::remote::Remote;
use crate::cli::session::Session;
use crate::client::{ErrorKind, ReadOptions};

/// Write files to standard output
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[arg(required = true, value_name = "REMOTE")]
    files: Vec<Remote>,
}

pub(super) async fn run(args: Args, session: &Session) -> Result<(), CliError> {
    let directory = session.directory()?;
    // A descriptor of its own: the library's buffered standard output looks for line ends in the bytes.
    let stdout = std::io::stdout().as_fd().try_clone_to_owned();
    let stdout = stdout.map_err(|error| CliError::local("cannot write to standard output", &error))?;
    let mut stdout = tokio::fs::File::from_std(stdout.into());
    for file in &args.files {
        match directory.read(&file.name(), &ReadOptions::default(), &mut stdout).await {
            Ok(_) => {}
            // The reader has seen enough.
            Err(error) if matches!(error.kind(), ErrorKind::Local(Io::BrokenPipe)) => return Ok(()),
            Err(error) => return Err(CliError::from(error).about(file)),
        }
    }
    Ok(())
}
