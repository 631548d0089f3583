use crate::cli::error::CliError;
use crate::cli::remote::Remote;
use crate::cli::session::Session;
use crate::cli::table::Table;
use crate::protocol::properties::{Properties, Property, SetProperties};

#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum Command {
    /// List the properties of a file or a directory, or print one
    Get {
        #[arg(value_name = "REMOTE")]
        file: Remote,
        name: Option<String>,
    },
    /// Set a property, 64 and 64 KiB of them at most
    ///
    /// It stays with its file or directory through moves and new versions, comes back from the trash, and is copied with it.
    Set {
        #[arg(value_name = "REMOTE")]
        file: Remote,
        name: String,
        value: String,
        /// The token of the lock on the file
        #[arg(long, value_name = "TOKEN")]
        lock_token: Option<String>,
    },
    /// Remove properties; one that is not there is no error
    Rm {
        #[arg(value_name = "REMOTE")]
        file: Remote,
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        /// The token of the lock on the file
        #[arg(long, value_name = "TOKEN")]
        lock_token: Option<String>,
    },
}

pub(super) async fn run(command: Command, session: &Session) -> Result<(), CliError> {
    let directory = session.directory()?;
    match command {
        Command::Get { file, name } => {
            let found = directory.properties(&file.name()).await;
            let mut found = found.map_err(|error| CliError::from(error).about(&file))?;
            let Some(name) = name else {
                session.out.answer(&found, list);
                return Ok(());
            };
            found.properties.retain(|property| property.name == name);
            match found.properties.pop() {
                Some(property) => session.out.answer(&property, |property| format!("{}\n", property.value)),
                None => {
                    return Err(CliError::refused(format!("{file}: it has no property {name:?}"))
                        .hint("`ringmaster prop get` without a name lists what it has"));
                }
            }
            Ok(())
        }
        Command::Set { file, name, value, lock_token } => {
            let set = vec![Property { name, value }];
            let change = SetProperties { file: file.name(), set, lock_token, ..SetProperties::default() };
            directory.set_properties(&change, None).await.map_err(|error| CliError::from(error).about(&file))
        }
        Command::Rm { file, names, lock_token } => {
            let change = SetProperties { file: file.name(), remove: names, lock_token, ..SetProperties::default() };
            directory.set_properties(&change, None).await.map_err(|error| CliError::from(error).about(&file))
        }
    }
}

/// A value of several lines is shown on one: `get REMOTE NAME` prints it as it is.
fn list(found: &Properties) -> String {
    let mut table = Table::new(&[]);
    for property in &found.properties {
        table.row(vec![property.name.clone(), property.value.escape_debug().to_string()]);
    }
    table.render()
}
