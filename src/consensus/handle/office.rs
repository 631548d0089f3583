//! The leader's office: it stamps proposals with the cluster's time and puts them in the log.
//!
//! A leader takes office when it has applied the first entry of its own term, because only then has it applied
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
use super::node::{Node, Office, RaftNode, Submission, Submitted};
use crate::domain::{ClusterTime, WallTime};

/// Proposals that wait to be stamped. Their callers wait with them, so this is also a limit on callers.
pub(super) const MAX_WAITING: usize = 4096;

/// A new cluster's first command may take this long, and is proposed again after this.
const SET_UP_TIMEOUT: Duration = Duration::from_secs(2);
const SET_UP_PAUSE: Duration = Duration::from_millis(50);

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
            let ready = match office {
                Some(leader) => set_up(&node, &raft, leader).await,
                None => true,
            };
            if ready {
                // Read after what openraft says is applied, which the store publishes first.
                let base = node.state.applied().time;
                node.office.send_replace(office.map(|leader| Office { leader, base, since: node.clock.monotonic() }));
            } else {
                node.office.send_replace(None);
                tokio::time::sleep(SET_UP_PAUSE).await;
                continue;
            }
        }
        if metrics.changed().await.is_err() {
            node.office.send_replace(None);
            return;
        }
    }
}

/// Has the first command of the cluster applied unless it is, before anybody else's. False when that failed for now.
async fn set_up(node: &Arc<Node>, raft: &RaftNode, leader: LeaderId) -> bool {
    let Some(cluster) = node.cluster_id() else { return false };
    let entry = {
        let (node, at) = (Arc::clone(node), node.state.applied().time);
        let wall = WallTime(node.clock.wall_ms());
        let look = move || match node.machine.bootstrap(&node.state.db().view(), cluster, &node.cluster_name)? {
            Some(proposal) => node.machine.stamp(at, wall, &proposal).map(Some),
            None => Ok(None),
        };
        tokio::task::spawn_blocking(look).await
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
        let office = node.office.borrow().clone();
        let submitted = match office {
            None => Submitted::NotLeader,
            Some(_) if node.takes_no_more(&proposal) => Submitted::Full(node.which_are_full()),
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
