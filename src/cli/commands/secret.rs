//! What is done with the cluster secret, by who has it.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::cli::error::CliError;
use crate::config::{self, DirectoryConfig};
use crate::protocol::secret::ClusterSecret;

/// Where the cluster secret is.
#[derive(Debug, clap::Args)]
pub(super) struct SecretArgs {
    /// The configuration of a directory node, which names the cluster secret
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The file with the cluster secret
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    secret_file: Option<PathBuf>,
}

impl SecretArgs {
    /// Nothing where neither file is named.
    pub(super) fn read(&self) -> Result<Option<ClusterSecret>, CliError> {
        let file = match (&self.config, &self.secret_file) {
            (Some(path), _) => load(path)?.cluster.secret_file,
            (None, Some(path)) => path.clone(),
            (None, None) => return Ok(None),
        };
        Ok(Some(ClusterSecret::read(&file)?))
    }
}

pub(super) fn load(path: &Path) -> Result<DirectoryConfig, CliError> {
    DirectoryConfig::load(path, config::environment(), &[])
        .map_err(|error| CliError::usage(format!("{} is not right:\n  {}", path.display(), error.lines().join("\n  "))))
}

/// A new file that its owner alone can read.
pub(super) fn write(file: &Path, bytes: &[u8]) -> Result<(), CliError> {
    let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    made.and_then(|mut made| made.write_all(bytes).and_then(|()| made.sync_all()))
        .map_err(|error| CliError::local(format!("cannot write {}", file.display()), &error))
}
