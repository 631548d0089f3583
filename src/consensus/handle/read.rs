//! Linearizable reads on any node.
//!
//! A read needs the leader's word, given after the read began, for how far the log is committed, and the leader needs a
//! majority's word that it still leads (ReadIndex, Raft dissertation 6.4). Reads share rounds: while one round is under
//! way, those that arrive wait for the next, which serves all of them. A read never joins a round that began before it:
//! that one may not have seen a write that was acknowledged before the read.
//!
//! A lease would save the majority's round trip. It is not used: a node that restarts forgets to whom it had promised
//! not to vote.

use std::sync::Arc;
use std::time::Duration;

use openraft::ReadPolicy;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::super::status::ReadError;
use super::super::transport::{Call, decode, encode};
use super::RaftNode;
use super::leaders::Leader;
use super::node::Node;
use super::read_rounds::{MAX_WAITING, ReadWaiter};
use crate::domain::plant::{Plant, planted};

const ROUND_TIMEOUT: Duration = Duration::from_secs(1);

impl Node {
    /// Returns when this node's state holds everything acknowledged before this call.
    pub(crate) async fn catch_up(self: Arc<Self>) -> Result<(), ReadError> {
        let deadline = Instant::now() + self.settings.tuning.read_deadline;
        self.reads.count_read();
        if planted(Plant::ReadWithoutReadIndex) {
            return Ok(());
        }
        let late = |reason: String| ReadError::NoLeader(reason);
        loop {
            if let Some(message) = self.stopped_message() {
                return Err(ReadError::Stopped(message));
            }
            let round = self.leaders.unless_lost(self.reads.join());
            let reason = match timeout_at(deadline, round).await {
                Ok(Some(Ok(index))) => {
                    return match timeout_at(deadline, self.storage.state.wait_for_applied(index)).await {
                        Ok(()) => Ok(()),
                        Err(_) => Err(late(format!("this node has not applied entry {index} in time"))),
                    };
                }
                Ok(Some(Err(reason))) => reason,
                Ok(None) => "this node has known no leader for longer than an election takes".into(),
                Err(_) => return Err(late("no majority answers".into())),
            };
            if !self.is_worth_a_retry(deadline).await {
                return Err(late(reason));
            }
        }
    }
}

/// Runs the rounds, one at a time.
pub(super) async fn run_rounds(node: Arc<Node>, raft: RaftNode, mut waiters: mpsc::Receiver<ReadWaiter>) {
    let mut served = Vec::new();
    while waiters.recv_many(&mut served, MAX_WAITING).await > 0 {
        node.reads.count_round();
        let result = match tokio::time::timeout(ROUND_TIMEOUT, round(&node, &raft)).await {
            Ok(result) => result,
            Err(_) => Err("the leader does not answer".into()),
        };
        for waiter in served.drain(..) {
            // Whoever gave up is gone.
            drop(waiter.send(result.clone()));
        }
    }
}

async fn round(node: &Node, raft: &RaftNode) -> Result<u64, String> {
    match node.leaders.leader() {
        Leader::Here => {
            let confirmed = raft.get_read_linearizer(ReadPolicy::ReadIndex).await;
            confirmed.map(|linearizer| linearizer.read_log_id().index()).map_err(|error| error.to_string())
        }
        Leader::There(target) => {
            let call = node.environment.peers.call(&target, Call::ReadIndex, encode(&()), ROUND_TIMEOUT);
            let Some(answer) = node.leaders.while_it_leads(&target, call).await else {
                return Err(format!("node {} stopped leading before it answered", target.id));
            };
            decode(&answer.map_err(|error| format!("node {}: {error}", target.id))?)
        }
        Leader::Unknown(reason) | Leader::Lost(reason) => Err(reason),
    }
}
