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
use std::sync::atomic::Ordering;
use std::time::Duration;

use openraft::ReadPolicy;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::super::status::ReadError;
use super::super::transport::{Call, decode, encode};
use super::no_leader::NoLeaderTimeout;
use super::node::{Leader, Node, RaftNode, ReadWaiter};
use crate::domain::plant::{Plant, planted};

/// Reads that wait for a round.
pub(super) const MAX_WAITING: usize = 16_384;

const ROUND_TIMEOUT: Duration = Duration::from_secs(1);

impl Node {
    /// The log index that a state must have applied to hold everything acknowledged before this call.
    pub(crate) async fn read_round(&self) -> Result<u64, String> {
        let (sender, receiver) = oneshot::channel();
        self.rounds.send(sender).await.map_err(|_| "this node is stopping".to_owned())?;
        receiver.await.unwrap_or_else(|_| Err("this node is stopping".into()))
    }

    /// Returns when this node's state holds everything acknowledged before this call.
    pub(crate) async fn catch_up(self: Arc<Self>) -> Result<(), ReadError> {
        let deadline = Instant::now() + self.tuning.read_deadline;
        self.reads.fetch_add(1, Ordering::Relaxed);
        if planted(Plant::ReadWithoutReadIndex) {
            return Ok(());
        }
        let late = |reason: String| ReadError::NoLeader(reason);
        let mut timeout = NoLeaderTimeout::default();
        loop {
            if let Some(message) = self.stopped_message() {
                return Err(ReadError::Stopped(message));
            }
            let round = self.unless_lost(&mut timeout, self.read_round());
            let reason = match timeout_at(deadline, round).await.map(Result::flatten) {
                Ok(Ok(index)) => {
                    let mut applied = self.state.watch_applied();
                    let there = applied.wait_for(|applied| applied.index.is_some_and(|at| at >= index));
                    return match timeout_at(deadline, there).await {
                        Ok(Ok(_)) => Ok(()),
                        _ => Err(late(format!("this node has not applied entry {index} in time"))),
                    };
                }
                Ok(Err(reason)) => reason,
                Err(_) => return Err(late("no majority answers".into())),
            };
            if Instant::now() >= deadline || timeout.given_up(&self).is_some() {
                return Err(late(reason));
            }
            self.pause().await;
        }
    }
}

/// Runs the rounds, one at a time.
pub(super) async fn run_rounds(node: Arc<Node>, raft: RaftNode, mut waiters: mpsc::Receiver<ReadWaiter>) {
    let mut served = Vec::new();
    while waiters.recv_many(&mut served, MAX_WAITING).await > 0 {
        node.read_rounds.fetch_add(1, Ordering::Relaxed);
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
    match node.leader() {
        Leader::Here => {
            let confirmed = raft.get_read_linearizer(ReadPolicy::ReadIndex).await;
            confirmed.map(|linearizer| linearizer.read_log_id().index()).map_err(|error| error.to_string())
        }
        Leader::There(target) => {
            let call = node.peers.call(&target, Call::ReadIndex, encode(&()), ROUND_TIMEOUT);
            let Some(answer) = node.while_it_leads(&target, call).await else {
                return Err(format!("node {} stopped leading before it answered", target.id));
            };
            decode(&answer.map_err(|error| format!("node {}: {error}", target.id))?)
        }
        Leader::Unknown(reason) | Leader::Lost(reason) => Err(reason),
    }
}
