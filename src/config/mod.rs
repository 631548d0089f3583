//! Typed configuration of the two kinds of process.
//!
//! Defaults < TOML file < environment (`RINGMASTER__REPLICATION__INTERVAL=5s`) < flags (`replication.interval=5s`).
//! A key that is not known is an error: a misspelt setting that is passed over in silence is found out in production.
//! All keys stand in one table in `keys`, from which messages and the README's reference are made.

mod checks;
mod edge;
mod keys;
mod member_url;
mod sources;
mod values;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;

pub use edge::{Metrics, Tls};
pub use keys::{DefaultValue, ENV_PREFIX, Key, Role, Takes, reference};
pub use member_url::MemberUrl;
pub use sources::environment;
pub use values::BaseUrl;
pub(crate) use values::parse_size;

use crate::domain::NodeId;
use crate::domain::plant::Plant;
use crate::domain::terms::Policy;

/// Everything that is wrong with a configuration, one line each; a line names the key, where it was set, and what
/// to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigError(Vec<String>);

impl ConfigError {
    fn one(line: String) -> Self {
        Self(vec![line])
    }

    pub fn lines(&self) -> &[String] {
        &self.0
    }
}

/// Configuration of a directory node.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirectoryConfig {
    /// Users are served in plain HTTP, also those of other machines.
    pub insecure: bool,
    /// Whose word about where requests come from is believed.
    #[serde(deserialize_with = "values::networks")]
    pub trusted_proxies: Vec<IpNet>,
    pub node: Node,
    pub cluster: DirectoryCluster,
    pub replication: Replication,
    pub garbage: Garbage,
    pub detection: Detection,
    pub http: Http,
    pub connections: Connections,
    pub logins: Logins,
    pub shedding: Shedding,
    pub limits: Limits,
    pub storage: Storage,
    #[serde(default)]
    tls: Tls,
    #[serde(default)]
    metrics: Metrics,
    pub log: Log,
    pub raft: Raft,
    pub test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    pub id: u64,
    #[serde(deserialize_with = "values::path")]
    pub data_dir: PathBuf,
    pub listen: SocketAddr,
    #[serde(default)]
    advertise: Option<BaseUrl>,
    pub peer_listen: SocketAddr,
    #[serde(default)]
    peer_advertise: Option<MemberUrl>,
}

impl Node {
    pub const fn node_id(&self) -> NodeId {
        NodeId(self.id)
    }

    /// The url at which clients and file servers reach this node.
    pub fn advertise(&self) -> BaseUrl {
        self.advertise.clone().unwrap_or_else(|| BaseUrl::of(self.listen, false))
    }

    /// The url at which the other directory nodes reach this node.
    pub fn peer_advertise(&self) -> MemberUrl {
        self.peer_advertise.clone().unwrap_or_else(|| MemberUrl::of(self.peer_listen))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirectoryCluster {
    pub name: String,
    #[serde(deserialize_with = "values::path")]
    pub secret_file: PathBuf,
    pub members: Vec<Member>,
    pub join: bool,
}

/// One of the first members of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    pub id: u64,
    pub url: BaseUrl,
    pub peer: MemberUrl,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replication {
    #[serde(with = "humantime_serde")]
    pub interval: Duration,
    /// Only the value at bootstrap; what holds is the replicated policy.
    pub copies: u32,
    /// Copyings that one file server takes part in at once.
    pub streams: u32,
    /// Bytes per second that the job has copied, in all.
    #[serde(deserialize_with = "values::size")]
    pub bandwidth: u64,
}

/// The first two are only the values at bootstrap; what holds is the replicated policy.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Garbage {
    #[serde(with = "humantime_serde")]
    pub linger: Duration,
    #[serde(with = "humantime_serde")]
    pub grace: Duration,
    /// Between two complete inventories of a file server.
    #[serde(with = "humantime_serde")]
    pub inventory: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Detection {
    #[serde(with = "humantime_serde")]
    pub heartbeat: Duration,
    #[serde(with = "humantime_serde")]
    pub dead_after: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    pub write_routing: WriteRouting,
}

/// What a follower does with an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WriteRouting {
    /// Answers 307 with a ticket where the client says by `Expect: 100-continue` that it waits with the body, and called
    /// the node by its own address.
    Redirect,
    /// Streams the body to the file servers itself and forwards only the commit.
    Forward,
}

/// What connections may cost.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connections {
    /// In all; a part of the descriptors where it is `None`.
    #[serde(default)]
    pub max: Option<u64>,
    /// For the head of a request.
    #[serde(with = "humantime_serde")]
    pub head: Duration,
    /// Between two requests.
    #[serde(with = "humantime_serde")]
    pub idle: Duration,
    /// Bytes per second of the body of a caller who has not authenticated.
    #[serde(deserialize_with = "values::size")]
    pub slowest: u64,
    /// For which such a caller may leave an answer unread.
    #[serde(with = "humantime_serde")]
    pub stall: Duration,
    /// For which who has authenticated may pause.
    #[serde(with = "humantime_serde")]
    pub pause: Duration,
    /// Bytes of requests that are not whole yet; of a directory node alone.
    #[serde(default, deserialize_with = "values::size")]
    pub unfinished: u64,
}

