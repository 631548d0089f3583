//! The way into the log: what waits to be stamped, and the leadership under which this node stamps it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openraft::raft::ClientWriteResult;
use tokio::sync::{mpsc, oneshot};

use super::super::published::Published;
use super::super::types::{LeaderId, TypeConfig};
use crate::domain::ClusterTime;

/// Proposals that wait to be stamped. Their callers wait with them, so this is also a limit on callers.
const MAX_WAITING: usize = 4096;

/// A leadership that has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leadership {
    pub leader: LeaderId,
    /// The cluster's time at the monotonic time `since`.
    pub base: ClusterTime,
    pub since: Duration,
}

impl Leadership {
    /// The cluster's time at the monotonic time `now`.
    pub(crate) fn time(&self, now: Duration) -> ClusterTime {
        let elapsed = now.saturating_sub(self.since);
        self.base.plus_ms(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
    }
}

/// A proposal on its way into the log.
pub(crate) struct Submission {
    pub proposal: Bytes,
    pub reply: oneshot::Sender<Submitted>,
}

/// What became of it.
pub(crate) enum Submitted {
    /// It may be in the log.
    Waiting(oneshot::Receiver<ClientWriteResult<TypeConfig>>),
    /// It is not in the log.
    NotLeader,
    /// It is not in the log, and never will be.
    Refused(String),
    /// It is not in the log: the disks are nearly full.
    Full(String),
}

/// The queue to the task that stamps and submits, and that task's leadership.
pub(crate) struct Submissions {
    queue: mpsc::Sender<Submission>,
    leadership: Published<Option<Leadership>>,
}

impl Submissions {
    /// With the other end of the queue.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Submission>) {
        let (queue, waiting) = mpsc::channel(MAX_WAITING);
        (Self { queue, leadership: Published::new(None) }, waiting)
    }

    /// The leadership of this node, where one has begun.
    pub(crate) fn leadership(&self) -> Arc<Option<Leadership>> {
        self.leadership.get()
    }

    /// Whether this node leads and its leadership has begun.
    pub(crate) fn leads(&self) -> bool {
        self.leadership.get().is_some()
    }

    /// Whoever waits for a change of it.
    pub(crate) const fn published(&self) -> &Published<Option<Leadership>> {
        &self.leadership
    }

    /// What becomes of a proposal.
    ///
    /// # Errors
    /// When this node is stopping.
    pub(crate) async fn submit(&self, proposal: Bytes) -> Result<Submitted, Unanswered> {
        let (reply, submitted) = oneshot::channel();
        self.queue.send(Submission { proposal, reply }).await.map_err(|_| Unanswered::NotTaken)?;
        submitted.await.map_err(|_| Unanswered::Taken)
    }
}

/// The node stopped before a proposal had an answer.
pub(crate) enum Unanswered {
    /// It is not in the log.
    NotTaken,
    /// It may be.
    Taken,
}
