//! Whose data directory this is: `node.json`, and the lock that keeps a second process out.

use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use super::super::acknowledged::Acknowledged;
use super::super::files;
use super::super::options::Member;
use super::super::transport::KnownCluster;
use crate::domain::{ClusterId, NodeId, Schema};
use crate::local;

const IDENTITY: &str = "node.json";
/// What a file server keeps in its data directory.
const FILE_SERVER_IDENTITY: &str = "server.json";
const LOCK: &str = "LOCK";
const ROLE: &str = "directory";
const FORMAT: u32 = 1;

/// A directory node's data directory, locked for this process.
pub(crate) struct DataDir {
    path: PathBuf,
    // Unlocked by the kernel when the file is closed, so also after a crash.
    _lock: File,
}

/// Where a node keeps who it is.
pub(crate) trait Home: Send + Sync + 'static {
    /// Writes it down, durably.
    ///
    /// # Errors
    /// When the disk fails.
    fn save(&self, identity: &Identity) -> anyhow::Result<()>;

    /// The directory of all that this node has, for people.
    fn path(&self) -> &Path;

    /// Nothing where it cannot be measured.
    fn space(&self) -> Option<Space>;
}

/// Bytes of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Space {
    pub free: u64,
    pub whole: u64,
}

/// What this node is part of, and the place where that is written down.
pub(crate) struct OwnIdentity {
    identity: Mutex<Identity>,
    /// Shared with the transport, which puts it in every call.
    cluster: KnownCluster,
    home: Box<dyn Home>,
}

impl OwnIdentity {
    /// Tells the transport of the cluster, where there is one.
    pub(crate) fn new(identity: Identity, cluster: KnownCluster, home: Box<dyn Home>) -> Self {
        cluster.set(identity.cluster.as_ref().map(|formed| formed.id));
        Self { identity: Mutex::new(identity), cluster, home }
    }

    pub(crate) fn cluster_id(&self) -> Option<ClusterId> {
        self.cluster.get()
    }

    pub(crate) fn get(&self) -> Identity {
        self.identity.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes what this node is part of, and writes it down before anybody hears of it. One change at a time: each is
    /// made from what the one before has left.
    ///
    /// # Errors
    /// Those of `change`, and one sentence when the disk fails.
    pub(crate) fn change(&self, change: impl FnOnce(&Identity) -> Result<Identity, String>) -> Result<(), String> {
        let mut current = self.identity.lock().unwrap_or_else(PoisonError::into_inner);
        let next = change(&current)?;
        if next == *current {
            return Ok(());
        }
        self.home.save(&next).map_err(|error| format!("{error:#}"))?;
        self.cluster.set(next.cluster.as_ref().map(|formed| formed.id));
        *current = next;
        Ok(())
    }

    /// The directory of all that this node has, for people.
    pub(crate) fn path(&self) -> &Path {
        self.home.path()
    }

    /// What there is of its disk. Nothing where it cannot be measured.
    pub(crate) fn space(&self) -> Option<Space> {
        self.home.space()
    }
}

/// What `node.json` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub node_id: NodeId,
    pub cluster_name: String,
    /// Nothing until the cluster has formed.
    pub cluster: Option<Formed>,
    /// The cluster has let this node go. It does not take part again.
    pub removed: bool,
    /// The newest schema that this node has promised to understand. Older programs refuse the directory from then on.
    pub promised: Schema,
    /// What others know that it has acknowledged, and it had not when it was told: its disk went back in time.
    pub owed: Option<Acknowledged>,
}

impl Identity {
    /// What a node says that its cluster has let go.
    pub(crate) fn farewell(&self) -> String {
        let (id, name) = (self.node_id, &self.cluster_name);
        format!(
            "this node was removed from the cluster: {name:?} has let node {id} go for good, and gives its id to nobody. \
             What it holds is at the others. To have this machine take part again, give it another id, an empty \
             data_dir and join = true, and run `ringmaster cluster add` on the cluster"
        )
    }
}

/// The cluster that a node belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Formed {
    pub id: ClusterId,
    /// The first members; later ones are in the replicated membership.
    pub members: Vec<Member>,
}

#[derive(Serialize, Deserialize)]
struct IdentityFile {
    format: u32,
    role: String,
    node_id: u64,
    cluster_name: String,
    cluster_id: Option<String>,
    #[serde(default)]
    members: Vec<MemberFile>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    removed: bool,
    #[serde(default = "first_schema")]
    promised_schema: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owed: Option<Acknowledged>,
}

const fn first_schema() -> u64 {
    Schema::FIRST.0
}

/// A member as it is written, also on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MemberFile {
    pub id: u64,
    pub url: String,
    pub peer: String,
}

impl From<&Member> for MemberFile {
    fn from(member: &Member) -> Self {
        Self { id: member.id.0, url: member.url.clone(), peer: member.peer.clone() }
    }
}

