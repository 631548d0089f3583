//! What is done with the cluster secret, by who has it.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use url::Url;

use crate::cli::error::CliError;
use crate::cli::session::Session;
use crate::client::{ClientError, Directory, ErrorKind};
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

/// What an operator's call needs: the cluster secret, and where the directory nodes are for members of the cluster.
#[derive(Debug, clap::Args)]
pub(super) struct OperatorArgs {
    /// The configuration of one of the cluster's directory nodes: it names the cluster secret and the nodes
    #[arg(short, long, value_name = "FILE", required_unless_present = "secret_file")]
    config: Option<PathBuf>,
    /// The file with the cluster secret
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    secret_file: Option<PathBuf>,
    /// The directory nodes' addresses for members (`node.peer_advertise`), where --config does not name them
    #[arg(long, value_name = "URL,…", value_delimiter = ',', default_value = MEMBERS)]
    members: Vec<Url>,
}

/// Those of a local cluster.
const MEMBERS: &str = "https://127.0.0.1:4041,https://127.0.0.1:4042,https://127.0.0.1:4043";

impl OperatorArgs {
    pub(super) fn client(&self, session: &Session) -> Result<Directory, CliError> {
        let (secret_file, members) = match (&self.config, &self.secret_file) {
            (Some(path), _) => {
                let config = load(path)?;
                let urls = config.cluster.members.iter().map(|member| member.peer.as_str().parse::<Url>());
                let urls = urls.collect::<Result<Vec<_>, _>>().map_err(|error| CliError::usage(error.to_string()))?;
                (config.cluster.secret_file, urls)
            }
            (None, Some(path)) => (path.clone(), self.members.clone()),
            (None, None) => return Err(CliError::usage("give --config or --secret-file")),
        };
        session.operator(members, &ClusterSecret::read(&secret_file)?)
    }
}

/// Says what to do where the directory nodes have another secret.
pub(super) fn strangers_hint(error: ClientError) -> CliError {
    if matches!(error.kind(), ErrorKind::Local(std::io::ErrorKind::InvalidData)) {
        return CliError::refused("the directory nodes have another cluster secret")
            .hint("give the secret of this very cluster, with --config or --secret-file");
    }
    error.into()
}

fn load(path: &Path) -> Result<DirectoryConfig, CliError> {
    DirectoryConfig::load(path, config::environment(), &[])
        .map_err(|error| CliError::usage(format!("{} is not right:\n  {}", path.display(), error.lines().join("\n  "))))
}

/// A new file that its owner alone can read.
pub(super) fn write(file: &Path, bytes: &[u8]) -> Result<(), CliError> {
    let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    made.and_then(|mut made| made.write_all(bytes).and_then(|()| made.sync_all()))
        .map_err(|error| CliError::local(format!("cannot write {}", file.display()), &error))
}
