//! What Raft replicates, as consensus sees it: bytes in, bytes out, over a [`Store`].
//!
//! The trait keeps openraft and RocksDB on one side and the meaning of commands on the other.

mod replicated;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use self::replicated::Replicated;

use crate::domain::{ClusterId, ClusterTime, Fault, ReadStore, Store, WallTime};

/// A replicated state machine. Every node that applies the same entries comes to the same rows and answers.
pub(crate) trait Machine: Send + Sync + 'static {
    /// The log entry for a proposal, with the leader's times in it.
    ///
    /// # Errors
    /// When the bytes are no proposal.
    fn stamp(&self, at: ClusterTime, wall: WallTime, proposal: &[u8]) -> Result<Vec<u8>, Fault>;

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
