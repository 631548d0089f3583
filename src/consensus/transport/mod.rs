//! Calls between directory nodes.
//!
//! [`Peers`] is all that the rest of consensus knows of the network, and [`Inbound`] is all that the network knows of
//! it: a simulation puts itself between the two. The real one is HTTP/1.1 over TLS with binary bodies (`client`, `server`).
//!
//! Calls travel in lanes, each with connections of its own: on a connection that carries one request at a time, a large
//! append would hold up the heartbeat behind it, and a snapshot would hold up both.

mod addresses;
pub(crate) mod client;
mod network;
pub(crate) mod server;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

pub(crate) use self::addresses::{AddressBook, KnownAddresses};
pub(crate) use self::network::{Finish, Introduction, Network, Sending};
pub use self::server::{AnswerBody, MemberCalls};
use crate::domain::{ClusterId, NodeId};

/// The version of the calls between nodes, which each of them carries. It rises where an older node would misread a call
/// or an answer; what such a node may pass over (a new field, a new call) needs no new version. Two neighbouring versions
/// understand each other, so that a cluster can be upgraded node by node.
pub(crate) const PROTOCOL: u64 = if cfg!(feature = "next-schema") { 2 } else { 1 };

/// # Errors
/// One sentence for the caller, when it and this node are too far apart.
fn check_protocol(theirs: u64) -> Result<(), String> {
    if theirs.abs_diff(PROTOCOL) <= 1 {
        return Ok(());
    }
    Err(format!(
        "the caller speaks version {theirs} of the protocol between nodes, and this node {PROTOCOL}: upgrade the older of \
         the two, one release after the other"
    ))
}

/// The largest body of a call and of its answer: an append of `Tuning::max_batch_bytes` plus one entry of the largest
/// size, with room for what is around them.
pub(crate) const MAX_BODY_BYTES: usize = 16 << 20;

/// What a node asks another one. The number of a body's format is in the path: `/peer/1/append`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Append,
    Heartbeat,
    Vote,
    PreVote,
    Transfer,
    ReadIndex,
    SnapshotBegin,
    SnapshotPiece,
    SnapshotFinish,
    Propose,
    Ask,
    Status,
    Change,
    Removed,
    /// Says what it has, and asks what it has acknowledged.
    Recall,
    /// Promises to understand a schema, and writes that down.
    Promise,
    Hello,
    Form,
}

/// The connections that a call takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    Append,
    Vital,
    Snapshot,
    Work,
}

impl Call {
    pub(crate) const ALL: [Self; 18] = [
        Self::Append,
        Self::Heartbeat,
        Self::Vote,
        Self::PreVote,
        Self::Transfer,
        Self::ReadIndex,
        Self::SnapshotBegin,
        Self::SnapshotPiece,
        Self::SnapshotFinish,
        Self::Propose,
        Self::Ask,
        Self::Status,
        Self::Change,
        Self::Removed,
        Self::Recall,
        Self::Promise,
        Self::Hello,
        Self::Form,
    ];

    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Append => "/peer/1/append",
            Self::Heartbeat => "/peer/1/heartbeat",
            Self::Vote => "/peer/1/vote",
            Self::PreVote => "/peer/1/pre-vote",
            Self::Transfer => "/peer/1/transfer",
            Self::ReadIndex => "/peer/1/read-index",
            Self::SnapshotBegin => "/peer/1/snapshot-begin",
            Self::SnapshotPiece => "/peer/1/snapshot-piece",
            Self::SnapshotFinish => "/peer/1/snapshot-finish",
            Self::Propose => "/peer/1/propose",
            Self::Ask => "/peer/1/ask",
            Self::Status => "/peer/1/status",
            Self::Change => "/peer/1/change",
            Self::Removed => "/peer/1/removed",
            Self::Recall => "/peer/1/recall",
            Self::Promise => "/peer/1/promise",
            Self::Hello => "/peer/1/hello",
            Self::Form => "/peer/1/form",
        }
    }

    pub(crate) const fn lane(self) -> Lane {
        match self {
            Self::Append => Lane::Append,
            Self::Heartbeat | Self::Vote | Self::PreVote | Self::Transfer | Self::ReadIndex => Lane::Vital,
            Self::SnapshotBegin | Self::SnapshotPiece | Self::SnapshotFinish => Lane::Snapshot,
            Self::Propose
            | Self::Ask
            | Self::Status
            | Self::Change
            | Self::Removed
            | Self::Recall
            | Self::Promise
            | Self::Hello
            | Self::Form => Lane::Work,
        }
    }

    /// Whether it goes between nodes that may not know of a common cluster yet.
    pub(crate) const fn before_forming(self) -> bool {
        matches!(self, Self::Hello | Self::Form)
    }
}

/// Where a call goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub id: NodeId,
    /// `https://host:port`
    pub address: String,
}

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallError {
    /// No connection: the call did not arrive.
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    /// It may have arrived.
    #[error("it did not answer: {0}")]
    Broken(String),
    /// It arrived and was answered with an error.
    #[error("{0}")]
    Refused(String),
}

/// The cluster that a node is part of, as its transport knows it: it is named in every call. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct KnownCluster(Arc<RwLock<Option<ClusterId>>>);

impl KnownCluster {
    pub(crate) fn get(&self) -> Option<ClusterId> {
        *self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set(&self, cluster: Option<ClusterId>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = cluster;
    }
}

/// The way to the other nodes.
pub(crate) trait Peers: Send + Sync + 'static {
    fn call(
        &self,
        target: &Target,
        call: Call,
        body: Bytes,
        timeout: Duration,
    ) -> BoxFuture<'static, Result<Bytes, CallError>>;
}

/// A call that arrived, from a directory node that has proven who it is and means this one.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub from: NodeId,
    pub cluster: Option<ClusterId>,
    pub call: Call,
    pub body: Bytes,
}

/// The node behind a transport.
pub(crate) trait Inbound: Send + Sync + 'static {
    /// An `Err` is one sentence for the caller, who gets it as [`CallError::Refused`].
    fn serve(&self, arrived: Arrived) -> BoxFuture<'static, Result<Bytes, String>>;
}

/// A body. MessagePack with names, so that a field can be added.
pub(crate) fn encode(value: &impl Serialize) -> Bytes {
    rmp_serde::to_vec_named(value).expect("a value in memory can be written").into()
}

/// # Errors
/// One sentence for the other side.
pub(crate) fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    rmp_serde::from_slice(body).map_err(|error| format!("the body cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_versions_understand_each_other_and_no_others() {
        assert!(check_protocol(PROTOCOL).is_ok());
        assert!(check_protocol(PROTOCOL + 1).is_ok() && check_protocol(PROTOCOL - 1).is_ok());
        let refused = check_protocol(PROTOCOL + 2).expect_err("two ahead");
        assert!(refused.contains("upgrade the older"), "{refused}");
        assert!(check_protocol(u64::MAX).is_err());
    }
}