impl From<MemberFile> for Member {
    fn from(member: MemberFile) -> Self {
        Self { id: NodeId(member.id), url: member.url, peer: member.peer }
    }
}

impl DataDir {
    /// Makes the directory if need be, and keeps other processes out of it.
    ///
    /// # Errors
    /// When another process has it, or it belongs to a file server.
    pub(crate) fn take(path: &Path) -> anyhow::Result<Self> {
        files::make_dir(path)?;
        local::close_folder(path)?;
        if path.join(FILE_SERVER_IDENTITY).exists() {
            bail!(
                "{} is the data directory of a file server: give this directory node a data_dir of its own",
                path.display()
            );
        }
        let lock_path = path.join(LOCK);
        let lock = local::private()
            .create(true)
            .truncate(true)
            .open(&lock_path)
            .with_context(|| format!("cannot make {}", lock_path.display()))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => bail!(
                "{} is in use by another process: stop that one first, or give this node a data_dir of its own",
                path.display()
            ),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("cannot lock {}", lock_path.display()))
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The identity in the directory; a fresh directory gets the one given.
    ///
    /// # Errors
    /// When the directory is another node's, another role's or another cluster's.
    pub(crate) fn identity(&self, node_id: NodeId, cluster_name: &str) -> anyhow::Result<Identity> {
        let path = self.path.join(IDENTITY);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return self.first_identity(node_id, cluster_name);
            }
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let file: IdentityFile = serde_json::from_str(&text)
            .with_context(|| format!("{} is damaged: bring it back from a backup of this directory", path.display()))?;
        if file.format != FORMAT {
            bail!("{} has format {}: start the version that wrote it", path.display(), file.format);
        }
        if file.role != ROLE {
            bail!("{} belongs to a {}: give this node a data_dir of its own", self.path.display(), file.role);
        }
        if file.node_id != node_id.0 {
            bail!(
                "{} belongs to node {}, not to node {node_id}: correct data_dir or id in the configuration",
                self.path.display(),
                file.node_id
            );
        }
        if file.cluster_name != cluster_name {
            bail!(
                "{} belongs to the cluster {:?}, not to {cluster_name:?}: correct data_dir or the cluster's name in \
                 the configuration",
                self.path.display(),
                file.cluster_name
            );
        }
        let promised = Schema(file.promised_schema);
        if promised > Schema::NEWEST {
            bail!(
                "node {node_id} has promised its cluster to understand schema {promised}, and this release knows {}: start \
                 the release that the other directory nodes run, or a newer one",
                Schema::NEWEST
            );
        }
        let cluster = match file.cluster_id {
            Some(text) => {
                let id = ClusterId::parse(&text);
                let id = id.with_context(|| format!("{}: {text:?} is no cluster id", path.display()))?;
                Some(Formed { id, members: file.members.into_iter().map(Into::into).collect() })
            }
            None => None,
        };
        Ok(Identity {
            node_id,
            cluster_name: file.cluster_name,
            cluster,
            removed: file.removed,
            promised,
            owed: file.owed,
        })
    }

    fn first_identity(&self, node_id: NodeId, cluster_name: &str) -> anyhow::Result<Identity> {
        // With data but without an identity, part of the directory is gone; an identity made now could be the wrong
        // one.
        for name in files::list_names(&self.path)? {
            if name == "raft" || name == "state" {
                bail!(
                    "{} has data but no {IDENTITY}: bring that file back from a backup of this directory",
                    self.path.display()
                );
            }
        }
        let identity = Identity {
            node_id,
            cluster_name: cluster_name.to_owned(),
            cluster: None,
            removed: false,
            promised: Schema::FIRST,
            owed: None,
        };
        self.save(&identity)?;
        Ok(identity)
    }
}

impl Home for DataDir {
    fn save(&self, identity: &Identity) -> anyhow::Result<()> {
        let cluster = identity.cluster.as_ref();
        let file = IdentityFile {
            format: FORMAT,
            role: ROLE.to_owned(),
            node_id: identity.node_id.0,
            cluster_name: identity.cluster_name.clone(),
            cluster_id: cluster.map(|formed| formed.id.to_string()),
            members: cluster.iter().flat_map(|formed| formed.members.iter().map(Into::into)).collect(),
            removed: identity.removed,
            promised_schema: identity.promised.0,
            owed: identity.owed,
        };
        let text = serde_json::to_string_pretty(&file).context("an identity can be written as JSON")?;
        files::write_atomically(&self.path.join(IDENTITY), |out| writeln!(out, "{text}"))
    }

    fn path(&self) -> &Path {
        &self.path
    }

    fn space(&self) -> Option<Space> {
        let stat = rustix::fs::statvfs(&self.path).ok()?;
        let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
        Some(Space { free: bytes(stat.f_bavail), whole: bytes(stat.f_blocks) })
    }
}
