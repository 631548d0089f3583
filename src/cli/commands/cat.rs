use std::io::ErrorKind as Io;
use std::os::fd::AsFd;

use crate::cli::error::CliError;
use crate::cli::range::Range;
use crate::cli::remote::Remote;
use crate::cli::session::Session;
use crate::client::{ClientError, Directory, ErrorKind, ReadOptions};

/// Write files to standard output
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[arg(required = true, value_name = "REMOTE")]
    files: Vec<Remote>,
    /// Only these bytes of each: 0-499 for the first 500, 500- for all after them, -500 for the last 500
    #[arg(long, value_name = "RANGE", allow_hyphen_values = true)]
    range: Option<Range>,
}

pub(super) async fn run(args: Args, session: &Session) -> Result<(), CliError> {
    let directory = session.directory()?;
    // A descriptor of its own: the library's buffered standard output looks for line ends in the bytes.
    let stdout = std::io::stdout().as_fd().try_clone_to_owned();
    let stdout = stdout.map_err(|error| CliError::local("cannot write to standard output", &error))?;
    let mut stdout = tokio::fs::File::from_std(stdout.into());
    for file in &args.files {
        let options = match args.range {
            None => ReadOptions::default(),
            Some(range) => part(&directory, file, range).await.map_err(|error| CliError::from(error).about(file))?,
        };
        match directory.read(&file.name(), &options, &mut stdout).await {
            Ok(_) => {}
            // The reader has seen enough.
            Err(error) if matches!(error.kind(), ErrorKind::Local(Io::BrokenPipe)) => return Ok(()),
            Err(error) => return Err(CliError::from(error).about(file)),
        }
    }
    Ok(())
}

/// A part counted from the end is one of the version whose end that is.
async fn part(directory: &Directory, file: &Remote, range: Range) -> Result<ReadOptions, ClientError> {
    let Range::Last(_) = range else { return Ok(range.of(0, None)) };
    let head = directory.read_head(&file.name()).await?;
    Ok(range.of(head.size.unwrap_or_default(), head.etag))
}
