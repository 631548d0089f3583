use crate::cli::error::CliError;
use crate::cli::remote::Remote;
use crate::cli::session::Session;
use crate::protocol::api::Mkdir;

/// Make directories, with their missing parents
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[arg(required = true, value_name = "REMOTE")]
    directories: Vec<Remote>,
}

pub(super) async fn run(args: Args, session: &Session) -> Result<(), CliError> {
    let client = session.directory()?;
    for remote in &args.directories {
        let Remote::Place { place, .. } = remote else {
            return Err(CliError::usage(format!("{remote}: a new directory is named by its path")));
        };
        let mkdir = Mkdir { path: place.path.to_string(), owner: place.owner.clone() };
        let stat = client.mkdir(&mkdir).await.map_err(|error| CliError::from(error).about(remote))?;
        session.out.answer(&stat, |_| String::new());
    }
    Ok(())
}
