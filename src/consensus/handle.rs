//! The one thing that the floors above hold of consensus.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use super::{AskError, Metrics, Options, PeerService, ProposeError, ReadError, Status};
use crate::domain::{Answer, ClusterTime, Fault, NodeId, Proposal, ReadStore};

/// A running node. Cheap to clone; the node ends when the last clone is dropped, or at `shutdown`.
#[derive(Clone)]
pub struct Handle {
    status: watch::Receiver<Status>,
    stopped: watch::Receiver<Option<String>>,
}

impl Handle {
    /// Starts the node: takes the data directory, opens what is there, begins to listen. It returns before the cluster has
    /// formed or a leader is known; see `watch` for those.
    ///
    /// # Errors
    /// When the data directory is in use, of another node, role or cluster, or damaged. The message says what to do.
    pub async fn start(_options: Options, _service: Arc<dyn PeerService>) -> anyhow::Result<Self> {
        anyhow::bail!("not built yet")
    }

    /// Has the cluster apply a proposal, from any node: it goes to whoever leads, who stamps it with its times.
    ///
    /// # Errors
    /// See [`ProposeError`]. It takes no longer than `Tuning::propose_deadline`.
    pub async fn propose(&self, _proposal: Proposal) -> Result<Answer, ProposeError> {
        Err(ProposeError::NoLeader("not built yet".into()))
    }

    /// A linearizable read on this node: what it sees includes all that was acknowledged anywhere before the call.
    ///
    /// # Errors
    /// `NoLeader` after `Tuning::read_deadline`; the query's own fault.
    pub async fn read<T: Send + 'static>(
        &self,
        _query: impl FnOnce(&dyn ReadStore) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, ReadError> {
        Err(ReadError::NoLeader("not built yet".into()))
    }

    /// A read of whatever this node has applied.
    ///
    /// # Errors
    /// The query's own fault.
    pub async fn read_local<T: Send + 'static>(
        &self,
        _query: impl FnOnce(&dyn ReadStore) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, ReadError> {
        Err(ReadError::NoLeader("not built yet".into()))
    }

    /// As `read_local`, on the caller's own thread, which it blocks for as long as the disk takes.
    ///
    /// # Errors
    /// The query's own fault.
    pub fn read_now<T>(&self, _query: impl FnOnce(&dyn ReadStore) -> Result<T, Fault>) -> Result<T, ReadError> {
        Err(ReadError::NoLeader("not built yet".into()))
    }

    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    pub fn watch(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// On the leader the last applied time and what its clock has counted since; elsewhere the last applied time.
    pub fn cluster_time(&self) -> ClusterTime {
        ClusterTime(0)
    }

    /// Has the leader's [`PeerService`] answer, locally where this node leads.
    ///
    /// # Errors
    /// See [`AskError`].
    pub async fn ask_leader(&self, _request: Bytes) -> Result<Bytes, AskError> {
        Err(AskError::NoLeader("not built yet".into()))
    }

    /// Has the [`PeerService`] of `node` answer.
    ///
    /// # Errors
    /// See [`AskError`].
    pub async fn ask(&self, node: NodeId, _request: Bytes) -> Result<Bytes, AskError> {
        Err(AskError::Unreachable { node, cause: "not built yet".into() })
    }

    /// Hands leadership to the most caught-up other voter, and returns when another node leads.
    ///
    /// # Errors
    /// When there is nobody to hand it to, or nobody took it in time. It is no error if another node leads already.
    pub async fn transfer_leadership(&self) -> anyhow::Result<()> {
        Ok(())
    }

    /// Hands over leadership if this node has it, and stops.
    pub async fn shutdown(&self) {}

    pub fn metrics(&self) -> Metrics {
        Metrics::default()
    }

    /// Holds a message once the node must end by itself: the disk failed, the log is damaged, the state machine met what it
    /// does not know. The process then exits with it and a non-zero code.
    pub fn stopped(&self) -> watch::Receiver<Option<String>> {
        self.stopped.clone()
    }
}
