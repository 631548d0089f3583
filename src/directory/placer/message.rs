//! What a follower that streams an upload itself asks of the leader: a place, and to keep it while the body lasts.
//! Between nodes of one cluster, in the envelope of `directory::peers`; a field may be added with a default, none
//! changes its meaning.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Wish;
use crate::client::blobs::ServerAddress;
use crate::domain::{BlobId, ClusterTime, Epoch, ServerId, ServerUuid};

/// How often a follower renews the lease of a running upload: twice may get lost.
pub const RENEW_EVERY: Duration = Duration::from_secs(20);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PlacerCall {
    Place(PlacementRequest),
    Renew(Renew),
    Release(Release),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacementRequest {
    pub blob_id: BlobId,
    /// Bytes, 0 where the size is not known.
    pub size_hint: u64,
    #[serde(default)]
    pub excluded: Vec<ServerId>,
}

/// The upload is still running.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renew {
    pub blob_id: BlobId,
}

/// The outcome of the upload is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    pub blob_id: BlobId,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PlacerReply {
    Placement(PlacementAnswer),
    /// To a `Renew` or a `Release`: whether there was such a lease.
    Known(bool),
    /// The node asked is not the leader (any more).
    NotLeader,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PlacementAnswer {
    Placed {
        /// The primary first.
        targets: Vec<Target>,
        /// The leader's cluster time, from which the age of the receipts counts; milliseconds.
        placed_at: u64,
    },
    NoFileServer,
    Full,
    Busy,
    /// The leader could not read its own state.
    Failed,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    pub server_id: ServerId,
    pub epoch: Epoch,
    pub uuid: ServerUuid,
    pub url: String,
}

impl From<Wish> for PlacementRequest {
    fn from(Wish { blob_id, size_hint, excluded }: Wish) -> Self {
        Self { blob_id, size_hint, excluded: excluded.into_iter().collect() }
    }
}

impl From<PlacementRequest> for Wish {
    fn from(PlacementRequest { blob_id, size_hint, excluded }: PlacementRequest) -> Self {
        Self { blob_id, size_hint, excluded: excluded.into_iter().collect() }
    }
}

impl PlacementAnswer {
    pub fn placed(targets: &[ServerAddress], placed_at: ClusterTime) -> Self {
        Self::Placed { targets: targets.iter().map(Target::from).collect(), placed_at: placed_at.0 }
    }
}

impl From<&ServerAddress> for Target {
    fn from(at: &ServerAddress) -> Self {
        Self { server_id: at.server_id, epoch: at.epoch, uuid: at.uuid, url: at.url.clone() }
    }
}

impl From<Target> for ServerAddress {
    fn from(Target { server_id, epoch, uuid, url }: Target) -> Self {
        Self { server_id, epoch, uuid, url }
    }
}
