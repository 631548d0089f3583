//! What a file server's `/healthz` answers to directory nodes: who is there, and whether it is the one expected.

use serde::{Deserialize, Serialize};

use crate::domain::{ClusterId, Epoch, ServerId};

/// The largest answer that is read, in bytes: what listens at an address may be anything.
pub const MAX_HEALTH_BYTES: usize = 4096;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    pub status: String,
    /// Where it says that it is reached.
    pub url: String,
    /// Nothing before the first admission to a cluster.
    pub cluster_id: Option<ClusterId>,
    pub server_id: Option<ServerId>,
    /// Nothing until this process was admitted.
    pub epoch: Option<Epoch>,
}
