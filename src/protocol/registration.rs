//! How a file server comes into the cluster and stays there.
//!
//! It calls `POST /register` at the cluster's port of any directory node, with the certificate that `POST /join` gave it. Before
//! it is admitted the directory calls back at the address that it names: whoever answers there must show the certificate of
//! that very server, or bytes would be sent to a stranger.

use serde::{Deserialize, Serialize};

use super::api::ServerState;
use crate::domain::{ClusterId, Epoch, Incarnation, ServerId, ServerUuid};

/// Body of `POST /register`. Its sender shows the certificate of that server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterRequest {
    pub uuid: ServerUuid,
    /// Where directory nodes and other file servers reach it, such as `https://10.0.0.7:3031`.
    pub url: String,
    pub zone: String,
    /// Bytes that it can hold in all.
    pub capacity: u64,
    /// What the data directory is bound to since its first admission.
    #[serde(default)]
    pub server_id: Option<ServerId>,
    /// The cluster that the data directory belongs to; nothing where it was never admitted.
    #[serde(default)]
    pub cluster_id: Option<ClusterId>,
    /// The incarnation that was admitted last; nothing before the first admission.
    #[serde(default)]
    pub last: Option<Incarnation>,
    /// The incarnation to be admitted. A request that is repeated has the same.
    #[serde(default)]
    pub next: Option<Incarnation>,
}

/// How often a server reports its whole inventory where the directory does not say, in milliseconds.
pub const DEFAULT_INVENTORY_MS: u64 = 30 * 60 * 1000;

const fn default_inventory_ms() -> u64 {
    DEFAULT_INVENTORY_MS
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterAnswer {
    pub cluster_id: ClusterId,
    pub server_id: ServerId,
    pub epoch: Epoch,
    /// How often the server is to send a heartbeat to every directory node.
    pub heartbeat_ms: u64,
    /// How often the server is to report its whole inventory.
    #[serde(default = "default_inventory_ms")]
    pub inventory_ms: u64,
    /// The URLs of all directory nodes.
    pub directory: Vec<String>,
    pub servers: Vec<ServerEntry>,
    /// The time that the directory nodes agree on, in milliseconds since the Unix epoch. A node that has
    /// asked none of the others yet, or is of a release from before, says nothing of it.
    #[serde(default)]
    pub now_ms: Option<u64>,
}

/// Where a file server is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerEntry {
    pub server_id: ServerId,
    pub uuid: ServerUuid,
    pub url: String,
    pub epoch: Epoch,
}

/// Body of `POST /heartbeat`. Its sender shows the certificate of that server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeartbeatRequest {
    pub uuid: ServerUuid,
    pub server_id: ServerId,
    pub epoch: Epoch,
    /// Bytes that it can hold in all.
    pub capacity: u64,
    /// Bytes that it can still take.
    pub free: u64,
    /// Bytes of its blobs. It grows to the true value while a server that has just started counts them.
    pub used: u64,
    pub blobs: u64,
    /// How many damaged copies it met since it started.
    pub errors: u64,
    /// Why its disk takes no writes, where it takes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
    /// How far the check of everything is that somebody asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scrub: Option<ScrubPass>,
}

/// What a check of everything has seen so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubPass {
    pub copies: u64,
    pub damaged: u64,
}

/// A server that is answered `known: false`, another epoch, or that it is down registers again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeartbeatAnswer {
    pub known: bool,
    /// The server's epoch as the answering node knows it; 0 where it is not known.
    pub epoch: Epoch,
    pub state: ServerState,
    pub directory: Vec<String>,
    pub servers: Vec<ServerEntry>,
    /// The time that the directory nodes agree on, in milliseconds since the Unix epoch. A node that has
    /// asked none of the others yet, or is of a release from before, says nothing of it.
    #[serde(default)]
    pub now_ms: Option<u64>,
}
