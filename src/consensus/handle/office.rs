//! The leader's office: it stamps proposals with the cluster's time and puts them in the log.
//!
//! A leader takes office when it has applied the first entry of its own term, because only then has it applied
//! everything that former leaders stamped, and cluster time goes on from there. One task stamps and submits, so the stamps in the
//! log are in order; and every submission names the leadership it was stamped under, so that openraft refuses one that was
//! overtaken by an election rather than appending it with a stale stamp.

use std::sync::Arc;
use std::time::Duration;

use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::raft::ClientWriteResult;
use tokio::sync::{mpsc, oneshot};

use super::super::types::{Blob, LeaderId, RaftNode, Responder, TypeConfig};
use super::node::Node;
use crate::domain::{ClusterTime, WallTime};

/// Proposals that wait to be stamped. Their callers wait with them, so this is also a limit on callers.
pub(super) const MAX_WAITING: usize = 4096;

/// A leadership that has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Office {
    leader: LeaderId,
    /// The cluster's time at the monotonic time `since`.
    base: ClusterTime,
    since: Duration,
}

/// A proposal on its way into the log.
pub(crate) struct Submission {
    pub proposal: bytes::Bytes,
    pub reply: oneshot::Sender<Submitted>,
}

/// What became of it.
pub(crate) enum Submitted {
    /// It may be in the log.
    Waiting(tokio::sync::oneshot::Receiver<ClientWriteResult<TypeConfig>>),
    /// It is not in the log.
    NotLeader,
    /// It is not in the log, and never will be.
    Refused(String),
}

impl Node {
    pub(crate) fn cluster_time(&self) -> ClusterTime {
        let applied = self.state.applied().time;
        self.office.borrow().as_ref().map_or(applied, |office| self.office_time(office).max(applied))
    }

    fn office_time(&self, office: &Office) -> ClusterTime {
        let elapsed = self.clock.monotonic().saturating_sub(office.since);
        office.base.plus_ms(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
    }
}

/// Takes and leaves office as elections go, and sets a new cluster up.
pub(super) async fn keep(node: Arc<Node>, raft: RaftNode) {
    let mut metrics = raft.metrics();
    loop {
        let office = {
            let metrics = metrics.borrow_watched();
            let own = LeaderId { term: metrics.current_term, node_id: node.id.0 };
            let leads = metrics.state == ServerState::Leader && metrics.vote.committed;
            let begun = metrics.last_applied.is_some_and(|id| *id.committed_leader_id() == own);
            (leads && begun).then_some(own)
        };
        let current = node.office.borrow().as_ref().map(|office| office.leader);
        if office != current {
            // The mark that openraft publishes comes after the write that the store publishes.
            let base = node.state.applied().time;
            let next = office.map(|leader| Office { leader, base, since: node.clock.monotonic() });
            node.office.send_replace(next);
            if office.is_some() {
                tokio::spawn(set_up(Arc::clone(&node)));
            }
        }
        if metrics.changed().await.is_err() {
            node.office.send_replace(None);
            return;
        }
    }
}

/// Proposes the first command of the cluster unless it is applied. A leader that fails here has lost its office, and the next one
/// does it.
async fn set_up(node: Arc<Node>) {
    let Some(cluster) = node.cluster_id() else { return };
    let proposal = {
        let (state, machine, name) = (Arc::clone(&node.state), Arc::clone(&node.machine), node.cluster_name.clone());
        let look = move || machine.bootstrap(&state.db().view(), cluster, &name);
        tokio::task::spawn_blocking(look).await
    };
    match proposal {
        Ok(Ok(None)) => {}
        Ok(Ok(Some(proposal))) => {
            let outcome = node.propose_here(proposal.into()).await;
            tracing::info!(%cluster, ?outcome, "a new cluster is set up");
        }
        Ok(Err(fault)) => node.stopper.stop(fault.to_string()),
        // The runtime is ending.
        Err(_) => {}
    }
}

/// Stamps and submits. The order of stamps is the order in the log.
pub(super) async fn submit_all(node: Arc<Node>, raft: RaftNode, mut proposals: mpsc::Receiver<Submission>) {
    let mut last = ClusterTime(0);
    while let Some(Submission { proposal, reply }) = proposals.recv().await {
        let office = node.office.borrow().clone();
        let submitted = match office {
            None => Submitted::NotLeader,
            Some(office) => {
                last = last.max(node.office_time(&office));
                let wall = WallTime(node.clock.wall_ms());
                match node.machine.stamp(last, wall, &proposal) {
                    Err(fault) => Submitted::Refused(fault.to_string()),
                    Ok(entry) => {
                        let (responder, receiver) = Responder::complete_only();
                        let write = raft.write(Blob::from(entry)).with_leader(office.leader).responder(responder);
                        match write.await {
                            Ok(()) => Submitted::Waiting(receiver),
                            Err(_) => Submitted::NotLeader,
                        }
                    }
                }
            }
        };
        // The caller may have given up.
        drop(reply.send(submitted));
    }
}
