//! A leadership term: the leader stamps proposals with the cluster's time and puts them in the log.
//!
//! It begins when the leader has applied the first entry of its own term, because only then has it applied
//! everything that former leaders stamped, and cluster time goes on from there; in a new cluster it has its first
//! command applied before. One task stamps and submits, so the stamps in the log are in order; and every submission
//! names the leadership it was stamped under, so that openraft refuses one that was overtaken by an election rather
//! than appending it with a stale stamp.

use std::sync::Arc;
use std::time::Duration;

use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver;
use tokio::sync::mpsc;

use super::super::types::{Blob, LeaderId, Responder};
use super::RaftNode;
use super::node::Node;
use super::submission::{Leadership, Submission, Submitted};
use crate::domain::{ClusterTime, Schema, WallTime};

/// A new cluster's first command may take this long, and is proposed again after this.
const SET_UP_TIMEOUT: Duration = Duration::from_secs(2);
const SET_UP_PAUSE: Duration = Duration::from_millis(50);

impl Node {
    pub(crate) fn cluster_time(&self) -> ClusterTime {
        let applied = self.storage.state.applied().time;
        let leadership = self.submissions.leadership();
        leadership.as_ref().as_ref().map_or(applied, |now| now.time(self.environment.clock.monotonic()).max(applied))
    }
}

/// Begins and ends leaderships as elections go, and sets a new cluster up.
pub(super) async fn keep(node: Arc<Node>, raft: RaftNode) {
    let mut metrics = raft.metrics();
    loop {
        let leads = {
            let metrics = metrics.borrow_watched();
            let own = LeaderId { term: metrics.current_term, node_id: node.id().0 };
            let elected = metrics.state == ServerState::Leader && metrics.vote.committed;
            let begun = metrics.last_applied.is_some_and(|id| *id.committed_leader_id() == own);
            (elected && begun).then_some(own)
        };
        let publish = |next| node.submissions.published().publish(next);
        let current = node.submissions.leadership().as_ref().as_ref().map(|leadership| leadership.leader);
        if leads != current {
            let ready = match leads {
                Some(leader) => set_up(&node, &raft, leader).await,
                None => true,
            };
            if ready {
                // Read after what openraft says is applied, which the store publishes first.
                let base = node.storage.state.applied().time;
                publish(leads.map(|leader| Leadership { leader, base, since: node.environment.clock.monotonic() }));
            } else {
                publish(None);
                tokio::time::sleep(SET_UP_PAUSE).await;
                continue;
            }
        }
        if metrics.changed().await.is_err() {
            publish(None);
            return;
        }
    }
}

/// Has the first command of the cluster applied unless it is, before anybody else's. False when that failed for now.
async fn set_up(node: &Arc<Node>, raft: &RaftNode, leader: LeaderId) -> bool {
    let Some(cluster) = node.identity.cluster_id() else { return false };
    let entry = {
        let (node, at) = (Arc::clone(node), node.storage.state.applied().time);
        let wall = WallTime(node.environment.clock.agreed_ms());
        let tasks = node.environment.tasks.clone();
        let bootstrap = move || {
            let name = &node.settings.cluster_name;
            node.machine
                .bootstrap(&node.storage.state.db().view(), cluster, name)?
                .map(|proposal| node.machine.stamp(at, wall, &proposal, Schema::FIRST))
                .transpose()
        };
        tasks.blocking(bootstrap).await
    };
    let entry = match entry {
        Ok(Ok(Some(entry))) => entry,
        Ok(Ok(None)) => return true,
        Ok(Err(fault)) => {
            node.stopper.stop(fault.to_string());
            return false;
        }
        // The runtime is ending.
        Err(_) => return false,
    };
    let (responder, receiver) = Responder::complete_only();
    let write = raft.write(Blob::from(entry)).with_leader(leader).responder(responder).await;
    let done = write.is_ok() && matches!(tokio::time::timeout(SET_UP_TIMEOUT, receiver).await, Ok(Ok(Ok(_))));
    if done {
        tracing::info!(%cluster, "a new cluster is set up");
    }
    done
}

/// Stamps and submits. The order of stamps is the order in the log.
pub(super) async fn submit_all(node: Arc<Node>, raft: RaftNode, mut proposals: mpsc::Receiver<Submission>) {
    let mut last = ClusterTime(0);
    while let Some(Submission { proposal, reply }) = proposals.recv().await {
        let leadership = node.submissions.leadership();
        let submitted = match &*leadership {
            None => Submitted::NotLeader,
            Some(_) if node.takes_no_more(&proposal) => Submitted::Full(node.which_are_full()),
            Some(leadership) => {
                last = last.max(leadership.time(node.environment.clock.monotonic()));
                let wall = WallTime(node.environment.clock.agreed_ms());
                match node.machine.stamp(last, wall, &proposal, node.storage.state.applied().schema) {
                    Err(fault) => Submitted::Refused(fault.0),
                    Ok(entry) => {
                        let (responder, receiver) = Responder::complete_only();
                        let write = raft.write(Blob::from(entry)).with_leader(leadership.leader).responder(responder);
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
