//! What Raft replicates, as consensus sees it: bytes in, bytes out, over a [`Store`].
//!
//! The trait keeps openraft and RocksDB on one side and the meaning of commands on the other.

mod replicated;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use self::replicated::Replicated;

use crate::domain::{ClusterId, ClusterTime, Fault, ReadStore, Schema, Store, WallTime};

/// A replicated state machine. Every node that applies the same entries comes to the same rows and answers.
pub(crate) trait Machine: Send + Sync + 'static {
    /// The log entry for a proposal, with the leader's times in it.
    ///
    /// # Errors
    /// When the bytes are no proposal, or one that a cluster with this schema does not take yet.
    fn stamp(&self, at: ClusterTime, wall: WallTime, proposal: &[u8], schema: Schema) -> Result<Vec<u8>, Fault>;

    /// # Errors
    /// When a log entry is of a schema that this program does not know. It must not be stored then.
    fn check_frame(&self, entry: &[u8]) -> Result<(), Fault>;

    /// The newest schema that this program knows.
    fn newest(&self) -> Schema;

    /// The schema that the rows are of.
    fn schema(&self, store: &dyn ReadStore) -> Result<Schema, Fault>;

    /// The proposal that has the cluster rise to a schema.
    fn rise(&self, to: Schema) -> Vec<u8>;

    /// Whether a proposal is taken while the disks are nearly full.
    ///
    /// # Errors
    /// When the bytes are no proposal.
    fn frees_room(&self, proposal: &[u8]) -> Result<bool, Fault>;

    /// Applies one log entry and gives its encoded answer. A fault stops this node.
    fn apply(&self, store: &mut dyn Store, index: u64, entry: &[u8]) -> Result<Vec<u8>, Fault>;

    /// # Errors
    /// When the rows are of a version that this program does not know, and would spoil.
    fn knows(&self, store: &dyn ReadStore) -> Result<(), Fault>;

    /// The cluster time of the last entry applied.
    fn cluster_time(&self, store: &dyn ReadStore) -> Result<ClusterTime, Fault>;

    /// The proposal that sets a new cluster up, where that has not been applied yet.
    fn bootstrap(&self, store: &dyn ReadStore, cluster: ClusterId, name: &str) -> Result<Option<Vec<u8>>, Fault>;
}