/// How many requests of each class a node has in hand at the most.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shedding {
    pub reads: u64,
    pub writes: u64,
    pub uploads: u64,
    pub listings: u64,
    pub logins: u64,
}

/// Whom guessing of passwords is refused, and when.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Logins {
    /// Wrong passwords of one account before it has to wait.
    pub account_failures: u64,
    /// Wrong passwords from one address before it has to wait.
    pub address_failures: u64,
    #[serde(with = "humantime_serde")]
    pub longest_wait: Duration,
    /// Accounts that an address may ask for within an hour, where anybody may make one.
    pub address_signups: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    #[serde(deserialize_with = "values::size")]
    pub max_file_bytes: u64,
}

/// The Raft log and the index on this node's disk.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Storage {
    /// Bytes of memory for what is read of them.
    #[serde(deserialize_with = "values::size")]
    pub cache: u64,
    /// Bytes of the disk that are to stay free; a part of it where it is `None`.
    #[serde(default, deserialize_with = "values::optional_size")]
    pub reserve: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    pub format: LogFormat,
    /// A filter in the syntax of `tracing_subscriber::EnvFilter`.
    pub level: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Raft {
    #[serde(with = "humantime_serde")]
    pub heartbeat: Duration,
    #[serde(with = "humantime_serde")]
    pub election_min: Duration,
    #[serde(with = "humantime_serde")]
    pub election_max: Duration,
    /// Log entries between two snapshots.
    pub snapshot_after: u64,
    /// Or bytes of them, whichever comes first.
    #[serde(deserialize_with = "values::size")]
    pub snapshot_after_bytes: u64,
    /// Log entries before the last snapshot that stay.
    pub keep_entries: u64,
    /// Bytes of a snapshot that one request carries.
    #[serde(deserialize_with = "values::size")]
    pub snapshot_piece: u64,
    /// A switch for tests: added to every sync of the log.
    #[serde(with = "humantime_serde")]
    pub sync_delay: Duration,
}

/// Switches for tests.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Test {
    /// The bug that this process is to have.
    #[serde(deserialize_with = "values::plant")]
    pub plant: Option<Plant>,
}

impl DirectoryConfig {
    /// Reads and checks the configuration of a directory node. `env` are variables of the environment (see
    /// [`environment`]), of which only those with [`ENV_PREFIX`] are looked at; `flags` are `key=value`.
    ///
    /// # Errors
    /// Everything that is wrong, see [`ConfigError`].
    pub fn load(
        path: &Path,
        env: impl IntoIterator<Item = (String, String)>,
        flags: &[String],
    ) -> Result<Self, ConfigError> {
        let mut config: Self = sources::load(Role::Directory, path, env, flags)?;
        let own = BaseUrl::of(config.node.listen, config.tls().is_some());
        config.node.advertise.get_or_insert(own);
        checks::directory(&config)?;
        Ok(config)
    }

    /// The policy that a cluster starts with.
    pub fn bootstrap_policy(&self) -> Policy {
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Policy {
            copies: self.replication.copies,
            garbage_linger_ms: ms(self.garbage.linger),
            garbage_grace_ms: ms(self.garbage.grace),
            ..Policy::default()
        }
    }
}

/// Configuration of a file server.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileServerConfig {
    pub server: Server,
    pub cluster: FileServerCluster,
    pub scrub: Scrub,
    pub connections: Connections,
    #[serde(default)]
    metrics: Metrics,
    pub log: Log,
    pub test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    #[serde(deserialize_with = "values::path")]
    pub data_dir: PathBuf,
    pub listen: SocketAddr,
    #[serde(default)]
    advertise: Option<MemberUrl>,
    pub zone: String,
    /// The most bytes that it stores; as much as the disk holds where it is `None`.
    #[serde(default, deserialize_with = "values::optional_size")]
    pub capacity: Option<u64>,
}

impl Server {
    /// The url at which directory nodes and other file servers reach this one.
    pub fn advertise(&self) -> MemberUrl {
        self.advertise.clone().unwrap_or_else(|| MemberUrl::of(self.listen))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileServerCluster {
    /// The directory nodes that it registers with and sends heartbeats to.
    pub directory: Vec<MemberUrl>,
    /// A token by which the cluster comes to know a server that is new to it.
    #[serde(default, deserialize_with = "values::optional_path")]
    pub join_token_file: Option<PathBuf>,
}

/// How it looks for damage in what nobody reads.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scrub {
    /// Zero for never.
    #[serde(with = "humantime_serde")]
    pub interval: Duration,
    /// Bytes per second.
    #[serde(deserialize_with = "values::size")]
    pub max_rate: u64,
}

impl FileServerConfig {
    /// Reads and checks the configuration of a file server; see [`DirectoryConfig::load`].
    ///
    /// # Errors
    /// Everything that is wrong, see [`ConfigError`].
    pub fn load(
        path: &Path,
        env: impl IntoIterator<Item = (String, String)>,
        flags: &[String],
    ) -> Result<Self, ConfigError> {
        let config: Self = sources::load(Role::FileServer, path, env, flags)?;
        checks::file_server(&config)?;
        Ok(config)
    }
}
